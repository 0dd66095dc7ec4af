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
      find_anchors(y, k, anchor, scratch.distances, scratch);
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

// n anchors for one target, with their distances in y.
void Pipeline::find_anchors(const double* y, std::int64_t n, std::int64_t* anchor,
                            double* distances, Scratch& scratch) const {
  const auto query = anchors_->kernels().kdtree_query;
  if (scratch.n_pool <= n) return query({tree_, y, n, distances, anchor});
  query({tree_, y, scratch.n_pool, scratch.pool_distances, scratch.pool});
  // Anchors on one branch are close in x, those of another are not: each that is far from all
  // chosen ones is taken first, in the order of distances in y; the nearest others fill up.
  std::int64_t n_chosen = 0;
  const auto take = [&](std::int64_t place) {
    anchor[n_chosen] = scratch.pool[place];
    distances[n_chosen++] = scratch.pool_distances[place];
    scratch.pool[place] = -1;
  };
  for (std::int64_t place = 0; place < scratch.n_pool && n_chosen < n; ++place) {
    const double* const x = anchors_->x(scratch.pool[place]);
    bool far = true;
    for (std::int64_t c = 0; c < n_chosen && far; ++c) {
      far = region_.distance(x, anchors_->x(anchor[c])) > options_.branch_distance;
    }
    if (far) take(place);
  }
  for (std::int64_t place = 0; place < scratch.n_pool && n_chosen < n; ++place) {
    if (scratch.pool[place] >= 0) take(place);
  }
}

}  // namespace fastinv
