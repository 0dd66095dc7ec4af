// Solutions that are not isolated: where f has fewer independent outputs than inputs, they fill
// curves and surfaces.
#include <algorithm>
#include <iterator>

#include "base/vectors.hpp"
#include "solve/search/scratch.hpp"
#include "solve/search/search.hpp"

namespace fastinv {

namespace {

// Walks along a set, in units of the region. The longest one leaves what f's noise makes look like
// a set around a multiple root; the shortest one does not reach other solutions.
constexpr double kWalks[] = {0.002, 0.05, 0.2};
// f does not change, to first order, along a direction with so small a part of the largest change.
constexpr double kFlat = 1e-5;
// What remains of the residual of a walk where a polish leads back onto the set.
constexpr double kBack = 1e-6;

}  // namespace

// Whether solutions go on from the solution x. `singular`: it is no regular one.
bool Search::belongs_to_set(const double* y, const double* x, bool singular,
                            Scratch& scratch) const {
  find_directions(x, scratch);
  const std::int64_t m = std::min(p_, q_);
  const double most = *std::max_element(scratch.values, scratch.values + m);
  const auto is_flat = [&](std::int64_t k) {
    return scratch.values[k] <= kFlat * most || (singular && m == 1);
  };
  bool any_flat = false;
  for (std::int64_t k = 0; k < m; ++k) any_flat |= is_flat(k);
  if (!any_flat) return p_ > q_;  // by the theorem of implicit functions
  const auto goes_on = [&](const double* direction) {
    return std::all_of(std::begin(kWalks), std::end(kWalks), [&](double length) {
      return set_goes_on(y, x, direction, length, scratch);
    });
  };
  for (std::int64_t k = 0; p_ <= q_ && k < m; ++k) {
    if (is_flat(k) && goes_on(scratch.directions + k * p_)) return true;
  }
  double* const axis = scratch.direction;
  for (std::int64_t i = 0; p_ > q_ && i < p_; ++i) {
    std::fill(axis, axis + p_, 0.0);
    axis[i] = 1;
    if (goes_on(axis)) return true;
  }
  return false;
}

// Whether there is a solution about as far from x as `length`, to either side.
bool Search::set_goes_on(const double* y, const double* x, const double* direction, double length,
                         Scratch& scratch) const {
  const Box box = region_.box();
  double* const point = scratch.partner_x;
  for (const double sign : {-1.0, 1.0}) {
    for (std::int64_t i = 0; i < p_; ++i) {
      const double moved = x[i] + sign * length * box.scale[i] * direction[i];
      point[i] = std::min(std::max(moved, box.lower[i]), box.upper[i]);
    }
    f_.values(point, scratch.partner_fx, 1, scratch.function);
    const double left = metric_.distance(scratch.partner_fx, y);
    PolishResult result;
    polish_.run({1, y, 1, point, scratch.partner_fx, &result}, scratch.polish, scratch.function);
    const double walked = region_.distance(point, x);
    if (!(0.5 * length <= walked && walked <= 2 * length)) continue;
    if (result.exact || result.residual <= kBack * left) return true;
  }
  return false;
}

}  // namespace fastinv
