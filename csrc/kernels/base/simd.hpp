// vec<T>: one SIMD register of T for the instruction set of the including file.
//
// Included by each isa_*.cpp inside its own namespace, so that no symbol compiled for one
// instruction set can be picked by the linker for another. For the same reason neither this file
// nor any *.inl.hpp uses std:: containers or algorithms.
//
// The including file defines exactly one of FASTINV_AVX512, FASTINV_AVX2, FASTINV_SSE2,
// FASTINV_NEON, and includes the intrinsics' header before it opens the namespace.

template <class T>
struct vec;

#if defined(FASTINV_AVX512)

template <>
struct vec<float> {
  static constexpr int lanes = 16;
  __m512 r;
  static FASTINV_INLINE vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static FASTINV_INLINE vec set1(float x) { return {_mm512_set1_ps(x)}; }
  FASTINV_INLINE void store(float* p) const { _mm512_storeu_ps(p, r); }
};
template <>
struct vec<double> {
  static constexpr int lanes = 8;
  __m512d r;
  static FASTINV_INLINE vec load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static FASTINV_INLINE vec set1(double x) { return {_mm512_set1_pd(x)}; }
  FASTINV_INLINE void store(double* p) const { _mm512_storeu_pd(p, r); }
};

#define FASTINV_UNARY(name, f, d)                                   \
  FASTINV_INLINE vec<float> name(vec<float> a) { return {f(a.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a) { return {d(a.r)}; }
#define FASTINV_BINARY(name, f, d)                                                     \
  FASTINV_INLINE vec<float> name(vec<float> a, vec<float> b) { return {f(a.r, b.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a, vec<double> b) { return {d(a.r, b.r)}; }

FASTINV_BINARY(operator+, _mm512_add_ps, _mm512_add_pd)
FASTINV_BINARY(operator-, _mm512_sub_ps, _mm512_sub_pd)
FASTINV_BINARY(operator*, _mm512_mul_ps, _mm512_mul_pd)
FASTINV_BINARY(operator/, _mm512_div_ps, _mm512_div_pd)
// min and max return their second argument if either is NaN.
FASTINV_BINARY(min, _mm512_min_ps, _mm512_min_pd)
FASTINV_BINARY(max, _mm512_max_ps, _mm512_max_pd)
FASTINV_UNARY(sqrt, _mm512_sqrt_ps, _mm512_sqrt_pd)

FASTINV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) {
  return {_mm512_fmadd_ps(a.r, b.r, c.r)};
}
FASTINV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) {
  return {_mm512_fmadd_pd(a.r, b.r, c.r)};
}
FASTINV_INLINE vec<float> round(vec<float> a) { return {_mm512_roundscale_ps(a.r, 8)}; }
FASTINV_INLINE vec<double> round(vec<double> a) { return {_mm512_roundscale_pd(a.r, 8)}; }
// a < b ? x : y; the comparison is false for NaN.
FASTINV_INLINE vec<float> select_less(vec<float> a, vec<float> b, vec<float> x, vec<float> y) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(a.r, b.r, _CMP_LT_OQ), y.r, x.r)};
}
FASTINV_INLINE vec<double> select_less(vec<double> a, vec<double> b, vec<double> x, vec<double> y) {
  return {_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a.r, b.r, _CMP_LT_OQ), y.r, x.r)};
}
// y 2^n for an integral n; infinity or zero if the result is out of range.
FASTINV_INLINE vec<float> scale_by_power(vec<float> y, vec<float> n) {
  return {_mm512_scalef_ps(y.r, n.r)};
}
FASTINV_INLINE vec<double> scale_by_power(vec<double> y, vec<double> n) {
  return {_mm512_scalef_pd(y.r, n.r)};
}

