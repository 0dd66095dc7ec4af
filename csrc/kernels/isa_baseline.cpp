// The kernels for baseline: what every CPU of the architecture has, SSE2 or NEON.
#include <cmath>
#include <cstdint>

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#define FASTINV_NEON
#else
#include <emmintrin.h>
#define FASTINV_SSE2
#endif

#include "kernels.hpp"

namespace fastinv {
namespace isa_baseline {
namespace {

#include "simd.hpp"
#include "gemm.inl.hpp"
#include "transpose.inl.hpp"
#include "elementary.inl.hpp"
#include "mlp.inl.hpp"
#include "mlp_backward.inl.hpp"
#include "mixture.inl.hpp"
#include "kdtree.inl.hpp"
#include "ceiling.inl.hpp"
#include "table.inl.hpp"

}  // namespace

extern const Kernels<float> kernels_float32 = make_kernels<float>();
extern const Kernels<double> kernels_float64 = make_kernels<double>();

}  // namespace isa_baseline
}  // namespace fastinv
