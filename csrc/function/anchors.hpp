// Points with their images, indexed once and shared by all users.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/parallel.hpp"
#include "function/metric.hpp"
#include "kdtree/kdtree.hpp"

namespace fastinv {

// Immutable; any number of threads may use it.
class Anchors {
 public:
  // x (n, n_inputs) and y (n, n_outputs), finite, n at least 1.
  Anchors(std::vector<double> x, std::vector<double> y, std::int64_t n_inputs, Metric metric,
          const Kernels<double>& kernels)
      : x_(std::move(x)),
        y_(std::move(y)),
        n_(static_cast<std::int64_t>(x_.size()) / n_inputs),
        n_inputs_(n_inputs),
        metric_(std::move(metric)),
        kernels_(kernels) {}

  std::int64_t size() const { return n_; }
  std::int64_t n_inputs() const { return n_inputs_; }
  std::int64_t n_outputs() const { return metric_.n_outputs(); }
  const double* x(std::int64_t anchor) const { return x_.data() + anchor * n_inputs_; }
  const double* y(std::int64_t anchor) const { return y_.data() + anchor * n_outputs(); }
  const Metric& metric() const { return metric_; }
  const Kernels<double>& kernels() const { return kernels_; }

  // The tree over y in units of the metric, built on the first call. Throws std::bad_alloc.
  const KDTree<double>& tree() const {
    make_once_([this] {
      std::vector<double> scaled(y_.size());
      for (std::int64_t a = 0; a < n_; ++a) metric_.scaled(y(a), scaled.data() + a * n_outputs());
      tree_ = std::make_unique<KDTree<double>>(scaled.data(), n_, n_outputs(), kLeafSize, kernels_);
    });
    return *tree_;
  }

 private:
  static constexpr std::int64_t kLeafSize = 16;

  std::vector<double> x_, y_;
  std::int64_t n_, n_inputs_;
  Metric metric_;
  const Kernels<double>& kernels_;
  mutable Once make_once_;
  mutable std::unique_ptr<const KDTree<double>> tree_;
};

}  // namespace fastinv
