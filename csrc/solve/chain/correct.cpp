// The second link: passes through the twin network, from an anchor or a candidate towards a target.
#include <algorithm>
#include <cmath>

#include "base/vectors.hpp"
#include "solve/chain/pipeline.hpp"
#include "solve/chain/scratch.hpp"

namespace fastinv {

// The first pass: candidates are anchors, whose own features were computed before.
void Pipeline::correct_anchors(const Goal& goal, const Candidates& candidates,
                               Scratch& scratch) const {
  if (!twin_) return clip_rows(candidates);
  const std::int64_t k = candidates.n_per_target, n_own = twin_->n_own_features();
  float* feature = scratch.features;
  for (std::int64_t row = 0; row < candidates.n(); ++row) {
    const std::int64_t anchor = candidates.anchor[row];
    twin_->difference(goal.target(row / k), anchors_->y(anchor), feature);
    copy_few(&anchor_features_[anchor * n_own], n_own, feature + q_);
    feature += twin_->n_features();
  }
  move(goal, candidates, scratch);
}

void Pipeline::correct_rows(const Goal& goal, const Candidates& candidates,
                            Scratch& scratch) const {
  if (!twin_) return clip_rows(candidates);
  const std::int64_t k = candidates.n_per_target, n_features = twin_->n_features();
  for (std::int64_t row = 0; row < candidates.n(); ++row) {
    const double* const fx = candidates.fx + row * q_;
    float* const feature = scratch.features + row * n_features;
    if (!all_finite(fx, q_)) {
      std::fill(feature, feature + n_features, 0.0f);
      continue;
    }
    twin_->difference(goal.target(row / k), fx, feature);
    twin_->own_features(candidates.x + row * p_, fx, feature + q_);
  }
  move(goal, candidates, scratch);
}

// A further pass, with each candidate and its image in place of the anchor. A candidate that comes
// no closer, or has no finite image to start from, stays as it is.
void Pipeline::improve_rows(const Goal& goal, const Candidates& candidates,
                            Scratch& scratch) const {
  const std::int64_t k = candidates.n_per_target, rows = candidates.n();
  std::copy(candidates.x, candidates.x + rows * p_, scratch.kept_x);
  std::copy(candidates.fx, candidates.fx + rows * q_, scratch.kept_fx);
  std::copy(candidates.flags, candidates.flags + rows, scratch.kept_flags);
  correct_rows(goal, candidates, scratch);
  evaluate_rows(candidates, scratch);
  for (std::int64_t row = 0; row < rows; ++row) {
    const double* const y = goal.target(row / k);
    const double* const before = scratch.kept_fx + row * q_;
    double* const after = candidates.fx + row * q_;
    if (all_finite(before, q_) && metric_.distance(after, y) < metric_.distance(before, y))
      continue;
    copy_few(scratch.kept_x + row * p_, p_, candidates.x + row * p_);
    copy_few(before, q_, after);
    candidates.flags[row] = scratch.kept_flags[row];
  }
}

// Moves x by the network's steps from the present features, and into the bounds. If the target or
// the image is not finite, there is no step.
void Pipeline::move(const Goal& goal, const Candidates& candidates, Scratch& scratch) const {
  const std::int64_t k = candidates.n_per_target, rows = candidates.n();
  twin_->network.forward_rows(scratch.features, scratch.steps, rows, scratch.network);
  for (std::int64_t row = 0; row < rows; ++row) {
    double* const x = candidates.x + row * p_;
    if (!all_finite(goal.target(row / k), q_) || !all_finite(candidates.fx + row * q_, q_)) {
      candidates.flags[row] = clip(x);
      continue;
    }
    const float* const step = scratch.steps + row * p_;
    std::uint8_t flags = 0;
    for (std::int64_t i = 0; i < p_; ++i) {
      if (std::abs(static_cast<double>(step[i])) > twin_->reach) flags |= kExtrapolated;
      x[i] += twin_->dx_scale[i] * step[i];
    }
    candidates.flags[row] = flags | clip(x);
  }
}

// Moves x onto the bounds it is beyond; returns the flag for that.
std::uint8_t Pipeline::clip(double* x) const {
  std::uint8_t flags = 0;
  for (std::int64_t i = 0; i < p_; ++i) {
    const double before = x[i];
    x[i] = region_.clipped(before, i);
    if (x[i] < before || x[i] > before) flags = kClipped;
  }
  return flags;
}

void Pipeline::clip_rows(const Candidates& candidates) const {
  for (std::int64_t row = 0; row < candidates.n(); ++row) {
    candidates.flags[row] = clip(candidates.x + row * p_);
  }
}

}  // namespace fastinv
