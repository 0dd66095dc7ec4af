#include "solve/polish.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/cholesky.hpp"

namespace fastinv {

namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kRounding = 2 * kEpsilon;  // of ||y|| + ||f(x)||: what ||f(x) - y|| may be
constexpr double kFirstDamping = 1e-4, kMostDamping = 1e10;
constexpr double kStationary = 1e-9;  // cosine between the residual and what J can reach
// A step that shrinks the squared residual so much is followed by others with the same derivatives.
constexpr double kKeepDerivatives = 1e-3;

double dot(const double* a, const double* b, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

double norm(const double* a, std::int64_t n) { return std::sqrt(dot(a, a, n)); }

}  // namespace

// What a run keeps in its scratch. The Jacobian is kept in units of the box's scale; columns of
// coordinates that are held at a bound are zero.
struct Polish::Work {
  double *jac, *residual, *gradient, *step, *x, *fx, *matrix, *system;
  double* first;  // x after the first step
  double damping = kFirstDamping;
  double size = 0;  // squared Frobenius norm of jac
  std::int64_t n_evaluations = 0;
  double first_step = 0;

  Work(const Polish& self, double* scratch) {
    const std::int64_t p = self.f_.p(), q = self.f_.q(), m = std::min(p, q);
    const auto take = [&scratch](std::int64_t n) {
      double* const piece = scratch;
      scratch += n;
      return piece;
    };
    jac = take(p * q);
    residual = take(q);
    gradient = take(p);
    step = take(p);
    x = take(p);
    fx = take(q);
    matrix = take(m * m);
    system = take(m);
    first = take(p);
  }
};

std::int64_t Polish::n_doubles() const {
  const std::int64_t p = f_.p(), q = f_.q(), m = std::min(p, q);
  return p * q + 2 * q + 4 * p + m * m + m;
}

// Factorizes J^T J, or J J^T where that is smaller, plus the damping. False where it is singular.
bool Polish::factorize(Work& work) const {
  const std::int64_t p = f_.p(), q = f_.q(), m = std::min(p, q);
  std::fill(work.matrix, work.matrix + m * m, 0.0);
  if (p <= q) {
    for (std::int64_t r = 0; r < q; ++r) {
      const double* row = work.jac + r * p;
      for (std::int64_t i = 0; i < p; ++i) {
        for (std::int64_t j = 0; j <= i; ++j) work.matrix[i * p + j] += row[i] * row[j];
      }
    }
  } else {
    for (std::int64_t i = 0; i < q; ++i) {
      for (std::int64_t j = 0; j <= i; ++j) {
        work.matrix[i * q + j] = dot(work.jac + i * p, work.jac + j * p, p);
      }
    }
  }
  const double damping = work.damping * work.size / static_cast<double>(m);
  for (std::int64_t i = 0; i < m; ++i) work.matrix[i * m + i] += damping;
  return cholesky(work.matrix, m);
}

// step = -(J^T J + d)^-1 J^T r = -J^T (J J^T + d)^-1 r, with the factor at hand.
void Polish::find_step(Work& work) const {
  const std::int64_t p = f_.p(), q = f_.q();
  std::fill(work.step, work.step + p, 0.0);
  if (p <= q) {
    for (std::int64_t r = 0; r < q; ++r) {
      for (std::int64_t i = 0; i < p; ++i) work.step[i] -= work.jac[r * p + i] * work.residual[r];
    }
    cholesky_solve(work.matrix, p, work.step);
  } else {
    std::copy(work.residual, work.residual + q, work.system);
    cholesky_solve(work.matrix, q, work.system);
    for (std::int64_t r = 0; r < q; ++r) {
      for (std::int64_t i = 0; i < p; ++i) work.step[i] -= work.jac[r * p + i] * work.system[r];
    }
  }
}

// Takes the step from x to work.x, within the bounds, evaluates f there into work.fx, and returns
// the squared residual there, infinite where it is not finite.
double Polish::advance(const double* y, const double* x, Work& work,
                       DerivativeScratch derivative_scratch) const {
  const std::int64_t p = f_.p(), q = f_.q();
  for (std::int64_t i = 0; i < p; ++i) {
    const double moved = x[i] + box_.scale[i] * work.step[i];
    work.x[i] = std::min(std::max(moved, box_.lower[i]), box_.upper[i]);
  }
  f_.values(work.x, work.fx, 1, derivative_scratch);
  ++work.n_evaluations;
  double sum = 0;
  for (std::int64_t r = 0; r < q; ++r) sum += (work.fx[r] - y[r]) * (work.fx[r] - y[r]);
  return std::isfinite(sum) ? sum : std::numeric_limits<double>::infinity();
}

PolishResult Polish::run(const double* y, double* x, double* fx, double* scratch,
                         DerivativeScratch derivative_scratch) const {
  const std::int64_t p = f_.p(), q = f_.q();
  Work work(*this, scratch);
  find_residual(y, fx, work);
  double squared = dot(work.residual, work.residual, q);
  const double size = norm(y, q);
  const auto solved = [&] {
    const double rounding = kRounding * (size + norm(fx, q));
    return squared <= rounding * rounding;
  };
  const auto capped = [&] { return work.n_evaluations >= options_.max_evaluations; };
  const auto finish = [&](PolishEnd end) {
    double later = 0;
    for (std::int64_t i = 0; work.first_step > 0 && i < p; ++i) {
      const double d = (x[i] - work.first[i]) / box_.scale[i];
      later += d * d;
    }
    return PolishResult{std::sqrt(squared), work.n_evaluations, end, work.first_step,
                        std::sqrt(later)};
  };
  if (!std::isfinite(squared)) return finish(PolishEnd::stationary);
  while (!solved()) {
    if (capped()) return finish(PolishEnd::evaluations);
    f_.jacobian(x, box_, work.jac, derivative_scratch);
    work.n_evaluations += f_.evaluations_per_jacobian();
    if (!prepare(x, squared, work)) return finish(PolishEnd::stationary);
    double reached = take_step(y, x, squared, work, derivative_scratch);
    if (!(reached < squared)) {
      return finish(capped() ? PolishEnd::evaluations : PolishEnd::stationary);
    }
    // While steps with the same derivatives do, one evaluation a step is enough.
    for (bool again = true; again && reached < squared;) {
      again = reached <= kKeepDerivatives * squared;
      squared = reached;
      if (work.first_step == 0) {
        work.first_step = norm(work.step, p);
        std::copy(work.x, work.x + p, work.first);
      }
      std::copy(work.x, work.x + p, x);
      std::copy(work.fx, work.fx + q, fx);
      find_residual(y, fx, work);
      if (!again || solved() || capped()) break;
      find_step(work);
      reached = advance(y, x, work, derivative_scratch);
    }
  }
  return finish(PolishEnd::solved);
}

void Polish::find_residual(const double* y, const double* fx, Work& work) const {
  for (std::int64_t r = 0; r < f_.q(); ++r) work.residual[r] = fx[r] - y[r];
}

// Scales the Jacobian, holds coordinates at their bounds where the gradient points outside, and
// finds the gradient. False where nothing inside the bounds reduces the residual.
bool Polish::prepare(const double* x, double squared, Work& work) const {
  const std::int64_t p = f_.p(), q = f_.q();
  std::fill(work.gradient, work.gradient + p, 0.0);
  for (std::int64_t r = 0; r < q; ++r) {
    for (std::int64_t i = 0; i < p; ++i) {
      work.jac[r * p + i] *= box_.scale[i];
      work.gradient[i] += work.jac[r * p + i] * work.residual[r];
    }
  }
  for (std::int64_t i = 0; i < p; ++i) {
    const double slope = work.gradient[i];
    if ((x[i] <= box_.lower[i] && slope > 0) || (x[i] >= box_.upper[i] && slope < 0)) {
      hold(i, work);
      work.gradient[i] = 0;
    }
  }
  work.size = dot(work.jac, work.jac, p * q);
  return std::isfinite(work.size) &&
         norm(work.gradient, p) > kStationary * std::sqrt(work.size * squared);
}

void Polish::hold(std::int64_t coordinate, Work& work) const {
  for (std::int64_t r = 0; r < f_.q(); ++r) work.jac[r * f_.p() + coordinate] = 0;
}

// Holds coordinates at their bounds which the step would push outside; whether there are any. The
// gradient need not: a step is not along it.
bool Polish::hold_outward(const double* x, Work& work) const {
  bool held = false;
  for (std::int64_t i = 0; i < f_.p(); ++i) {
    const double step = work.step[i];
    if ((x[i] <= box_.lower[i] && step < 0) || (x[i] >= box_.upper[i] && step > 0)) {
      hold(i, work);
      held = true;
    }
  }
  return held;
}

// What the squared residual would be if f were linear and there were no bounds.
double Polish::squared_after_step(const Work& work) const {
  const std::int64_t p = f_.p();
  double sum = 0;
  for (std::int64_t r = 0; r < f_.q(); ++r) {
    const double rest = work.residual[r] + dot(work.jac + r * p, work.step, p);
    sum += rest * rest;
  }
  return sum;
}

// Damps until a step reduces the squared residual; returns it at work.x, infinite where none does
// or f was evaluated often enough.
double Polish::take_step(const double* y, const double* x, double squared, Work& work,
                         DerivativeScratch derivative_scratch) const {
  for (; work.damping <= kMostDamping; work.damping = std::max(8 * work.damping, 1e-12)) {
    if (!factorize(work)) continue;
    find_step(work);
    if (hold_outward(x, work)) {
      if (!factorize(work)) continue;
      find_step(work);
    }
    if (work.n_evaluations >= options_.max_evaluations) break;
    const double predicted = squared_after_step(work);
    const double reached = advance(y, x, work, derivative_scratch);
    if (!(reached < squared)) continue;
    // Far from what was predicted: more care; close to it: less.
    const double ratio = (squared - reached) / (squared - predicted);
    if (ratio < 0.25) work.damping *= 4;
    if (ratio > 0.75) work.damping *= 0.05;
    return reached;
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace fastinv
