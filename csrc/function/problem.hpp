// What to solve: a function, the region of its inputs, and the units of its outputs.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "function/function.hpp"
#include "function/metric.hpp"
#include "function/region.hpp"

namespace fastinv {

struct Problem {
  // Null if only Python can evaluate f: the stages that need no f still work.
  std::shared_ptr<const Function> function;
  Region region;
  Metric metric;
  // (n_outputs), in units of y: errors of f that its digits do not show, as where it has stairs.
  std::vector<double> resolution;

  std::int64_t n_inputs() const { return region.n_inputs(); }
  std::int64_t n_outputs() const { return metric.n_outputs(); }
};

}  // namespace fastinv
