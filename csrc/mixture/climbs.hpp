// The scratch memory of find_modes: one row of mixtures, and the climbs on its hills.
#pragma once

#include <cstdint>

#include "base/workspace.hpp"
#include "kernels/kernels.hpp"
#include "mixture/modes.hpp"

namespace fastinv {

// One row in units of its own spread, and its climbs. Climb c starts at x[c].
struct Climbs {
  std::int64_t capacity;  // starts, in whole registers
  double *center, *spread, *log_factors, *means, *roots, *precisions, *weights;
  double *x, *mass, *fallback, *highest;      // of each climb
  double *log_density, *factor, *drop;        // of each climb, at its end
  unsigned char *may_leap, *alive, *is_mode;  // of each climb
  std::int64_t *active, *chosen;              // numbers of climbs
  // Columns for the kernel, see HillsTask.
  double *points, *at_log_density, *slope_length, *leap_length, *least_pivot;
  double *safe, *leap, *slope, *at_factor, *at_drop, *kernel;
  double *matrix, *values, *vectors, *vector;  // small, for in between

  Climbs(Taker& take, const ModesTask& task, const Kernels<double>& kernels) {
    const std::int64_t k = task.n_components, d = task.n_dims, entries = d * (d + 1) / 2;
    const std::int64_t n = task.starts();
    capacity = (n + kernels.lanes - 1) / kernels.lanes * kernels.lanes;
    take(center, d);
    take(spread, d);
    take(log_factors, k);
    take(means, k * d);
    take(roots, k * entries);
    take(precisions, k * entries);
    take(weights, k);
    take(x, n * d);
    take(mass, n);
    take(fallback, n * d);
    take(highest, n);
    take(log_density, n);
    take(factor, n * entries);
    take(drop, n * entries);
    take(active, n);
    take(chosen, n);
    take(may_leap, n);
    take(alive, n);
    take(is_mode, n);
    take(points, capacity * d);
    take(at_log_density, capacity);
    take(slope_length, capacity);
    take(leap_length, capacity);
    take(least_pivot, capacity);
    take(safe, capacity * d);
    take(leap, capacity * d);
    take(slope, capacity * d);
    take(at_factor, capacity * entries);
    take(at_drop, capacity * entries);
    take(kernel, kernels.hills_workspace(k, d));
    take(matrix, d * d);
    take(values, d);
    take(vectors, d * d);
    take(vector, d);
  }
};

}  // namespace fastinv
