#include "base/dispatch.hpp"

#include <cstdlib>
#include <stdexcept>

#if defined(_MSC_VER) && defined(_M_X64)
#include <intrin.h>
#endif

namespace fastinv {

#define FASTINV_DECLARE(isa)                    \
  namespace isa {                               \
  extern const Kernels<float> kernels_float32;  \
  extern const Kernels<double> kernels_float64; \
  }
FASTINV_DECLARE(isa_baseline)
#if defined(FASTINV_X86)
FASTINV_DECLARE(isa_avx2)
FASTINV_DECLARE(isa_avx512)
#endif
#undef FASTINV_DECLARE

namespace {

#if defined(FASTINV_X86)
#if defined(_MSC_VER)
// CPUID leaf 7 and XCR0: the CPU has the instructions and the system saves their registers.
bool has_leaf7(int ebx_bits, unsigned long long xcr0_bits) {
  int info[4];
  __cpuid(info, 1);
  const bool osxsave = info[2] & (1 << 27), fma = info[2] & (1 << 12);
  if (!osxsave || !fma || (_xgetbv(0) & xcr0_bits) != xcr0_bits) return false;
  __cpuidex(info, 7, 0);
  return (info[1] & ebx_bits) == ebx_bits;
}
bool has_avx2() { return has_leaf7(1 << 5, 0x6); }
bool has_avx512() { return has_leaf7((1 << 16) | (1 << 17) | (1 << 31), 0xe6); }
#else
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif
#endif

template <class T>
struct Entry {
  const char* isa;
  const Kernels<T>* kernels;
};

template <class T>
const Kernels<T>* pick(const Kernels<float>* in_float32, const Kernels<double>* in_float64) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return in_float32;
  } else {
    return in_float64;
  }
}

template <class T>
std::vector<Entry<T>> find_entries() {
  std::vector<Entry<T>> found{
      {"baseline", pick<T>(&isa_baseline::kernels_float32, &isa_baseline::kernels_float64)}};
#if defined(FASTINV_X86)
  if (has_avx2()) {
    found.push_back({"avx2", pick<T>(&isa_avx2::kernels_float32, &isa_avx2::kernels_float64)});
  }
  if (has_avx512()) {
    found.push_back(
        {"avx512", pick<T>(&isa_avx512::kernels_float32, &isa_avx512::kernels_float64)});
  }
#endif
  return found;
}

// The best one comes last.
template <class T>
const std::vector<Entry<T>>& entries() {
  static const std::vector<Entry<T>> found = find_entries<T>();
  return found;
}

}  // namespace

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const auto& entry : entries<float>()) names.push_back(entry.isa);
  return names;
}

std::string default_isa() {
  const char* forced = std::getenv("FASTINV_ISA");
  if (!forced || !*forced) return entries<float>().back().isa;
  kernels<float>(forced);
  return forced;
}

template <class T>
const Kernels<T>& kernels(const std::string& isa) {
  const std::string wanted = isa.empty() ? default_isa() : isa;
  for (const auto& entry : entries<T>()) {
    if (wanted == entry.isa) return *entry.kernels;
  }
  std::string available;
  for (const auto& entry : entries<T>()) {
    available += (available.empty() ? "" : ", ") + std::string(entry.isa);
  }
  throw std::invalid_argument("instruction set '" + wanted +
                              "' is not available; this machine has: " + available);
}

template const Kernels<float>& kernels<float>(const std::string&);
template const Kernels<double>& kernels<double>(const std::string&);

}  // namespace fastinv
