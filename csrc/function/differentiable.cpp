#include "function/differentiable.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace fastinv {

std::int64_t Differentiable::n_floats(std::int64_t n_rows) const {
  if (!learned_) return 0;
  const std::int64_t rows = std::max(n_rows, p_ + 1);
  // Inputs and outputs of the rows, or an input and its Jacobian; then what the network needs.
  return rows * (p_ + q_) + p_ * q_ + 2 * learned_->network.workspace_size(rows) +
         (p_ + 1) * p_;
}

void Differentiable::values(const double* x, double* fx, std::int64_t n_rows,
                            DerivativeScratch scratch) const {
  if (compiled_) return compiled_(x, fx, n_rows);
  const ForwardModel& f = *learned_;
  float* const inputs = scratch.floats;
  float* const outputs = inputs + n_rows * p_;
  f.scale_inputs(x, inputs, n_rows);
  f.network.forward_rows(inputs, outputs, n_rows, outputs + n_rows * q_);
  for (std::int64_t i = 0; i < n_rows * q_; ++i) {
    const std::int64_t c = i % q_;
    fx[i] = f.y_mean[c] + f.y_scale[c] * outputs[i];
  }
}

void Differentiable::jacobian(const double* x, const Box& box, double* jac,
                              DerivativeScratch scratch) const {
  if (jacobian_) return jacobian_(x, jac, 1);
  if (compiled_) return differences(x, box, jac, scratch.doubles);
  network_derivative(x, jac, scratch.floats);
}

void Differentiable::differences(const double* x, const Box& box, double* jac,
                                 double* scratch) const {
  // Truncation goes with h^2 in units of the scale, rounding with |x| / h: the cube root of the
  // rounding unit of x balances them, however far from zero the box lies.
  const double relative = std::cbrt(std::numeric_limits<double>::epsilon());
  double* const points = scratch;                // (2, p, p)
  double* const images = scratch + 2 * p_ * p_;  // (2, p, q)
  for (std::int64_t i = 0; i < p_; ++i) {
    const double size = std::abs(x[i]) / box.scale[i];
    const double h = relative * box.scale[i] * (size > 1 ? std::cbrt(size) : 1.0);
    double* const low = points + i * p_;
    double* const high = points + (p_ + i) * p_;
    std::copy(x, x + p_, low);
    std::copy(x, x + p_, high);
    low[i] = std::max(x[i] - h, std::min(box.lower[i], x[i]));
    high[i] = std::min(x[i] + h, std::max(box.upper[i], x[i]));
  }
  compiled_(points, images, 2 * p_);
  for (std::int64_t i = 0; i < p_; ++i) {
    const double width = points[(p_ + i) * p_ + i] - points[i * p_ + i];
    for (std::int64_t j = 0; j < q_; ++j) {
      const double difference = images[(p_ + i) * q_ + j] - images[i * q_ + j];
      jac[j * p_ + i] = width > 0 ? difference / width : 0.0;
    }
  }
}

void Differentiable::network_derivative(const double* x, double* jac, float* scratch) const {
  const ForwardModel& f = *learned_;
  float* const inputs = scratch;
  float* const derivative = scratch + p_;
  f.scale_inputs(x, inputs, 1);
  f.network.jacobian(inputs, derivative, derivative + p_ * q_);
  for (std::int64_t j = 0; j < q_; ++j) {
    for (std::int64_t i = 0; i < p_; ++i) {
      jac[j * p_ + i] = f.y_scale[j] / f.x_scale[i] * derivative[j * p_ + i];
    }
  }
}

}  // namespace fastinv
