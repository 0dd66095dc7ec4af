// The pipeline's last part: residuals, statuses and the order of candidates.
#include <algorithm>
#include <cmath>
#include <limits>

#include "solve/pipeline.hpp"
#include "solve/pipeline_tile.hpp"
#include "base/vectors.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

}  // namespace

// Writes the k best of one row's candidates; the rules are those of the Python protocol's
// Pipeline.solve.
void Pipeline::rank_row(const SolveArrays& arrays, std::int64_t row, const CandidateRow& candidates,
                        Tile& tile) const {
  const std::int64_t k = arrays.k;
  const double* y = arrays.targets + row * q_;
  double* x_out = arrays.x + row * k * p_;
  double* residual_out = arrays.residual + row * k;
  std::int64_t* anchor_out = arrays.anchor + row * k;
  std::int8_t* status_out = arrays.status + row * k;
  if (!all_finite(y, q_)) {
    std::fill(x_out, x_out + k * p_, kNaN);
    std::fill(residual_out, residual_out + k, kInfinity);
    std::fill(anchor_out, anchor_out + k, std::int64_t(-1));
    std::fill(status_out, status_out + k, static_cast<std::int8_t>(Status::invalid));
    return;
  }
  find_residuals(y, candidates, tile);
  classify(arrays.near ? arrays.near + row * p_ : nullptr, candidates, tile);
  rank_first(tile.order, tile.n_neighbors, k);
  for (std::int64_t j = 0; j < k; ++j) {
    const std::int64_t c = tile.order[j].index;
    const double* x = solution(candidates, tile, c);
    copy_few(x, p_, x_out + j * p_);
    residual_out[j] = tile.residual[c];
    anchor_out[j] = candidates.anchor[c];
    status_out[j] = static_cast<std::int8_t>(tile.status[c]);
  }
}

// Residuals of the candidates, or of their anchors where those are exact and closer.
void Pipeline::find_residuals(const double* y, const CandidateRow& candidates, Tile& tile) const {
  for (std::int64_t j = 0; j < tile.n_neighbors; ++j) {
    const bool x_finite = all_finite(candidates.x + j * p_, p_);
    double residual = x_finite ? distance(candidates.fx + j * q_, y, q_) : kInfinity;
    if (std::isnan(residual)) residual = kInfinity;
    tile.replaced[j] = false;
    if (options_.anchors_exact) {
      const double own = distance(&anchors_y_[candidates.anchor[j] * q_], y, q_);
      tile.replaced[j] = own < residual;
      if (tile.replaced[j]) residual = own;
    }
    tile.residual[j] = residual;
  }
}

// Statuses of the candidates, and what they are ordered by.
void Pipeline::classify(const double* near, const CandidateRow& candidates, Tile& tile) const {
  const std::int64_t n = tile.n_neighbors;
  const double smallest = *std::min_element(tile.residual, tile.residual + n);
  const bool unreachable =
      candidates.anchor_distance > options_.coverage && smallest > options_.coverage;
  for (std::int64_t j = 0; j < n; ++j) {
    const double residual = tile.residual[j];
    const std::uint8_t flags = tile.replaced[j] ? 0 : candidates.flags[j];
    const Status status = !std::isfinite(residual)    ? Status::invalid
                          : residual <= options_.tol  ? Status::converged
                          : unreachable               ? Status::unreachable
                          : (flags & kClipped)        ? Status::out_of_bounds
                          : (flags & kExtrapolated)   ? Status::extrapolated
                                                      : Status::approximate;
    tile.status[j] = status;
    double key = residual;
    int group = 1;
    if (status == Status::invalid) {
      group = 4;
    } else if (!options_.trust_residual && (flags & kExtrapolated)) {
      group = 2;
    } else if (near && status == Status::converged) {
      key = region_.distance(solution(candidates, tile, j), near);
      group = 0;
    }
    tile.order[j] = {group, sort_key(key), j};
  }
  if (polish_) find_duplicates(candidates, tile);
}

// Of CONVERGED candidates that are one solution, all but the best go behind the others.
void Pipeline::find_duplicates(const CandidateRow& candidates, Tile& tile) const {
  const std::int64_t n = tile.n_neighbors;
  const auto better = [&](std::int64_t a, std::int64_t b) {
    return tile.residual[a] != tile.residual[b] ? tile.residual[a] < tile.residual[b] : a < b;
  };
  for (std::int64_t a = 0; a < n; ++a) {
    if (tile.status[a] != Status::converged) continue;
    for (std::int64_t b = 0; b < n; ++b) {
      if (b == a || tile.status[b] != Status::converged || !better(b, a)) continue;
      if (region_.distance(solution(candidates, tile, a), solution(candidates, tile, b)) >
          separation_) {
        continue;
      }
      tile.order[a].group = 3;
      break;
    }
  }
}

// Candidate c, or the anchor that replaces it.
const double* Pipeline::solution(const CandidateRow& candidates, const Tile& tile,
                                 std::int64_t c) const {
  return tile.replaced[c] ? &anchors_x_[candidates.anchor[c] * p_] : candidates.x + c * p_;
}

}  // namespace fastinv
