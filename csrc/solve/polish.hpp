// Damped Gauss-Newton within bounds (Levenberg 1944; Marquardt 1963; bounds by projection onto the
// active set, Bertsekas 1982, "Projected Newton Methods for Optimization Problems with Simple
// Constraints"): from starts x towards f(x) = y. With more unknowns than equations the step is the
// shortest one, in units of Box::scale.
#pragma once

#include <cstdint>

#include "function/problem.hpp"
#include "solve/options.hpp"

namespace fastinv {

enum class PolishEnd : int {
  solved,      // the residual is at the level of rounding
  stationary,  // no direction inside the bounds reduces it further
  evaluations  // the limit on evaluations was reached
};

struct PolishResult {
  double residual;  // ||f(x) - y||
  std::int64_t n_evaluations;
  PolishEnd end;
  // In units of Box::scale: the length of the first step taken, and the distance from its end to x.
  double first_step, later_steps;
};

// Starts within the bounds, with their images. Each moves so that its image comes closer to its
// target, never away from it. If the image is not finite, the start stays where it is.
struct PolishBatch {
  std::int64_t n;
  const double* targets;  // each (q); start i has target i / starts_per_target
  std::int64_t starts_per_target;
  double* x;              // (n, p)
  double* fx;             // (n, q)
  PolishResult* results;  // (n)
};

// Immutable; any number of threads may use it, each with scratch of its own.
class Polish {
 public:
  // `problem`, whose function is not null, must outlive this object.
  Polish(const Problem& problem, const PipelineOptions& options)
      : f_(*problem.function), box_(problem.region.box()), options_(options) {}

  // Memory of one thread, in addition to that of the function.
  struct Scratch {
    double *jac, *residual, *gradient, *step, *x, *fx, *matrix, *system, *first_x;
    Scratch() = default;
    Scratch(Taker& take, std::int64_t p, std::int64_t q);
  };
  void run(const PolishBatch& batch, const Scratch& scratch,
           const FunctionScratch& function_scratch) const;

 private:
  struct Run;
  PolishResult polish_one(const double* y, double* x, double* fx, Run& run) const;
  void find_residual(const double* y, const double* fx, Run& run) const;
  bool prepare(const double* x, double squared, Run& run) const;
  void hold(std::int64_t coordinate, Run& run) const;
  bool hold_outward(const double* x, Run& run) const;
  double squared_after_step(const Run& run) const;
  bool factorize(Run& run) const;
  void find_step(Run& run) const;
  double advance(const double* y, const double* x, Run& run) const;
  double take_step(const double* y, const double* x, double squared, Run& run) const;

  const Function& f_;
  Box box_;
  PipelineOptions options_;
};

}  // namespace fastinv
