// Every distinct solution of f(x) = y inside bounds, and paths of solutions.
//
// Choosing starts: at each anchor x_a the derivative of f predicts how far the target is *in x*, by
// the damped pseudo-inverse P_a of the Jacobian: P_a (y - y_a). An anchor that is near by this
// measure is near a solution, however steep or flat f is there, so every branch offers its own
// anchors. Of anchors that point to the same place, one is enough. With more outputs than inputs
// most of y - y_a cannot be reached by any step: it counts too, in units of the derivative. Damped
// Gauss-Newton runs from each start, and its result is kept if it is new. Results that f cannot
// tell apart are one solution. A set of solutions that are not isolated is represented by a few
// members.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "base/parallel.hpp"
#include "function/anchors.hpp"
#include "function/goal.hpp"
#include "function/problem.hpp"
#include "function/status.hpp"
#include "solve/chain/candidates.hpp"
#include "solve/polish.hpp"
#include "solve/roots.hpp"

namespace fastinv {

// The results of polishing, n rows.
struct PolishedArrays {
  double* x;                    // (n, p): starts within the bounds; replaced by their results
  double* fx;                   // (n, q): images of x, written here
  double* residual;             // (n)
  std::int64_t* n_evaluations;  // (n)
  std::int8_t* end;             // (n): PolishEnd
};

// How the search for the solutions of a target ended, with the values of fastinv.SearchStatus.
enum class SearchStatus : std::int8_t { ended = 0, cut = 1, set = 2, invalid = 3 };

// All solutions of n targets: `ranked.k` places each.
struct AllArrays {
  Ranked ranked;
  std::int64_t* count;  // (n)
  std::int8_t* search;  // (n): SearchStatus
  AllArrays row(std::int64_t row, std::int64_t n_inputs) const {
    const std::int64_t k = ranked.k, done = row * k;
    return {{k, ranked.x + done * n_inputs, ranked.residual + done, ranked.anchor + done,
             ranked.status + done},
            count + row,
            search + row};
  }
  // Marks n rows as not computed.
  void clear(std::int64_t n, std::int64_t n_inputs) const {
    ranked.clear(n, n_inputs);
    std::fill_n(count, n, std::int64_t{0});
    std::fill_n(search, n, static_cast<std::int8_t>(SearchStatus::invalid));
  }
};

// What is known of n points x (n, p), each for its own target.
struct AssessedArrays {
  const double* x;         // (n, p)
  double* x_error;         // (n): radius in units of the region; infinite if no root is near
  std::uint8_t* isolated;  // (n)
};

struct PathArrays {
  const double* start;   // (p)
  double* x;             // (n, p)
  double* residual;      // (n)
  std::int8_t* status;   // (n)
  std::uint8_t* jumped;  // (n): whether x does not continue the one before
  // Marks n rows as not computed.
  void clear(std::int64_t n, std::int64_t n_inputs) const {
    std::fill_n(x, n * n_inputs, std::numeric_limits<double>::quiet_NaN());
    std::fill_n(residual, n, std::numeric_limits<double>::infinity());
    std::fill_n(status, n, static_cast<std::int8_t>(Status::invalid));
    std::fill_n(jumped, n, std::uint8_t{0});
  }
};

// Immutable; any number of threads may use it.
class Search {
 public:
  // The problem must have a function, and the anchors' y must be its images.
  Search(std::shared_ptr<const Problem> problem, std::shared_ptr<const Anchors> anchors,
         PipelineOptions options);
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  std::int64_t n_inputs() const { return p_; }
  std::int64_t n_outputs() const { return q_; }

  // Polishes one start for each target.
  void polish(const Goal& goal, const PolishedArrays& arrays, int n_threads) const;
  // Writes the derivatives of f at n points x (n, p) within the bounds: jac (n, q, p).
  void jacobians(const double* x, std::int64_t n, double* jac) const;
  // Fills `count` (n) solutions per row, sorted by residual (rounding counts as zero) and then by
  // coordinates, and pads with NaN, INVALID. If a target has none, its first place is the nearest
  // attainable point that was found, UNREACHABLE, and its count is 0.
  void solve_all(const Goal& goal, std::int64_t n_starts, const AllArrays& out,
                 int n_threads) const;
  // How sharply solutions are determined, and whether they are isolated.
  void assess(const Goal& goal, const AssessedArrays& arrays, int n_threads) const;
  // Follows the solution from `start` along the targets, in their order.
  void solve_path(const Goal& goal, std::int64_t n_starts, const PathArrays& arrays) const;

 private:
  struct Scratch;
  struct Found;
  void linearize(std::int64_t anchor, Scratch& scratch) const;
  double spacing_of_anchors() const;
  void add_outside(const double* y, Scratch& scratch) const;
  void choose_starts(const double* y, std::int64_t n_starts, Scratch& scratch) const;
  void search(const Goal& goal, const double* y, std::int64_t n_starts, Scratch& scratch) const;
  void polish_starts(const double* y, std::int64_t first, std::int64_t n, Scratch& scratch) const;
  bool is_solution(const Goal& goal, const double* y, const double* x, const double* fx,
                   const PolishResult& result, const Scratch& scratch) const;
  bool take_polished(const Goal& goal, const double* y, std::int64_t anchor, double* x,
                     const double* fx, const PolishResult& result, Scratch& scratch) const;
  void try_partner(const Goal& goal, const double* y, std::int64_t anchor, const double* fx,
                   Scratch& scratch) const;
  void differentiate(const double* x, Scratch& scratch) const;
  void find_directions(const double* x, Scratch& scratch) const;
  double flattest(const double* x, double* v, Scratch& scratch) const;
  bool add_solution(const double* y, const PolishResult& result, std::int64_t anchor,
                    const double* x, const double* fx, Scratch& scratch) const;
  bool same(const Found& found, const double* x, double x_error, bool exact,
            const Scratch& scratch) const;
  void remove(std::int64_t f, Scratch& scratch) const;
  bool belongs_to_set(const double* y, const double* x, bool singular, Scratch& scratch) const;
  bool set_goes_on(const double* y, const double* x, const double* direction, double length,
                   Scratch& scratch) const;
  void try_nearest_anchor(const Goal& goal, const double* y, Scratch& scratch) const;
  void write_row(const double* y, const AllArrays& out, Scratch& scratch) const;
  void prepare() const;
  // The state of a path and its steps.
  struct Path;
  bool follow(const Goal& goal, const double* y, Path& path, Scratch& scratch) const;
  bool step_towards(const Goal& goal, const double* y, Path& path, Scratch& scratch) const;
  bool jump(const Goal& goal, const double* y, std::int64_t n_starts, Path& path,
            Scratch& scratch) const;

  std::shared_ptr<const Problem> problem_;
  std::shared_ptr<const Anchors> anchors_;
  PipelineOptions options_;
  std::int64_t p_, q_, n_;
  const Function& f_;
  const Region& region_;
  const Metric& metric_;
  Polish polish_;
  Roots roots_;
  // Made on first use, because they take a while if f is slow.
  mutable Once prepare_once_;
  mutable std::vector<double> columns_y_;  // (q, n): images, output by output
  mutable std::vector<double> inverses_;   // (p, q, n): P_a, entry by entry, in units of the region
  // If q > p: p / ||J||^2 (n), and J^T J times it: its lower triangle entry by entry, with the
  // entries beside the diagonal doubled (p (p + 1) / 2, n).
  mutable std::vector<double> flatness_, grams_;
  mutable double spacing_ = 0;  // typical distance between neighbouring anchors
};

}  // namespace fastinv
