// The first link: the anchors near a target.
#include <algorithm>
#include <limits>

#include "base/vectors.hpp"
#include "solve/chain/pipeline.hpp"
#include "solve/chain/scratch.hpp"

namespace fastinv {

void Pipeline::propose_rows(const Goal& goal, const Candidates& candidates,
                            Scratch& scratch) const {
  const std::int64_t k = candidates.n_per_target;
  for (std::int64_t row = 0; row < goal.n; ++row) {
    const double* const y = goal.target(row);
    std::int64_t* const anchor = candidates.anchor + row * k;
    if (all_finite(y, q_)) {
      metric_.scaled(y, scratch.target);
      find_anchors(scratch.target, k, anchor, scratch.distances, scratch);
    } else {
      for (std::int64_t j = 0; j < k; ++j) anchor[j] = j;
      scratch.distances[0] = std::numeric_limits<double>::quiet_NaN();
    }
    candidates.anchor_distance[row] = scratch.distances[0];
    for (std::int64_t j = 0; j < k; ++j) {
      const std::int64_t place = row * k + j;
      copy_few(anchors_->x(anchor[j]), p_, candidates.x + place * p_);
      copy_few(anchors_->y(anchor[j]), q_, candidates.fx + place * q_);
      candidates.flags[place] = 0;
    }
  }
}

// Finds n anchors for one target y, in units of the metric, and their distances in y.
void Pipeline::find_anchors(const double* y, std::int64_t n, std::int64_t* anchor,
                            double* distances, Scratch& scratch) const {
  const auto query = anchors_->kernels().kdtree_query;
  if (scratch.n_nearby <= n) return query({tree_, y, n, distances, anchor});
  query({tree_, y, scratch.n_nearby, scratch.nearby_distances, scratch.nearby});
  // Anchors on one branch are close in x; those of another branch are not. In the order of
  // distances in y, first take each anchor that is far from all chosen ones; then fill up with the
  // nearest others.
  std::int64_t n_chosen = 0;
  const auto take = [&](std::int64_t place) {
    anchor[n_chosen] = scratch.nearby[place];
    distances[n_chosen++] = scratch.nearby_distances[place];
    scratch.nearby[place] = -1;
  };
  for (std::int64_t place = 0; place < scratch.n_nearby && n_chosen < n; ++place) {
    const double* const x = anchors_->x(scratch.nearby[place]);
    bool far = true;
    for (std::int64_t c = 0; c < n_chosen && far; ++c) {
      far = region_.distance(x, anchors_->x(anchor[c])) > options_.branch_distance;
    }
    if (far) take(place);
  }
  for (std::int64_t place = 0; place < scratch.n_nearby && n_chosen < n; ++place) {
    if (scratch.nearby[place] >= 0) take(place);
  }
}

}  // namespace fastinv
