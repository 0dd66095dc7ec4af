// The baseline kernels, which every CPU of the architecture runs: SSE2 or NEON.
#include <cmath>
#include <cstdint>

#if defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#define FASTINV_NEON
#else
#include <emmintrin.h>
#define FASTINV_SSE2
#endif

#include "kernels/kernels.hpp"

namespace fastinv {
namespace isa_baseline {
namespace {

#include "kernels/base/simd.hpp"
#include "kernels/mlp/gemm.inl.hpp"
#include "kernels/base/transpose.inl.hpp"
#include "kernels/base/elementary.inl.hpp"
#include "kernels/mlp/mlp.inl.hpp"
#include "kernels/mlp/mlp_backward.inl.hpp"
#include "kernels/mixture/mixture.inl.hpp"
#include "kernels/mixture/hills.inl.hpp"
#include "kernels/kdtree/kdtree.inl.hpp"
#include "kernels/base/ceiling.inl.hpp"
#include "kernels/table.inl.hpp"

}  // namespace

extern const Kernels<float> kernels_float32 = make_kernels<float>();
extern const Kernels<double> kernels_float64 = make_kernels<double>();

}  // namespace isa_baseline
}  // namespace fastinv
