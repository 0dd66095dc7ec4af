// exp, log and tanh on registers. Polynomials and reduction constants come from the Cephes library
// (S. L. Moshier, Methods and Programs for Mathematical Functions, 1989).

template <class T>
FASTINV_INLINE vec<T> constant(double x) {
  return vec<T>::set1(static_cast<T>(x));
}

// exp(r) for |r| <= log(2) / 2.
FASTINV_INLINE vec<float> exp_reduced(vec<float> r) {
  using V = vec<float>;
  V p = constant<float>(1.9875691500e-4);
  p = fma(p, r, constant<float>(1.3981999507e-3));
  p = fma(p, r, constant<float>(8.3334519073e-3));
  p = fma(p, r, constant<float>(4.1665795894e-2));
  p = fma(p, r, constant<float>(1.6666665459e-1));
  p = fma(p, r, constant<float>(5.0000001201e-1));
  return fma(p, r * r, r) + constant<float>(1.0);
}

FASTINV_INLINE vec<double> exp_reduced(vec<double> r) {
  using V = vec<double>;
  const V r2 = r * r;
  V p = constant<double>(1.26177193074810590878e-4);
  p = fma(p, r2, constant<double>(3.02994407707441961300e-2));
  p = fma(p, r2, constant<double>(9.99999999999999999910e-1));
  V q = constant<double>(3.00198505138664455042e-6);
  q = fma(q, r2, constant<double>(2.52448340349684104192e-3));
  q = fma(q, r2, constant<double>(2.27265548208155028766e-1));
  q = fma(q, r2, constant<double>(2.0));
  const V odd = r * p;
  return fma(constant<double>(2.0), odd / (q - odd), constant<double>(1.0));
}

// Limits of exp: it is infinity above `high` and zero below `low`. A CPU that scales by powers of
// two beyond the normal range goes on down to `lowest`. log(2) is in two pieces; products of the
// first one with exponents are exact.
template <class T>
struct ExpLimits;
template <>
struct ExpLimits<float> {
  static constexpr double lowest = -104.0, low = -86.9, high = 88.722831, highest = 89.0;
  static constexpr double ln2_high = 0.693359375, ln2_low = -2.12194440e-4;
};
template <>
struct ExpLimits<double> {
  static constexpr double lowest = -746.0, low = -707.6, high = 709.782712893383973096,
                          highest = 710.0;
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
};

// exp(x): infinity above and zero below the range of normal numbers, NaN for NaN.
template <class T>
FASTINV_INLINE vec<T> exp(vec<T> x) {
  using L = ExpLimits<T>;
#if defined(FASTINV_AVX512)
  const vec<T> low = constant<T>(L::lowest), high = constant<T>(L::highest);
#else
  const vec<T> low = constant<T>(L::low), high = constant<T>(L::high);
#endif
  const vec<T> clipped = max(low, min(high, x));
  const vec<T> n = round(clipped * constant<T>(1.44269504088896341));
  vec<T> r = fma(n, constant<T>(-L::ln2_high), clipped);
  r = fma(n, constant<T>(-L::ln2_low), r);
#if defined(FASTINV_AVX512)
  return scale_by_power(exp_reduced(r), n);
#else
  // 2^(n - 1), then twice that: n may be one above the largest exponent.
  const vec<T> y = exp_reduced(r) * exp2i(n - constant<T>(1.0)) * constant<T>(2.0);
  const vec<T> bounded = select_less(high, x, constant<T>(HUGE_VAL), y);
  return select_less(x, low, constant<T>(0.0), bounded);
#endif
}

FASTINV_INLINE vec<float> tanh_small(vec<float> x) {
  const vec<float> z = x * x;
  vec<float> p = constant<float>(-5.70498872745e-3);
  p = fma(p, z, constant<float>(2.06390887954e-2));
  p = fma(p, z, constant<float>(-5.37397155531e-2));
  p = fma(p, z, constant<float>(1.33314422036e-1));
  p = fma(p, z, constant<float>(-3.33332819422e-1));
  return fma(p * z, x, x);
}

FASTINV_INLINE vec<double> tanh_small(vec<double> x) {
  const vec<double> z = x * x;
  vec<double> p = constant<double>(-9.64399179425052238628e-1);
  p = fma(p, z, constant<double>(-9.92877231001918586564e1));
  p = fma(p, z, constant<double>(-1.61468768441708447952e3));
  vec<double> q = z + constant<double>(1.12811678491632931402e2);
  q = fma(q, z, constant<double>(2.23548839060100448583e3));
  q = fma(q, z, constant<double>(4.84406305325125486048e3));
  return fma(p * z / q, x, x);
}

