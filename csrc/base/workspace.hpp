// Scratch memory for the threads of one call, whose size nobody counts by hand.
//
// A layout is a struct of pointers whose constructor takes one piece of memory after the other from
// a Taker. The same constructor runs twice: once to count, when every pointer is null, and once for
// each thread to receive the memory. A layout may contain others and hand them its Taker.
//
//   struct Tile {
//     double* x;        // (rows, p)
//     float* features;  // (rows, 2 q + p)
//     Tile(Taker& take, std::int64_t rows, std::int64_t p, std::int64_t q) {
//       take(x, rows * p);
//       take(features, rows * (2 * q + p));
//     }
//   };
//
//   Workspaces memory(n_threads, bytes_of<Tile>(rows, p, q));  // all of it before a thread starts
//   run_independent(n_threads, [&](int thread) {
//     Tile tile = memory[thread].lay_out<Tile>(rows, p, q);
//     ...
//   });
//
// Pieces have no initial values. A build with FASTINV_POISON fills each with 0xFF as it is handed
// out: floating-point numbers are NaN then, integers -1. AddressSanitizer guards their ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "base/poison.hpp"

namespace fastinv {

// Hands out memory piece by piece, or counts it where there is none yet.
class Taker {
 public:
  Taker() = default;  // counts
  Taker(unsigned char* memory, std::size_t size) : memory_(memory), size_(size) {}

  // `piece` becomes `count` numbers, on cache lines of their own; null while counting.
  template <class T>
  void operator()(T*& piece, std::int64_t count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    // A negative count is more than any memory holds.
    if (static_cast<std::size_t>(count) > (size_ - used_) / sizeof(T)) throw std::bad_alloc();
    const std::size_t begin = used_, end = begin + static_cast<std::size_t>(count) * sizeof(T);
    used_ = (end + kGuardBytes + kAlignment - 1) / kAlignment * kAlignment;
    if (used_ > size_) throw std::bad_alloc();
    if (!memory_) {
      piece = nullptr;
      return;
    }
    piece = reinterpret_cast<T*>(memory_ + begin);
    poison(memory_ + begin, end - begin);
    guard(memory_ + end, used_ - end);
  }

  std::size_t used() const { return used_; }

  static constexpr std::size_t kAlignment = 64;

 private:
  // Counting ends far from where rounding up could overflow.
  static constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 4;

  unsigned char* memory_ = nullptr;
  std::size_t size_ = kMost, used_ = 0;
};

// The memory that a Layout made from these arguments takes.
template <class Layout, class... Arguments>
std::size_t bytes_of(const Arguments&... arguments) {
  Taker take;
  const Layout counted(take, arguments...);
  return take.used();
}

// The memory of one thread: somebody else's, for as long as that lives.
class Workspace {
 public:
  Workspace(unsigned char* memory, std::size_t size) : memory_(memory), size_(size) {}

  // All of the memory as one Layout; what was laid out before is void. Throws std::bad_alloc where
  // it is too small, which it is not for arguments that it was counted for.
  template <class Layout, class... Arguments>
  Layout lay_out(const Arguments&... arguments) const {
    remove_guards(memory_, size_);
    Taker take(memory_, size_);
    return Layout(take, arguments...);
  }

 private:
  unsigned char* memory_;
  std::size_t size_;
};

// Equal workspaces for a number of threads: from the caller's stack while they fit, so that small
// calls allocate nothing, else from the heap at once.
class Workspaces {
 public:
  // Throws std::bad_alloc.
  Workspaces(int n, std::size_t bytes) : size_(bytes), stride_(round_up(bytes)) {
    if (stride_ > std::numeric_limits<std::size_t>::max() / static_cast<std::size_t>(n)) {
      throw std::bad_alloc();
    }
    total_ = stride_ * static_cast<std::size_t>(n);
    if (total_ > sizeof(local_)) {
      heap_.reset(static_cast<unsigned char*>(::operator new(total_, kCacheLine)));
    }
  }
  ~Workspaces() { remove_guards(memory(), total_); }
  Workspaces(const Workspaces&) = delete;
  Workspaces& operator=(const Workspaces&) = delete;

  Workspace operator[](int thread) {
    return {memory() + static_cast<std::size_t>(thread) * stride_, size_};
  }

 private:
  static constexpr std::align_val_t kCacheLine{Taker::kAlignment};
  struct Free {
    void operator()(unsigned char* memory) const { ::operator delete(memory, kCacheLine); }
  };
  // CPUs fetch cache lines in pairs: no two threads get the halves of one.
  static constexpr std::size_t round_up(std::size_t bytes) { return (bytes + 127) / 128 * 128; }
  unsigned char* memory() { return heap_ ? heap_.get() : local_; }

  std::size_t size_, stride_, total_;
  std::unique_ptr<unsigned char[], Free> heap_;
  alignas(Taker::kAlignment) unsigned char local_[48 * 1024];
};

}  // namespace fastinv
