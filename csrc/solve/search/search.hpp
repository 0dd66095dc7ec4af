// Every distinct solution of f(x) = y inside bounds, and paths of solutions.
//
// Where to start: at each anchor x_a the derivative of f says how far the target is *in x*, by the
// damped pseudo-inverse P_a of the Jacobian: P_a (y - y_a). An anchor that is near by this measure
// is near a solution, however steep or flat f is there, so that every branch puts its own anchors
// forward; of those that point to the same place one is enough. With more outputs than inputs
// most of y - y_a is beyond what any step can reach: it counts, too, in units of the
// derivative. From each start, damped Gauss-Newton; what it reaches is kept if it is new.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "solve/polish.hpp"
#include "function/region.hpp"
#include "function/status.hpp"

namespace fastinv {

struct SearchOptions {
  double separation;             // solutions closer than this, in units of the region, are one
  std::int64_t max_evaluations;  // of f, for each start
};

struct PolishArrays {
  const double* targets;  // (n, q)
  std::int64_t n;
  double* x;                    // (n, p): starts, within the bounds; becomes what they lead to
  double* fx;                   // (n, q): their images
  double* residual;             // (n)
  std::int64_t* n_evaluations;  // (n)
  std::int8_t* end;             // (n): PolishEnd
};

struct SearchArrays {
  const double* targets;  // (n, q)
  std::int64_t n, k, n_starts;
  double tol;            // residual up to which x is a solution
  double* x;             // (n, k, p)
  double* residual;      // (n, k)
  std::int64_t* anchor;  // (n, k)
  std::int8_t* status;   // (n, k)
  std::int64_t* count;   // (n)
};

struct PathArrays {
  const double* targets;  // (n, q)
  std::int64_t n, n_starts;
  double tol;
  const double* start;   // (p)
  double* x;             // (n, p)
  double* residual;      // (n)
  std::int8_t* status;   // (n)
  std::uint8_t* jumped;  // (n): whether x is not the continuation of the one before
};

// Immutable; any number of threads may use it.
class Search {
 public:
  // anchors_x (n_anchors, p) and their images anchors_y (n_anchors, q), finite; f either compiled
  // or learned.
  Search(std::vector<double> anchors_x, std::vector<double> anchors_y, std::int64_t q,
         CompiledForward compiled, CompiledForward jacobian, std::optional<ForwardModel> learned,
         Region region, SearchOptions options);
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  void polish(const PolishArrays& arrays, int n_threads) const;

  // Fills `count` solutions a row, by residual (all that is rounding counts as zero) and then by
  // coordinates, and pads with NaN, INVALID. Where there is none, the first is the nearest
  // attainable point that was found, UNREACHABLE, and the count 0.
  void solve_all(const SearchArrays& arrays, int n_threads) const;
  // Follows the solution from `start` along the targets, in their order.
  void solve_path(const PathArrays& arrays) const;

  std::int64_t p() const { return p_; }
  std::int64_t q() const { return q_; }
  std::int64_t n_anchors() const { return n_; }

 private:
  struct Scratch;
  struct Found;
  void linearize(std::int64_t anchor, Scratch& scratch) const;
  double spacing_of_anchors() const;
  void add_outside(const double* y, Scratch& scratch) const;
  void choose_starts(const double* y, std::int64_t n_starts, Scratch& scratch) const;
  void search(const double* y, std::int64_t n_starts, std::int64_t k, Scratch& scratch) const;
  void start_from(const double* y, std::int64_t anchor, const double* predicted,
                  Scratch& scratch) const;
  bool polish_start(const double* y, std::int64_t anchor, Scratch& scratch) const;
  void try_partner(const double* y, std::int64_t anchor, Scratch& scratch) const;
  double weakest_direction(const double* x, double* v, Scratch& scratch) const;
  bool add_solution(const double* y, double residual, std::int64_t anchor, Scratch& scratch) const;
  void try_nearest_anchor(const double* y, Scratch& scratch) const;
  bool comes_first(const double* a, const double* b) const;
  void write_row(const SearchArrays& arrays, std::int64_t row, Scratch& scratch) const;
  void prepare() const;
  // The state of a path, and its steps.
  struct Path;
  bool follow(const double* y, Path& path, Scratch& scratch) const;
  bool step_towards(const double* y, Path& path, Scratch& scratch) const;
  bool jump(const double* y, std::int64_t n_starts, Path& path, Scratch& scratch) const;

  std::int64_t p_, q_, n_;
  std::vector<double> anchors_x_, anchors_y_;
  std::optional<ForwardModel> learned_;
  Differentiable f_;
  Region region_;
  SearchOptions options_;
  Polish polish_;
  // Made when they are first needed: where f is slow they take a while.
  mutable std::once_flag prepared_;
  mutable std::vector<double> columns_y_;  // (q, n): images, output by output
  mutable std::vector<double> inverses_;   // (p, q, n): P_a, entry by entry, in units of the region
  // Where q > p: p / ||J||^2 (n), and J^T J times it, its lower triangle entry by entry with the
  // entries beside the diagonal doubled (p (p + 1) / 2, n).
  mutable std::vector<double> flatness_, grams_;
  mutable double spacing_ = 0;  // typical distance between neighbouring anchors
};

}  // namespace fastinv
