#include "base/watch.hpp"

#if defined(__linux__)
#include <time.h>
#endif

namespace fastinv {

namespace {

constexpr std::int64_t kLongLook = 8;  // milliseconds between looks; then each point looks

// The time in milliseconds, right to a few of them: reading that takes a sixth of the time that an
// exact clock takes.
std::int64_t now_ms() {
#if defined(CLOCK_MONOTONIC_COARSE)
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
#else
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::steady_clock;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
#endif
}

}  // namespace

void Watcher::look() {
  if (!watch) {
    left = kNever;
    return;
  }
  watch->throw_if_stopped();
  watch->count(done);
  done = 0;
  const std::int64_t now = now_ms();
  stride = now - looked > kLongLook ? 1 : std::min(2 * stride, kMostStride);
  looked = now;
  left = stride;
  if (is_caller) watch->ask_if_due(now);
}

Watch::Watch() : before_(watcher), asked_(now_ms()) {
  watcher = Watcher{this, true, 1, 1, asked_, 0};
}

Watch::~Watch() { watcher = before_; }

void Watch::ask_if_due(std::int64_t now) {
  if (asked_ != Watcher::kNever && now - asked_ >= kPeriod.count()) ask_now();
}

void Watch::ask_now() {
  // The caller may make other native calls meanwhile, which this Watch has nothing to do with.
  struct Pause {
    const Watcher own = watcher;
    Pause() { watcher = Watcher{}; }
    ~Pause() { watcher = own; }
  } pause;
  try {
    asked_ = ask(n_done_.load(std::memory_order_relaxed)) ? now_ms() : Watcher::kNever;
  } catch (...) {
    stopped_.store(true, std::memory_order_relaxed);
    throw;
  }
}

}  // namespace fastinv
