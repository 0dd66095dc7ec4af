#include "solve/search/search.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/cholesky.hpp"
#include "base/parallel.hpp"
#include "solve/search/search_scratch.hpp"
#include "base/vectors.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kPartnerReach = 6;      // in anchor spacings: how far across a fold to look
constexpr double kRounding = 64 * std::numeric_limits<double>::epsilon();

double norm(const double* a, std::int64_t n) {
  return std::sqrt(std::inner_product(a, a + n, a, 0.0));
}

}  // namespace

Search::Search(std::vector<double> anchors_x, std::vector<double> anchors_y, std::int64_t q,
               CompiledForward compiled, CompiledForward jacobian,
               std::optional<ForwardModel> learned, Region region, SearchOptions options)
    : p_(static_cast<std::int64_t>(region.lower().size())),
      q_(q),
      n_(static_cast<std::int64_t>(anchors_x.size()) / p_),
      anchors_x_(std::move(anchors_x)),
      anchors_y_(std::move(anchors_y)),
      learned_(std::move(learned)),
      f_(p_, q, compiled, jacobian, learned_ ? &*learned_ : nullptr),
      region_(std::move(region)),
      options_(options),
      polish_(f_, region_.box(), {options.max_evaluations}) {}

void Search::polish(const PolishArrays& arrays, int n_threads) const {
  const int threads = static_cast<int>(std::clamp<std::int64_t>(arrays.n, 1, n_threads));
  std::vector<Scratch> scratch;
  for (int t = 0; t < threads; ++t) scratch.emplace_back(*this, 1, 1, 0.0);
  std::atomic<std::int64_t> next{0};
  run_independent(threads, [&](int thread) {
    for (std::int64_t row; (row = next.fetch_add(1)) < arrays.n;) {
      double* const x = arrays.x + row * p_;
      double* const fx = arrays.fx + row * q_;
      f_.values(x, fx, 1, scratch[thread].derivative());
      const PolishResult result = polish_.run(arrays.targets + row * q_, x, fx,
                                              scratch[thread].polish.data(),
                                              scratch[thread].derivative());
      region_.wrap(x);
      arrays.residual[row] = result.residual;
      arrays.n_evaluations[row] = result.n_evaluations;
      arrays.end[row] = static_cast<std::int8_t>(result.end);
    }
  });
}

void Search::solve_all(const SearchArrays& arrays, int n_threads) const {
  prepare();
  const std::int64_t n_starts = std::min(arrays.n_starts, n_);
  const int threads = static_cast<int>(std::clamp<std::int64_t>(arrays.n, 1, n_threads));
  // All memory is there before a thread starts: one that threw would end the process.
  std::vector<Scratch> scratch;
  for (int t = 0; t < threads; ++t) scratch.emplace_back(*this, n_starts, arrays.k, arrays.tol);
  std::atomic<std::int64_t> next{0};
  run_independent(threads, [&](int thread) {
    for (std::int64_t row; (row = next.fetch_add(1)) < arrays.n;) {
      search(arrays.targets + row * q(), n_starts, arrays.k, scratch[thread]);
      write_row(arrays, row, scratch[thread]);
    }
  });
}

// Finds up to k solutions; scratch.nearest is the nearest attainable point where there is none.
void Search::search(const double* y, std::int64_t n_starts, std::int64_t k,
                    Scratch& scratch) const {
  scratch.found.clear();
  scratch.nearest_residual = kInfinity;
  scratch.nearest_anchor = -1;
  if (!all_finite(y, q())) return;
  choose_starts(y, n_starts, scratch);
  for (std::size_t s = 0; s < scratch.starts.size(); ++s) {
    if (static_cast<std::int64_t>(scratch.found.size()) == k) return;
    const std::int64_t a = scratch.starts[static_cast<std::int64_t>(s)];
    const double* const predicted = scratch.chosen.data() + static_cast<std::int64_t>(s) * p();
    start_from(y, a, predicted, scratch);
    if (polish_start(y, a, scratch)) try_partner(y, a, scratch);
  }
  if (scratch.found.empty()) try_nearest_anchor(y, scratch);
}

// scratch.x, fx: the point that the anchor's derivative predicts, or the anchor where that is
// closer in y.
void Search::start_from(const double* y, std::int64_t anchor, const double* predicted,
                        Scratch& scratch) const {
  const std::int64_t p = f_.p(), q = f_.q();
  for (std::int64_t i = 0; i < p; ++i) {
    const double point = std::isnan(predicted[i]) ? anchors_x_[anchor * p + i] : predicted[i];
    scratch.x[i] = std::min(std::max(point, region_.box().lower[i]), region_.box().upper[i]);
  }
  f_.values(scratch.x.data(), scratch.fx.data(), 1, scratch.derivative());
  double moved = 0, own = 0;
  for (std::int64_t j = 0; j < q; ++j) {
    const double image = anchors_y_[anchor * q + j];
    moved += (scratch.fx[j] - y[j]) * (scratch.fx[j] - y[j]);
    own += (image - y[j]) * (image - y[j]);
  }
  if (moved < own) return;
  std::copy_n(&anchors_x_[anchor * p], p, scratch.x.data());
  std::copy_n(&anchors_y_[anchor * q], q, scratch.fx.data());
}

