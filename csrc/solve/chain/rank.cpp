// The last link: residuals, statuses and the order of candidates.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/vectors.hpp"
#include "solve/chain/pipeline.hpp"
#include "solve/chain/scratch.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void Pipeline::rank_row(const Goal& goal, std::int64_t row, const Candidates& candidates,
                        const Ranked& out, Scratch& scratch) const {
  const double* const y = goal.target(row);
  if (!all_finite(y, q_)) {
    std::fill(out.x, out.x + out.k * p_, kNaN);
    std::fill(out.residual, out.residual + out.k, kInfinity);
    std::fill(out.anchor, out.anchor + out.k, std::int64_t(-1));
    std::fill(out.status, out.status + out.k, static_cast<std::int8_t>(Status::invalid));
    return;
  }
  find_residuals(y, candidates, scratch);
  classify(goal, goal.state(row), candidates, scratch);
  rank_first(scratch.order, candidates.n_per_target, out.k);
  for (std::int64_t j = 0; j < out.k; ++j) {
    const std::int64_t place = scratch.order[j].index;
    copy_few(solution(candidates, scratch, place), p_, out.x + j * p_);
    out.residual[j] = scratch.residual[place];
    out.anchor[j] = candidates.anchor[place];
    out.status[j] = static_cast<std::int8_t>(scratch.status[place]);
  }
}

// Residuals of the candidates, or of their anchors if those are exact and closer.
void Pipeline::find_residuals(const double* y, const Candidates& candidates,
                              Scratch& scratch) const {
  for (std::int64_t j = 0; j < candidates.n_per_target; ++j) {
    const bool x_finite = all_finite(candidates.x + j * p_, p_);
    double residual = x_finite ? distance(candidates.fx + j * q_, y, q_) : kInfinity;
    if (std::isnan(residual)) residual = kInfinity;
    scratch.replaced[j] = false;
    if (options_.anchors_exact) {
      const double own = distance(anchors_->y(candidates.anchor[j]), y, q_);
      scratch.replaced[j] = own < residual;
      if (scratch.replaced[j]) residual = own;
    }
    scratch.residual[j] = residual;
  }
}

// Finds the statuses of the candidates and the values that order them.
void Pipeline::classify(const Goal& goal, const double* state, const Candidates& candidates,
                        Scratch& scratch) const {
  const std::int64_t n = candidates.n_per_target;
  const double smallest = *std::min_element(scratch.residual, scratch.residual + n);
  const bool unreachable =
      candidates.anchor_distance[0] > options_.coverage && smallest > options_.coverage;
  for (std::int64_t j = 0; j < n; ++j) {
    const double residual = scratch.residual[j];
    const std::uint8_t flags = scratch.replaced[j] ? 0 : candidates.flags[j];
    const Status status = !std::isfinite(residual)  ? Status::invalid
                          : residual <= goal.tol    ? Status::converged
                          : unreachable             ? Status::unreachable
                          : (flags & kClipped)      ? Status::out_of_bounds
                          : (flags & kExtrapolated) ? Status::extrapolated
                                                    : Status::approximate;
    scratch.status[j] = status;
    double key = residual;
    int group = 1;
    if (status == Status::invalid) {
      group = 4;
    } else if (!options_.trust_residual && (flags & kExtrapolated)) {
      group = 2;
    } else if (state && status == Status::converged) {
      key = region_.distance(solution(candidates, scratch, j), state);
      group = 0;
    }
    scratch.order[j] = {group, sort_key(key), j};
  }
  if (options_.polish) find_duplicates(candidates, scratch);
}

// Moves CONVERGED candidates behind the others if a better one is the same solution.
void Pipeline::find_duplicates(const Candidates& candidates, Scratch& scratch) const {
  const std::int64_t n = candidates.n_per_target;
  const auto better = [&](std::int64_t a, std::int64_t b) {
    const double r_a = scratch.residual[a], r_b = scratch.residual[b];
    return r_a != r_b ? r_a < r_b : a < b;
  };
  for (std::int64_t a = 0; a < n; ++a) {
    if (scratch.status[a] != Status::converged) continue;
    for (std::int64_t b = 0; b < n; ++b) {
      if (b == a || scratch.status[b] != Status::converged || !better(b, a)) continue;
      if (region_.distance(solution(candidates, scratch, a), solution(candidates, scratch, b)) >
          options_.separation) {
        continue;
      }
      scratch.order[a].group = 3;
      break;
    }
  }
}

// A candidate, or the anchor that replaces it.
const double* Pipeline::solution(const Candidates& candidates, const Scratch& scratch,
                                 std::int64_t place) const {
  return scratch.replaced[place] ? anchors_->x(candidates.anchor[place])
                                 : candidates.x + place * p_;
}

}  // namespace fastinv
