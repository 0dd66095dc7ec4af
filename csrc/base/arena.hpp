// Scratch memory for one thread of one call: from the caller's stack while it fits, else from the
// heap once. Handing out pieces never allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace fastinv {

class Arena {
 public:
  explicit Arena(std::size_t bytes) {
    if (bytes > sizeof(local_)) heap_.reset(new unsigned char[bytes + kAlignment]);
    reset();
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  template <class T>
  T* take(std::int64_t count) {
    const auto address = reinterpret_cast<std::uintptr_t>(next_);
    unsigned char* const start = next_ + (kAlignment - address % kAlignment) % kAlignment;
    next_ = start + static_cast<std::size_t>(count) * sizeof(T);
    return reinterpret_cast<T*>(start);
  }

  // Takes all pieces back.
  void reset() { next_ = heap_ ? heap_.get() : local_; }

  // Bytes that take<T>(count) may use up.
  template <class T>
  static std::size_t need(std::int64_t count) {
    return static_cast<std::size_t>(count) * sizeof(T) + kAlignment;
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  alignas(kAlignment) unsigned char local_[48 * 1024];
  std::unique_ptr<unsigned char[]> heap_;
  unsigned char* next_;
};

}  // namespace fastinv
