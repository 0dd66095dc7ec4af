#include "solve/search/search.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include "base/linear_algebra.hpp"
#include "base/parallel.hpp"
#include "base/vectors.hpp"
#include "solve/search/scratch.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Starts for each solution that is found, at least; and how many times as many as asked for.
constexpr std::int64_t kStartsPerSolution = 4, kMostRounds = 64;
// Of a set of solutions that are not isolated: its members, and how far apart they are at least, in
// units of the region.
constexpr std::int64_t kMostMembers = 8;
constexpr double kBetweenMembers = 0.25;

// Runs work(row, layout of the thread) for every row, on n_threads that fetch one row at a time.
// All memory is allocated before a thread starts.
template <class Layout, class F, class... Arguments>
void for_each_row(std::int64_t n, int n_threads, const F& work, const Arguments&... arguments) {
  const int threads = static_cast<int>(std::clamp<std::int64_t>(n, 1, n_threads));
  Workspaces memory(threads, bytes_of<Layout>(arguments...));
  std::atomic<std::int64_t> next{0};
  run_independent(threads, [&](int thread) {
    Layout scratch = memory[thread].template lay_out<Layout>(arguments...);
    for (std::int64_t row; (row = next.fetch_add(1)) < n;) {
      watch_point();
      work(row, scratch);
      count_done(1);
    }
  });
}

}  // namespace

Search::Search(std::shared_ptr<const Problem> problem, std::shared_ptr<const Anchors> anchors,
               PipelineOptions options)
    : problem_(std::move(problem)),
      anchors_(std::move(anchors)),
      options_(options),
      p_(problem_->n_inputs()),
      q_(problem_->n_outputs()),
      n_(anchors_->size()),
      f_(*problem_->function),
      region_(problem_->region),
      metric_(problem_->metric),
      polish_(*problem_, options),
      roots_(*problem_) {}

void Search::polish(const Goal& goal, const PolishedArrays& arrays, int n_threads) const {
  const auto work = [&](std::int64_t row, PolishOnly& scratch) {
    double* const x = arrays.x + row * p_;
    double* const fx = arrays.fx + row * q_;
    f_.values(x, fx, 1, scratch.function);
    polish_.run({1, goal.target(row), 1, x, fx, scratch.result}, scratch.polish, scratch.function);
    region_.wrap(x);
    arrays.residual[row] = scratch.result->residual;
    arrays.n_evaluations[row] = scratch.result->n_evaluations;
    arrays.end[row] = static_cast<std::int8_t>(scratch.result->end);
  };
  for_each_row<PolishOnly>(goal.n, n_threads, work, f_);
}

void Search::jacobians(const double* x, std::int64_t n, double* jac) const {
  const auto work = [&](std::int64_t row, PolishOnly& scratch) {
    f_.jacobian(x + row * p_, region_.box(), jac + row * q_ * p_, scratch.function);
  };
  for_each_row<PolishOnly>(n, 1, work, f_);
}

void Search::solve_all(const Goal& goal, std::int64_t n_starts, const AllArrays& out,
                       int n_threads) const {
  out.clear(goal.n, p_);  // an interruption leaves the rows that are finished
  prepare();
  const std::int64_t tried = std::min(n_starts, n_);
  const auto work = [&](std::int64_t row, Scratch& scratch) {
    const double* const y = goal.target(row);
    search(goal, y, tried, scratch);
    write_row(y, out.row(row, p_), scratch);
  };
  // One more than asked for shows that there are more.
  const std::int64_t most = std::min(kMostRounds * tried, n_);
  for_each_row<Scratch>(goal.n, n_threads, work, *this, most, out.ranked.k + 1);
}

void Search::assess(const Goal& goal, const AssessedArrays& arrays, int n_threads) const {
  const auto work = [&](std::int64_t row, Scratch& scratch) {
    const double* const y = goal.target(row);
    const double* const x = arrays.x + row * p_;
    arrays.x_error[row] = kInfinity;
    arrays.isolated[row] = false;
    if (!all_finite(y, q_) || !all_finite(x, p_)) return;
    double* const fx = scratch.fx;
    f_.values(x, fx, 1, scratch.function);
    if (!all_finite(fx, q_) ||
        roots_.shows(y, x, fx, scratch.roots, scratch.function) == Shown::no) {
      return;
    }
    const RootFacts facts = roots_.assess(y, x, fx, scratch.roots, scratch.function);
    arrays.x_error[row] = facts.x_error;
    arrays.isolated[row] = !belongs_to_set(y, x, facts.singular, scratch);
  };
  for_each_row<Scratch>(goal.n, n_threads, work, *this, std::int64_t{1}, std::int64_t{1});
}

