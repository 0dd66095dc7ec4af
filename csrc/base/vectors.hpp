// Vectors of a few numbers: whether they are finite, and how far apart they are.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fastinv {

// A product with 0 is 0 or NaN, and needs no branch.
inline bool all_finite(const double* values, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += 0.0 * values[i];
  return sum == 0;
}

// Copies the few numbers of an x: a call of memmove takes longer than they do.
template <class T>
inline void copy_few(const T* from, std::int64_t n, T* to) {
  switch (n) {
    case 4:
      to[3] = from[3];
      [[fallthrough]];
    case 3:
      to[2] = from[2];
      [[fallthrough]];
    case 2:
      to[1] = from[1];
      [[fallthrough]];
    case 1:
      to[0] = from[0];
      return;
    default:
      std::copy_n(from, n, to);
  }
}

// The Euclidean distance. If squares overflow or vanish, differences are scaled by the largest one.
inline double distance(const double* a, const double* b, std::int64_t n) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  constexpr double kTiny = 1e-280;
  if (kTiny < sum && sum < kInfinity) return std::sqrt(sum);
  double largest = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double d = std::abs(a[i] - b[i]);
    if (!(d < kInfinity)) return d;
    largest = std::max(largest, d);
  }
  if (largest == 0) return 0;
  sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const double d = (a[i] - b[i]) / largest;
    sum += d * d;
  }
  return largest * std::sqrt(sum);
}

}  // namespace fastinv
