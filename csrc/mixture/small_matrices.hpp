// Small matrices as their lower triangles, row by row: entry (i, j), j <= i, is number
// triangle(i, j). In place.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/linear_algebra.hpp"

namespace fastinv {

constexpr std::int64_t triangle(std::int64_t i, std::int64_t j) { return i * (i + 1) / 2 + j; }

// Replaces L by L^-1, entries limited to +-largest.
inline void invert_lower(double* lower, std::int64_t d, double largest) {
  for (std::int64_t i = 0; i < d; ++i) {
    const double diagonal = lower[triangle(i, i)];
    for (std::int64_t j = 0; j < i; ++j) {
      double sum = 0;
      for (std::int64_t l = j; l < i; ++l) sum -= lower[triangle(i, l)] * lower[triangle(l, j)];
      lower[triangle(i, j)] = std::clamp(sum / diagonal, -largest, largest);
    }
    lower[triangle(i, i)] = std::clamp(1.0 / diagonal, -largest, largest);
  }
}

// Writes A^T A.
inline void gram_of_lower(const double* a, std::int64_t d, double* product) {
  for (std::int64_t i = 0; i < d; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::int64_t l = i; l < d; ++l) sum += a[triangle(l, i)] * a[triangle(l, j)];
      product[triangle(i, j)] = sum;
    }
  }
}

// Adds the symmetric matrix times `vector` to `sum`.
inline void add_product(const double* matrix, const double* vector, std::int64_t d, double* sum) {
  for (std::int64_t i = 0; i < d; ++i) {
    for (std::int64_t j = 0; j < d; ++j) {
      sum[i] += matrix[i >= j ? triangle(i, j) : triangle(j, i)] * vector[j];
    }
  }
}

// Replaces a positive definite matrix by its Cholesky factor. A pivot that is lost in rounding
// becomes as large as rounding errors.
inline void factorize_within_rounding(double* a, std::int64_t d) {
  for (std::int64_t i = 0; i < d; ++i) {
    const double floor = std::numeric_limits<double>::epsilon() * a[triangle(i, i)];
    for (std::int64_t j = 0; j <= i; ++j) {
      double* const entry = a + triangle(i, j);
      *entry -= dot(a + triangle(i, 0), a + triangle(j, 0), j);
      *entry = i > j ? *entry / a[triangle(j, j)] : std::sqrt(std::max(*entry, floor));
    }
  }
}

// Replaces b by L^-1 b.
inline void solve_factor(const double* factor, std::int64_t d, double* b) {
  for (std::int64_t i = 0; i < d; ++i) {
    b[i] = (b[i] - dot(factor + triangle(i, 0), b, i)) / factor[triangle(i, i)];
  }
}

// Replaces b by L^-T b.
inline void solve_transposed(const double* factor, std::int64_t d, double* b) {
  for (std::int64_t i = d; i-- > 0;) {
    for (std::int64_t j = i + 1; j < d; ++j) b[i] -= factor[triangle(j, i)] * b[j];
    b[i] /= factor[triangle(i, i)];
  }
}

// |L^T b|^2
inline double squared_length(const double* factor, std::int64_t d, const double* b) {
  double squares = 0;
  for (std::int64_t i = 0; i < d; ++i) {
    double sum = 0;
    for (std::int64_t j = i; j < d; ++j) sum += factor[triangle(j, i)] * b[j];
    squares += sum * sum;
  }
  return squares;
}

// Eigenvalues (d) of a symmetric matrix, in no order, and eigenvectors (d, d), in columns, by
// Jacobi's rotations (Golub & Van Loan, Matrix Computations, 8.5). Destroys the matrix.
inline void eigenvectors(double* a, std::int64_t d, double* values, double* vectors) {
  const auto entry = [&](std::int64_t i, std::int64_t j) -> double& {
    return a[i >= j ? triangle(i, j) : triangle(j, i)];
  };
  std::fill(vectors, vectors + d * d, 0.0);
  for (std::int64_t i = 0; i < d; ++i) vectors[i * d + i] = 1.0;
  constexpr int sweeps = 30;  // it converges quadratically, in less than ten
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    bool rotated = false;
    for (std::int64_t p = 1; p < d; ++p) {
      for (std::int64_t q = 0; q < p; ++q) {
        const double off = entry(p, q);
        const double scale = std::fabs(entry(p, p)) + std::fabs(entry(q, q));
        if (!(std::fabs(off) > 1e-17 * scale) || off == 0.0) continue;
        rotated = true;
        const double half = (entry(q, q) - entry(p, p)) / (2.0 * off);
        const double t = (half >= 0 ? 1.0 : -1.0) / (std::fabs(half) + std::hypot(1.0, half));
        const double c = 1.0 / std::hypot(1.0, t), s = t * c;
        entry(p, p) -= t * off;
        entry(q, q) += t * off;
        entry(p, q) = 0.0;
        for (std::int64_t i = 0; i < d; ++i) {
          double &left = vectors[i * d + p], &right = vectors[i * d + q];
          const double old = left;
          left = c * old - s * right;
          right = s * old + c * right;
          if (i == p || i == q) continue;
          double &row = entry(i, p), &other = entry(i, q);
          const double before = row;
          row = c * before - s * other;
          other = s * before + c * other;
        }
      }
    }
    if (!rotated) break;
  }
  for (std::int64_t i = 0; i < d; ++i) values[i] = entry(i, i);
}

}  // namespace fastinv
