// What a thread of a pipeline works with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/arena.hpp"
#include "solve/pipeline.hpp"
#include "solve/rank.hpp"

namespace fastinv {

// Scratch of one thread: n_targets rows of n_neighbors candidates, and one row's ranking.
struct Pipeline::Tile {
  std::int64_t n_targets, n_neighbors;
  double* distances;
  std::int64_t* anchor;
  double* x;
  std::uint8_t* flags;
  double* anchor_distance;
  double* fx;
  // The candidates of the pass before; there are such with several passes only.
  double* kept_x;
  double* kept_fx;
  std::uint8_t* kept_flags;
  float* features;
  float* outputs;
  float* workspace;
  double* residual;
  Status* status;
  std::uint8_t* replaced;
  Rank* order;
  // The pool that anchors are chosen from, and what one polish needs.
  std::int64_t n_pool;
  double* pool_distances;
  std::int64_t* pool;
  double* polish;
  DerivativeScratch derivative;

  Tile(const Pipeline& self, std::int64_t n_targets_, std::int64_t n_neighbors_, Arena& arena)
      : n_targets(n_targets_), n_neighbors(n_neighbors_) {
    const std::int64_t rows = n_targets * n_neighbors;
    distances = arena.take<double>(rows);
    anchor = arena.take<std::int64_t>(rows);
    x = arena.take<double>(rows * self.p_);
    flags = arena.take<std::uint8_t>(rows);
    anchor_distance = arena.take<double>(n_targets);
    fx = arena.take<double>(rows * self.q_);
    const std::int64_t kept = self.options_.n_passes > 1 ? rows : 0;
    kept_x = arena.take<double>(kept * self.p_);
    kept_fx = arena.take<double>(kept * self.q_);
    kept_flags = arena.take<std::uint8_t>(kept);
    features = arena.take<float>(rows * (2 * self.q_ + self.p_));
    outputs = arena.take<float>(rows * std::max(self.p_, self.q_));
    workspace = arena.take<float>(self.network_workspace(rows));
    residual = arena.take<double>(n_neighbors);
    status = arena.take<Status>(n_neighbors);
    replaced = arena.take<std::uint8_t>(n_neighbors);
    order = arena.take<Rank>(n_neighbors);
    n_pool = self.pool_size(n_neighbors);
    pool_distances = arena.take<double>(n_pool);
    pool = arena.take<std::int64_t>(n_pool);
    if (!self.polish_) return;
    polish = arena.take<double>(self.polish_->n_doubles());
    derivative = {arena.take<double>(self.f_.n_doubles()),
                  arena.take<float>(self.f_.n_floats(1))};
  }

  static std::size_t bytes(const Pipeline& self, std::int64_t n_targets,
                           std::int64_t n_neighbors) {
    const std::int64_t rows = n_targets * n_neighbors;
    const std::int64_t n_pool = self.pool_size(n_neighbors);
    std::int64_t doubles = rows * (1 + self.p_ + self.q_) + n_targets + n_neighbors + n_pool;
    std::int64_t floats = rows * (2 * self.q_ + self.p_ + std::max(self.p_, self.q_)) +
                          self.network_workspace(rows);
    if (self.polish_) {
      doubles += self.polish_->n_doubles() + self.f_.n_doubles();
      floats += self.f_.n_floats(1);
    }
    const std::int64_t kept = self.options_.n_passes > 1 ? rows : 0;
    doubles += kept * (self.p_ + self.q_);
    const std::int64_t octets = rows + kept + 2 * n_neighbors;
    constexpr std::int64_t n_pieces = 21;  // each may start up to a cache line later
    return Arena::need<double>(doubles) + Arena::need<float>(floats) +
           Arena::need<std::int64_t>(rows + n_pool) + Arena::need<Rank>(n_neighbors) +
           Arena::need<std::uint8_t>(octets) + n_pieces * Arena::need<std::uint8_t>(0);
  }
};

}  // namespace fastinv
