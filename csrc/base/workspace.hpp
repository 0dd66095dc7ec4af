// Scratch memory for the threads of one call. Its size need not be counted by hand.
//
// A layout is a struct of pointers whose constructor takes one piece of memory after the other from
// a Taker. The constructor runs first to count, with null pointers, and then once for each thread
// to receive the memory. A layout may contain other layouts and pass its Taker on to them.
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
//   Workspaces memory(n_threads, bytes_of<Tile>(rows, p, q));  // before any thread starts
//   run_independent(n_threads, [&](int thread) {
//     Tile tile = memory[thread].lay_out<Tile>(rows, p, q);
//     ...
//   });
//
// Pieces have no initial values. A build with FASTINV_POISON fills each piece with 0xFF when it is
// handed out: floating-point numbers are then NaN, and integers -1. AddressSanitizer guards their
// ends.
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

// Hands out memory piece by piece, or only counts it.
class Taker {
 public:
  Taker() = default;  // only counts
  Taker(unsigned char* memory, std::size_t size) : memory_(memory), size_(size) {}

  // Sets `piece` to `count` numbers on cache lines of their own, or to null while counting.
  template <class T>
  void operator()(T*& piece, std::int64_t count) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    // A negative count becomes larger than any memory.
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
  // Counting stops far below where rounding up could overflow.
  static constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max() / 4;

  unsigned char* memory_ = nullptr;
  std::size_t size_ = kMost, used_ = 0;
};

// The bytes that a Layout with these arguments takes.
template <class Layout, class... Arguments>
std::size_t bytes_of(const Arguments&... arguments) {
  Taker take;
  const Layout counted(take, arguments...);
  return take.used();
}

// The memory of one thread. It is borrowed, and valid only as long as its owner lives.
class Workspace {
 public:
  Workspace(unsigned char* memory, std::size_t size) : memory_(memory), size_(size) {}

  // Lays out one Layout over all of the memory; earlier layouts become invalid. Throws
  // std::bad_alloc if the memory is too small, which cannot happen for arguments that it was
  // counted for.
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

// Workspaces of equal size for several threads: on the caller's stack while they fit, so that small
// calls allocate nothing, else in one heap allocation.
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
  // CPUs fetch cache lines in pairs: no pair may be shared by two threads.
  static constexpr std::size_t round_up(std::size_t bytes) { return (bytes + 127) / 128 * 128; }
  unsigned char* memory() { return heap_ ? heap_.get() : local_; }

  std::size_t size_, stride_, total_;
  std::unique_ptr<unsigned char[], Free> heap_;
  alignas(Taker::kAlignment) unsigned char local_[48 * 1024];
};

}  // namespace fastinv
