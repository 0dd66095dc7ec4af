// A function f: R^p -> R^q with its derivatives, for every stage that evaluates or polishes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "base/watch.hpp"
#include "base/workspace.hpp"
#include "function/region.hpp"
#include "mlp/mlp.hpp"

namespace fastinv {

// Memory that one thread lends to a function. It holds nothing between calls.
struct FunctionScratch {
  double* points;     // points of the differences (2, p, p)
  double* images;     // (2, p, q)
  float* inputs;      // of a network, for some rows
  float* outputs;     // likewise
  float* derivative;  // of a network (q, p)
  JacobianScratch<float> network;
};

// Immutable; any number of threads may use it.
class Function {
 public:
  virtual ~Function() = default;
  Function(const Function&) = delete;
  Function& operator=(const Function&) = delete;

  std::int64_t n_inputs() const { return p_; }
  std::int64_t n_outputs() const { return q_; }
  // The cost of a Jacobian, in evaluations of f.
  virtual std::int64_t evaluations_per_jacobian() const = 0;
  // The rounding unit of what it computes with.
  virtual double rounding() const { return std::numeric_limits<double>::epsilon(); }
  // Memory for `values` of up to n_rows rows at a time, and for `jacobian`.
  virtual FunctionScratch lay_out(Taker& take, std::int64_t n_rows) const = 0;
  // Images fx (n_rows, q) of x (n_rows, p).
  virtual void values(const double* x, double* fx, std::int64_t n_rows,
                      const FunctionScratch& scratch) const = 0;
  // dy_i/dx_j (q, p) at one x.
  virtual void jacobian(const double* x, const Box& box, double* jac,
                        const FunctionScratch& scratch) const = 0;
  // How far differences of f along a unit vector v (p) should reach, both in units of the box.
  virtual double reach_along(const double* v) const;

 protected:
  Function(std::int64_t p, std::int64_t q) : p_(p), q_(q) {}
  const std::int64_t p_, q_;
};

// Machine code for several rows: x (n, p) to f(x) (n, q), or to dy_i/dx_j (n, q, p).
using RowCode = void (*)(const double* x, double* out, std::int64_t n_rows);

class CompiledFunction final : public Function {
 public:
  // `jacobian` may be null: differences then replace it. `diff_step` (p) says how far those reach,
  // in units of the box; empty, they balance truncation against rounding. `owner` keeps the code in
  // memory.
  CompiledFunction(std::int64_t p, std::int64_t q, RowCode values, RowCode jacobian,
                   std::vector<double> diff_step, std::shared_ptr<const void> owner)
      : Function(p, q),
        values_(values),
        jacobian_(jacobian),
        diff_step_(std::move(diff_step)),
        owner_(std::move(owner)) {}

  std::int64_t evaluations_per_jacobian() const override { return jacobian_ ? 1 : 2 * p_; }
  FunctionScratch lay_out(Taker& take, std::int64_t n_rows) const override;
  void values(const double* x, double* fx, std::int64_t n_rows,
              const FunctionScratch&) const override {
    values_in_pieces(x, fx, n_rows);
  }
  void jacobian(const double* x, const Box& box, double* jac,
                const FunctionScratch& scratch) const override;
  double reach_along(const double* v) const override;

 private:
  // Passes a watch point for each evaluation of f, which may take long. A given Jacobian needs none
  // of its own: evaluations come between two of them.
  void values_in_pieces(const double* x, double* fx, std::int64_t n_rows) const {
    while (n_rows > 0) {
      const std::int64_t piece = watch_points(n_rows);
      values_(x, fx, piece);
      x += piece * p_;
      fx += piece * q_;
      n_rows -= piece;
    }
  }
  void differences(const double* x, const Box& box, double* jac,
                   const FunctionScratch& scratch) const;
  double reach(double x, const Box& box, std::int64_t i) const;

  RowCode values_, jacobian_;
  std::vector<double> diff_step_;
  std::shared_ptr<const void> owner_;
};

// Scaled features are of order one. Values far beyond that would overflow float32 inside a network.
inline float feature_of(double scaled) {
  constexpr double limit = 1e6;
  return static_cast<float>(std::min(std::max(scaled, -limit), limit));
}

struct NetworkScaling {
  std::vector<double> x_mean, x_scale, y_mean, y_scale;
};

// A learned f: y_mean + y_scale * net((x - x_mean) / x_scale).
class LearnedFunction final : public Function {
 public:
  LearnedFunction(Network<float> network, NetworkScaling scaling)
      : Function(network.shape().n_inputs(), network.shape().n_outputs()),
        network_(std::move(network)),
        scaling_(std::move(scaling)) {}

  std::int64_t evaluations_per_jacobian() const override { return 1; }
  double rounding() const override { return std::numeric_limits<float>::epsilon(); }
  FunctionScratch lay_out(Taker& take, std::int64_t n_rows) const override;
  void values(const double* x, double* fx, std::int64_t n_rows,
              const FunctionScratch& scratch) const override;
  void jacobian(const double* x, const Box& box, double* jac,
                const FunctionScratch& scratch) const override;

 private:
  void scale_inputs(const double* x, float* inputs, std::int64_t n_rows) const;

  Network<float> network_;
  NetworkScaling scaling_;
};

}  // namespace fastinv
