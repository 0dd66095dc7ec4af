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

// Finds the direction v (p) of length 1 in which jac (q, p) changes least, among those in which it
// changes at all if p > q, and returns that change: its smallest singular value, by inverse
// iteration from a start that favours no coordinate. Uses matrix (m, m) and u (m), m = min(p, q).
inline double weakest_direction(const double* jac, std::int64_t q, std::int64_t p, double* matrix,
                                double* u, double* v) {
  const std::int64_t m = std::min(p, q);
  gram(jac, q, p, matrix);
  const double size = trace(matrix, m);
  add_to_diagonal(matrix, m, 1e-14 * size);
  const bool usable = size > 0 && std::isfinite(size) && cholesky(matrix, m);
  for (std::int64_t a = 0; a < m; ++a) u[a] = 1.0 / static_cast<double>(a + 1);
  constexpr int kIterations = 6;
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    if (usable) cholesky_solve(matrix, m, u);
    const double length = norm(u, m);
    for (std::int64_t a = 0; a < m; ++a) u[a] /= length;
  }
  if (p > q) {
    std::fill(v, v + p, 0.0);
    for (std::int64_t j = 0; j < q; ++j) {
      for (std::int64_t i = 0; i < p; ++i) v[i] += u[j] * jac[j * p + i];
    }
    const double length = norm(v, p), even = 1 / std::sqrt(static_cast<double>(p));
    for (std::int64_t i = 0; i < p; ++i) v[i] = length > 0 ? v[i] / length : even;
    return length;
  }
  std::copy_n(u, p, v);
  double squared = 0;
  for (std::int64_t j = 0; j < q; ++j) {
    const double along = dot(jac + j * p, v, p);
    squared += along * along;
  }
  return std::sqrt(squared);
}

}  // namespace fastinv
