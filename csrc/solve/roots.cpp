#include "solve/roots.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/linear_algebra.hpp"
#include "base/vectors.hpp"

namespace fastinv {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// A root to the accuracy of f: errors up to this many times its rounding, or its noise.
constexpr double kExact = 8, kExactInNoise = 6;
// A Newton step that shrinks the residual by this factor. Towards a target that f only nearly
// reaches, at a fold, the factor is never below 1/4.
constexpr double kContraction = 0.125;
constexpr double kLongestStep = 0.05;         // in units of the region
constexpr double kSpacing = 1.0 / (1 << 17);  // widest spacing of points, in units of the region
constexpr double kNarrow = 1.0 / (1 << 20);   // no f that can be inverted is wild within this
constexpr double kIrregular = 1e-2;           // largest noise, relative to how much f varies there
constexpr double kSure = 4;                   // times the noise of each output
constexpr double kGrowth = 4, kFlat = 0.5;    // of the radius, and where it stops
// Differences of f's noise look like a derivative. What such a one resolves is wider than this.
constexpr double kResolved = 1.0 / (1 << 20);
constexpr double kFar = 1e-10;  // a radius that is not only rounding of x
constexpr double kNothing = kEpsilon * kEpsilon;

}  // namespace

Roots::Scratch::Scratch(Taker& take, std::int64_t p, std::int64_t q) {
  const std::int64_t m = std::min(p, q);
  take(jac, q * p);
  take(noise, q);
  take(spread, q);
  take(unit, q);
  take(points, kPoints * p);
  take(images, kPoints * q);
  take(matrix, m * m);
  take(system, q);
  take(step, p);
  take(values, m);
  take(directions, m * p);
}

// The derivative in units of the region and the metric.
void Roots::differentiate(const double* x, const Scratch& scratch,
                          const FunctionScratch& function) const {
  f_.jacobian(x, region_.box(), scratch.jac, function);
  for (std::int64_t j = 0; j < q_; ++j) {
    for (std::int64_t i = 0; i < p_; ++i) {
      double& entry = scratch.jac[j * p_ + i];
      entry *= region_.scale()[i];
      entry *= metric_.weight(j);
      if (!std::isfinite(entry)) entry = 0;  // at an end of where f is defined
    }
  }
}

// The size of one rounding of f(x) and of x, as it changes each output; generously, x is only as
// good as the rounding of the region's scale.
void Roots::find_rounding(const double* x, const double* fx, bool generous,
                          const Scratch& scratch) const {
  const double unit = f_.rounding();
  for (std::int64_t j = 0; j < q_; ++j) {
    double sum = std::abs(fx[j]) * metric_.weight(j);
    for (std::int64_t i = 0; i < p_; ++i) {
      const double size = std::abs(x[i]) / region_.scale()[i];
      sum += std::abs(scratch.jac[j * p_ + i]) * (generous ? std::max(size, 1.0) : size);
    }
    scratch.noise[j] = unit * sum;
  }
}

// The largest error of an output, in the units of `newton_step`.
double Roots::largest_error(const double* fx, const double* y, const Scratch& scratch) const {
  double largest = 0;
  for (std::int64_t j = 0; j < q_; ++j) {
    const double error = scratch.unit[j] * std::abs(metric_.error(fx, y, j));
    if (!(error <= largest)) largest = error;  // also for NaN
  }
  return largest;
}

bool Roots::within_noise(const double* y, const double* fx, double factor,
                         const Scratch& scratch) const {
  for (std::int64_t j = 0; j < q_; ++j) {
    const double allowed = factor * scratch.noise[j] + resolution_[j] * metric_.weight(j);
    if (!(std::abs(metric_.error(fx, y, j)) <= allowed)) return false;
  }
  return true;
}

