#include "solve/polish.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/linear_algebra.hpp"

namespace fastinv {

namespace {

constexpr double kRounding = 2;  // rounding units of f(x) and y that each output may be off
constexpr double kExact = 8;     // the same for a root to the accuracy of f
constexpr double kFirstDamping = 1e-4, kMostDamping = 1e10;
constexpr double kTiny = 1e-40;  // products of squares below this may vanish
// Differences are as wide as common after steps of this length, in units of the box, else narrower.
constexpr double kShortStep = 1e-5;
// An output that changes so much less than another gets a unit of its own.
constexpr double kMuchFlatter = 1e-4;
constexpr double kStationary = 1e-9;  // cosine between the residual and what J can reach
// After a step that shrinks the squared residual by this factor, the next keeps the derivatives.
constexpr double kKeepDerivatives = 1e-3;
// Steps towards a multiple root: the least and the largest ratio of one to the next, how steady it
// is, and how much closer an extrapolation must come, in squares.
constexpr double kLeastRatio = 0.3, kLargestRatio = 0.98, kSteady = 0.1, kMuchCloser = 0.25;

}  // namespace

Polish::Scratch::Scratch(Taker& take, std::int64_t p, std::int64_t q) {
  const std::int64_t m = std::min(p, q);
  take(jac, p * q);
  take(residual, q);
  take(gradient, p);
  take(step, p);
  take(x, p);
  take(fx, q);
  take(matrix, m * m);
  take(system, m);
  take(first_x, p);
  take(last_step, p);
  take(rounding, q);
  take(generous, q);
  take(unit, q);
  take(start_x, p);
  take(start_fx, q);
}

// The state of one start. Its Jacobian is in units of the box's scale and of the outputs, as are
// its residuals; its columns are zero for coordinates that are held at a bound. `unit`, a power of
// two for each output, keeps tiny residuals from vanishing in squares or beside those of other
// outputs.
struct Polish::Run : Polish::Scratch {
  const FunctionScratch& function;
  double damping = kFirstDamping;
  double size = 0;  // squared Frobenius norm of jac
  std::int64_t n_evaluations = 0;
  double first_step = 0;
  double last_ratio = 0;
  double last_length = 1;  // of the last step that was taken
  bool fresh = false;      // whether the derivatives are those at x
  bool balanced = false;   // whether outputs have other units than those of the metric

