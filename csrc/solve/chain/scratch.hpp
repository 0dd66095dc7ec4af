// The scratch memory of one thread of a pipeline.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/workspace.hpp"
#include "solve/chain/ordering.hpp"
#include "solve/chain/pipeline.hpp"

namespace fastinv {

// For up to n_targets rows of n_per_target candidates.
struct Pipeline::Scratch {
  // One target: its anchors, and the nearest ones that they are chosen from.
  std::int64_t n_nearby;
  double *target, *distances, *nearby_distances;
  std::int64_t* nearby;
  // All rows: the network's inputs and outputs, and the candidates before a pass.
  float *features, *steps;
  ForwardScratch<float> network;
  double *kept_x, *kept_fx;
  std::uint8_t* kept_flags;
  // Scratch for ranking one row.
  double* residual;
  Status* status;
  Rank* order;
  Polish::Scratch polish;
  PolishResult* polished;  // (n_per_target)
  FunctionScratch function;
  Roots::Scratch roots;

  Scratch(Taker& take, const Pipeline& self, std::int64_t n_targets, std::int64_t n_per_target) {
    const std::int64_t rows = n_targets * n_per_target;
    n_nearby = self.options_.branch_distance > 0
                   ? std::min(self.anchors_->size(), self.options_.pool_factor * n_per_target)
                   : 0;
    take(target, self.q_);
    take(distances, n_per_target);
    take(nearby_distances, n_nearby);
    take(nearby, n_nearby);
    if (self.twin_) {
      take(features, rows * self.twin_->n_features());
      take(steps, rows * self.p_);
      network = ForwardScratch<float>(take, rows, self.twin_->network.shape().widest());
      const std::int64_t kept = self.options_.n_passes > 1 ? rows : 0;
      take(kept_x, kept * self.p_);
      take(kept_fx, kept * self.q_);
      take(kept_flags, kept);
    }
    take(residual, n_per_target);
    take(status, n_per_target);
    take(order, n_per_target);
    if (!self.polish_) return;
    function = self.problem_->function->lay_out(take, std::max(rows, Roots::kPoints));
    roots = Roots::Scratch(take, self.p_, self.q_);
    polish = Polish::Scratch(take, self.p_, self.q_);
    take(polished, n_per_target);
  }
};

// Scratch, and candidates that no other thread sees.
struct Pipeline::Tile {
  Scratch scratch;
  Candidates candidates;

  Tile(Taker& take, const Pipeline& self, std::int64_t n_targets, std::int64_t n_per_target)
      : scratch(take, self, n_targets, n_per_target) {
    candidates.n_targets = n_targets;
    candidates.n_per_target = n_per_target;
    candidates.n_inputs = self.p_;
    candidates.n_outputs = self.q_;
    const std::int64_t rows = candidates.n();
    take(candidates.x, rows * self.p_);
    take(candidates.fx, rows * self.q_);
    take(candidates.anchor, rows);
    take(candidates.flags, rows);
    take(candidates.anchor_distance, n_targets);
  }
};

}  // namespace fastinv
