// What a thread of a search works with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "solve/search/search.hpp"

namespace fastinv {

struct Search::Found {
  double rank;  // the residual, zero where it is rounding
  double residual;
  std::int64_t anchor;
  std::int64_t place;  // its x in Scratch::solutions
};

struct Search::Scratch {
  std::vector<double> step, distances, chosen, jac, matrix, x, fx, nearest, partner;
  std::vector<double> polish, doubles, solutions;
  std::vector<float> floats;
  std::vector<std::int64_t> order, starts;
  std::vector<Found> found;
  double tol;
  std::int64_t max_found, nearest_anchor = -1;
  double nearest_residual = std::numeric_limits<double>::infinity();
  PolishEnd nearest_end = PolishEnd::stationary;

  Scratch(const Search& self, std::int64_t n_starts, std::int64_t n_solutions, double tolerance)
      : tol(tolerance), max_found(n_solutions) {
    const std::int64_t p = self.p(), q = self.q(), n = self.n_;
    const auto size = [](std::int64_t count) { return static_cast<std::size_t>(count); };
    step.resize(size(n * p));
    distances.resize(size(n));
    chosen.resize(size(n_starts * p));
    jac.resize(size(p * q));
    matrix.resize(size(std::min(p, q) * std::min(p, q)));
    x.resize(size(p));
    fx.resize(size(q));
    nearest.resize(size(p));
    partner.resize(size(4 * p + 3 * q));
    polish.resize(size(self.polish_.n_doubles()));
    doubles.resize(size(self.f_.n_doubles()));
    floats.resize(size(self.f_.n_floats(2)));
    solutions.resize(size(n_solutions * p));
    order.resize(size(n));
    starts.reserve(size(n_starts));
    found.reserve(size(n_solutions));
  }
  DerivativeScratch derivative() { return {doubles.data(), floats.data()}; }
};

}  // namespace fastinv