// x = mantissa(x) 2^exponent(x) with the mantissa in [1, 2), for positive normal x.
FASTINV_INLINE vec<float> exponent(vec<float> x) { return {_mm512_getexp_ps(x.r)}; }
FASTINV_INLINE vec<double> exponent(vec<double> x) { return {_mm512_getexp_pd(x.r)}; }
FASTINV_INLINE vec<float> mantissa(vec<float> x) {
  return {_mm512_getmant_ps(x.r, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)};
}
FASTINV_INLINE vec<double> mantissa(vec<double> x) {
  return {_mm512_getmant_pd(x.r, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)};
}

#elif defined(FASTINV_AVX2)

template <>
struct vec<float> {
  static constexpr int lanes = 8;
  __m256 r;
  static FASTINV_INLINE vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static FASTINV_INLINE vec set1(float x) { return {_mm256_set1_ps(x)}; }
  FASTINV_INLINE void store(float* p) const { _mm256_storeu_ps(p, r); }
};
template <>
struct vec<double> {
  static constexpr int lanes = 4;
  __m256d r;
  static FASTINV_INLINE vec load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static FASTINV_INLINE vec set1(double x) { return {_mm256_set1_pd(x)}; }
  FASTINV_INLINE void store(double* p) const { _mm256_storeu_pd(p, r); }
};

#define FASTINV_UNARY(name, f, d)                                   \
  FASTINV_INLINE vec<float> name(vec<float> a) { return {f(a.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a) { return {d(a.r)}; }
#define FASTINV_BINARY(name, f, d)                                                     \
  FASTINV_INLINE vec<float> name(vec<float> a, vec<float> b) { return {f(a.r, b.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a, vec<double> b) { return {d(a.r, b.r)}; }

FASTINV_BINARY(operator+, _mm256_add_ps, _mm256_add_pd)
FASTINV_BINARY(operator-, _mm256_sub_ps, _mm256_sub_pd)
FASTINV_BINARY(operator*, _mm256_mul_ps, _mm256_mul_pd)
FASTINV_BINARY(operator/, _mm256_div_ps, _mm256_div_pd)
FASTINV_BINARY(min, _mm256_min_ps, _mm256_min_pd)
FASTINV_BINARY(max, _mm256_max_ps, _mm256_max_pd)
FASTINV_UNARY(sqrt, _mm256_sqrt_ps, _mm256_sqrt_pd)

FASTINV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) {
  return {_mm256_fmadd_ps(a.r, b.r, c.r)};
}
FASTINV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) {
  return {_mm256_fmadd_pd(a.r, b.r, c.r)};
}
FASTINV_INLINE vec<float> round(vec<float> a) { return {_mm256_round_ps(a.r, 8)}; }
FASTINV_INLINE vec<double> round(vec<double> a) { return {_mm256_round_pd(a.r, 8)}; }
FASTINV_INLINE vec<float> select_less(vec<float> a, vec<float> b, vec<float> x, vec<float> y) {
  return {_mm256_blendv_ps(y.r, x.r, _mm256_cmp_ps(a.r, b.r, _CMP_LT_OQ))};
}
FASTINV_INLINE vec<double> select_less(vec<double> a, vec<double> b, vec<double> x, vec<double> y) {
  return {_mm256_blendv_pd(y.r, x.r, _mm256_cmp_pd(a.r, b.r, _CMP_LT_OQ))};
}
// 2^n for an integral n in the normal range of exponents.
FASTINV_INLINE vec<float> exp2i(vec<float> n) {
  return {_mm256_castsi256_ps(
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.r), _mm256_set1_epi32(127)), 23))};
}
FASTINV_INLINE vec<double> exp2i(vec<double> n) {
  const __m256i i = _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n.r));
  return {
      _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_add_epi64(i, _mm256_set1_epi64x(1023)), 52))};
}

