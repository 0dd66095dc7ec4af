// The data that the links of the chain pass on, and their final result.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "function/status.hpp"

namespace fastinv {

// Bits of a candidate's flags.
constexpr std::uint8_t kExtrapolated = 1;  // the network left the region it was trained in
constexpr std::uint8_t kClipped = 2;       // x lies on a bound
constexpr std::uint8_t kExact = 4;         // the residual is only rounding of f
constexpr std::uint8_t kRoot = 8;          // f - y has a root near x, as far as f tells

// n_targets rows of n_per_target candidates each.
struct Candidates {
  std::int64_t n_targets, n_per_target, n_inputs, n_outputs;
  double* x;                // (n_targets, n_per_target, n_inputs)
  double* fx;               // (n_targets, n_per_target, n_outputs): images, if they are known
  std::int64_t* anchor;     // (n_targets, n_per_target)
  std::uint8_t* flags;      // (n_targets, n_per_target)
  double* anchor_distance;  // (n_targets): in y, from the target to its nearest anchor

  std::int64_t n() const { return n_targets * n_per_target; }
  // The candidates of `count` targets from `first` on.
  Candidates rows(std::int64_t first, std::int64_t count) const {
    const std::int64_t skipped = first * n_per_target;
    return {count,
            n_per_target,
            n_inputs,
            n_outputs,
            x + skipped * n_inputs,
            fx + skipped * n_outputs,
            anchor + skipped,
            flags + skipped,
            anchor_distance + first};
  }
};

// The best k of each target's candidates.
struct Ranked {
  std::int64_t k;
  double* x;             // (n, k, n_inputs)
  double* residual;      // (n, k)
  std::int64_t* anchor;  // (n, k)
  std::int8_t* status;   // (n, k)

  // Marks n rows as not computed.
  void clear(std::int64_t n, std::int64_t n_inputs) const {
    std::fill_n(x, n * k * n_inputs, std::numeric_limits<double>::quiet_NaN());
    std::fill_n(residual, n * k, std::numeric_limits<double>::infinity());
    std::fill_n(anchor, n * k, std::int64_t{-1});
    std::fill_n(status, n * k, static_cast<std::int8_t>(Status::invalid));
  }
};

}  // namespace fastinv