// Finds up to scratch.max_found solutions. If there is none, scratch.nearest is the nearest
// attainable point.
void Search::search(const Goal& goal, const double* y, std::int64_t n_starts,
                    Scratch& scratch) const {
  scratch.n_found = scratch.n_in_set = 0;
  scratch.set_is_cut = false;
  scratch.nearest_residual = kInfinity;
  scratch.nearest_anchor = -1;
  if (!all_finite(y, q_)) return;
  std::int64_t done = 0;
  for (;; n_starts *= 2) {
    choose_starts(y, std::min(n_starts, scratch.max_starts), scratch);
    while (done < scratch.n_starts) {
      const std::int64_t n = std::min(Scratch::kBatch, scratch.n_starts - done);
      polish_starts(y, done, n, scratch);
      for (std::int64_t i = 0; i < n; ++i, ++done) {
        if (scratch.n_found == scratch.max_found) return;
        const std::int64_t anchor = scratch.starts[done];
        const double* const fx = scratch.fx + i * q_;
        const bool is_new =
            take_polished(goal, y, anchor, scratch.x + i * p_, fx, scratch.polished[i], scratch);
        if (is_new) try_partner(goal, y, anchor, fx, scratch);
      }
    }
    // Many solutions need more starts. The first ones stay the same.
    const bool enough = kStartsPerSolution * (scratch.n_found - scratch.n_in_set) <= n_starts;
    if (enough || n_starts >= scratch.max_starts) break;
  }
  if (scratch.n_found == 0) try_nearest_anchor(goal, y, scratch);
}

// Polishes n starts from `first` on, each from the point that the anchor's derivative predicts, or
// from the anchor if that is closer in y.
void Search::polish_starts(const double* y, std::int64_t first, std::int64_t n,
                           Scratch& scratch) const {
  for (std::int64_t s = 0; s < n; ++s) {
    const double* const predicted = scratch.predicted + (first + s) * p_;
    const double* const x_a = anchors_->x(scratch.starts[first + s]);
    for (std::int64_t i = 0; i < p_; ++i) {
      const double point = std::isnan(predicted[i]) ? x_a[i] : predicted[i];
      scratch.x[s * p_ + i] = region_.clipped_step(point, i);
    }
  }
  f_.values(scratch.x, scratch.fx, n, scratch.function);
  for (std::int64_t s = 0; s < n; ++s) {
    const std::int64_t anchor = scratch.starts[first + s];
    double* const fx = scratch.fx + s * q_;
    const double* const image = anchors_->y(anchor);
    if (metric_.distance(fx, y) < metric_.distance(image, y)) continue;
    std::copy_n(anchors_->x(anchor), p_, scratch.x + s * p_);
    std::copy_n(image, q_, fx);
  }
  polish_.run({n, y, n, scratch.x, scratch.fx, scratch.polished}, scratch.polish, scratch.function);
}

bool Search::is_solution(const Goal& goal, const double* y, const double* x, const double* fx,
                         const PolishResult& result, const Scratch& scratch) const {
  if (!goal.root) return goal.allows(y, fx, result.residual);
  if (result.exact) return true;  // as small as it can be, whatever the tolerance
  const bool allowed = goal.allows(y, fx, result.residual);
  if (!allowed && !(result.residual <= Roots::kMostNoise)) return false;
  const Shown shown = roots_.shows(y, x, fx, scratch.roots, scratch.function);
  return shown == Shown::exact || (shown == Shown::near && allowed);
}

// Takes the result x of polishing, with the image fx; true if it is a new solution.
bool Search::take_polished(const Goal& goal, const double* y, std::int64_t anchor, double* x,
                           const double* fx, const PolishResult& result, Scratch& scratch) const {
  region_.wrap(x);
  if (is_solution(goal, y, x, fx, result, scratch)) {
    return add_solution(y, result, anchor, x, fx, scratch);
  }
  if (result.residual < scratch.nearest_residual) {
    scratch.nearest_residual = result.residual;
    scratch.nearest_anchor = anchor;
    scratch.nearest_end = result.end;
    std::copy_n(x, p_, scratch.nearest);
  }
  return false;
}

// Whether x is a known solution, as far as f can tell them apart. Where one is not exact yet, the
// other may be what it would become.
bool Search::same(const Found& found, const double* x, double x_error, bool exact,
                  const Scratch& scratch) const {
  const double* const other = scratch.solutions + found.place * p_;
  const double apart = region_.distance(x, other);
  const double share = exact && found.rank == 0 ? 0.5 : 2.0;
  return apart <= options_.separation || apart <= share * (found.x_error + x_error);
}

// Forgets a solution; the last one takes its place.
void Search::remove(std::int64_t f, Scratch& scratch) const {
  const std::int64_t last = --scratch.n_found, place = scratch.found[f].place;
  scratch.n_in_set -= scratch.found[f].in_set;
  const double* const moved = scratch.solutions + scratch.found[last].place * p_;
  std::copy_n(moved, p_, scratch.solutions + place * p_);
  scratch.found[f] = scratch.found[last];
  scratch.found[f].place = place;
}

