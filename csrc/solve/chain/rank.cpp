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
// Groups of candidates, in their order.
constexpr int kExactly = 0, kNearly = 1, kByResidual = 2, kUntrusted = 3, kCopy = 4, kInvalid = 5;

}  // namespace

void Pipeline::rank_row(const Goal& goal, std::int64_t row, const Candidates& candidates,
                        const Ranked& out, Scratch& scratch) const {
  const double* const y = goal.target(row);
  if (!all_finite(y, q_)) return out.clear(1, p_);
  find_residuals(y, candidates, scratch);
  classify(goal, row, candidates, scratch);
  rank_first(scratch.order, candidates.n_per_target, out.k);
  for (std::int64_t j = 0; j < out.k; ++j) {
    const std::int64_t place = scratch.order[j].index;
    copy_few(candidates.x + place * p_, p_, out.x + j * p_);
    out.residual[j] = scratch.residual[place];
    out.anchor[j] = candidates.anchor[place];
    out.status[j] = static_cast<std::int8_t>(scratch.status[place]);
  }
}

void Pipeline::find_residuals(const double* y, const Candidates& candidates,
                              Scratch& scratch) const {
  for (std::int64_t j = 0; j < candidates.n_per_target; ++j) {
    const bool x_finite = all_finite(candidates.x + j * p_, p_);
    const double residual = x_finite ? metric_.distance(candidates.fx + j * q_, y) : kInfinity;
    scratch.residual[j] = std::isnan(residual) ? kInfinity : residual;
  }
}

// Finds the statuses of the candidates and the values that order them.
void Pipeline::classify(const Goal& goal, std::int64_t row, const Candidates& candidates,
                        Scratch& scratch) const {
  const std::int64_t n = candidates.n_per_target;
  const double* const y = goal.target(row);
  const double* const state = goal.state(row);
  const double smallest = *std::min_element(scratch.residual, scratch.residual + n);
  const bool unreachable =
      candidates.anchor_distance[0] > options_.coverage && smallest > options_.coverage;
  bool any_exact = false;
  for (std::int64_t j = 0; j < n; ++j) {
    const double residual = scratch.residual[j];
    const std::uint8_t flags = candidates.flags[j];
    const bool allowed = goal.allows(y, candidates.fx + j * q_, residual);
    // A residual that is only rounding is as small as it can be, whatever the tolerance.
    const bool converged = goal.root ? (flags & kExact) || (allowed && (flags & kRoot)) : allowed;
    const Status status = !std::isfinite(residual)  ? Status::invalid
                          : converged               ? Status::converged
                          : unreachable             ? Status::unreachable
                          : (flags & kClipped)      ? Status::out_of_bounds
                          : (flags & kExtrapolated) ? Status::extrapolated
                                                    : Status::approximate;
    scratch.status[j] = status;
    double key = residual;
    int group = kByResidual;
    if (status == Status::invalid) {
      group = kInvalid;
    } else if (!options_.trust_residual && (flags & kExtrapolated)) {
      group = kUntrusted;
    } else if (status == Status::converged && (flags & kExact)) {
      group = kExactly;
      any_exact = true;
    } else if (state && status == Status::converged) {
      key = region_.distance(candidates.x + j * p_, state);
      group = kNearly;
    }
    scratch.order[j] = {group, sort_key(key), j};
  }
  if (any_exact) order_exact(state, candidates, scratch);
  if (options_.polish) find_duplicates(candidates, scratch);
}

// Solutions that are exact to rounding are equally good: the distance to the state orders them, or
// their coordinates do. Rounding errors would order them anew for each target.
void Pipeline::order_exact(const double* state, const Candidates& candidates,
                           Scratch& scratch) const {
  const std::int64_t n = candidates.n_per_target;
  for (std::int64_t a = 0; a < n; ++a) {
    if (scratch.order[a].group != kExactly) continue;
    const double* const x = candidates.x + a * p_;
    if (state) {
      scratch.order[a].key = sort_key(region_.distance(x, state));
      continue;
    }
    std::uint64_t before = 0;
    for (std::int64_t b = 0; b < n; ++b) {
      if (scratch.order[b].group != kExactly) continue;
      before += region_.comes_first(candidates.x + b * p_, x, options_.separation);
    }
    scratch.order[a].key = before;
  }
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
      const double apart = region_.distance(candidates.x + a * p_, candidates.x + b * p_);
      if (apart > options_.separation) continue;
      scratch.order[a].group = kCopy;
      break;
    }
  }
}

}  // namespace fastinv
