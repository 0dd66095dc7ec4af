// The kernels for AVX2 and FMA.
#include "kernels/kernels.hpp"

#if defined(FASTINV_X86)

#include <cmath>
#include <cstdint>

#include <immintrin.h>
#define FASTINV_AVX2

namespace fastinv {
namespace isa_avx2 {
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

}  // namespace isa_avx2
}  // namespace fastinv

#endif  // FASTINV_X86
