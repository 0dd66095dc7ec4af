// All local maxima of mixtures of Gaussians, by hill climbing: Carreira-Perpinan (2000),
// Mode-finding for mixtures of Gaussian distributions, IEEE TPAMI 22(11). The steps and their
// limits are those of fastinv/backends/reference/mixtures/modes.py.
#pragma once

#include <cstdint>

#include "kernels/kernels.hpp"

namespace fastinv {

struct ModesTask {
  std::int64_t n_components, n_dims;
  const double* weights;  // (n, K)
  const double* means;    // (n, K, D)
  const double* lower;    // (n, K, D, D): Cholesky factors of the covariances
  double* x;              // (n, starts, D): modes, the highest first; untouched beyond the count
  double* mass;           // (n, starts): weights of the components whose means lead there
  std::int64_t* count;    // (n)

  // Where climbs begin, of each row: means, points between two of them, and one between all.
  std::int64_t starts() const { return n_components * (n_components + 1) / 2 + 1; }
};

// Throws std::bad_alloc before any work is done.
void find_modes(const ModesTask& task, std::int64_t n, int n_threads,
                const Kernels<double>& kernels);

}  // namespace fastinv