// Adds x unless it is a known solution; of two that are the same, the better one stays.
bool Search::add_solution(const double* y, const PolishResult& result, std::int64_t anchor,
                          const double* x, const double* fx, Scratch& scratch) const {
  if (!region_.contains(x)) return false;
  const RootFacts facts = roots_.assess(y, x, fx, scratch.roots, scratch.function);
  const double rank = result.exact ? 0.0 : result.residual;
  std::int64_t known = -1;
  for (std::int64_t f = 0; f < scratch.n_found;) {
    const Found found = scratch.found[f];
    if (!same(found, x, facts.x_error, result.exact, scratch)) {
      ++f;
    } else if (known < 0) {
      known = f++;
      if (!(result.residual < found.residual)) continue;
      std::copy_n(x, p_, scratch.solutions + found.place * p_);
      scratch.found[known] = {rank,         result.residual, facts.x_error,
                              found.in_set, anchor,          found.place};
    } else {
      remove(f, scratch);  // x shows that it is the same as the one before
    }
  }
  if (known >= 0) return false;
  const bool in_set = belongs_to_set(y, x, facts.singular, scratch);
  for (std::int64_t f = 0; in_set && f < scratch.n_found; ++f) {
    const double* const other = scratch.solutions + scratch.found[f].place * p_;
    const bool near = scratch.found[f].in_set && region_.distance(x, other) < kBetweenMembers;
    if (!near && scratch.n_in_set < kMostMembers) continue;
    scratch.set_is_cut = true;
    return false;
  }
  if (scratch.n_found == scratch.max_found) return false;
  scratch.n_in_set += in_set;
  const std::int64_t place = scratch.n_found++;
  std::copy_n(x, p_, scratch.solutions + place * p_);
  scratch.found[place] = {rank, result.residual, facts.x_error, in_set, anchor, place};
  return true;
}

// Tries the anchor with the nearest image, unless something nearer was found. Its derivative may be
// zero or not finite and say nothing, or the target so far away that squares overflow.
void Search::try_nearest_anchor(const Goal& goal, const double* y, Scratch& scratch) const {
  std::int64_t nearest = 0;
  double least = kInfinity;
  for (std::int64_t a = 0; a < n_; ++a) {
    const double d = metric_.distance(anchors_->y(a), y);
    if (!(d < least)) continue;
    least = d;
    nearest = a;
  }
  if (scratch.nearest_residual <= least && scratch.nearest_anchor >= 0) return;
  scratch.nearest_residual = least;
  scratch.nearest_anchor = nearest;
  scratch.nearest_end = PolishEnd::stationary;
  std::copy_n(anchors_->x(nearest), p_, scratch.nearest);
  std::copy_n(anchors_->x(nearest), p_, scratch.x);
  std::copy_n(anchors_->y(nearest), q_, scratch.fx);
  polish_.run({1, y, 1, scratch.x, scratch.fx, scratch.polished}, scratch.polish, scratch.function);
  take_polished(goal, y, nearest, scratch.x, scratch.fx, scratch.polished[0], scratch);
}

void Search::write_row(const double* y, const AllArrays& arrays, Scratch& scratch) const {
  const Ranked& out = arrays.ranked;
  std::sort(scratch.found, scratch.found + scratch.n_found, [&](const Found& a, const Found& b) {
    if (a.rank != b.rank) return a.rank < b.rank;
    const double* const x = scratch.solutions;
    return region_.comes_first(x + a.place * p_, x + b.place * p_, options_.separation);
  });
  const std::int64_t n = std::min(scratch.n_found, out.k);
  const SearchStatus status = !all_finite(y, q_)        ? SearchStatus::invalid
                              : scratch.n_found > out.k ? SearchStatus::cut
                              : scratch.n_in_set > 0    ? SearchStatus::set
                                                        : SearchStatus::ended;
  *arrays.count = n;
  *arrays.search = static_cast<std::int8_t>(status);
  for (std::int64_t s = 0; s < n; ++s) {
    const Found& found = scratch.found[s];
    std::copy_n(scratch.solutions + found.place * p_, p_, out.x + s * p_);
    out.residual[s] = found.residual;
    out.anchor[s] = found.anchor;
    out.status[s] = static_cast<std::int8_t>(Status::converged);
  }
  if (scratch.n_found > 0 || !all_finite(y, q_)) return;
  std::copy_n(scratch.nearest, p_, out.x);
  out.residual[0] = scratch.nearest_residual;
  out.anchor[0] = scratch.nearest_anchor;
  const bool capped = scratch.nearest_end == PolishEnd::evaluations;
  out.status[0] = static_cast<std::int8_t>(capped ? Status::approximate : Status::unreachable);
}

}  // namespace fastinv
