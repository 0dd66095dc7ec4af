// The fourth link: damped Gauss-Newton from every candidate.
#include "base/vectors.hpp"
#include "solve/chain/pipeline.hpp"
#include "solve/chain/scratch.hpp"

namespace fastinv {

// Polishes each candidate, or its anchor if that is exact and closer.
void Pipeline::polish_rows(const Goal& goal, const Candidates& candidates, Scratch& scratch) const {
  const std::int64_t k = candidates.n_per_target;
  for (std::int64_t row = 0; row < goal.n; ++row) {
    const double* const y = goal.target(row);
    if (!all_finite(y, q_)) continue;
    const Candidates own = candidates.rows(row, 1);
    for (std::int64_t j = 0; options_.anchors_exact && j < k; ++j) {
      const double* const image = anchors_->y(own.anchor[j]);
      if (metric_.distance(own.fx + j * q_, y) <= metric_.distance(image, y)) continue;
      copy_few(anchors_->x(own.anchor[j]), p_, own.x + j * p_);
      copy_few(image, q_, own.fx + j * q_);
      own.flags[j] = 0;
    }
    polish_->run({k, y, k, own.x, own.fx, scratch.polished}, scratch.polish, scratch.function);
    for (std::int64_t j = 0; j < k; ++j) {
      double* const x = own.x + j * p_;
      region_.wrap(x);
      own.flags[j] &= kExtrapolated;
      if (region_.touches(x)) own.flags[j] |= kClipped;
      if (scratch.polished[j].exact) own.flags[j] |= kExact | kRoot;
    }
  }
}

}  // namespace fastinv
