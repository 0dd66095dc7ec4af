// Ends a long native call when its caller wants it, and tells how far it is.
//
// Whoever makes a call that may take long makes a Watch, on the same thread. Loops pass watch
// points between rows, and evaluations of f between each other. At a watch point the calling thread
// asks its caller every kPeriod; if that throws, the other threads leave by Interrupted at their
// next one. So no code after a watch point may count on being reached. Without a Watch, points do
// nothing.
//
// Each thread of a call finds its Watch in a thread_local variable, so that it need not pass
// through the arguments of everything between a binding and an evaluation of f.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>

namespace fastinv {

// Thrown at watch points of all threads but the calling one; it ends with their work.
struct Interrupted {};

class Watch;

// How one thread passes its watch points.
struct Watcher {
  Watch* watch = nullptr;
  bool is_caller = false;  // whether this thread made the Watch
  // Points until the next look at the clock. Where little happens between points, only every
  // kMostStride-th looks.
  std::int64_t left = kNever;
  std::int64_t stride = kNever;
  std::int64_t looked = 0;  // the time of the last look, in milliseconds
  std::int64_t done = 0;    // rows finished since then

  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  static constexpr std::int64_t kMostStride = 32;

  void look();
};
inline thread_local Watcher watcher;

// Passes up to n watch points at once, for pieces of work such as evaluations of f. Returns how
// many, at least 1 for n >= 1: the size of the next piece.
inline std::int64_t watch_points(std::int64_t n) {
  Watcher& own = watcher;
  if (own.left <= 0) own.look();
  const std::int64_t passed = std::min(n, own.stride);  // not `left`: pieces would become small
  own.left -= passed;
  return passed;
}
inline void watch_point() { watch_points(1); }

class Watch {
 public:
  static constexpr std::chrono::milliseconds kPeriod{50};

  Watch();
  virtual ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // The Watch of the call that this thread works for; null if there is none.
  static Watch* current() { return watcher.watch; }

  // Asks the caller, if kPeriod has passed since it was last asked; only its own thread may.
  void ask_if_due(std::int64_t now);
  void count(std::int64_t n_rows) { n_done_.fetch_add(n_rows, std::memory_order_relaxed); }
  void throw_if_stopped() const {
    if (stopped_.load(std::memory_order_relaxed)) throw Interrupted{};
  }

 protected:
  // Whether to ask again. n_done rows are finished. What it throws ends the call.
  virtual bool ask(std::int64_t n_done) = 0;

 private:
  void ask_now();

  const Watcher before_;  // of the thread that made this
  std::int64_t asked_;    // in milliseconds; kNever: not again
  std::atomic<bool> stopped_{false};
  std::atomic<std::int64_t> n_done_{0};
};

// Counts rows of the present call as finished.
inline void count_done(std::int64_t n_rows) { watcher.done += n_rows; }

// A watch point that always looks, for a thread that waits for others.
inline void watch_while_waiting() { watcher.look(); }

// Has a helper thread work for a call, whose Watch may be null.
inline void join_call(Watch* watch) {
  if (watch) watcher = Watcher{watch, false, 1, 1, 0, 0};
}

}  // namespace fastinv