// The shortest step that the derivative says leads to y; returns its length, infinite if there is
// none.
double Roots::newton_step(const double* y, const double* fx, const Scratch& scratch) const {
  const std::int64_t m = std::min(p_, q_);
  // In units in which no output's error vanishes, in squares or beside others.
  for (std::int64_t j = 0; j < q_; ++j) {
    double largest = 0;
    for (std::int64_t i = 0; i < p_; ++i) {
      largest = std::max(largest, std::abs(scratch.jac[j * p_ + i]));
    }
    // No step reduces the error of an output that does not change.
    const double allowed = kExact * scratch.noise[j] + resolution_[j] * metric_.weight(j);
    if (largest == 0 && !(std::abs(metric_.error(fx, y, j)) <= allowed)) return kInfinity;
    scratch.unit[j] = largest > 0 ? std::ldexp(1.0, -std::ilogb(largest)) : 1.0;
    for (std::int64_t i = 0; i < p_; ++i) scratch.jac[j * p_ + i] *= scratch.unit[j];
  }
  gram(scratch.jac, q_, p_, scratch.matrix);
  add_to_diagonal(scratch.matrix, m, 1e-14 * trace(scratch.matrix, m));
  if (!cholesky(scratch.matrix, m)) return kInfinity;
  std::fill(scratch.step, scratch.step + p_, 0.0);
  if (p_ <= q_) {
    for (std::int64_t j = 0; j < q_; ++j) {
      const double error = scratch.unit[j] * metric_.error(fx, y, j);
      for (std::int64_t i = 0; i < p_; ++i) scratch.step[i] -= scratch.jac[j * p_ + i] * error;
    }
    cholesky_solve(scratch.matrix, p_, scratch.step);
  } else {
    for (std::int64_t j = 0; j < q_; ++j)
      scratch.system[j] = scratch.unit[j] * metric_.error(fx, y, j);
    cholesky_solve(scratch.matrix, q_, scratch.system);
    for (std::int64_t j = 0; j < q_; ++j) {
      for (std::int64_t i = 0; i < p_; ++i) {
        scratch.step[i] -= scratch.jac[j * p_ + i] * scratch.system[j];
      }
    }
  }
  const double length = norm(scratch.step, p_);
  return std::isfinite(length) ? length : kInfinity;
}

Shown Roots::shows(const double* y, const double* x, const double* fx, const Scratch& scratch,
                   const FunctionScratch& function) const {
  differentiate(x, scratch, function);
  find_rounding(x, fx, true, scratch);
  if (within_noise(y, fx, kExact, scratch)) return Shown::exact;
  const double length = newton_step(y, fx, scratch);
  if (length <= kLongestStep) {
    for (std::int64_t i = 0; i < p_; ++i) {
      const double moved = x[i] + region_.scale()[i] * scratch.step[i];
      scratch.points[i] = region_.clipped_step(moved, i);
    }
    f_.values(scratch.points, scratch.images, 1, function);
    if (largest_error(scratch.images, y, scratch) <= kContraction * largest_error(fx, y, scratch)) {
      return Shown::near;
    }
  }
  // What is left may be noise of f: it shows in points as far apart as the step is long.
  measure_noise(x, std::min(4 * length, kSpacing), scratch, function);
  measure_noise(x, kNarrow, scratch, function);
  if (within_noise(y, fx, kExactInNoise, scratch)) return Shown::exact;
  // Where derivatives vanish, x is still only as good as the rounding of the region's scale.
  add_digits(x, fx, scratch, function);
  return within_noise(y, fx, kExactInNoise, scratch) ? Shown::exact : Shown::no;
}

