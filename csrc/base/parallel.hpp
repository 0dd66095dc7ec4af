// Threads for the duration of one native call: they end with it and are not shared between calls.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/placement.hpp"
#include "base/watch.hpp"

#if defined(__x86_64__) || defined(_M_X64)
#include <emmintrin.h>
#endif

namespace fastinv {

inline void spin_pause() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Part `index` of [0, n) cut into `parts` runs whose lengths differ by at most one.
struct Range {
  std::int64_t begin, end;
};
inline Range part_of(std::int64_t n, std::int64_t index, std::int64_t parts) {
  return {n * index / parts, n * (index + 1) / parts};
}

// Lets `n` threads wait for each other. They spin first, because the waits inside a training step
// are shorter than a system call. Then they yield, for the case of fewer processors than threads.
class Barrier {
 public:
  struct Broken {};

  explicit Barrier(int n) : n_(n) {}

  // Throws Broken if a thread that the others wait for will not come.
  void wait() {
    if (n_ == 1) return;
    const std::uint64_t round = round_.load(std::memory_order_acquire);
    if (round == kBroken) throw Broken{};
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    std::uint64_t now;
    for (int spins = 0; (now = round_.load(std::memory_order_acquire)) == round; ++spins) {
      if (spins < 300) {
        spin_pause();
      } else {
        std::this_thread::yield();
      }
    }
    if (now == kBroken) throw Broken{};
  }

  // Called by a thread that will not wait any more. All present and future waits throw Broken.
  void leave() { round_.store(kBroken, std::memory_order_release); }

 private:
  static constexpr std::uint64_t kBroken = ~std::uint64_t{0};
  const int n_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint64_t> round_{0};
};

// Keeps an exception of one of several threads for the thread that started them. An exception that
// escaped from a thread would end the process.
class ThrownByWorker {
 public:
  // Call it inside a catch block.
  void keep() noexcept {
    if (!kept_.exchange(true)) thrown_ = std::current_exception();
  }
  // Call it when all threads have been joined.
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  std::atomic<bool> kept_{false};
  std::exception_ptr thrown_;
};

// Counts the threads that have ended their work, so that the one that waits for them can still be
// told to end the call.
class Ended {
 public:
  void count() {
    const std::lock_guard lock(mutex_);
    ++n_;
    changed_.notify_one();
  }
  void wait_for(std::size_t n) {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, Watch::kPeriod, [&] { return n_ == n; })) {
      lock.unlock();
      watch_while_waiting();
      lock.lock();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t n_ = 0;
};

// Makes something on first use, by one thread while others wait. If that throws, the next one tries
// again. Unlike std::call_once, waiting passes watch points.
class Once {
 public:
  template <class F>
  void operator()(const F& make) {
    if (made_.load(std::memory_order_acquire)) return;
    std::unique_lock lock(mutex_, std::try_to_lock);
    for (; !lock.owns_lock(); lock.try_lock()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      watch_while_waiting();
    }
    if (made_.load(std::memory_order_relaxed)) return;
    make();
    made_.store(true, std::memory_order_release);
  }

 private:
  std::mutex mutex_;
  std::atomic<bool> made_{false};
};

// Starts run(index) for index = 1..n-1, or for fewer if the system lacks threads or memory for
// them.
template <class F>
std::vector<std::thread> start_threads(int n, const F& run) noexcept {
  std::vector<std::thread> threads;
  try {
    threads.reserve(static_cast<std::size_t>(n));
    for (int index = 1; index < n; ++index) threads.emplace_back(run, index);
  } catch (const std::exception&) {  // the caller sees how many started
  }
  return threads;
}

// Runs work(thread) for thread = 0..n-1; the caller is thread 0. If the system cannot give enough
// threads, the caller does the work of the missing ones afterwards. So `work` must not wait at a
// Barrier; use `run_team` for that. An exception of any thread is rethrown when all are done.
template <class F>
void run_independent(int n, const F& work) {
  if (n == 1) return work(0);
  ThrownByWorker thrown;
  Ended ended;
  const Placement placement;
  Watch* const watch = Watch::current();
  const auto run = [&](const auto& part) noexcept {
    try {
      part();
    } catch (const Interrupted&) {
    } catch (...) {
      thrown.keep();
    }
  };
  const auto helper = [&](int index) {
    placement.spread(index);
    join_call(watch);
    run([&] { work(index); });
    ended.count();
  };
  std::vector<std::thread> threads = start_threads(n, helper);
  run([&] { work(0); });
  const int started = static_cast<int>(threads.size());
  for (int missing = started + 1; missing < n; ++missing) run([&] { work(missing); });
  run([&] { ended.wait_for(threads.size()); });
  for (auto& thread : threads) thread.join();
  thrown.rethrow();
  if (watch) watch->throw_if_stopped();
}

// Runs work(thread, n_threads, barrier) on a team whose members may wait for each other; n_threads
// is the number of threads that the system could give, at most n. An exception in one of them ends
// the waiting of the others and is rethrown when all have ended.
template <class F>
void run_team(int n, const F& work) {
  std::atomic<int> size{0};  // 0: not known yet
  Barrier* barrier = nullptr;
  ThrownByWorker thrown;
  const Placement placement;
  Watch* const watch = Watch::current();
  const auto run = [&](int index, int team) noexcept {
    try {
      work(index, team, *barrier);
    } catch (const Barrier::Broken&) {
    } catch (const Interrupted&) {
      barrier->leave();
    } catch (...) {
      thrown.keep();
      barrier->leave();
    }
  };
  const auto helper = [&](int index) {
    placement.spread(index);
    join_call(watch);
    int team;
    while ((team = size.load(std::memory_order_acquire)) == 0) std::this_thread::yield();
    run(index, team);
  };
  std::vector<std::thread> threads = start_threads(n, helper);
  const int team = static_cast<int>(threads.size()) + 1;
  Barrier shared(team);
  barrier = &shared;
  size.store(team, std::memory_order_release);
  run(0, team);
  for (auto& thread : threads) thread.join();
  thrown.rethrow();
  if (watch) watch->throw_if_stopped();
}

}  // namespace fastinv
