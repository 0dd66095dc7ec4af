// Whether numbers are finite.
#pragma once

#include <cstdint>

namespace fastinv {

// A product with 0 is 0 or NaN, and needs no branch.
inline bool all_finite(const double* values, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += 0.0 * values[i];
  return sum == 0;
}

}  // namespace fastinv
