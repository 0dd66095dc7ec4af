// Small dense linear algebra: products, and symmetric positive definite systems, in place.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fastinv {

inline double dot(const double* a, const double* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

inline double norm(const double* a, std::int64_t n) { return std::sqrt(dot(a, a, n)); }

// The lower triangle of J^T J (p, p), or of J J^T (q, q) if that is smaller, for jac (q, p).
inline void gram(const double* jac, std::int64_t q, std::int64_t p, double* matrix) {
  if (p > q) {
    for (std::int64_t i = 0; i < q; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) matrix[i * q + j] = dot(jac + i * p, jac + j * p, p);
    }
    return;
  }
  std::fill(matrix, matrix + p * p, 0.0);
  for (std::int64_t r = 0; r < q; ++r) {
    const double* const row = jac + r * p;
    for (std::int64_t i = 0; i < p; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) matrix[i * p + j] += row[i] * row[j];
    }
  }
}

inline double trace(const double* matrix, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += matrix[i * n + i];
  return sum;
}

inline void add_to_diagonal(double* matrix, std::int64_t n, double value) {
  for (std::int64_t i = 0; i < n; ++i) matrix[i * n + i] += value;
}

// Replaces the lower triangle of a (n, n) by its Cholesky factor. False if a pivot is not positive
// within rounding.
inline bool cholesky(double* a, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = a[i * n + j];
      for (std::int64_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      if (i > j) {
        a[i * n + j] = sum / a[j * n + j];
      } else if (!(sum > 1e-15 * a[i * n + i])) {
        return false;
      } else {
        a[i * n + i] = std::sqrt(sum);
      }
    }
  }
  return true;
}

// Replaces b (n) by the solution of L L^T x = b.
inline void cholesky_solve(const double* factor, std::int64_t n, double* b) {
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t k = 0; k < i; ++k) b[i] -= factor[i * n + k] * b[k];
    b[i] /= factor[i * n + i];
  }
  for (std::int64_t i = n; i-- > 0;) {
    for (std::int64_t k = i + 1; k < n; ++k) b[i] -= factor[k * n + i] * b[k];
    b[i] /= factor[i * n + i];
  }
}

// A plane rotation of two vectors of n numbers, `stride` apart.
inline void rotate(double* a, double* b, std::int64_t n, std::int64_t stride, double c, double s) {
  for (std::int64_t i = 0; i < n * stride; i += stride) {
    const double old = a[i];
    a[i] = c * old - s * b[i];
    b[i] = s * old + c * b[i];
  }
}

// The singular values (m) of jac (q, p), m = min(p, q), in any order, and the directions (m, p) of
// length 1 to which they belong, however much smaller some are than others. By plane rotations that
// make the columns of jac, or its rows if those are fewer, orthogonal (Hestenes 1958); jac ends as
// that, in another unit. Uses basis (m, m).
inline void singular_directions(double* jac, std::int64_t q, std::int64_t p, double* basis,
                                double* values, double* directions) {
  const bool by_row = p > q;
  const std::int64_t m = by_row ? q : p, n = by_row ? p : q;  // m vectors of n numbers
  const std::int64_t next = by_row ? p : 1, stride = by_row ? 1 : p;
  std::fill(basis, basis + m * m, 0.0);
  for (std::int64_t k = 0; k < m; ++k) basis[k * m + k] = 1;
  double largest = 0;
  for (std::int64_t i = 0; i < p * q; ++i) largest = std::max(largest, std::abs(jac[i]));
  const bool usable = largest > 0 && std::isfinite(largest);
  // In a unit in which squares neither overflow nor vanish.
  const double unit = usable ? std::ldexp(1.0, -std::ilogb(largest)) : 1.0;
  for (std::int64_t i = 0; i < p * q; ++i) jac[i] *= unit;
  constexpr int kMostSweeps = 30;
  bool rotated = usable;
  for (int sweep = 0; rotated && sweep < kMostSweeps; ++sweep) {
    rotated = false;
    for (std::int64_t k = 0; k < m; ++k) {
      for (std::int64_t l = k + 1; l < m; ++l) {
        double* const a = jac + k * next;
        double* const b = jac + l * next;
        double aa = 0, bb = 0, ab = 0;
        for (std::int64_t i = 0; i < n * stride; i += stride) {
          aa += a[i] * a[i];
          bb += b[i] * b[i];
          ab += a[i] * b[i];
        }
        if (!(std::abs(ab) > 1e-15 * std::sqrt(aa * bb))) continue;
        rotated = true;
        const double zeta = (bb - aa) / (2 * ab);
        const double t = (zeta < 0 ? -1 : 1) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
        const double c = 1 / std::sqrt(1 + t * t), s = c * t;
        rotate(a, b, n, stride, c, s);
        rotate(basis + k, basis + l, m, m, c, s);
      }
    }
  }
  const double even = 1 / std::sqrt(static_cast<double>(p));
  for (std::int64_t k = 0; k < m; ++k) {
    double squared = 0;
    for (std::int64_t i = 0; i < n * stride; i += stride) {
      squared += jac[k * next + i] * jac[k * next + i];
    }
    const double length = std::sqrt(squared);
    values[k] = usable ? length / unit : 0;
    for (std::int64_t i = 0; i < p; ++i) {
      double& entry = directions[k * p + i];
      if (!by_row) {
        entry = basis[i * m + k];
      } else {
        entry = length > 0 ? jac[k * p + i] / length : even;
      }
    }
  }
}

}  // namespace fastinv
