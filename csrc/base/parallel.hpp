// Threads for the length of one native call: nothing outlives it, nothing is shared between calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

#include "base/placement.hpp"

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

// Part `index` of [0, n) cut into `parts` runs whose lengths differ by one at most.
struct Range {
  std::int64_t begin, end;
};
inline Range part_of(std::int64_t n, std::int64_t index, std::int64_t parts) {
  return {n * index / parts, n * (index + 1) / parts};
}

// Lets `n` threads wait for each other. Spins first: the waits inside a training step are shorter
// than a system call. Yields after that, for when there are fewer processors than threads.
class Barrier {
 public:
  explicit Barrier(int n) : n_(n) {}

  void wait() {
    if (n_ == 1) return;
    const std::uint32_t round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_) {
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
      if (spins < 300) {
        spin_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  const int n_;
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> round_{0};
};

// Runs work(thread) for thread = 0..n-1, thread 0 being the caller. `work` must not throw. Where
// the system has no thread left to give, the caller does the missing threads' work in turn, so
// `work` must not wait at a Barrier unless it is run through `run_team`.
template <class F>
void run_independent(int n, const F& work) {
  if (n == 1) return work(0);
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(n));
  const Placement placement;
  const auto helper = [&](int index) {
    placement.spread(index);
    work(index);
  };
  int started = 1;
  try {
    for (; started < n; ++started) threads.emplace_back(helper, started);
  } catch (const std::exception&) {  // no thread left, or no memory for one
  }
  work(0);
  for (int missing = started; missing < n; ++missing) work(missing);
  for (auto& thread : threads) thread.join();
}

// Runs work(thread, n_threads, barrier) on a team whose members may wait for each other; n_threads
// is what could be had, at most n.
template <class F>
void run_team(int n, const F& work) {
  std::atomic<int> size{0};  // 0: not yet known
  std::vector<std::thread> threads;
  threads.reserve(static_cast<std::size_t>(n));
  Barrier* barrier = nullptr;
  const Placement placement;
  const auto member = [&](int index) {
    placement.spread(index);
    int team;
    while ((team = size.load(std::memory_order_acquire)) == 0) std::this_thread::yield();
    work(index, team, *barrier);
  };
  try {
    for (int i = 1; i < n; ++i) threads.emplace_back(member, i);
  } catch (const std::exception&) {  // no thread left, or no memory for one
  }
  const int team = static_cast<int>(threads.size()) + 1;
  Barrier shared(team);
  barrier = &shared;
  size.store(team, std::memory_order_release);
  work(0, team, shared);
  for (auto& thread : threads) thread.join();
}

}  // namespace fastinv
