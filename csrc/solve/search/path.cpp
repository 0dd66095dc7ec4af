// Search::solve_path: the continuation of a solution along targets.
#include <algorithm>
#include <cmath>
#include <limits>

#include "solve/search/search.hpp"
#include "solve/search/search_scratch.hpp"
#include "base/vectors.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLongestStep = 0.5;  // of a path, in units of the region
// Of the first step, which is what the derivative says: how far the solution may be from its end.
// That it is closer where another branch happens to pass is possible, but unlikely.
constexpr double kBend = 0.02;

}  // namespace

// Where a path has come to.
struct Search::Path {
  std::vector<double> x, fx;   // the solution, and its image
  std::vector<double> target;  // of a piece of the way
};

// Follows the branch to y, in pieces where one step does not do; false, and the path where it was,
// where the branch does not lead there.
bool Search::follow(const double* y, Path& path, Scratch& scratch) const {
  if (step_towards(y, path, scratch)) return true;
  constexpr double kSmallest = 1e-5;
  const std::vector<double> x = path.x, fx = path.fx;
  double done = 0, piece = 0.5;
  while (done < 1) {
    const double next = std::min(done + piece, 1.0);
    for (std::int64_t j = 0; j < q_; ++j) path.target[j] = fx[j] + next * (y[j] - fx[j]);
    if (step_towards(next < 1 ? path.target.data() : y, path, scratch)) {
      done = next;
      piece *= 2;
      continue;
    }
    piece *= 0.5;
    if (piece >= kSmallest) continue;
    path.x = x;
    path.fx = fx;
    return false;
  }
  return true;
}

// One step: polish from where the path is. It continues the branch if it ends about where the
// derivative says.
bool Search::step_towards(const double* y, Path& path, Scratch& scratch) const {
  std::copy(path.x.begin(), path.x.end(), scratch.x.begin());
  std::copy(path.fx.begin(), path.fx.end(), scratch.fx.begin());
  const PolishResult result = polish_.run(y, scratch.x.data(), scratch.fx.data(),
                                          scratch.polish.data(), scratch.derivative());
  if (!(result.residual <= scratch.tol)) return false;
  if (result.first_step > kLongestStep || result.later_steps > kBend * result.first_step + 1e-9) {
    return false;
  }
  path.x.swap(scratch.x);
  path.fx.swap(scratch.fx);
  return true;
}

// To the solution nearest to where the path was; false where none was found.
bool Search::jump(const double* y, std::int64_t n_starts, Path& path, Scratch& scratch) const {
  search(y, n_starts, scratch.max_found, scratch);
  const double* nearest = nullptr;
  double least = kInfinity;
  for (const Found& found : scratch.found) {
    const double* const x = scratch.solutions.data() + found.place * p_;
    const double d = region_.distance(x, path.x.data());
    if (d < least) {
      least = d;
      nearest = x;
    }
  }
  if (!nearest) return false;
  std::copy_n(nearest, p_, path.x.begin());
  f_.values(path.x.data(), path.fx.data(), 1, scratch.derivative());
  return true;
}

void Search::solve_path(const PathArrays& arrays) const {
  prepare();
  constexpr std::int64_t kMostSolutions = 64;
  const std::int64_t n_starts = std::min(arrays.n_starts, n_);
  Scratch scratch(*this, n_starts, kMostSolutions, arrays.tol);
  const std::vector<double> like_x(static_cast<std::size_t>(p_));
  const std::vector<double> like_y(static_cast<std::size_t>(q_));
  Path path{like_x, like_y, like_y};
  std::copy_n(arrays.start, p_, path.x.begin());
  f_.values(path.x.data(), path.fx.data(), 1, scratch.derivative());
  for (std::int64_t t = 0; t < arrays.n; ++t) {
    const double* const y = arrays.targets + t * q_;
    Status status = Status::converged;
    arrays.jumped[t] = false;
    if (!all_finite(y, q_)) {
      status = Status::invalid;
    } else if (!follow(y, path, scratch)) {
      arrays.jumped[t] = jump(y, n_starts, path, scratch);
      if (!arrays.jumped[t]) status = Status::unreachable;
    }
    double* const x = arrays.x + t * p_;
    if (status == Status::invalid) {
      std::fill(x, x + p_, std::numeric_limits<double>::quiet_NaN());
    } else {
      std::copy_n(path.x.begin(), p_, x);
    }
    arrays.residual[t] =
        status == Status::invalid ? kInfinity : distance(path.fx.data(), y, q_);
    arrays.status[t] = static_cast<std::int8_t>(status);
  }
}

}  // namespace fastinv
