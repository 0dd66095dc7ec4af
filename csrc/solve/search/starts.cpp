// Chooses where a search starts, from the derivatives at the anchors.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/linear_algebra.hpp"
#include "solve/search/scratch.hpp"
#include "solve/search/search.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Relative to ||J||^2: singular values below a hundredth of ||J|| count less and less.
constexpr double kDamping = 1e-4;
constexpr double kSameStart = 0.5;     // in anchor spacings: closer starts lead to the same place
constexpr std::int64_t kPerStart = 6;  // anchors to look at for each start

}  // namespace

void Search::prepare() const {
  prepare_once_([this] {
    columns_y_.resize(static_cast<std::size_t>(n_ * q_));
    inverses_.resize(static_cast<std::size_t>(n_ * p_ * q_));
    if (q_ > p_) {
      grams_.resize(static_cast<std::size_t>(n_ * p_ * (p_ + 1) / 2));
      flatness_.resize(static_cast<std::size_t>(n_));
    }
    for (std::int64_t a = 0; a < n_; ++a) {
      for (std::int64_t j = 0; j < q_; ++j) columns_y_[j * n_ + a] = anchors_->y(a)[j];
    }
    Workspaces memory(1, bytes_of<Scratch>(*this, std::int64_t{1}, std::int64_t{1}));
    Scratch scratch = memory[0].lay_out<Scratch>(*this, std::int64_t{1}, std::int64_t{1});
    for (std::int64_t a = 0; a < n_; ++a) {
      watch_point();
      linearize(a, scratch);
    }
    spacing_ = spacing_of_anchors();
  });
}

// The median distance of some anchors to their nearest neighbours.
double Search::spacing_of_anchors() const {
  constexpr std::int64_t kSample = 101;
  std::vector<double> nearest;
  const std::int64_t n_sample = std::min(kSample, n_);
  for (std::int64_t s = 0; s < n_sample; ++s) {
    const std::int64_t a = s * n_ / n_sample;
    double best = kInfinity;
    for (std::int64_t b = 0; b < n_; ++b) {
      const double d = region_.distance(anchors_->x(a), anchors_->x(b));
      if (b != a && d > 0) best = std::min(best, d);
    }
    if (best < kInfinity) nearest.push_back(best);
  }
  if (nearest.empty()) return 0;
  const auto middle = nearest.begin() + static_cast<std::ptrdiff_t>(nearest.size() / 2);
  std::nth_element(nearest.begin(), middle, nearest.end());
  return *middle;
}

// The derivative (q, p) at x in units of the region and the metric.
void Search::differentiate(const double* x, Scratch& scratch) const {
  f_.jacobian(x, region_.box(), scratch.jac, scratch.function);
  for (std::int64_t j = 0; j < q_; ++j) {
    for (std::int64_t i = 0; i < p_; ++i) {
      scratch.jac[j * p_ + i] *= region_.scale()[i];
      scratch.jac[j * p_ + i] *= metric_.weight(j);
    }
  }
}

// P_a = (J^T J + d)^-1 J^T, or J^T (J J^T + d)^-1 if that is smaller; NaN if f has no finite
// derivative or a zero one.
void Search::linearize(std::int64_t anchor, Scratch& scratch) const {
  const std::int64_t p = p_, q = q_, m = std::min(p, q);
  double* const jac = scratch.jac;
  double* const matrix = scratch.matrix;
  differentiate(anchors_->x(anchor), scratch);
  // In a unit in which squares do not vanish.
  double largest = 0;
  for (std::int64_t i = 0; i < p * q; ++i) largest = std::max(largest, std::abs(jac[i]));
  const bool varies = largest > 0 && std::isfinite(largest);
  const double unit = varies ? std::ldexp(1.0, -std::ilogb(largest)) : 1.0;
  for (std::int64_t i = 0; i < p * q; ++i) jac[i] *= unit;
  gram(jac, q, p, matrix);
  const double size = trace(matrix, m);  // ||J||^2
  if (q > p) {
    flatness_[anchor] = static_cast<double>(p) / size;
    double* entry = grams_.data() + anchor;
    for (std::int64_t a = 0; a < p; ++a) {
      for (std::int64_t b = 0; b <= a; ++b, entry += n_) {
        *entry = (a == b ? 1.0 : 2.0) * matrix[a * p + b] * flatness_[anchor];
      }
    }
    flatness_[anchor] *= unit * unit;
  }
  add_to_diagonal(matrix, m, kDamping * size);
  const bool usable = std::isfinite(size) && cholesky(matrix, m);
  double* const column = scratch.column;
  for (std::int64_t c = 0; c < (p <= q ? q : p); ++c) {
    // Column c of J^T, or row c of it.
    for (std::int64_t a = 0; a < m; ++a) column[a] = p <= q ? jac[c * p + a] : jac[a * p + c];
    if (usable) cholesky_solve(matrix, m, column);
    for (std::int64_t a = 0; a < m; ++a) {
      const std::int64_t i = p <= q ? a : c, j = p <= q ? c : a;
      // An anchor whose derivative is zero or not finite says nothing: its distance becomes NaN.
      inverses_[(i * q + j) * n_ + anchor] = usable ? column[a] * (unit * metric_.weight(j)) : kNaN;
    }
  }
}

