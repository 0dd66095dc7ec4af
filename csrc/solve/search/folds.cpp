// The other side of a fold: where f turns back, solutions come in pairs.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/linear_algebra.hpp"
#include "solve/search/scratch.hpp"
#include "solve/search/search.hpp"

namespace fastinv {

namespace {

constexpr double kPartnerReach = 6;  // in anchor spacings: longest distance to a partner

}  // namespace

// Tries the partner of a solution near a fold, where the derivative vanishes along a direction v.
// The partner lies on the fold's other side: to second order at -2 sigma / c along v, where sigma
// is the smallest singular value and c the second derivative along v, both along the image of v. fx
// is the image of the last solution found.
void Search::try_partner(const Goal& goal, const double* y, std::int64_t anchor, const double* fx,
                         Scratch& scratch) const {
  if (p_ > q_) return;  // solutions are not isolated
  const double* const x = scratch.solutions + scratch.found[scratch.n_found - 1].place * p_;
  double* const v = scratch.direction;
  const double sigma = flattest(x, v, scratch);
  if (!(sigma > 0)) return;
  const Box box = region_.box();
  double* const below = scratch.points;
  double* const above = scratch.points + p_;
  const double h = f_.reach_along(v);
  for (std::int64_t i = 0; i < p_; ++i) {
    below[i] = x[i] - h * box.scale[i] * v[i];
    above[i] = x[i] + h * box.scale[i] * v[i];
    if (below[i] < box.lower[i] || below[i] > box.upper[i] || above[i] < box.lower[i] ||
        above[i] > box.upper[i]) {
      return;  // f may not be defined there
    }
  }
  f_.values(scratch.points, scratch.images, 2, scratch.function);
  double curvature = 0;
  for (std::int64_t j = 0; j < q_; ++j) {
    const double low = scratch.images[j], high = scratch.images[q_ + j];
    scratch.along[j] = (high - low) * metric_.weight(j) / (2 * h);
    curvature += scratch.along[j] * ((high + low - 2 * fx[j]) * metric_.weight(j) / (h * h));
  }
  const double step = -2 * sigma * sigma / curvature;  // along = sigma u
  if (!(std::abs(step) < kPartnerReach * spacing_)) return;
  for (std::int64_t i = 0; i < p_; ++i) {
    scratch.partner_x[i] = region_.clipped_step(x[i] + step * box.scale[i] * v[i], i);
  }
  f_.values(scratch.partner_x, scratch.partner_fx, 1, scratch.function);
  PolishResult result;
  polish_.run({1, y, 1, scratch.partner_x, scratch.partner_fx, &result}, scratch.polish,
              scratch.function);
  take_polished(goal, y, anchor, scratch.partner_x, scratch.partner_fx, result, scratch);
}

// Finds v (p) in units of scale, the direction in which f changes least at x; returns that change.
double Search::flattest(const double* x, double* v, Scratch& scratch) const {
  find_directions(x, scratch);
  const std::int64_t m = std::min(p_, q_);
  const std::int64_t k = std::min_element(scratch.values, scratch.values + m) - scratch.values;
  std::copy_n(scratch.directions + k * p_, p_, v);
  return scratch.values[k];
}

// The singular values of f's derivative at x, with their directions.
void Search::find_directions(const double* x, Scratch& scratch) const {
  differentiate(x, scratch);
  singular_directions(scratch.jac, q_, p_, scratch.matrix, scratch.values, scratch.directions);
}

}  // namespace fastinv
