// A function R^p -> R^q with its derivatives, as the polish and the search for all solutions need
// it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "mlp/mlp.hpp"

namespace fastinv {

// A compiled f: n rows of x (n, p) to y (n, q); or its Jacobian: to dy_i/dx_j (n, q, p).
using CompiledForward = void (*)(const double* x, double* y, std::int64_t n_rows);

// Scaled features are of order one. Far beyond, they would overflow float32 inside a network.
inline float feature_of(double scaled) {
  constexpr double limit = 1e6;
  return static_cast<float>(std::min(std::max(scaled, -limit), limit));
}

// f learned: y_mean + y_scale * net((x - x_mean) / x_scale).
struct ForwardModel {
  Network<float> network;
  std::vector<double> x_mean, x_scale, y_mean, y_scale;

  // The network's inputs for n_rows of x.
  void scale_inputs(const double* x, float* inputs, std::int64_t n_rows) const {
    const auto p = static_cast<std::int64_t>(x_mean.size());
    for (std::int64_t i = 0; i < n_rows * p; ++i) {
      inputs[i] = feature_of((x[i] - x_mean[i % p]) / x_scale[i % p]);
    }
  }
};

// Where x may be: differences are not taken across `lower` and `upper`. `scale` is the size of a
// coordinate's changes that matter.
struct Box {
  const double* lower;
  const double* upper;
  const double* scale;
};

// Memory that one thread lends to the functions below; it holds nothing between calls.
struct DerivativeScratch {
  double* doubles;
  float* floats;
};

// Immutable.
class Differentiable {
 public:
  // Exactly one of `compiled` and `learned` is given; `learned` must outlive this object.
  Differentiable(std::int64_t p, std::int64_t q, CompiledForward compiled,
                 CompiledForward jacobian, const ForwardModel* learned)
      : p_(p), q_(q), compiled_(compiled), jacobian_(jacobian), learned_(learned) {}

  std::int64_t p() const { return p_; }
  std::int64_t q() const { return q_; }
  // Of f, where that is how the Jacobian is found; else 1, as it costs about as much.
  std::int64_t evaluations_per_jacobian() const { return compiled_ && !jacobian_ ? 2 * p_ : 1; }
  // What `values` of n rows and `jacobian` need.
  std::int64_t n_doubles() const { return 2 * p_ * (p_ + q_); }
  std::int64_t n_floats(std::int64_t n_rows) const;
  // Images fx (n_rows, q) of x (n_rows, p).
  void values(const double* x, double* fx, std::int64_t n_rows, DerivativeScratch scratch) const;
  // jac (q, p) at one x: the user's, the network's own, or central differences, which become
  // one-sided at a bound.
  void jacobian(const double* x, const Box& box, double* jac, DerivativeScratch scratch) const;

 private:
  void differences(const double* x, const Box& box, double* jac, double* scratch) const;
  void network_derivative(const double* x, double* jac, float* scratch) const;

  std::int64_t p_, q_;
  CompiledForward compiled_, jacobian_;
  const ForwardModel* learned_;
};

}  // namespace fastinv