FASTINV_INLINE vec<float> exponent(vec<float> x) {
  const __m256i e = _mm256_srli_epi32(_mm256_castps_si256(x.r), 23);
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(e, _mm256_set1_epi32(127)))};
}
// The exponent's bits in the last places of 2^52 give 2^52 plus the exponent.
FASTINV_INLINE vec<double> exponent(vec<double> x) {
  const __m256d magic = _mm256_set1_pd(4503599627370496.0);
  const __m256i e = _mm256_srli_epi64(_mm256_castpd_si256(x.r), 52);
  const __m256d shifted = _mm256_or_pd(_mm256_castsi256_pd(e), magic);
  return {_mm256_sub_pd(_mm256_sub_pd(shifted, magic), _mm256_set1_pd(1023.0))};
}
FASTINV_INLINE vec<float> mantissa(vec<float> x) {
  const __m256 bits = _mm256_castsi256_ps(_mm256_set1_epi32(0x007fffff));
  return {_mm256_or_ps(_mm256_and_ps(x.r, bits), _mm256_set1_ps(1.0f))};
}
FASTINV_INLINE vec<double> mantissa(vec<double> x) {
  const __m256d bits = _mm256_castsi256_pd(_mm256_set1_epi64x(0x000fffffffffffffLL));
  return {_mm256_or_pd(_mm256_and_pd(x.r, bits), _mm256_set1_pd(1.0))};
}

#elif defined(FASTINV_SSE2)

template <>
struct vec<float> {
  static constexpr int lanes = 4;
  __m128 r;
  static FASTINV_INLINE vec load(const float* p) { return {_mm_loadu_ps(p)}; }
  static FASTINV_INLINE vec set1(float x) { return {_mm_set1_ps(x)}; }
  FASTINV_INLINE void store(float* p) const { _mm_storeu_ps(p, r); }
};
template <>
struct vec<double> {
  static constexpr int lanes = 2;
  __m128d r;
  static FASTINV_INLINE vec load(const double* p) { return {_mm_loadu_pd(p)}; }
  static FASTINV_INLINE vec set1(double x) { return {_mm_set1_pd(x)}; }
  FASTINV_INLINE void store(double* p) const { _mm_storeu_pd(p, r); }
};

