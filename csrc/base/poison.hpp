// Marks scratch memory in builds for testing; does nothing in other builds.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace fastinv {

// Marks memory as unwritten: as floating-point numbers its bytes are NaN, as integers -1.
inline void poison([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(FASTINV_POISON)
  std::memset(memory, 0xFF, bytes);
#endif
}

// A gap between pieces; AddressSanitizer reports any use of it.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kGuardBytes = 64;
inline void guard(void* memory, std::size_t bytes) { __asan_poison_memory_region(memory, bytes); }
inline void remove_guards(void* memory, std::size_t bytes) {
  __asan_unpoison_memory_region(memory, bytes);
}
#else
constexpr std::size_t kGuardBytes = 0;
inline void guard(void*, std::size_t) {}
inline void remove_guards(void*, std::size_t) {}
#endif

}  // namespace fastinv
