// The fifth link: whether candidates near enough to a target are near a root, too.
#include "base/vectors.hpp"
#include "solve/chain/pipeline.hpp"
#include "solve/chain/scratch.hpp"

namespace fastinv {

namespace {

// A candidate that came this much closer to the target than its anchor is near a root: f changes
// along the way to it much more than what is left. Otherwise it needs a derivative.
constexpr double kMuchCloser = 0.125;

}  // namespace

void Pipeline::verify_rows(const Goal& goal, const Candidates& candidates, Scratch& scratch) const {
  const std::int64_t k = candidates.n_per_target;
  for (std::int64_t row = 0; row < goal.n; ++row) {
    const double* const y = goal.target(row);
    if (!all_finite(y, q_)) continue;
    const Candidates own = candidates.rows(row, 1);
    for (std::int64_t j = 0; j < k; ++j) {
      double* const fx = own.fx + j * q_;
      const double* const image = anchors_->y(own.anchor[j]);
      const double anchor_residual = metric_.distance(image, y);
      double residual = metric_.distance(fx, y);
      if (!all_finite(own.x + j * p_, p_)) residual = std::numeric_limits<double>::infinity();
      if (options_.anchors_exact && !(residual <= anchor_residual)) {
        copy_few(anchors_->x(own.anchor[j]), p_, own.x + j * p_);
        copy_few(image, q_, fx);
        own.flags[j] = 0;
        residual = anchor_residual;
      }
      if (!goal.root || (own.flags[j] & kRoot)) continue;
      const bool allowed = goal.allows(y, fx, residual);
      if (!options_.polish && !allowed) continue;
      if (!options_.polish && residual <= kMuchCloser * anchor_residual) {
        own.flags[j] |= kRoot;
        continue;
      }
      if (!allowed && !(residual <= Roots::kMostNoise)) continue;
      const Shown shown = roots_->shows(y, own.x + j * p_, fx, scratch.roots, scratch.function);
      if (shown == Shown::exact) own.flags[j] |= kExact | kRoot;
      if (shown == Shown::near && allowed) own.flags[j] |= kRoot;
    }
  }
}

}  // namespace fastinv