  Run(const Scratch& scratch, const FunctionScratch& function_)
      : Scratch(scratch), function(function_) {}
  // No derivative is known at this point.
  void forget(std::int64_t p, std::int64_t q) {
    std::fill(rounding, rounding + q, 0.0);
    std::fill(generous, generous + q, 0.0);
    std::fill(last_step, last_step + p, 0.0);
    last_ratio = 0;
  }
};

void Polish::run(const PolishBatch& batch, const Scratch& scratch,
                 const FunctionScratch& function_scratch) const {
  const std::int64_t p = f_.n_inputs(), q = f_.n_outputs();
  for (std::int64_t i = 0; i < batch.n; ++i) {
    Run run(scratch, function_scratch);
    const double* const y = batch.targets + i / batch.starts_per_target * q;
    batch.results[i] = polish_one(y, batch.x + i * p, batch.fx + i * q, run);
  }
}

// Factorizes J^T J plus the damping, or J J^T if that is smaller. False if it is singular.
bool Polish::factorize(Run& run) const {
  const std::int64_t p = f_.n_inputs(), q = f_.n_outputs(), m = std::min(p, q);
  gram(run.jac, q, p, run.matrix);
  add_to_diagonal(run.matrix, m, run.damping * run.size / static_cast<double>(m));
  return cholesky(run.matrix, m);
}

// Computes step = -(J^T J + d)^-1 J^T r = -J^T (J J^T + d)^-1 r from the present factor.
void Polish::find_step(Run& run) const {
  const std::int64_t p = f_.n_inputs(), q = f_.n_outputs();
  std::fill(run.step, run.step + p, 0.0);
  if (p <= q) {
    for (std::int64_t r = 0; r < q; ++r) {
      for (std::int64_t i = 0; i < p; ++i) run.step[i] -= run.jac[r * p + i] * run.residual[r];
    }
    cholesky_solve(run.matrix, p, run.step);
  } else {
    std::copy(run.residual, run.residual + q, run.system);
    cholesky_solve(run.matrix, q, run.system);
    for (std::int64_t r = 0; r < q; ++r) {
      for (std::int64_t i = 0; i < p; ++i) run.step[i] -= run.jac[r * p + i] * run.system[r];
    }
  }
  const double length = norm(run.step, p);
  if (length <= options_.longest_step) return;
  for (std::int64_t i = 0; i < p; ++i) run.step[i] *= options_.longest_step / length;
}

// Takes the step from x to run.x within the bounds and evaluates f there into run.fx. Returns the
// squared residual there, or infinity if it is not finite.
double Polish::advance(const double* y, const double* x, Run& run) const {
  const std::int64_t p = f_.n_inputs();
  for (std::int64_t i = 0; i < p; ++i) {
    const double moved = x[i] + box_.scale[i] * run.step[i];
    run.x[i] = std::min(std::max(moved, box_.lower[i]), box_.upper[i]);
  }
  f_.values(run.x, run.fx, 1, run.function);
  ++run.n_evaluations;
  double sum = 0;
  for (std::int64_t r = 0; r < f_.n_outputs(); ++r) {
    const double error = run.unit[r] * metric_.error(run.fx, y, r);
    sum += error * error;
  }
  return std::isfinite(sum) ? sum : std::numeric_limits<double>::infinity();
}

PolishResult Polish::polish_one(const double* y, double* x, double* fx, Run& run) const {
  const std::int64_t p = f_.n_inputs(), q = f_.n_outputs();
  std::copy(x, x + p, run.start_x);
  std::copy(fx, fx + q, run.start_fx);
  run.forget(p, q);
  std::fill(run.unit, run.unit + q, 1.0);
  find_residual(y, fx, run);
  double squared = dot(run.residual, run.residual, q);
  const auto capped = [&] { return run.n_evaluations >= options_.max_evaluations; };
  const auto finish = [&](PolishEnd end) {
    double later = 0;
    for (std::int64_t i = 0; run.first_step > 0 && i < p; ++i) {
      const double d = (x[i] - run.first_x[i]) / box_.scale[i];
      later += d * d;
    }
    double residual = metric_.distance(fx, y);
    // In the units of the metric it must be no worse than the start, but for rounding.
    if (run.balanced && !exact(fx, run) && !(residual <= metric_.distance(run.start_fx, y))) {
      std::copy(run.start_x, run.start_x + p, x);
      std::copy(run.start_fx, run.start_fx + q, fx);
      residual = metric_.distance(fx, y);
      end = PolishEnd::stationary;
      run.forget(p, q);
      find_residual(y, fx, run);
    }
    return PolishResult{residual,       run.n_evaluations, end,
                        exact(fx, run), run.first_step,    std::sqrt(later)};
  };
  if (!std::isfinite(squared)) return finish(PolishEnd::stationary);
  while (!solved(y, fx, run)) {
    if (squared < kTiny) squared = in_larger_unit(y, fx, run);
    if (capped()) return finish(PolishEnd::evaluations);
    f_.jacobian(x, box_near(run), run.jac, run.function);
    run.n_evaluations += f_.evaluations_per_jacobian();
    if (!prepare(y, x, fx, squared, run)) return finish(PolishEnd::stationary);
    double reached = take_step(y, x, squared, run);
    if (!(reached < squared)) {
      return finish(capped() ? PolishEnd::evaluations : PolishEnd::stationary);
    }
    const bool steady = steps_shrink_steadily(run);
    const auto move = [&] {
      squared = reached;
      run.fresh = false;
      run.last_length = norm(run.step, p);
      if (run.first_step == 0) {
        run.first_step = run.last_length;
        std::copy(run.x, run.x + p, run.first_x);
      }
      std::copy(run.x, run.x + p, x);
      std::copy(run.fx, run.fx + q, fx);
      find_residual(y, fx, run);
    };
    // While steps with the same derivatives are good enough, each costs one evaluation.
    for (bool again = true; again && reached < squared;) {
      again = reached <= kKeepDerivatives * squared;
      move();
      if (!again || solved(y, fx, run) || capped()) break;
      find_step(run);
      reached = advance(y, x, run);
    }
    if (!steady || solved(y, fx, run) || capped()) continue;
    // All further steps together, if each is the last one times the ratio.
    const double rest = run.last_ratio / (1 - run.last_ratio);
    for (std::int64_t i = 0; i < p; ++i) run.step[i] = rest * run.last_step[i];
    reached = advance(y, x, run);
    if (!(reached < kMuchCloser * squared)) continue;
    move();
    run.forget(p, q);
  }
  return finish(PolishEnd::solved);
}

// The box, for differences that reach about as far as the root may be: near a multiple root, f
// bends too much within common ones.
Box Polish::box_near(const Run& run) const {
  Box box = box_;
  if (run.last_length < kShortStep) box.reach = std::max(run.last_length / kShortStep, 1e-9);
  return box;
}

// Whether the residual is only rounding: steps cannot reduce it in earnest.
bool Polish::solved(const double* y, const double* fx, const Run& run) const {
  const double enough = options_.sufficient_residual;
  if (enough > 0 && metric_.squared(fx, y) <= enough * enough) return true;
  for (std::int64_t r = 0; r < f_.n_outputs(); ++r) {
    const double digits =
        f_.rounding() * run.unit[r] * metric_.weight(r) * (std::abs(y[r]) + std::abs(fx[r]));
    if (!(std::abs(run.residual[r]) <= kRounding * digits + run.rounding[r])) return false;
  }
  return true;
}

// Whether x is a root to the accuracy of f, by the last derivatives. Steps end where x is as good
// as the rounding of the region's scale.
bool Polish::exact(const double* fx, const Run& run) const {
  for (std::int64_t r = 0; r < f_.n_outputs(); ++r) {
    const double weight = run.unit[r] * metric_.weight(r);
    const double digits = f_.rounding() * weight * std::abs(fx[r]);
    // The derivatives at another point only serve where x has digits to lose.
    const double by_x = run.fresh ? kExact * run.generous[r] : 2 * run.rounding[r];
    const double allowed = kExact * digits + by_x + resolution_[r] * weight;
    if (!(std::abs(run.residual[r]) <= allowed)) return false;
  }
  return true;
}

// Compares the present step, which new derivatives gave, with the one before.
bool Polish::steps_shrink_steadily(Run& run) const {
  const std::int64_t p = f_.n_inputs();
  const double before = dot(run.last_step, run.last_step, p);
  const double ratio = before > 0 ? dot(run.step, run.last_step, p) / before : 0;
  const double now = dot(run.step, run.step, p);
  const bool aligned = now - ratio * ratio * before <= kSteady * kSteady * now;
  const bool steady = aligned && kLeastRatio < ratio && ratio < kLargestRatio &&
                      std::abs(ratio - run.last_ratio) <= kSteady;
  run.last_ratio = ratio;
  std::copy(run.step, run.step + p, run.last_step);
  return steady;
}

void Polish::find_residual(const double* y, const double* fx, Run& run) const {
  for (std::int64_t r = 0; r < f_.n_outputs(); ++r)
    run.residual[r] = run.unit[r] * metric_.error(fx, y, r);
}

// Measures the residual in a larger unit; returns its new square.
double Polish::in_larger_unit(const double* y, const double* fx, Run& run) const {
  const std::int64_t q = f_.n_outputs();
  const double largest =
      std::abs(*std::max_element(run.residual, run.residual + q,
                                 [](double a, double b) { return std::abs(a) < std::abs(b); }));
  const double factor = std::ldexp(1.0, -std::ilogb(largest));
  for (std::int64_t r = 0; r < q; ++r) {
    if (!std::isfinite(factor * run.unit[r])) return 0;
  }
  for (std::int64_t r = 0; r < q; ++r) {
    run.unit[r] *= factor;
    run.rounding[r] *= factor;
    run.generous[r] *= factor;
  }
  find_residual(y, fx, run);
  return dot(run.residual, run.residual, q);
}

// Scales the Jacobian, holds coordinates at bounds where the gradient points outside, and computes
// the gradient. False if nothing inside the bounds reduces the residual.
bool Polish::prepare(const double* y, const double* x, const double* fx, double& squared,
                     Run& run) const {
  const std::int64_t p = f_.n_inputs(), q = f_.n_outputs();
  std::fill(run.gradient, run.gradient + p, 0.0);
  for (std::int64_t r = 0; r < q; ++r) {
    for (std::int64_t i = 0; i < p; ++i) {
      double& slope = run.jac[r * p + i];
      slope *= box_.scale[i];
      slope *= metric_.weight(r) * run.unit[r];
    }
  }
  if (q > 1) squared = balance_outputs(y, fx, run);
  for (std::int64_t r = 0; r < q; ++r) {
    for (std::int64_t i = 0; i < p; ++i) {
      run.gradient[i] += run.jac[r * p + i] * run.residual[r];
    }
  }
  for (std::int64_t i = 0; i < p; ++i) {
    const double slope = run.gradient[i];
    if ((x[i] <= box_.lower[i] && slope > 0) || (x[i] >= box_.upper[i] && slope < 0)) {
      hold(i, run);
      run.gradient[i] = 0;
    }
  }
  // What rounding of x changes. Of coordinates that are held nothing is rounded.
  for (std::int64_t r = 0; r < q; ++r) {
    double own = 0, whole = 0;
    for (std::int64_t i = 0; i < p; ++i) {
      const double size = std::abs(x[i]) / box_.scale[i], slope = std::abs(run.jac[r * p + i]);
      own += slope * size;
      whole += slope * std::max(size, 1.0);
    }
    run.rounding[r] = f_.rounding() * own;
    run.generous[r] = f_.rounding() * whole;
  }
  run.fresh = true;
  run.size = dot(run.jac, run.jac, p * q);
  return std::isfinite(run.size) &&
         norm(run.gradient, p) > kStationary * std::sqrt(run.size * squared);
}

// Gives outputs that change far less here than another a smaller unit: their errors would vanish
// beside its rounding. Returns the squared residual in the new units.
double Polish::balance_outputs(const double* y, const double* fx, Run& run) const {
  const std::int64_t p = f_.n_inputs(), q = f_.n_outputs();
  double most = 0;
  for (std::int64_t r = 0; r < q; ++r) most = std::max(most, norm(run.jac + r * p, p));
  bool changed = false;
  for (std::int64_t r = 0; r < q && std::isfinite(most); ++r) {
    const double slope = norm(run.jac + r * p, p);
    if (!(slope > 0) || slope >= kMuchFlatter * most) continue;
    const double factor = std::ldexp(1.0, std::ilogb(most) - std::ilogb(slope));
    if (!std::isfinite(factor * run.unit[r])) continue;
    run.unit[r] *= factor;
    for (std::int64_t i = 0; i < p; ++i) run.jac[r * p + i] *= factor;
    changed = true;
  }
  if (changed) {
    run.balanced = true;
    find_residual(y, fx, run);
  }
  return dot(run.residual, run.residual, q);
}

void Polish::hold(std::int64_t coordinate, Run& run) const {
  for (std::int64_t r = 0; r < f_.n_outputs(); ++r) run.jac[r * f_.n_inputs() + coordinate] = 0;
}

// Holds coordinates at their bounds if the step would push them outside, which may differ from
// where the gradient points. Returns whether there are any.
bool Polish::hold_outward(const double* x, Run& run) const {
  bool held = false;
  for (std::int64_t i = 0; i < f_.n_inputs(); ++i) {
    const double step = run.step[i];
    if ((x[i] <= box_.lower[i] && step < 0) || (x[i] >= box_.upper[i] && step > 0)) {
      hold(i, run);
      held = true;
    }
  }
  return held;
}

// The squared residual for a linear f without bounds.
double Polish::squared_after_step(const Run& run) const {
  const std::int64_t p = f_.n_inputs();
  double sum = 0;
  for (std::int64_t r = 0; r < f_.n_outputs(); ++r) {
    const double rest = run.residual[r] + dot(run.jac + r * p, run.step, p);
    sum += rest * rest;
  }
  return sum;
}

// Increases the damping until a step reduces the squared residual, then adapts it to how well that
// was predicted. Returns the squared residual at run.x; infinity if no step reduces it or the
// evaluations of f are used up.
double Polish::take_step(const double* y, const double* x, double squared, Run& run) const {
  for (; run.damping <= kMostDamping; run.damping = std::max(8 * run.damping, 1e-12)) {
    if (!factorize(run)) continue;
    find_step(run);
    if (hold_outward(x, run)) {
      if (!factorize(run)) continue;
      find_step(run);
    }
    if (run.n_evaluations >= options_.max_evaluations) break;
    const double predicted = squared_after_step(run);
    const double reached = advance(y, x, run);
    if (!(reached < squared)) continue;
    // Damp more if the result is far from the prediction, and less if it is close.
    const double ratio = (squared - reached) / (squared - predicted);
    if (ratio < 0.25) run.damping *= 4;
    if (ratio > 0.75) run.damping *= 0.05;
    return reached;
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace fastinv
