// Points with their images, indexed once and shared by all users.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "kdtree/kdtree.hpp"

namespace fastinv {

// Immutable; any number of threads may use it.
class Anchors {
 public:
  // x (n, n_inputs) and y (n, n_outputs), finite, n at least 1.
  Anchors(std::vector<double> x, std::vector<double> y, std::int64_t n_inputs,
          const Kernels<double>& kernels)
      : x_(std::move(x)),
        y_(std::move(y)),
        n_(static_cast<std::int64_t>(x_.size()) / n_inputs),
        n_inputs_(n_inputs),
        n_outputs_(static_cast<std::int64_t>(y_.size()) / n_),
        kernels_(kernels) {}

  std::int64_t size() const { return n_; }
  std::int64_t n_inputs() const { return n_inputs_; }
  std::int64_t n_outputs() const { return n_outputs_; }
  const double* x(std::int64_t anchor) const { return x_.data() + anchor * n_inputs_; }
  const double* y(std::int64_t anchor) const { return y_.data() + anchor * n_outputs_; }
  const Kernels<double>& kernels() const { return kernels_; }

  // The tree over y, built on the first call. Throws std::bad_alloc.
  const KDTree<double>& tree() const {
    std::call_once(made_, [this] {
      tree_ = std::make_unique<KDTree<double>>(y_.data(), n_, n_outputs_, kLeafSize, kernels_);
    });
    return *tree_;
  }

 private:
  static constexpr std::int64_t kLeafSize = 16;

  std::vector<double> x_, y_;
  std::int64_t n_, n_inputs_, n_outputs_;
  const Kernels<double>& kernels_;
  mutable std::once_flag made_;
  mutable std::unique_ptr<const KDTree<double>> tree_;
};

}  // namespace fastinv
