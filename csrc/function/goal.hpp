// What one call asks for. Every stage of the chain receives all of it.
#pragma once

#include <cstdint>

namespace fastinv {

struct Goal {
  const double* targets;  // (n, n_outputs)
  const double* near;     // (n, n_inputs): solutions near these states come first; may be null
  std::int64_t n, n_inputs, n_outputs;
  double tol;  // largest residual of a solution, in the units of y

  const double* target(std::int64_t row) const { return targets + row * n_outputs; }
  const double* state(std::int64_t row) const { return near ? near + row * n_inputs : nullptr; }
  // The same goal for `count` rows from `first` on.
  Goal rows(std::int64_t first, std::int64_t count) const {
    return {target(first), state(first), count, n_inputs, n_outputs, tol};
  }
};

}  // namespace fastinv
