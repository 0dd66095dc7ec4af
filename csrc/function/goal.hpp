// What one call asks for. Every stage of the chain receives all of it.
#pragma once

#include <cmath>
#include <cstdint>

namespace fastinv {

struct Goal {
  const double* targets;  // (n, n_outputs)
  const double* near;     // (n, n_inputs): solutions near these states come first; may be null
  std::int64_t n, n_inputs, n_outputs;
  double tol;               // largest residual of a solution, in units of the problem's metric
  const double* error_tol;  // (n_outputs): largest error of each output, in its own unit; or null
  bool root;                // whether a solution must also be a root of f - y, as far as f tells

  const double* target(std::int64_t row) const { return targets + row * n_outputs; }
  const double* state(std::int64_t row) const { return near ? near + row * n_inputs : nullptr; }
  // Whether the image fx of a point with that residual is near enough to the target y.
  bool allows(const double* y, const double* fx, double residual) const {
    if (!(residual <= tol)) return false;
    for (std::int64_t j = 0; error_tol && j < n_outputs; ++j) {
      if (!(std::abs(fx[j] - y[j]) <= error_tol[j])) return false;
    }
    return true;
  }
  // The same goal for `count` rows from `first` on.
  Goal rows(std::int64_t first, std::int64_t count) const {
    return {target(first), state(first), count, n_inputs, n_outputs, tol, error_tol, root};
  }
};

}  // namespace fastinv
