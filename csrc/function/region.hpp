// The allowed x and the distance between two of them: bounds, units and periods of coordinates.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace fastinv {

// The bounds that steps respect. Coordinates that may have every value modulo their period have
// none. `scale` is the size of a change that matters in each coordinate.
struct Box {
  const double* lower;
  const double* upper;
  const double* scale;
  double reach = 1;  // differences reach this times as far as they commonly do
};

class Region {
 public:
  // p numbers each; `scale` is positive, `periods` is infinite for a coordinate without a period.
  Region(std::vector<double> lower, std::vector<double> upper, std::vector<double> scale,
         std::vector<double> periods)
      : lower_(std::move(lower)),
        upper_(std::move(upper)),
        scale_(std::move(scale)),
        periods_(std::move(periods)),
        step_lower_(lower_),
        step_upper_(upper_) {
    for (std::size_t i = 0; i < lower_.size(); ++i) {
      if (!is_cyclic(i)) continue;
      step_lower_[i] = -std::numeric_limits<double>::infinity();
      step_upper_[i] = std::numeric_limits<double>::infinity();
    }
  }

  std::int64_t n_inputs() const { return static_cast<std::int64_t>(lower_.size()); }
  const std::vector<double>& lower() const { return lower_; }
  const std::vector<double>& upper() const { return upper_; }
  const std::vector<double>& scale() const { return scale_; }
  Box box() const { return {step_lower_.data(), step_upper_.data(), scale_.data()}; }

  // Coordinate i, moved onto its bound if it is beyond it.
  double clipped(double x, std::int64_t i) const {
    return std::min(std::max(x, lower_[i]), upper_[i]);
  }
  // The same with the bounds that steps respect.
  double clipped_step(double x, std::int64_t i) const {
    return std::min(std::max(x, step_lower_[i]), step_upper_[i]);
  }

  // Cyclic coordinates into the period around the middle of their bounds, and exactly inside those:
  // rounding may have left them outside.
  void wrap(double* x) const {
    for (std::size_t i = 0; i < lower_.size(); ++i) {
      if (!is_cyclic(i)) continue;
      const double middle = middle_of_period(i);
      const double wrapped = middle + nearest(x[i] - middle, i);
      x[i] = std::min(std::max(wrapped, lower_[i]), upper_[i]);
    }
  }

  bool contains(const double* x) const {
    for (std::size_t i = 0; i < lower_.size(); ++i) {
      if (!(lower_[i] <= x[i] && x[i] <= upper_[i])) return false;
    }
    return true;
  }

  // Whether a coordinate lies on its bound.
  bool touches(const double* x) const {
    for (std::size_t i = 0; i < lower_.size(); ++i) {
      if (!is_cyclic(i) && (x[i] <= lower_[i] || x[i] >= upper_[i])) return true;
    }
    return false;
  }

  // Whether a comes before b, by coordinates. Differences below `separation` units do not count:
  // rounding must not decide.
  bool comes_first(const double* a, const double* b, double separation) const {
    for (std::size_t i = 0; i < lower_.size(); ++i) {
      const double unit = separation * scale_[i];
      const double at = unit > 0 ? std::round(a[i] / unit) : a[i];
      const double bt = unit > 0 ? std::round(b[i] / unit) : b[i];
      if (at != bt) return at < bt;
    }
    return false;
  }

  // The distance in units of `scale`, modulo the periods.
  double distance(const double* a, const double* b) const {
    double sum = 0;
    for (std::size_t i = 0; i < lower_.size(); ++i) {
      const double d = nearest(a[i] - b[i], i) / scale_[i];
      sum += d * d;
    }
    return std::sqrt(sum);
  }

 private:
  // Whether a coordinate may have every value modulo its period.
  bool is_cyclic(std::size_t i) const {
    return periods_[i] < std::numeric_limits<double>::infinity() &&
           upper_[i] - lower_[i] >= (1 - 1e-12) * periods_[i];
  }
  // Where one bound is infinite, the period is the one beside the other; where both are, around 0.
  double middle_of_period(std::size_t i) const {
    const bool below = std::isfinite(lower_[i]), above = std::isfinite(upper_[i]);
    if (below && above) return 0.5 * (lower_[i] + upper_[i]);
    if (below) return lower_[i] + 0.5 * periods_[i];
    return above ? upper_[i] - 0.5 * periods_[i] : 0.0;
  }
  // The difference of least size among those that are the same modulo the period.
  double nearest(double difference, std::size_t i) const {
    if (periods_[i] == std::numeric_limits<double>::infinity()) return difference;
    return difference - periods_[i] * std::round(difference / periods_[i]);
  }

  std::vector<double> lower_, upper_, scale_, periods_, step_lower_, step_upper_;
};

}  // namespace fastinv
