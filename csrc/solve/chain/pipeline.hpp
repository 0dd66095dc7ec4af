// One target -> anchors -> network -> candidates -> polish -> ranked solutions: the chain
// propose, correct, evaluate, polish, verify, rank. Inverse twin neural network regression,
// algorithm 2 of Wetzel (2026), "Inverting Non-Injective Functions with Twin Neural Network
// Regression".
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "function/anchors.hpp"
#include "function/goal.hpp"
#include "function/problem.hpp"
#include "function/status.hpp"
#include "solve/chain/candidates.hpp"
#include "solve/options.hpp"
#include "solve/chain/twin.hpp"
#include "solve/polish.hpp"
#include "solve/roots.hpp"

namespace fastinv {

// Immutable; any number of threads may use it.
class Pipeline {
 public:
  // Without `twin` the candidates are the anchors themselves. Without a function only `propose`,
  // `correct` and `rank` work.
  Pipeline(std::shared_ptr<const Problem> problem, std::shared_ptr<const Anchors> anchors,
           std::optional<TwinModel> twin, PipelineOptions options);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  std::int64_t n_inputs() const { return p_; }
  std::int64_t n_outputs() const { return q_; }
  const Anchors& anchors() const { return *anchors_; }
  bool has_function() const { return problem_->function != nullptr; }
  bool has_twin() const { return twin_.has_value(); }

  // The whole chain: the best out.k of n_candidates, 1 <= out.k <= n_candidates <= anchors.
  void solve(const Goal& goal, std::int64_t n_candidates, const Ranked& out, int n_threads) const;

  // The single links. The comment of each says what it fills or changes, for goal.n targets.
  // Fills all of candidates: the anchors with their images. A target that is not finite gets the
  // first anchors, so that f sees nothing unusual, and a distance of NaN.
  void propose(const Goal& goal, const Candidates& candidates, int n_threads) const;
  // Changes x and flags: a step of the twin network from x with the image fx, then into the bounds.
  // If the target or the image is not finite, there is no step.
  void correct(const Goal& goal, const Candidates& candidates, int n_threads) const;
  // Fills fx, the images of x.
  void evaluate(const Candidates& candidates, int n_threads) const;
  // Changes x, fx and flags.
  void polish(const Goal& goal, const Candidates& candidates, int n_threads) const;
  // Changes all but anchor_distance: puts anchors, if they are exact and closer, in the place of
  // their candidates, and flags those that the goal allows if f - y has a root near them.
  void verify(const Goal& goal, const Candidates& candidates, int n_threads) const;
  // Ranks by the rules of fastinv.backends.solving.Pipeline.rank.
  void rank(const Goal& goal, const Candidates& candidates, const Ranked& out) const;

 private:
  struct Scratch;
  struct Tile;
  std::size_t bytes_of_tile(std::int64_t n_targets, std::int64_t n_per_target) const;
  void propose_rows(const Goal& goal, const Candidates& candidates, Scratch& scratch) const;
  void find_anchors(const double* y, std::int64_t n, std::int64_t* anchor, double* distances,
                    Scratch& scratch) const;
  void correct_anchors(const Goal& goal, const Candidates& candidates, Scratch& scratch) const;
  void correct_rows(const Goal& goal, const Candidates& candidates, Scratch& scratch) const;
  void improve_rows(const Goal& goal, const Candidates& candidates, Scratch& scratch) const;
  void move(const Goal& goal, const Candidates& candidates, Scratch& scratch) const;
  std::uint8_t clip(double* x) const;
  void clip_rows(const Candidates& candidates) const;
  void evaluate_rows(const Candidates& candidates, Scratch& scratch) const;
  void polish_rows(const Goal& goal, const Candidates& candidates, Scratch& scratch) const;
  void verify_rows(const Goal& goal, const Candidates& candidates, Scratch& scratch) const;
  void rank_row(const Goal& goal, std::int64_t row, const Candidates& candidates, const Ranked& out,
                Scratch& scratch) const;
  void find_residuals(const double* y, const Candidates& candidates, Scratch& scratch) const;
  void classify(const Goal& goal, std::int64_t row, const Candidates& candidates,
                Scratch& scratch) const;
  void order_exact(const double* state, const Candidates& candidates, Scratch& scratch) const;
  void find_duplicates(const Candidates& candidates, Scratch& scratch) const;

  std::shared_ptr<const Problem> problem_;
  std::shared_ptr<const Anchors> anchors_;
  std::optional<TwinModel> twin_;
  PipelineOptions options_;
  std::int64_t p_, q_;
  const Region& region_;
  const Metric& metric_;
  KDTreeView<double> tree_;
  std::optional<Polish> polish_;
  std::optional<Roots> roots_;
  std::vector<float> anchor_features_;  // (n_anchors, n_own_features)
  // Candidates and bytes of the last tile with one target, in 32 bits each. In a loop over single
  // targets, counting the bytes again would take a tenth of the time.
  mutable std::atomic<std::uint64_t> single_tile_{0};
};

}  // namespace fastinv
