// Where a search starts: what the derivatives at the anchors say of a target.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/cholesky.hpp"
#include "solve/search/search.hpp"
#include "solve/search/search_scratch.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Of the largest entry: singular values below a hundredth of the largest count less and less.
constexpr double kDamping = 1e-4;
constexpr double kSameStart = 0.5;       // in anchor spacings: starts that lead to the same place
constexpr std::int64_t kPerStart = 6;    // anchors looked at for each start

}  // namespace

void Search::prepare() const {
  std::call_once(prepared_, [this] {
    columns_y_.resize(static_cast<std::size_t>(n_ * q_));
    inverses_.resize(static_cast<std::size_t>(n_ * p_ * q_));
    if (q_ > p_) {
      grams_.resize(static_cast<std::size_t>(n_ * p_ * (p_ + 1) / 2));
      flatness_.resize(static_cast<std::size_t>(n_));
    }
    for (std::int64_t a = 0; a < n_; ++a) {
      for (std::int64_t j = 0; j < q_; ++j) columns_y_[j * n_ + a] = anchors_y_[a * q_ + j];
    }
    Scratch scratch(*this, 1, 1, 0.0);
    for (std::int64_t a = 0; a < n_; ++a) linearize(a, scratch);
    spacing_ = spacing_of_anchors();
  });
}

// The median of some anchors' distances to their nearest neighbours.
double Search::spacing_of_anchors() const {
  constexpr std::int64_t kSample = 101;
  std::vector<double> nearest;
  const std::int64_t n_sample = std::min(kSample, n_);
  for (std::int64_t s = 0; s < n_sample; ++s) {
    const std::int64_t a = s * n_ / n_sample;
    double best = kInfinity;
    for (std::int64_t b = 0; b < n_; ++b) {
      const double d = region_.distance(&anchors_x_[a * p()], &anchors_x_[b * p()]);
      if (b != a && d > 0) best = std::min(best, d);
    }
    if (best < kInfinity) nearest.push_back(best);
  }
  if (nearest.empty()) return 0;
  const auto middle = nearest.begin() + static_cast<std::ptrdiff_t>(nearest.size() / 2);
  std::nth_element(nearest.begin(), middle, nearest.end());
  return *middle;
}

// P_a = (J^T J + d)^-1 J^T, or J^T (J J^T + d)^-1 where that is smaller; NaN where f has no finite
// derivative, or none but zero.
void Search::linearize(std::int64_t anchor, Scratch& scratch) const {
  const std::int64_t p = f_.p(), q = f_.q(), m = std::min(p, q);
  const Box box = region_.box();
  std::vector<double>& jac = scratch.jac;
  f_.jacobian(&anchors_x_[anchor * p], box, jac.data(), scratch.derivative());
  for (std::int64_t j = 0; j < q; ++j) {
    for (std::int64_t i = 0; i < p; ++i) jac[j * p + i] *= region_.scale()[i];
  }
  std::fill(scratch.matrix.begin(), scratch.matrix.end(), 0.0);
  double trace = 0;
  for (std::int64_t a = 0; a < m; ++a) {
    for (std::int64_t b = 0; b <= a; ++b) {
      double sum = 0;
      if (p <= q) {
        for (std::int64_t j = 0; j < q; ++j) sum += jac[j * p + a] * jac[j * p + b];
      } else {
        for (std::int64_t i = 0; i < p; ++i) sum += jac[a * p + i] * jac[b * p + i];
      }
      scratch.matrix[a * m + b] = sum;
      if (a == b) trace += sum;
    }
  }
  if (q > p) {
    flatness_[anchor] = static_cast<double>(p) / trace;  // the trace is ||J||^2
    double* gram = grams_.data() + anchor;
    for (std::int64_t a = 0; a < p; ++a) {
      for (std::int64_t b = 0; b <= a; ++b, gram += n_) {
        *gram = (a == b ? 1.0 : 2.0) * scratch.matrix[a * p + b] * flatness_[anchor];
      }
    }
  }
  for (std::int64_t a = 0; a < m; ++a) scratch.matrix[a * m + a] += kDamping * trace;
  const bool usable = std::isfinite(trace) && cholesky(scratch.matrix.data(), m);
  std::vector<double> column(static_cast<std::size_t>(m));
  for (std::int64_t c = 0; c < (p <= q ? q : p); ++c) {
    // Column c of J^T, or row c of it.
    for (std::int64_t a = 0; a < m; ++a) column[a] = p <= q ? jac[c * p + a] : jac[a * p + c];
    if (usable) cholesky_solve(scratch.matrix.data(), m, column.data());
    for (std::int64_t a = 0; a < m; ++a) {
      const std::int64_t i = p <= q ? a : c, j = p <= q ? c : a;
      // An anchor whose derivative is zero or not finite says nothing: its distance becomes NaN.
      inverses_[(i * q + j) * n_ + anchor] = usable ? column[a] : kNaN;
    }
  }
}