// Raises scratch.noise to what the images of equally spaced points show, `spacing` apart in units
// of the region, or by some last digits of x if that is more. For a smooth f fifth differences are
// far smaller than third ones.
void Roots::measure_noise(const double* x, double spacing, const Scratch& scratch,
                          const FunctionScratch& function) const {
  constexpr double kMiddle = (kPoints - 1) / 2;
  for (std::int64_t i = 0; i < p_; ++i) {
    const Box box = region_.box();
    const double digits = 16 * f_.rounding() * std::abs(x[i]);
    const double h = std::max(spacing * box.scale[i], digits);
    const double first = std::min(std::max(x[i] - kMiddle * h, box.lower[i]),
                                  std::max(box.upper[i] - (kPoints - 1) * h, box.lower[i]));
    for (std::int64_t k = 0; k < kPoints; ++k) {
      const double at = first + static_cast<double>(k) * h;
      scratch.points[k * p_ + i] = std::min(std::max(at, box.lower[i]), box.upper[i]);
    }
  }
  f_.values(scratch.points, scratch.images, kPoints, function);
  for (std::int64_t j = 0; j < q_; ++j) {
    // One after the other: of numbers that are close to each other, differences are exact.
    double differences[kPoints];
    for (std::int64_t k = 0; k < kPoints; ++k) differences[k] = scratch.images[k * q_ + j];
    std::int64_t n = kPoints;
    const auto mean_square_of_next = [&](int times) {
      for (; times > 0; --times, --n) {
        for (std::int64_t k = 0; k + 1 < n; ++k)
          differences[k] = differences[k + 1] - differences[k];
      }
      double sum = 0;
      for (std::int64_t k = 0; k < n; ++k) {
        const double d = differences[k] * metric_.weight(j);
        sum += d * d;
      }
      return sum / static_cast<double>(n);
    };
    // Divided by the variance that independent errors give the differences.
    const double third = std::sqrt(mean_square_of_next(3) / 20);
    double jump = 0;  // of what is mostly constant, and then changes by some last digits
    for (std::int64_t k = 0; k < n; ++k) jump = std::max(jump, std::abs(differences[k]));
    jump *= metric_.weight(j);
    const double fifth = std::sqrt(mean_square_of_next(2) / 252);
    double low = kInfinity, high = -kInfinity;
    for (std::int64_t k = 0; k < kPoints; ++k) {
      low = std::min(low, scratch.images[k * q_ + j]);
      high = std::max(high, scratch.images[k * q_ + j]);
    }
    scratch.spread[j] = (high - low) * metric_.weight(j);
    // Points far apart may differ by more than noise, and have more digits to round.
    const double digits = std::max(std::abs(low), std::abs(high)) * metric_.weight(j);
    const bool irregular = fifth >= 0.3 * third;
    const bool of_digits = spacing > 0 && !(fifth > 4 * f_.rounding() * digits);
    const bool wild = spacing > kNarrow && !(fifth <= kIrregular * scratch.spread[j]);
    if (!irregular || of_digits || wild) continue;
    scratch.noise[j] = std::max(scratch.noise[j], std::max(2 * fifth, jump / 4));
  }
}

// Raises scratch.noise to how much f changes if one coordinate moves by a rounding.
void Roots::add_digits(const double* x, const double* fx, const Scratch& scratch,
                       const FunctionScratch& function) const {
  const Box box = region_.box();
  for (std::int64_t i = 0; i < p_; ++i) {
    const double digit = f_.rounding() * std::max(std::abs(x[i]), box.scale[i]);
    for (std::int64_t side = 0; side < 2; ++side) {
      double* const point = scratch.points + side * p_;
      std::copy_n(x, p_, point);
      point[i] = std::min(std::max(x[i] + (side ? digit : -digit), box.lower[i]), box.upper[i]);
    }
    f_.values(scratch.points, scratch.images, 2, function);
    for (std::int64_t j = 0; j < q_; ++j) {
      for (std::int64_t side = 0; side < 2; ++side) {
        const double change = std::abs(metric_.error(scratch.images + side * q_, fx, j));
        scratch.noise[j] = std::max(scratch.noise[j], change);
      }
    }
  }
}

