// Small dense linear algebra: products, and symmetric positive definite systems, in place.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

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

}  // namespace fastinv
