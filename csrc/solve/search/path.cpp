// Search::solve_path: follows a solution along targets.
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/vectors.hpp"
#include "solve/search/scratch.hpp"
#include "solve/search/search.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLongestStep = 0.5;  // longest step of a path, in units of the region
// The largest distance between the solution and the end of the first step, relative to that step,
// which follows the derivative. Another branch may pass closer than that, but it is unlikely.
constexpr double kBend = 0.02;

}  // namespace

// The present end of a path.
struct Search::Path {
  std::vector<double> x, fx;   // the solution, and its image
  std::vector<double> target;  // target at the end of a piece of the way
};

// Follows the branch to y, in pieces if one step is not enough. If the branch does not lead there,
// returns false and restores the path.
bool Search::follow(const Goal& goal, const double* y, Path& path, Scratch& scratch) const {
  if (step_towards(goal, y, path, scratch)) return true;
  constexpr double kSmallest = 1e-5;
  const std::vector<double> x = path.x, fx = path.fx;
  double done = 0, piece = 0.5;
  while (done < 1) {
    const double next = std::min(done + piece, 1.0);
    for (std::int64_t j = 0; j < q_; ++j) path.target[j] = fx[j] + next * (y[j] - fx[j]);
    if (step_towards(goal, next < 1 ? path.target.data() : y, path, scratch)) {
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

// One step: polishes from the end of the path. The step continues the branch if it ends about where
// the derivative predicts.
bool Search::step_towards(const Goal& goal, const double* y, Path& path, Scratch& scratch) const {
  std::copy(path.x.begin(), path.x.end(), scratch.x);
  std::copy(path.fx.begin(), path.fx.end(), scratch.fx);
  polish_.run({1, y, 1, scratch.x, scratch.fx, scratch.polished}, scratch.polish, scratch.function);
  const PolishResult& result = scratch.polished[0];
  if (!is_solution(goal, y, scratch.x, scratch.fx, result, scratch)) return false;
  if (result.first_step > kLongestStep || result.later_steps > kBend * result.first_step + 1e-9) {
    return false;
  }
  std::copy_n(scratch.x, p_, path.x.begin());
  std::copy_n(scratch.fx, q_, path.fx.begin());
  return true;
}

// Moves to the solution nearest to the end of the path; false if none was found.
bool Search::jump(const Goal& goal, const double* y, std::int64_t n_starts, Path& path,
                  Scratch& scratch) const {
  search(goal, y, n_starts, scratch);
  const double* nearest = nullptr;
  double least = kInfinity;
  for (std::int64_t f = 0; f < scratch.n_found; ++f) {
    const double* const x = scratch.solutions + scratch.found[f].place * p_;
    const double d = region_.distance(x, path.x.data());
    if (d < least) {
      least = d;
      nearest = x;
    }
  }
  if (!nearest) return false;
  std::copy_n(nearest, p_, path.x.begin());
  f_.values(path.x.data(), path.fx.data(), 1, scratch.function);
  return true;
}

void Search::solve_path(const Goal& goal, std::int64_t n_starts, const PathArrays& arrays) const {
  arrays.clear(goal.n, p_);  // an interruption leaves the targets that are finished
  prepare();
  constexpr std::int64_t kMostSolutions = 64;
  const std::int64_t tried = std::min(n_starts, n_);
  Workspaces memory(1, bytes_of<Scratch>(*this, tried, kMostSolutions));
  Scratch scratch = memory[0].lay_out<Scratch>(*this, tried, kMostSolutions);
  const std::vector<double> like_x(static_cast<std::size_t>(p_));
  const std::vector<double> like_y(static_cast<std::size_t>(q_));
  Path path{like_x, like_y, like_y};
  std::copy_n(arrays.start, p_, path.x.begin());
  f_.values(path.x.data(), path.fx.data(), 1, scratch.function);
  for (std::int64_t t = 0; t < goal.n; ++t) {
    watch_point();
    count_done(1);
    const double* const y = goal.target(t);
    if (!all_finite(y, q_)) continue;
    Status status = Status::converged;
    if (!follow(goal, y, path, scratch)) {
      arrays.jumped[t] = jump(goal, y, tried, path, scratch);
      if (!arrays.jumped[t]) status = Status::unreachable;
    }
    std::copy_n(path.x.begin(), p_, arrays.x + t * p_);
    arrays.residual[t] = metric_.distance(path.fx.data(), y);
    arrays.status[t] = static_cast<std::int8_t>(status);
  }
}

}  // namespace fastinv
