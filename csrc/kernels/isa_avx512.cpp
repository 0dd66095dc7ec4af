// The kernels for AVX-512 F, DQ and VL.
#include <cmath>
#include <cstdint>

#include <immintrin.h>
#define FASTINV_AVX512

#include "kernels.hpp"

namespace fastinv {
namespace isa_avx512 {
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

}  // namespace isa_avx512
}  // namespace fastinv
