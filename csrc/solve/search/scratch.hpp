// The scratch memory of one thread of a search.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/workspace.hpp"
#include "solve/search/search.hpp"

namespace fastinv {

struct Search::Found {
  double rank;  // the residual, or zero if it is only rounding
  double residual;
  double x_error;
  bool in_set;  // not isolated
  std::int64_t anchor;
  std::int64_t place;  // the place of its x in Scratch::solutions
};

struct Search::Scratch {
  static constexpr std::int64_t kBatch = 8;  // starts that are polished together

  // For a target: the step and the distance that each anchor's derivative predicts.
  double *step, *distances;  // (p, n), (n)
  std::int64_t* order;       // (n): anchors by distance
  // The anchors to start from, and the points that their derivatives predict.
  std::int64_t* starts;  // (max_starts)
  double* predicted;     // (max_starts, p)
  std::int64_t n_starts = 0, max_starts;
  // A batch of starts, and their results.
  double *x, *fx;          // (kBatch, p), (kBatch, q)
  PolishResult* polished;  // (kBatch)
  // The solutions found, or the nearest attainable point if there is none.
  Found* found;       // (max_found)
  double* solutions;  // (max_found, p)
  std::int64_t n_found = 0, n_in_set = 0, max_found;
  bool set_is_cut = false;  // members of a set were left out
  double* nearest;          // (p)
  double nearest_residual = std::numeric_limits<double>::infinity();
  std::int64_t nearest_anchor = -1;
  PolishEnd nearest_end = PolishEnd::stationary;
  // A derivative, and a small system made from it.
  double *jac, *matrix, *column;  // (q, p), (m, m), (m)
  double *values, *directions;    // (m), (m, p): its singular values
  // For the other side of a fold: a direction, two points along it and their images, the change
  // along it, and the partner with its image.
  double *direction, *points, *images, *along, *partner_x, *partner_fx;
  Polish::Scratch polish;
  Roots::Scratch roots;
  FunctionScratch function;

  Scratch(Taker& take, const Search& self, std::int64_t max_starts_, std::int64_t max_found_)
      : max_starts(max_starts_), max_found(max_found_) {
    const std::int64_t p = self.p_, q = self.q_, n = self.n_, m = std::min(p, q);
    take(step, n * p);
    take(distances, n);
    take(order, n);
    take(starts, max_starts);
    take(predicted, max_starts * p);
    take(x, kBatch * p);
    take(fx, kBatch * q);
    take(polished, kBatch);
    take(found, max_found);
    take(solutions, max_found * p);
    take(nearest, p);
    take(jac, q * p);
    take(matrix, m * m);
    take(column, m);
    take(values, m);
    take(directions, m * p);
    take(direction, p);
    take(points, 2 * p);
    take(images, 2 * q);
    take(along, q);
    take(partner_x, p);
    take(partner_fx, q);
    polish = Polish::Scratch(take, p, q);
    roots = Roots::Scratch(take, p, q);
    function = self.f_.lay_out(take, std::max(kBatch, Roots::kPoints));
  }
};

// Scratch memory for polishing alone.
struct PolishOnly {
  Polish::Scratch polish;
  FunctionScratch function;
  PolishResult* result;
  PolishOnly(Taker& take, const Function& f)
      : polish(take, f.n_inputs(), f.n_outputs()), function(f.lay_out(take, 1)) {
    take(result, 1);
  }
};

}  // namespace fastinv
