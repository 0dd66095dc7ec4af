// How far apart two images are: differences are measured in a unit of each output.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace fastinv {

class Metric {
 public:
  // The units of the outputs: positive and finite, and so are their inverses.
  explicit Metric(std::vector<double> scale) : scale_(std::move(scale)), weight_(scale_) {
    for (double& weight : weight_) weight = 1 / weight;
  }

  std::int64_t n_outputs() const { return static_cast<std::int64_t>(scale_.size()); }
  // The inverse of the unit of output j.
  double weight(std::int64_t j) const { return weight_[j]; }
  // The error of output j, in its unit. Differences come first: they are exact for numbers that are
  // close to each other.
  double error(const double* a, const double* b, std::int64_t j) const {
    return (a[j] - b[j]) * weight_[j];
  }

  double squared(const double* a, const double* b) const {
    double sum = 0;
    for (std::int64_t j = 0; j < n_outputs(); ++j) sum += error(a, b, j) * error(a, b, j);
    return sum;
  }

  // The Euclidean norm of the errors. If squares overflow or vanish, errors are first divided by
  // the largest one.
  double distance(const double* a, const double* b) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    constexpr double kTiny = 1e-280;
    const double plain = squared(a, b);
    if (kTiny < plain && plain < kInfinity) return std::sqrt(plain);
    double largest = 0;
    for (std::int64_t j = 0; j < n_outputs(); ++j) {
      const double d = std::abs(error(a, b, j));
      if (!(d < kInfinity)) return d;
      largest = std::max(largest, d);
    }
    if (largest == 0) return 0;
    double sum = 0;
    for (std::int64_t j = 0; j < n_outputs(); ++j) {
      const double d = error(a, b, j) / largest;
      sum += d * d;
    }
    return largest * std::sqrt(sum);
  }

  // Writes y (q) in units of the outputs.
  void scaled(const double* y, double* out) const {
    for (std::int64_t j = 0; j < n_outputs(); ++j) out[j] = y[j] * weight_[j];
  }

 private:
  std::vector<double> scale_, weight_;
};

}  // namespace fastinv
