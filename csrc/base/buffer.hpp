// Uninitialised memory for numbers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/poison.hpp"

namespace fastinv {

// Numbers without initial values. They start on a cache line, so that no register's load crosses
// one. A long buffer starts on a huge page where the system has them: filling it then takes fewer
// page faults, and searching it fewer misses of the address cache.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::int64_t size) {
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
    const std::size_t alignment = bytes >= kHugePage ? kHugePage : kCacheLine;
    const std::size_t padded = (bytes + alignment - 1) / alignment * alignment;
    numbers_ = Pointer(static_cast<T*>(::operator new(padded, std::align_val_t{alignment})),
                       Free{alignment});
#if defined(__linux__)
    // This is advice only: without huge pages everything works, but more slowly.
    if (alignment == kHugePage) madvise(numbers_.get(), padded, MADV_HUGEPAGE);
#endif
    poison(numbers_.get(), padded);
  }
  T* data() { return numbers_.get(); }
  const T* data() const { return numbers_.get(); }

 private:
  static constexpr std::size_t kCacheLine = 64, kHugePage = std::size_t{2} << 20;
  struct Free {
    std::size_t alignment = kCacheLine;
    void operator()(T* numbers) const { ::operator delete(numbers, std::align_val_t{alignment}); }
  };
  using Pointer = std::unique_ptr<T[], Free>;
  Pointer numbers_;
};

}  // namespace fastinv