template <class T>
FASTINV_INLINE vec<T> tanh(vec<T> x) {
  const vec<T> zero = constant<T>(0.0), one = constant<T>(1.0), two = constant<T>(2.0);
  const vec<T> a = abs(x);
  const vec<T> large = one - two / (exp(a + a) + one);
  const vec<T> signed_large = select_less(x, zero, zero - large, large);
  return select_less(a, constant<T>(0.625), tanh_small(x), signed_large);
}

// log(1 + x) - x + x^2 / 2 for sqrt(1/2) - 1 <= x <= sqrt(2) - 1, z = x^2.
FASTINV_INLINE vec<float> log_tail(vec<float> x, vec<float> z) {
  vec<float> p = constant<float>(7.0376836292e-2);
  p = fma(p, x, constant<float>(-1.1514610310e-1));
  p = fma(p, x, constant<float>(1.1676998740e-1));
  p = fma(p, x, constant<float>(-1.2420140846e-1));
  p = fma(p, x, constant<float>(1.4249322787e-1));
  p = fma(p, x, constant<float>(-1.6668057665e-1));
  p = fma(p, x, constant<float>(2.0000714765e-1));
  p = fma(p, x, constant<float>(-2.4999993993e-1));
  p = fma(p, x, constant<float>(3.3333331174e-1));
  return p * x * z;
}

FASTINV_INLINE vec<double> log_tail(vec<double> x, vec<double> z) {
  vec<double> p = constant<double>(1.01875663804580931796e-4);
  p = fma(p, x, constant<double>(4.97494994976747001425e-1));
  p = fma(p, x, constant<double>(4.70579119878881725854));
  p = fma(p, x, constant<double>(1.44989225341610930846e1));
  p = fma(p, x, constant<double>(1.79368678507819816313e1));
  p = fma(p, x, constant<double>(7.70838733755885391666));
  vec<double> q = x + constant<double>(1.12873587189167450590e1);
  q = fma(q, x, constant<double>(4.52279145837532221105e1));
  q = fma(q, x, constant<double>(8.29875266912776603211e1));
  q = fma(q, x, constant<double>(7.11544750618563894466e1));
  q = fma(q, x, constant<double>(2.31251620126765340583e1));
  return x * (z * p / q);
}

// log(x) of positive normal numbers; infinity and NaN give themselves.
template <class T>
FASTINV_INLINE vec<T> log(vec<T> x) {
  const vec<T> half = constant<T>(0.5), one = constant<T>(1.0);
  const vec<T> root = constant<T>(1.41421356237309504880);
  const vec<T> m = mantissa(x);  // in [1, 2)
  const vec<T> e = exponent(x) + select_less(root, m, one, constant<T>(0.0));
  const vec<T> r = select_less(root, m, m * half, m) - one;
  const vec<T> z = r * r;
  vec<T> y = fma(e, constant<T>(-2.121944400546905827679e-4), log_tail(r, z));
  y = fma(constant<T>(-0.5), z, y);
  const vec<T> result = fma(e, constant<T>(0.693359375), r + y);
  return select_less(x, constant<T>(HUGE_VAL), result, x);
}

// The functions on n elements. The tail is padded to a register with zeros.
template <class T, class F>
FASTINV_INLINE void map(const T* in, T* out, std::int64_t n, const F& f) {
  constexpr int lanes = vec<T>::lanes;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) f(vec<T>::load(in + i)).store(out + i);
  if (i == n) return;
  T tail[lanes] = {};
  for (std::int64_t j = i; j < n; ++j) tail[j - i] = in[j];
  f(vec<T>::load(tail)).store(tail);
  for (std::int64_t j = i; j < n; ++j) out[j] = tail[j - i];
}

template <class T>
void exp_array(const T* in, T* out, std::int64_t n) {
  map(in, out, n, [](vec<T> x) { return exp(x); });
}

template <class T>
void log_array(const T* in, T* out, std::int64_t n) {
  map(in, out, n, [](vec<T> x) { return log(x); });
}

template <class T>
void tanh_array(const T* in, T* out, std::int64_t n) {
  map(in, out, n, [](vec<T> x) { return tanh(x); });
}
