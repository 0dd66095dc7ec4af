// What is to be solved: a function and where its inputs may be.
#pragma once

#include <memory>
#include <utility>

#include "function/function.hpp"
#include "function/region.hpp"

namespace fastinv {

struct Problem {
  // Null where only Python can evaluate f: the stages that need no f still work.
  std::shared_ptr<const Function> function;
  Region region;
  std::int64_t n_outputs;

  std::int64_t n_inputs() const { return region.n_inputs(); }
};

}  // namespace fastinv
