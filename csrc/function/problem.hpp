// What to solve: a function and the region of its inputs.
#pragma once

#include <memory>
#include <utility>

#include "function/function.hpp"
#include "function/region.hpp"

namespace fastinv {

struct Problem {
  // Null if only Python can evaluate f: the stages that need no f still work.
  std::shared_ptr<const Function> function;
  Region region;
  std::int64_t n_outputs;

  std::int64_t n_inputs() const { return region.n_inputs(); }
};

}  // namespace fastinv
