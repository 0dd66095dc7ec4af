#include "function/function.hpp"

#include <cmath>
#include <limits>

namespace fastinv {

namespace {

// The truncation error of a difference grows with the square of its reach, the rounding error with
// the inverse. The cube root of the rounding unit balances them.
const double kReach = std::cbrt(std::numeric_limits<double>::epsilon());

}  // namespace

double Function::reach_along(const double*) const { return kReach; }

FunctionScratch CompiledFunction::lay_out(Taker& take, std::int64_t) const {
  FunctionScratch scratch{};
  if (jacobian_) return scratch;
  take(scratch.points, 2 * p_ * p_);
  take(scratch.images, 2 * p_ * q_);
  return scratch;
}

void CompiledFunction::jacobian(const double* x, const Box& box, double* jac,
                                const FunctionScratch& scratch) const {
  if (jacobian_) return jacobian_(x, jac, 1);
  differences(x, box, jac, scratch);
}

// Central differences. They become one-sided at a bound, because f may not be defined beyond it.
void CompiledFunction::differences(const double* x, const Box& box, double* jac,
                                   const FunctionScratch& scratch) const {
  for (std::int64_t i = 0; i < p_; ++i) {
    const double h = reach(x[i], box, i);
    double* const low = scratch.points + i * p_;
    double* const high = scratch.points + (p_ + i) * p_;
    std::copy(x, x + p_, low);
    std::copy(x, x + p_, high);
    low[i] = std::max(x[i] - h, std::min(box.lower[i], x[i]));
    high[i] = std::min(x[i] + h, std::max(box.upper[i], x[i]));
  }
  values_in_pieces(scratch.points, scratch.images, 2 * p_);
  for (std::int64_t i = 0; i < p_; ++i) {
    const double width = scratch.points[(p_ + i) * p_ + i] - scratch.points[i * p_ + i];
    for (std::int64_t j = 0; j < q_; ++j) {
      const double difference = scratch.images[(p_ + i) * q_ + j] - scratch.images[i * q_ + j];
      jac[j * p_ + i] = width > 0 ? difference / width : 0.0;
    }
  }
}

// How far the differences of input i reach at x, in units of x.
double CompiledFunction::reach(double x, const Box& box, std::int64_t i) const {
  if (!diff_step_.empty()) return diff_step_[i] * box.scale[i];
  // Rounding grows with |x| where the box is far from zero.
  const double size = std::abs(x) / box.scale[i];
  const double common = kReach * box.scale[i] * (size > 1 ? std::cbrt(size) : 1.0);
  // No narrower than some last digits of x.
  const double digits = 16 * std::numeric_limits<double>::epsilon() * std::abs(x);
  return std::max(box.reach * common, digits);
}

double CompiledFunction::reach_along(const double* v) const {
  if (diff_step_.empty()) return kReach;
  double sum = 0;
  for (std::int64_t i = 0; i < p_; ++i) sum += v[i] * v[i] * diff_step_[i] * diff_step_[i];
  return std::sqrt(sum);
}

FunctionScratch LearnedFunction::lay_out(Taker& take, std::int64_t n_rows) const {
  FunctionScratch scratch{};
  take(scratch.inputs, n_rows * p_);
  take(scratch.outputs, n_rows * q_);
  take(scratch.derivative, q_ * p_);
  scratch.network = JacobianScratch<float>(take, n_rows, network_.shape());
  return scratch;
}

void LearnedFunction::scale_inputs(const double* x, float* inputs, std::int64_t n_rows) const {
  for (std::int64_t i = 0; i < n_rows * p_; ++i) {
    const std::int64_t c = i % p_;
    inputs[i] = feature_of((x[i] - scaling_.x_mean[c]) / scaling_.x_scale[c]);
  }
}

void LearnedFunction::values(const double* x, double* fx, std::int64_t n_rows,
                             const FunctionScratch& scratch) const {
  watch_point();
  scale_inputs(x, scratch.inputs, n_rows);
  network_.forward_rows(scratch.inputs, scratch.outputs, n_rows, scratch.network.layers);
  for (std::int64_t i = 0; i < n_rows * q_; ++i) {
    const std::int64_t c = i % q_;
    fx[i] = scaling_.y_mean[c] + scaling_.y_scale[c] * scratch.outputs[i];
  }
}

void LearnedFunction::jacobian(const double* x, const Box&, double* jac,
                               const FunctionScratch& scratch) const {
  scale_inputs(x, scratch.inputs, 1);
  network_.jacobian(scratch.inputs, scratch.derivative, scratch.network);
  for (std::int64_t j = 0; j < q_; ++j) {
    for (std::int64_t i = 0; i < p_; ++i) {
      jac[j * p_ + i] = scaling_.y_scale[j] / scaling_.x_scale[i] * scratch.derivative[j * p_ + i];
    }
  }
}

}  // namespace fastinv
