// Damped Gauss-Newton within bounds (Levenberg 1944; Marquardt 1963; bounds by projection onto the
// active set, Bertsekas 1982, "Projected Newton Methods for Optimization Problems with Simple
// Constraints"): from starts x towards f(x) = y. With more unknowns than equations the step is the
// shortest one, in units of Box::scale. Near a multiple root steps shrink by a constant ratio
// only, and their sum is extrapolated (Aitken 1926; Schroeder 1870).
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
  double residual;  // the distance of f(x) from y
  std::int64_t n_evaluations;
  PolishEnd end;
  bool exact;  // the residual is rounding of f or of x; false if that is not known
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
      : f_(*problem.function),
        box_(problem.region.box()),
        metric_(problem.metric),
        resolution_(problem.resolution.data()),
        options_(options) {}

  // Memory of one thread, in addition to that of the function.
  struct Scratch {
    double *jac, *residual, *gradient, *step, *x, *fx, *matrix, *system, *first_x;
    double *last_step, *rounding, *generous, *unit, *start_x, *start_fx;
    Scratch() = default;
    Scratch(Taker& take, std::int64_t p, std::int64_t q);
  };
  void run(const PolishBatch& batch, const Scratch& scratch,
           const FunctionScratch& function_scratch) const;

 private:
  struct Run;
  PolishResult polish_one(const double* y, double* x, double* fx, Run& run) const;
  void find_residual(const double* y, const double* fx, Run& run) const;
  bool prepare(const double* y, const double* x, const double* fx, double& squared, Run& run) const;
  double balance_outputs(const double* y, const double* fx, Run& run) const;
  void hold(std::int64_t coordinate, Run& run) const;
  bool hold_outward(const double* x, Run& run) const;
  double squared_after_step(const Run& run) const;
  bool factorize(Run& run) const;
  void find_step(Run& run) const;
  double advance(const double* y, const double* x, Run& run) const;
  double take_step(const double* y, const double* x, double squared, Run& run) const;
  bool solved(const double* y, const double* fx, const Run& run) const;
  bool exact(const double* fx, const Run& run) const;
  Box box_near(const Run& run) const;
  double in_larger_unit(const double* y, const double* fx, Run& run) const;
  bool steps_shrink_steadily(Run& run) const;

  const Function& f_;
  Box box_;
  const Metric& metric_;
  const double* resolution_;
  PipelineOptions options_;
};

}  // namespace fastinv
