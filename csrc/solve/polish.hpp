// Damped Gauss-Newton within bounds (Levenberg 1944; Marquardt 1963; bounds by projection onto the
// active set, Bertsekas 1982, "Projected Newton Methods for Optimization Problems with Simple
// Constraints"): from a start x towards f(x) = y. With more unknowns than equations the step is the
// shortest one, in units of Box::scale.
#pragma once

#include <cstdint>

#include "function/differentiable.hpp"

namespace fastinv {

enum class PolishEnd : int {
  solved,      // the residual is at the level of rounding
  stationary,  // no direction inside the bounds reduces it further
  evaluations  // the cap was reached
};

struct PolishOptions {
  std::int64_t max_evaluations;  // of f, derivatives included
};

struct PolishResult {
  double residual;  // ||f(x) - y||
  std::int64_t n_evaluations;
  PolishEnd end;
  // In units of Box::scale: the length of the first step that was taken, and the distance from its
  // end to x.
  double first_step, later_steps;
};

// Immutable; any number of threads may use it, each with scratch of its own.
class Polish {
 public:
  Polish(const Differentiable& f, Box box, PolishOptions options)
      : f_(f), box_(box), options_(options) {}

  // Doubles of scratch, beside those of f.
  std::int64_t n_doubles() const;
  // Moves x (p), which lies within the bounds, so that fx (q), given as f(x), comes closer to
  // y (q); never away from it. x and fx stay as they are where f(x) is not finite.
  PolishResult run(const double* y, double* x, double* fx, double* scratch,
                   DerivativeScratch derivative_scratch) const;

 private:
  struct Work;
  void find_residual(const double* y, const double* fx, Work& work) const;
  bool prepare(const double* x, double squared, Work& work) const;
  void hold(std::int64_t coordinate, Work& work) const;
  bool hold_outward(const double* x, Work& work) const;
  double squared_after_step(const Work& work) const;
  bool factorize(Work& work) const;
  void find_step(Work& work) const;
  double advance(const double* y, const double* x, Work& work,
                 DerivativeScratch derivative_scratch) const;
  double take_step(const double* y, const double* x, double squared, Work& work,
                   DerivativeScratch derivative_scratch) const;

  const Differentiable& f_;
  Box box_;
  PolishOptions options_;
};

}  // namespace fastinv