// scratch.starts: anchors by how near the target is in x, one for each place that they point to.
void Search::choose_starts(const double* y, std::int64_t n_starts, Scratch& scratch) const {
  const std::int64_t p = f_.p(), q = f_.q();
  std::fill(scratch.step.begin(), scratch.step.end(), 0.0);
  std::fill(scratch.distances.begin(), scratch.distances.end(), 0.0);
  for (std::int64_t i = 0; i < p; ++i) {
    double* const step = scratch.step.data() + i * n_;
    for (std::int64_t j = 0; j < q; ++j) {
      const double* const inverse = inverses_.data() + (i * q + j) * n_;
      const double* const image = columns_y_.data() + j * n_;
      const double target = y[j];
      for (std::int64_t a = 0; a < n_; ++a) step[a] += inverse[a] * (target - image[a]);
    }
    double* const distances = scratch.distances.data();
    for (std::int64_t a = 0; a < n_; ++a) distances[a] += step[a] * step[a];
  }
  if (q > p) add_outside(y, scratch);
  for (double& distance : scratch.distances) {
    if (std::isnan(distance)) distance = kInfinity;
  }
  std::vector<std::int64_t>& order = scratch.order;
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const std::int64_t looked_at = std::min(n_, kPerStart * n_starts);
  const auto nearer = [&](std::int64_t a, std::int64_t b) {
    const double d_a = scratch.distances[a], d_b = scratch.distances[b];
    return d_a != d_b ? d_a < d_b : a < b;
  };
  std::nth_element(order.begin(), order.begin() + looked_at - 1, order.end(), nearer);
  std::sort(order.begin(), order.begin() + looked_at, nearer);
  scratch.starts.clear();
  const double same = kSameStart * spacing_;
  for (std::int64_t c = 0; c < looked_at; ++c) {
    const std::int64_t a = order[c];
    const auto n_chosen = static_cast<std::int64_t>(scratch.starts.size());
    if (n_chosen == n_starts) return;
    double* const point = scratch.chosen.data() + n_chosen * p;
    for (std::int64_t i = 0; i < p; ++i) {
      point[i] = anchors_x_[a * p + i] + region_.scale()[i] * scratch.step[i * n_ + a];
    }
    bool fresh = true;
    for (std::int64_t s = 0; s < n_chosen && fresh; ++s) {
      fresh = region_.distance(point, scratch.chosen.data() + s * p) > same;
    }
    if (fresh) scratch.starts.push_back(a);
  }
}

// Where there are more outputs than inputs, the part of y - y_a that no step accounts for: an
// anchor whose tangent plane is far from the target is on another piece of the image, however short
// its step. It counts as the step that would change y by as much, in the mean over directions.
void Search::add_outside(const double* y, Scratch& scratch) const {
  double* const distances = scratch.distances.data();
  for (std::int64_t j = 0; j < q_; ++j) {
    const double* const image = columns_y_.data() + j * n_;
    for (std::int64_t a = 0; a < n_; ++a) {
      const double gap = y[j] - image[a];
      distances[a] += flatness_[a] * gap * gap;
    }
  }
  const double* gram = grams_.data();
  for (std::int64_t i = 0; i < p_; ++i) {
    const double* const step_i = scratch.step.data() + i * n_;
    for (std::int64_t k = 0; k <= i; ++k, gram += n_) {
      const double* const step_k = scratch.step.data() + k * n_;
      for (std::int64_t a = 0; a < n_; ++a) distances[a] -= gram[a] * step_i[a] * step_k[a];
    }
  }
}

}  // namespace fastinv