// Whether f leaves its value at x by at least `wanted`, in units of its noise, on every side along
// the direction that lies inside the bounds.
bool Roots::leaves(const double* x, const double* fx, const double* direction, double length,
                   double wanted, const Scratch& scratch, const FunctionScratch& function) const {
  const Box box = region_.box();
  std::int64_t n = 0;
  for (const double sign : {-1.0, 1.0}) {
    double* const point = scratch.points + n * p_;
    bool inside = true;
    for (std::int64_t i = 0; i < p_; ++i) {
      point[i] = x[i] + sign * length * box.scale[i] * direction[i];
      inside &= box.lower[i] <= point[i] && point[i] <= box.upper[i];
    }
    n += inside;
  }
  f_.values(scratch.points, scratch.images, n, function);
  for (std::int64_t side = 0; side < n; ++side) {
    double squared = 0;
    for (std::int64_t j = 0; j < q_; ++j) {
      const double change = metric_.error(scratch.images + side * q_, fx, j);
      if (scratch.noise[j] > 0) squared += change * change / (scratch.noise[j] * scratch.noise[j]);
    }
    if (squared < wanted * wanted) return false;  // not for NaN, the end of where f is defined
  }
  return true;
}

RootFacts Roots::assess(const double* y, const double* x, const double* fx, const Scratch& scratch,
                        const FunctionScratch& function) const {
  differentiate(x, scratch, function);
  find_rounding(x, fx, false, scratch);
  for (std::int64_t j = 0; j < q_; ++j) scratch.noise[j] *= 0.5;
  measure_noise(x, 0, scratch, function);
  measure_noise(x, kNarrow, scratch, function);
  measure_noise(x, kSpacing, scratch, function);
  double squared = 0;
  for (std::int64_t j = 0; j < q_; ++j) {
    scratch.noise[j] += resolution_[j] * metric_.weight(j);
    // Where f and its derivative are zero, digits say nothing.
    scratch.noise[j] = std::max(scratch.noise[j], kNothing * scratch.spread[j]);
    if (scratch.noise[j] == 0) continue;
    const double error = metric_.error(fx, y, j) / scratch.noise[j];
    squared += error * error;
  }
  const double sure = kSure * std::sqrt(static_cast<double>(q_));
  const double wanted = 1.5 * std::sqrt(squared) + sure;
  // x itself is only given to a rounding.
  double digits = 0;
  for (std::int64_t i = 0; i < p_; ++i) {
    const double digit = x[i] / region_.scale()[i] * kEpsilon;
    digits += digit * digit;
  }
  const double least = std::sqrt(digits);
  for (std::int64_t j = 0; j < q_; ++j) {
    const double weight = scratch.noise[j] > 0 ? 1 / scratch.noise[j] : 0;
    for (std::int64_t i = 0; i < p_; ++i) scratch.jac[j * p_ + i] *= weight;
  }
  singular_directions(scratch.jac, q_, p_, scratch.matrix, scratch.values, scratch.directions);
  // In each direction: as far as the derivative says, or until f leaves what may be noise.
  const bool by_differences = f_.evaluations_per_jacobian() > 1;
  RootFacts facts{least * least, false};
  for (std::int64_t k = 0; k < std::min(p_, q_); ++k) {
    const double* const direction = scratch.directions + k * p_;
    double radius = std::max(1.25 * wanted / scratch.values[k], least);
    const bool is_noise = by_differences && !(sure / scratch.values[k] < kResolved);
    bool regular = radius < kFlat && !is_noise;
    if (!regular) radius = std::max(least, kEpsilon);
    while (!leaves(x, fx, direction, radius, wanted, scratch, function)) {
      regular = false;
      radius *= kGrowth;
      if (radius <= kFlat) continue;
      radius = 0;  // along a set of roots
      break;
    }
    // Where the derivative is nearly zero, f may leave much sooner than it says.
    while (regular && radius > kFar && radius / kGrowth > least &&
           leaves(x, fx, direction, radius / kGrowth, wanted, scratch, function)) {
      facts.singular = true;
      radius /= kGrowth;
    }
    if (!regular) radius *= kGrowth;  // f bends, and so may its noise
    facts.singular |= !regular;
    facts.x_error += radius * radius;
  }
  facts.x_error = std::sqrt(facts.x_error);
  return facts;
}

}  // namespace fastinv