// Polishes scratch.x; true where that found a new solution.
bool Search::polish_start(const double* y, std::int64_t anchor, Scratch& scratch) const {
  const PolishResult result = polish_.run(y, scratch.x.data(), scratch.fx.data(),
                                          scratch.polish.data(), scratch.derivative());
  region_.wrap(scratch.x.data());
  if (result.residual <= scratch.tol) return add_solution(y, result.residual, anchor, scratch);
  if (result.residual < scratch.nearest_residual) {
    scratch.nearest_residual = result.residual;
    scratch.nearest_anchor = anchor;
    scratch.nearest_end = result.end;
    scratch.nearest = scratch.x;
  }
  return false;
}

// Near a fold, where the derivative vanishes along a direction v, another solution lies on its
// other side: to second order at -2 sigma / c along v, with sigma the smallest singular value and c
// the second derivative along v, both along the image of v.
void Search::try_partner(const double* y, std::int64_t anchor, Scratch& scratch) const {
  const std::int64_t p = f_.p(), q = f_.q();
  if (p > q) return;  // solutions are not isolated
  const double* const x = scratch.solutions.data() + scratch.found.back().place * p;
  double* const v = scratch.partner.data();
  const double sigma = weakest_direction(x, v, scratch);
  if (!(sigma > 0)) return;
  double* const points = v + p;           // (2, p): h along v, to both sides
  double* const images = points + 2 * p;  // (2, q)
  double* const along = images + 2 * q;   // (q): the image of v
  const double h = std::cbrt(std::numeric_limits<double>::epsilon());
  for (std::int64_t i = 0; i < p; ++i) {
    points[i] = x[i] - h * region_.scale()[i] * v[i];
    points[p + i] = x[i] + h * region_.scale()[i] * v[i];
    if (points[i] < region_.box().lower[i] || points[i] > region_.box().upper[i] ||
        points[p + i] < region_.box().lower[i] || points[p + i] > region_.box().upper[i]) {
      return;  // f may not be defined there
    }
  }
  f_.values(points, images, 2, scratch.derivative());
  double curvature = 0;
  for (std::int64_t j = 0; j < q; ++j) {
    along[j] = (images[q + j] - images[j]) / (2 * h);
    curvature += along[j] * (images[q + j] + images[j] - 2 * scratch.fx[j]) / (h * h);
  }
  const double step = -2 * sigma * sigma / curvature;  // along = sigma u
  if (!(std::abs(step) < kPartnerReach * spacing_)) return;
  for (std::int64_t i = 0; i < p; ++i) {
    const double moved = x[i] + step * region_.scale()[i] * v[i];
    scratch.x[i] = std::min(std::max(moved, region_.box().lower[i]), region_.box().upper[i]);
  }
  f_.values(scratch.x.data(), scratch.fx.data(), 1, scratch.derivative());
  polish_start(y, anchor, scratch);
}

// v (p), in units of scale: the direction in which f changes least at x, and how much it changes.
double Search::weakest_direction(const double* x, double* v, Scratch& scratch) const {
  const std::int64_t p = f_.p(), q = f_.q();
  const Box box = region_.box();
  f_.jacobian(x, box, scratch.jac.data(), scratch.derivative());
  std::fill(scratch.matrix.begin(), scratch.matrix.end(), 0.0);
  double trace = 0;
  for (std::int64_t a = 0; a < p; ++a) {
    for (std::int64_t b = 0; b <= a; ++b) {
      for (std::int64_t j = 0; j < q; ++j) {
        scratch.matrix[a * p + b] += scratch.jac[j * p + a] * region_.scale()[a] *
                                     scratch.jac[j * p + b] * region_.scale()[b];
      }
    }
    trace += scratch.matrix[a * p + a];
  }
  for (std::int64_t a = 0; a < p; ++a) scratch.matrix[a * p + a] += 1e-14 * trace;
  if (!std::isfinite(trace) || !cholesky(scratch.matrix.data(), p)) return 0;
  // Inverse iteration; its start favours no coordinate.
  constexpr int kIterations = 6;
  for (std::int64_t i = 0; i < p; ++i) v[i] = 1.0 / static_cast<double>(i + 1);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    cholesky_solve(scratch.matrix.data(), p, v);
    const double length = norm(v, p);
    for (std::int64_t i = 0; i < p; ++i) v[i] /= length;
  }
  double squared = 0;
  for (std::int64_t j = 0; j < q; ++j) {
    double image = 0;
    for (std::int64_t i = 0; i < p; ++i) {
      image += scratch.jac[j * p + i] * region_.scale()[i] * v[i];
    }
    squared += image * image;
  }
  return std::sqrt(squared);
}