// Fills scratch.starts with the anchors nearest to the target in x, one for each place they point
// to.
void Search::choose_starts(const double* y, std::int64_t n_starts, Scratch& scratch) const {
  double* const distances = scratch.distances;
  std::fill(scratch.step, scratch.step + n_ * p_, 0.0);
  std::fill(distances, distances + n_, 0.0);
  for (std::int64_t i = 0; i < p_; ++i) {
    double* const step = scratch.step + i * n_;
    for (std::int64_t j = 0; j < q_; ++j) {
      const double* const inverse = inverses_.data() + (i * q_ + j) * n_;
      const double* const image = columns_y_.data() + j * n_;
      const double target = y[j];
      for (std::int64_t a = 0; a < n_; ++a) step[a] += inverse[a] * (target - image[a]);
    }
    for (std::int64_t a = 0; a < n_; ++a) distances[a] += step[a] * step[a];
  }
  if (q_ > p_) add_outside(y, scratch);
  for (std::int64_t a = 0; a < n_; ++a) {
    if (std::isnan(distances[a])) distances[a] = kInfinity;
  }
  std::int64_t* const order = scratch.order;
  std::iota(order, order + n_, std::int64_t{0});
  const std::int64_t looked_at = std::min(n_, kPerStart * n_starts);
  const auto nearer = [distances](std::int64_t a, std::int64_t b) {
    return distances[a] != distances[b] ? distances[a] < distances[b] : a < b;
  };
  std::nth_element(order, order + looked_at - 1, order + n_, nearer);
  std::sort(order, order + looked_at, nearer);
  scratch.n_starts = 0;
  const double same = kSameStart * spacing_;
  for (std::int64_t c = 0; c < looked_at && scratch.n_starts < n_starts; ++c) {
    const std::int64_t a = order[c];
    double* const point = scratch.predicted + scratch.n_starts * p_;
    for (std::int64_t i = 0; i < p_; ++i) {
      point[i] = anchors_->x(a)[i] + region_.scale()[i] * scratch.step[i * n_ + a];
    }
    bool is_new = true;
    for (std::int64_t s = 0; s < scratch.n_starts && is_new; ++s) {
      is_new = region_.distance(point, scratch.predicted + s * p_) > same;
    }
    if (is_new) scratch.starts[scratch.n_starts++] = a;
  }
}

// With more outputs than inputs, no step accounts for a part of y - y_a. An anchor whose tangent
// plane is far from the target is on another piece of the image, however short its step. That part
// counts as the step that would change y by as much, in the mean over directions.
void Search::add_outside(const double* y, Scratch& scratch) const {
  double* const distances = scratch.distances;
  for (std::int64_t j = 0; j < q_; ++j) {
    const double* const image = columns_y_.data() + j * n_;
    for (std::int64_t a = 0; a < n_; ++a) {
      const double gap = (y[j] - image[a]) * metric_.weight(j);
      distances[a] += flatness_[a] * gap * gap;
    }
  }
  const double* gram = grams_.data();
  for (std::int64_t i = 0; i < p_; ++i) {
    const double* const step_i = scratch.step + i * n_;
    for (std::int64_t k = 0; k <= i; ++k, gram += n_) {
      const double* const step_k = scratch.step + k * n_;
      for (std::int64_t a = 0; a < n_; ++a) distances[a] -= gram[a] * step_i[a] * step_k[a];
    }
  }
}

}  // namespace fastinv
