// Whether f - y has a root near a point, as far as f itself can tell, and how sharply the root is
// determined.
//
// f is computed with rounding errors. A point is a root to the accuracy of f if no output differs
// from the target by more than those. Their size has a floor, the rounding of f(x) and of x, and is
// measured where that does not explain what is left: differences of high order between the images
// of equally spaced points vanish for a smooth f and keep its noise (Hamming 1962; More and Wild
// 2011, "Estimating Computational Noise").
#pragma once

#include <cstdint>

#include "function/problem.hpp"

namespace fastinv {

// Why f - y is known to have a root near a point.
enum class Shown {
  no,
  near,  // a Newton step comes so much closer that the theorem of Newton and Kantorovich is as good
         // as satisfied
  exact,  // the point is one, to the accuracy of f
};

// What is known of a root.
struct RootFacts {
  double x_error;  // radius, in units of the region, in which the true root lies
  bool singular;   // f changes less than its derivative says: a multiple root, or a set of them
};

// Immutable; any number of threads may use it, each with scratch of its own.
class Roots {
 public:
  // `problem`, whose function is not null, must outlive this object.
  explicit Roots(const Problem& problem)
      : f_(*problem.function),
        region_(problem.region),
        metric_(problem.metric),
        resolution_(problem.resolution.data()),
        p_(problem.n_inputs()),
        q_(problem.n_outputs()) {}

  // Residuals beyond this are no noise, as a function of so much noise could not be inverted.
  static constexpr double kMostNoise = 1e-3;

  // Memory of one thread, in addition to that of the function for kPoints rows.
  static constexpr std::int64_t kPoints = 9;
  struct Scratch {
    double *jac, *noise, *spread, *unit, *points, *images, *matrix, *system, *step;
    double *values, *directions;
    Scratch() = default;
    Scratch(Taker& take, std::int64_t p, std::int64_t q);
  };

  // Whether f - y has a root near x with the image fx, as a point to the accuracy of f or beside
  // it.
  Shown shows(const double* y, const double* x, const double* fx, const Scratch& scratch,
              const FunctionScratch& function) const;
  // How sharply the root at x is determined.
  RootFacts assess(const double* y, const double* x, const double* fx, const Scratch& scratch,
                   const FunctionScratch& function) const;

 private:
  bool within_noise(const double* y, const double* fx, double factor, const Scratch& scratch) const;
  double largest_error(const double* fx, const double* y, const Scratch& scratch) const;
  void find_rounding(const double* x, const double* fx, bool generous,
                     const Scratch& scratch) const;
  void differentiate(const double* x, const Scratch& scratch,
                     const FunctionScratch& function) const;
  double newton_step(const double* y, const double* fx, const Scratch& scratch) const;
  void measure_noise(const double* x, double spacing, const Scratch& scratch,
                     const FunctionScratch& function) const;
  void add_digits(const double* x, const double* fx, const Scratch& scratch,
                  const FunctionScratch& function) const;
  bool leaves(const double* x, const double* fx, const double* direction, double length,
              double wanted, const Scratch& scratch, const FunctionScratch& function) const;

  const Function& f_;
  const Region& region_;
  const Metric& metric_;
  const double* resolution_;
  std::int64_t p_, q_;
};

}  // namespace fastinv
