// Solutions that are not isolated: where f has fewer independent outputs than inputs, they fill
// curves and surfaces.
#include <algorithm>

#include "base/vectors.hpp"
#include "solve/search/scratch.hpp"
#include "solve/search/search.hpp"

namespace fastinv {

namespace {

// Walks along a set, in units of the region. The longer one leaves what f's noise makes look like a
// set around a multiple root; the shorter one does not reach other solutions.
constexpr double kWalks[] = {0.05, 0.2};

}  // namespace

// Whether solutions go on from the solution x. Call it after `assess` at x.
bool Search::belongs_to_set(const double* y, const double* x, bool singular,
                            Scratch& scratch) const {
  if (!singular) return p_ > q_;  // by the theorem of implicit functions
  double* const direction = scratch.direction;
  if (p_ <= q_) {
    std::copy_n(roots_.direction(scratch.roots), p_, direction);
    return set_goes_on(y, x, direction, kWalks[0], scratch) &&
           set_goes_on(y, x, direction, kWalks[1], scratch);
  }
  for (std::int64_t i = 0; i < p_; ++i) {
    std::fill(direction, direction + p_, 0.0);
    direction[i] = 1;
    if (set_goes_on(y, x, direction, kWalks[0], scratch) &&
        set_goes_on(y, x, direction, kWalks[1], scratch)) {
      return true;
    }
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
    PolishResult result;
    polish_.run({1, y, 1, point, scratch.partner_fx, &result}, scratch.polish, scratch.function);
    const double walked = region_.distance(point, x);
    if (result.exact && 0.5 * length <= walked && walked <= 2 * length) return true;
  }
  return false;
}

}  // namespace fastinv
