// The twin network with its scalings: eq. (5) and (6) of Wetzel (2026), "Inverting Non-Injective
// Functions with Twin Neural Network Regression".
#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "function/function.hpp"
#include "mlp/mlp.hpp"

namespace fastinv {

// The network maps features [(y - y_a) / dy_scale, (y_a - y_mean) / y_scale, (x_a - x_mean) /
// x_scale] to (x - x_a) / dx_scale. An output outside [-reach, reach] is an extrapolation.
struct TwinModel {
  Network<float> network;
  std::vector<double> dy_scale, y_mean, y_scale, x_mean, x_scale, dx_scale;
  double reach;

  std::int64_t n_inputs() const { return static_cast<std::int64_t>(x_mean.size()); }
  std::int64_t n_outputs() const { return static_cast<std::int64_t>(y_mean.size()); }
  std::int64_t n_features() const { return 2 * n_outputs() + n_inputs(); }
  std::int64_t n_own_features() const { return n_outputs() + n_inputs(); }

  // The first n_outputs features: the difference between the target and the anchor.
  void difference(const double* y, const double* y_a, float* feature) const {
    const std::int64_t q = n_outputs();
    for (std::int64_t j = 0; j < q; ++j) feature[j] = feature_of((y[j] - y_a[j]) / dy_scale[j]);
  }
  // The other n_own_features: they depend on the anchor alone.
  void own_features(const double* x_a, const double* y_a, float* feature) const {
    const std::int64_t p = n_inputs(), q = n_outputs();
    for (std::int64_t j = 0; j < q; ++j) feature[j] = feature_of((y_a[j] - y_mean[j]) / y_scale[j]);
    for (std::int64_t i = 0; i < p; ++i) {
      feature[q + i] = feature_of((x_a[i] - x_mean[i]) / x_scale[i]);
    }
  }
};

}  // namespace fastinv