#define FASTINV_UNARY(name, f, d)                                   \
  FASTINV_INLINE vec<float> name(vec<float> a) { return {f(a.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a) { return {d(a.r)}; }
#define FASTINV_BINARY(name, f, d)                                                     \
  FASTINV_INLINE vec<float> name(vec<float> a, vec<float> b) { return {f(a.r, b.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a, vec<double> b) { return {d(a.r, b.r)}; }

FASTINV_BINARY(operator+, _mm_add_ps, _mm_add_pd)
FASTINV_BINARY(operator-, _mm_sub_ps, _mm_sub_pd)
FASTINV_BINARY(operator*, _mm_mul_ps, _mm_mul_pd)
FASTINV_BINARY(operator/, _mm_div_ps, _mm_div_pd)
FASTINV_BINARY(min, _mm_min_ps, _mm_min_pd)
FASTINV_BINARY(max, _mm_max_ps, _mm_max_pd)
FASTINV_UNARY(sqrt, _mm_sqrt_ps, _mm_sqrt_pd)

// SSE2 has no fused multiply-add: two roundings, in vectors and scalars alike.
FASTINV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) { return a * b + c; }
FASTINV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) { return a * b + c; }
// Correct for |a| < 2^31, which is all that exp needs.
FASTINV_INLINE vec<float> round(vec<float> a) { return {_mm_cvtepi32_ps(_mm_cvtps_epi32(a.r))}; }
FASTINV_INLINE vec<double> round(vec<double> a) { return {_mm_cvtepi32_pd(_mm_cvtpd_epi32(a.r))}; }
FASTINV_INLINE vec<float> select_less(vec<float> a, vec<float> b, vec<float> x, vec<float> y) {
  const __m128 m = _mm_cmplt_ps(a.r, b.r);
  return {_mm_or_ps(_mm_and_ps(m, x.r), _mm_andnot_ps(m, y.r))};
}
FASTINV_INLINE vec<double> select_less(vec<double> a, vec<double> b, vec<double> x, vec<double> y) {
  const __m128d m = _mm_cmplt_pd(a.r, b.r);
  return {_mm_or_pd(_mm_and_pd(m, x.r), _mm_andnot_pd(m, y.r))};
}
FASTINV_INLINE vec<float> exp2i(vec<float> n) {
  return {_mm_castsi128_ps(
      _mm_slli_epi32(_mm_add_epi32(_mm_cvtps_epi32(n.r), _mm_set1_epi32(127)), 23))};
}
FASTINV_INLINE vec<double> exp2i(vec<double> n) {
  const __m128i i = _mm_add_epi32(_mm_cvtpd_epi32(n.r), _mm_set1_epi32(1023));
  return {_mm_castsi128_pd(_mm_slli_epi64(_mm_unpacklo_epi32(i, _mm_setzero_si128()), 52))};
}

FASTINV_INLINE vec<float> exponent(vec<float> x) {
  const __m128i e = _mm_srli_epi32(_mm_castps_si128(x.r), 23);
  return {_mm_cvtepi32_ps(_mm_sub_epi32(e, _mm_set1_epi32(127)))};
}
FASTINV_INLINE vec<double> exponent(vec<double> x) {
  const __m128d magic = _mm_set1_pd(4503599627370496.0);
  const __m128i e = _mm_srli_epi64(_mm_castpd_si128(x.r), 52);
  const __m128d shifted = _mm_or_pd(_mm_castsi128_pd(e), magic);
  return {_mm_sub_pd(_mm_sub_pd(shifted, magic), _mm_set1_pd(1023.0))};
}
FASTINV_INLINE vec<float> mantissa(vec<float> x) {
  const __m128 bits = _mm_castsi128_ps(_mm_set1_epi32(0x007fffff));
  return {_mm_or_ps(_mm_and_ps(x.r, bits), _mm_set1_ps(1.0f))};
}
FASTINV_INLINE vec<double> mantissa(vec<double> x) {
  const __m128d bits = _mm_castsi128_pd(_mm_set1_epi64x(0x000fffffffffffffLL));
  return {_mm_or_pd(_mm_and_pd(x.r, bits), _mm_set1_pd(1.0))};
}

#elif defined(FASTINV_NEON)

template <>
struct vec<float> {
  static constexpr int lanes = 4;
  float32x4_t r;
  static FASTINV_INLINE vec load(const float* p) { return {vld1q_f32(p)}; }
  static FASTINV_INLINE vec set1(float x) { return {vdupq_n_f32(x)}; }
  FASTINV_INLINE void store(float* p) const { vst1q_f32(p, r); }
};
template <>
struct vec<double> {
  static constexpr int lanes = 2;
  float64x2_t r;
  static FASTINV_INLINE vec load(const double* p) { return {vld1q_f64(p)}; }
  static FASTINV_INLINE vec set1(double x) { return {vdupq_n_f64(x)}; }
  FASTINV_INLINE void store(double* p) const { vst1q_f64(p, r); }
};

#define FASTINV_UNARY(name, f, d)                                   \
  FASTINV_INLINE vec<float> name(vec<float> a) { return {f(a.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a) { return {d(a.r)}; }
#define FASTINV_BINARY(name, f, d)                                                     \
  FASTINV_INLINE vec<float> name(vec<float> a, vec<float> b) { return {f(a.r, b.r)}; } \
  FASTINV_INLINE vec<double> name(vec<double> a, vec<double> b) { return {d(a.r, b.r)}; }

FASTINV_BINARY(operator+, vaddq_f32, vaddq_f64)
FASTINV_BINARY(operator-, vsubq_f32, vsubq_f64)
FASTINV_BINARY(operator*, vmulq_f32, vmulq_f64)
FASTINV_BINARY(operator/, vdivq_f32, vdivq_f64)
FASTINV_UNARY(sqrt, vsqrtq_f32, vsqrtq_f64)
FASTINV_UNARY(round, vrndnq_f32, vrndnq_f64)

FASTINV_INLINE vec<float> fma(vec<float> a, vec<float> b, vec<float> c) {
  return {vfmaq_f32(c.r, a.r, b.r)};
}
FASTINV_INLINE vec<double> fma(vec<double> a, vec<double> b, vec<double> c) {
  return {vfmaq_f64(c.r, a.r, b.r)};
}
FASTINV_INLINE vec<float> select_less(vec<float> a, vec<float> b, vec<float> x, vec<float> y) {
  return {vbslq_f32(vcltq_f32(a.r, b.r), x.r, y.r)};
}
FASTINV_INLINE vec<double> select_less(vec<double> a, vec<double> b, vec<double> x, vec<double> y) {
  return {vbslq_f64(vcltq_f64(a.r, b.r), x.r, y.r)};
}
// As on x86, the result is the second argument if either is NaN.
FASTINV_INLINE vec<float> min(vec<float> a, vec<float> b) { return select_less(a, b, a, b); }
FASTINV_INLINE vec<double> min(vec<double> a, vec<double> b) { return select_less(a, b, a, b); }
FASTINV_INLINE vec<float> max(vec<float> a, vec<float> b) { return select_less(b, a, a, b); }
FASTINV_INLINE vec<double> max(vec<double> a, vec<double> b) { return select_less(b, a, a, b); }
FASTINV_INLINE vec<float> exp2i(vec<float> n) {
  return {vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n.r), vdupq_n_s32(127)), 23))};
}
FASTINV_INLINE vec<double> exp2i(vec<double> n) {
  return {
      vreinterpretq_f64_s64(vshlq_n_s64(vaddq_s64(vcvtnq_s64_f64(n.r), vdupq_n_s64(1023)), 52))};
}

