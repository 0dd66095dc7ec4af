// One target -> k anchors -> network -> candidates -> residuals -> ranked solutions: inverse twin
// neural network regression, algorithm 2 of Wetzel (2026), "Inverting Non-Injective Functions with
// Twin Neural Network Regression". x has p components, y has q.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "kdtree/kdtree.hpp"
#include "mlp/mlp.hpp"
#include "solve/polish.hpp"
#include "function/region.hpp"
#include "function/status.hpp"

namespace fastinv {

constexpr std::uint8_t kExtrapolated = 1, kClipped = 2;  // bits of a candidate's flags

// F with its scalings: features [(y - y_a) / dy_scale, (y_a - y_mean) / y_scale,
// (x_a - x_mean) / x_scale], x = x_a + dx_scale * F(features).
struct TwinModel {
  Network<float> network;
  std::vector<double> dy_scale, y_mean, y_scale, x_mean, x_scale, dx_scale;
  double reach;
};

struct PipelineOptions {
  std::vector<double> lower, upper, x_spread;
  double tol, coverage;
  bool anchors_exact, trust_residual;
  // Candidates come from the nearest of `pool` times as many anchors, those first that are farther
  // apart than `apart` (in units of x_spread); 0 takes the nearest as they are.
  double apart;
  std::int64_t pool;
  std::int64_t n_passes;  // through the twin network
};

// Damped Gauss-Newton on every candidate. Of CONVERGED ones that are closer together than
// `separation` (in units of x_spread, modulo `periods`) all but the best are ranked last.
struct RefineOptions {
  CompiledForward jacobian;  // null: by differences, or the network's own derivative
  std::int64_t max_evaluations;
  std::vector<double> periods;  // infinite where a coordinate is not periodic
  double separation;
};

// Arrays of a solve, n rows each; `near` may be null.
struct SolveArrays {
  const double* targets;  // (n, q)
  const double* near;     // (n, p)
  std::int64_t n, n_neighbors, k;
  double* x;             // (n, k, p)
  double* residual;      // (n, k)
  std::int64_t* anchor;  // (n, k)
  std::int8_t* status;   // (n, k)
};

// Arrays of candidates, n rows of n_neighbors each.
struct CandidateArrays {
  double* x;                // (n, n_neighbors, p)
  std::int64_t* anchor;     // (n, n_neighbors)
  std::uint8_t* flags;      // (n, n_neighbors)
  double* anchor_distance;  // (n)
};

class Pipeline {
 public:
  // anchors_x (n_anchors, p), anchors_y (n_anchors, q), finite. Without `twin` the candidates are
  // the anchors themselves; without a forward function only candidates and rank work.
  Pipeline(std::vector<double> anchors_x, std::vector<double> anchors_y, std::int64_t p,
           std::int64_t q, std::optional<TwinModel> twin, CompiledForward compiled,
           std::optional<ForwardModel> learned, PipelineOptions options,
           std::optional<RefineOptions> refine, const Kernels<double>& kernels);
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  std::int64_t p() const { return p_; }
  std::int64_t q() const { return q_; }
  std::int64_t n_anchors() const { return n_anchors_; }
  bool has_forward() const { return compiled_ || learned_; }

  void solve(const SolveArrays& arrays, int n_threads) const;
  void candidates(const double* targets, std::int64_t n, std::int64_t n_neighbors,
                  const CandidateArrays& out, int n_threads) const;
  // fx (n, n_neighbors, q) are the candidates' images.
  void rank(const SolveArrays& arrays, const CandidateArrays& candidates, const double* fx) const;

 private:
  struct Tile;
  // The candidates of one target, n_neighbors of each but for the distance.
  struct CandidateRow {
    const double* x;
    const std::int64_t* anchor;
    const std::uint8_t* flags;
    const double* fx;
    double anchor_distance;
  };

  void scale_anchors();
  std::int64_t network_workspace(std::int64_t n_rows) const;
  std::int64_t pool_size(std::int64_t n_neighbors) const;
  void propose(const double* targets, Tile& tile) const;
  void find_anchors(const double* y, std::int64_t* anchor, double* distances, Tile& tile) const;
  void correct(const double* targets, Tile& tile) const;
  void correct_again(const double* targets, Tile& tile) const;
  float* difference(const double* y, const double* y_a, float* feature) const;
  void own_features(const double* x_a, const double* y_a, float* feature) const;
  void move(const double* targets, Tile& tile) const;
  void evaluate(Tile& tile) const;
  void polish(const double* targets, Tile& tile) const;
  void rank_row(const SolveArrays& arrays, std::int64_t row, const CandidateRow& candidates,
                Tile& tile) const;
  void find_residuals(const double* y, const CandidateRow& candidates, Tile& tile) const;
  void classify(const double* near, const CandidateRow& candidates, Tile& tile) const;
  void find_duplicates(const CandidateRow& candidates, Tile& tile) const;
  const double* solution(const CandidateRow& candidates, const Tile& tile, std::int64_t c) const;

  std::vector<double> anchors_x_, anchors_y_;
  std::vector<float> anchor_features_;  // (n_anchors, q + p): their part of the features
  std::int64_t p_, q_, n_anchors_;
  std::optional<TwinModel> twin_;
  CompiledForward compiled_;
  std::optional<ForwardModel> learned_;
  PipelineOptions options_;
  Region region_;
  double separation_ = 0;
  Differentiable f_;
  std::optional<Polish> polish_;
  const Kernels<double>& kernels_;
  KDTree<double> tree_;
};

}  // namespace fastinv