// Keeps scratch.x where it is no solution that is there already; the better of two that are one.
bool Search::add_solution(const double* y, double residual, std::int64_t anchor,
                          Scratch& scratch) const {
  const std::int64_t p = f_.p();
  if (!region_.contains(scratch.x.data())) return false;
  const double rounding = kRounding * (norm(y, q()) + norm(scratch.fx.data(), q()));
  // Relative to the target, or to what counts as a solution where the target is near 0.
  const double rank = residual <= std::max(rounding, 1e-4 * scratch.tol) ? 0.0 : residual;
  for (Found& found : scratch.found) {
    double* const other = scratch.solutions.data() + found.place * p;
    if (region_.distance(scratch.x.data(), other) > options_.separation) continue;
    if (residual < found.residual) {
      std::copy_n(scratch.x.data(), p, other);
      found.residual = residual;
      found.rank = rank;
      found.anchor = anchor;
    }
    return false;
  }
  const auto place = static_cast<std::int64_t>(scratch.found.size());
  if (place == scratch.max_found) return false;
  std::copy_n(scratch.x.data(), p, scratch.solutions.data() + place * p);
  scratch.found.push_back({rank, residual, anchor, place});
  return true;
}

// From the anchor whose image is nearest, unless something nearer was found: its derivative may be
// zero or not finite, and say nothing, or the target so far away that squares overflow.
void Search::try_nearest_anchor(const double* y, Scratch& scratch) const {
  std::int64_t nearest = 0;
  double least = kInfinity;
  for (std::int64_t a = 0; a < n_; ++a) {
    const double d = fastinv::distance(&anchors_y_[a * q_], y, q_);
    if (!(d < least)) continue;
    least = d;
    nearest = a;
  }
  if (scratch.nearest_residual <= least && scratch.nearest_anchor >= 0) return;
  scratch.nearest_residual = least;
  scratch.nearest_anchor = nearest;
  scratch.nearest_end = PolishEnd::stationary;
  std::copy_n(&anchors_x_[nearest * p_], p_, scratch.nearest.begin());
  scratch.x = scratch.nearest;
  std::copy_n(&anchors_y_[nearest * q_], q_, scratch.fx.begin());
  polish_start(y, nearest, scratch);
}

// By coordinates, of which less than `separation` does not count: rounding must not decide.
bool Search::comes_first(const double* a, const double* b) const {
  for (std::int64_t i = 0; i < p_; ++i) {
    const double unit = options_.separation * region_.scale()[i];
    const double at = unit > 0 ? std::round(a[i] / unit) : a[i];
    const double bt = unit > 0 ? std::round(b[i] / unit) : b[i];
    if (at != bt) return at < bt;
  }
  return false;
}

void Search::write_row(const SearchArrays& arrays, std::int64_t row, Scratch& scratch) const {
  const std::int64_t p = f_.p(), k = arrays.k;
  double* const x = arrays.x + row * k * p;
  double* const residual = arrays.residual + row * k;
  std::int64_t* const anchor = arrays.anchor + row * k;
  std::int8_t* const status = arrays.status + row * k;
  std::fill(x, x + k * p, kNaN);
  std::fill(residual, residual + k, kInfinity);
  std::fill(anchor, anchor + k, std::int64_t{-1});
  std::fill(status, status + k, static_cast<std::int8_t>(Status::invalid));
  std::sort(scratch.found.begin(), scratch.found.end(), [&](const Found& a, const Found& b) {
    if (a.rank != b.rank) return a.rank < b.rank;
    return comes_first(scratch.solutions.data() + a.place * p,
                       scratch.solutions.data() + b.place * p);
  });
  arrays.count[row] = static_cast<std::int64_t>(scratch.found.size());
  for (std::int64_t s = 0; s < arrays.count[row]; ++s) {
    const Found& found = scratch.found[s];
    std::copy_n(scratch.solutions.data() + found.place * p, p, x + s * p);
    residual[s] = found.residual;
    anchor[s] = found.anchor;
    status[s] = static_cast<std::int8_t>(Status::converged);
  }
  const double* const y = arrays.targets + row * q_;
  if (arrays.count[row] > 0 || !all_finite(y, q_)) return;
  std::copy_n(scratch.nearest.data(), p, x);
  residual[0] = scratch.nearest_residual;
  anchor[0] = scratch.nearest_anchor;
  const bool capped = scratch.nearest_end == PolishEnd::evaluations;
  status[0] = static_cast<std::int8_t>(capped ? Status::approximate : Status::unreachable);
}

}  // namespace fastinv
