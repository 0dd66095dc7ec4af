// The status of one solution, with the values of fastinv.Status.
#pragma once

#include <cstdint>

namespace fastinv {

enum class Status : std::int8_t {
  converged = 0,
  approximate = 1,
  extrapolated = 2,
  out_of_bounds = 3,
  unreachable = 4,
  invalid = 5
};

}  // namespace fastinv
