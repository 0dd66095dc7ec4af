// The pipeline's passes through the twin network: an anchor, or a candidate, and the step from it.
#include <algorithm>
#include <cmath>

#include "solve/pipeline.hpp"
#include "solve/pipeline_tile.hpp"
#include "base/vectors.hpp"

namespace fastinv {

// What an anchor brings to the network does not depend on the target: it is scaled here, once. The
// differences are not folded into the weights: far from 0, or in tiny units, float32 would lose
// digits that the scaling in float64 keeps.
void Pipeline::scale_anchors() {
  anchor_features_.resize(static_cast<std::size_t>(n_anchors_ * (q_ + p_)));
  for (std::int64_t a = 0; a < n_anchors_; ++a) {
    own_features(&anchors_x_[a * p_], &anchors_y_[a * q_], &anchor_features_[a * (q_ + p_)]);
  }
}

// Moves the anchors in tile.x by the network's steps, where there is one, and into the bounds.
void Pipeline::correct(const double* targets, Tile& tile) const {
  const std::int64_t k = tile.n_neighbors, rows = tile.n_targets * k;
  if (twin_) {
    float* feature = tile.features;
    for (std::int64_t row = 0; row < rows; ++row) {
      feature = difference(targets + row / k * q_, &anchors_y_[tile.anchor[row] * q_], feature);
      copy_few(&anchor_features_[tile.anchor[row] * (q_ + p_)], q_ + p_, feature);
      feature += q_ + p_;
    }
    twin_->network.forward_rows(tile.features, tile.outputs, rows, tile.workspace);
  }
  move(targets, tile);
}

// Once more, with each candidate and its image in place of the anchor. One that comes no closer,
// or has no image to start from, stays as it is.
void Pipeline::correct_again(const double* targets, Tile& tile) const {
  const std::int64_t k = tile.n_neighbors, rows = tile.n_targets * k;
  const std::int64_t n_features = 2 * q_ + p_;
  std::copy(tile.x, tile.x + rows * p_, tile.kept_x);
  std::copy(tile.fx, tile.fx + rows * q_, tile.kept_fx);
  std::copy(tile.flags, tile.flags + rows, tile.kept_flags);
  for (std::int64_t row = 0; row < rows; ++row) {
    const double* const fx = tile.fx + row * q_;
    float* feature = tile.features + row * n_features;
    if (!all_finite(fx, q_)) {
      std::fill(feature, feature + n_features, 0.0f);
      continue;
    }
    feature = difference(targets + row / k * q_, fx, feature);
    own_features(tile.x + row * p_, fx, feature);
  }
  twin_->network.forward_rows(tile.features, tile.outputs, rows, tile.workspace);
  move(targets, tile);
  evaluate(tile);
  for (std::int64_t row = 0; row < rows; ++row) {
    const double* const y = targets + row / k * q_;
    const double* const before = tile.kept_fx + row * q_;
    double* const after = tile.fx + row * q_;
    if (all_finite(before, q_) && distance(after, y, q_) < distance(before, y, q_)) continue;
    copy_few(tile.kept_x + row * p_, p_, tile.x + row * p_);
    copy_few(before, q_, after);
    tile.flags[row] = tile.kept_flags[row];
  }
}

// (y - y_a) / dy_scale, written to `feature`; returns its end.
float* Pipeline::difference(const double* y, const double* y_a, float* feature) const {
  for (std::int64_t j = 0; j < q_; ++j) {
    *feature++ = feature_of((y[j] - y_a[j]) / twin_->dy_scale[j]);
  }
  return feature;
}

// What an anchor, or a candidate, brings to the network whatever the target is.
void Pipeline::own_features(const double* x_a, const double* y_a, float* feature) const {
  const TwinModel& twin = *twin_;
  for (std::int64_t j = 0; j < q_; ++j) {
    *feature++ = feature_of((y_a[j] - twin.y_mean[j]) / twin.y_scale[j]);
  }
  for (std::int64_t i = 0; i < p_; ++i) {
    *feature++ = feature_of((x_a[i] - twin.x_mean[i]) / twin.x_scale[i]);
  }
}

// Moves tile.x by the steps in tile.outputs, where there is a network, and into the bounds.
void Pipeline::move(const double* targets, Tile& tile) const {
  const std::int64_t k = tile.n_neighbors, rows = tile.n_targets * k;
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool moves = twin_ && all_finite(targets + row / k * q_, q_);
    tile.flags[row] = 0;
    for (std::int64_t i = 0; i < p_; ++i) {
      double& x = tile.x[row * p_ + i];
      const double step = moves ? tile.outputs[row * p_ + i] : 0.0;
      const double moved = moves ? x + twin_->dx_scale[i] * step : x;
      x = std::min(std::max(moved, options_.lower[i]), options_.upper[i]);
      if (moves && std::abs(step) > twin_->reach) tile.flags[row] |= kExtrapolated;
      if (x < moved || x > moved) tile.flags[row] |= kClipped;
    }
  }
}

}  // namespace fastinv
