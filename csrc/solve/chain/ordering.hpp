// Orders candidates by residual.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/watch.hpp"

namespace fastinv {

// A sort key of a residual: the integers compare like the numbers; all NaN come last.
inline std::uint64_t sort_key(double residual) {
  if (std::isnan(residual)) return ~std::uint64_t(0);
  const double value = residual + 0.0;  // -0 becomes 0
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits >> 63 ? ~bits : bits | (std::uint64_t(1) << 63);
}

// A candidate's place in the order: by group, then key, then index.
struct Rank {
  int group;
  std::uint64_t key;
  std::int64_t index;

  bool operator<(const Rank& other) const {
    if (group != other.group) return group < other.group;
    return key != other.key ? key < other.key : index < other.index;
  }
};

constexpr std::int64_t kInsertion = 24;  // insertion sort is faster up to this size

// Sorts the first k of n to the front; the rest is in any order.
inline void rank_first(Rank* ranks, std::int64_t n, std::int64_t k) {
  if (n > kInsertion) return std::partial_sort(ranks, ranks + k, ranks + n);
  for (std::int64_t j = 1; j < n; ++j) {
    const Rank rank = ranks[j];
    std::int64_t at = j;
    for (; at > 0 && rank < ranks[at - 1]; --at) ranks[at] = ranks[at - 1];
    ranks[at] = rank;
  }
}

// For each row of residuals (n_rows, k), the order (n_rows, k) that sorts it; ties go to the lower
// index.
inline void rank_rows(const double* residuals, std::int64_t n_rows, std::int64_t k,
                      std::int64_t* order) {
  std::vector<Rank> ranks(static_cast<std::size_t>(k));
  for (std::int64_t i = 0; i < n_rows; ++i) {
    watch_point();
    for (std::int64_t j = 0; j < k; ++j) ranks[j] = {0, sort_key(residuals[i * k + j]), j};
    rank_first(ranks.data(), k, k);
    for (std::int64_t j = 0; j < k; ++j) order[i * k + j] = ranks[j].index;
  }
}

}  // namespace fastinv