FASTINV_INLINE vec<float> exponent(vec<float> x) {
  const int32x4_t e = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(x.r), 23));
  return {vcvtq_f32_s32(vsubq_s32(e, vdupq_n_s32(127)))};
}
FASTINV_INLINE vec<double> exponent(vec<double> x) {
  const int64x2_t e = vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_f64(x.r), 52));
  return {vcvtq_f64_s64(vsubq_s64(e, vdupq_n_s64(1023)))};
}
FASTINV_INLINE vec<float> mantissa(vec<float> x) {
  const uint32x4_t bits = vandq_u32(vreinterpretq_u32_f32(x.r), vdupq_n_u32(0x007fffff));
  return {vreinterpretq_f32_u32(vorrq_u32(bits, vdupq_n_u32(0x3f800000)))};
}
FASTINV_INLINE vec<double> mantissa(vec<double> x) {
  const uint64x2_t bits = vandq_u64(vreinterpretq_u64_f64(x.r), vdupq_n_u64(0x000fffffffffffff));
  return {vreinterpretq_f64_u64(vorrq_u64(bits, vdupq_n_u64(0x3ff0000000000000)))};
}

#else
#error "simd.hpp: the including file must define the instruction set"
#endif

#undef FASTINV_UNARY
#undef FASTINV_BINARY

template <class T>
FASTINV_INLINE vec<T> abs(vec<T> a) {
  return max(a, vec<T>::set1(T(0)) - a);
}

// The sum of a register's elements: the halves are added, then the halves of the result, and so on.
template <class T>
FASTINV_INLINE T sum_of(vec<T> a) {
  T x[vec<T>::lanes];
  a.store(x);
  for (int half = vec<T>::lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) x[i] += x[i + half];
  }
  return x[0];
}

FASTINV_INLINE void prefetch(const void* address) {
#if defined(_MSC_VER) && !defined(__clang__)
#if defined(_M_X64)
  _mm_prefetch(static_cast<const char*>(address), _MM_HINT_T0);
#endif
#else
  __builtin_prefetch(address);
#endif
}
