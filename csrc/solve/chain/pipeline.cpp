#include "solve/chain/pipeline.hpp"

#include <algorithm>
#include <utility>

#include "solve/chain/scratch.hpp"
#include "solve/chain/tiles.hpp"

namespace fastinv {

Pipeline::Pipeline(std::shared_ptr<const Problem> problem, std::shared_ptr<const Anchors> anchors,
                   std::optional<TwinModel> twin, PipelineOptions options)
    : problem_(std::move(problem)),
      anchors_(std::move(anchors)),
      twin_(std::move(twin)),
      options_(options),
      p_(problem_->n_inputs()),
      q_(problem_->n_outputs()),
      region_(problem_->region),
      metric_(problem_->metric),
      tree_(anchors_->tree().view()) {
  if (has_function()) {
    polish_.emplace(*problem_, options_);
    roots_.emplace(*problem_);
  }
  if (!twin_) return;
  // An anchor's own features do not depend on the target: they are scaled here, once. The
  // differences are not folded into the weights, because float32 would lose digits far from 0 or in
  // tiny units; scaling in float64 keeps them.
  const std::int64_t n_own = twin_->n_own_features();
  anchor_features_.resize(static_cast<std::size_t>(anchors_->size() * n_own));
  for (std::int64_t a = 0; a < anchors_->size(); ++a) {
    twin_->own_features(anchors_->x(a), anchors_->y(a), &anchor_features_[a * n_own]);
  }
}

std::size_t Pipeline::bytes_of_tile(std::int64_t n_targets, std::int64_t n_per_target) const {
  if (n_targets > 1) return bytes_of<Tile>(*this, n_targets, n_per_target);
  const std::uint64_t last = single_tile_.load(std::memory_order_relaxed);
  if (last >> 32 == static_cast<std::uint64_t>(n_per_target)) {
    return static_cast<std::size_t>(last & 0xffffffff);
  }
  const std::size_t bytes = bytes_of<Tile>(*this, n_targets, n_per_target);
  if (n_per_target <= 0xffffffff && bytes <= 0xffffffff) {
    single_tile_.store(static_cast<std::uint64_t>(n_per_target) << 32 | bytes,
                       std::memory_order_relaxed);
  }
  return bytes;
}

void Pipeline::solve(const Goal& goal, std::int64_t n_candidates, const Ranked& out,
                     int n_threads) const {
  const std::int64_t per_tile = targets_per_tile(goal.n, n_candidates);
  const std::size_t bytes = bytes_of_tile(per_tile, n_candidates);
  for_each_tile(goal.n, per_tile, bytes, n_threads,
                [&](std::int64_t first, std::int64_t count, const Workspace& workspace) {
                  Tile tile = workspace.lay_out<Tile>(*this, per_tile, n_candidates);
                  Scratch& scratch = tile.scratch;
                  const Goal part = goal.rows(first, count);
                  const Candidates candidates = tile.candidates.rows(0, count);
                  propose_rows(part, candidates, scratch);
                  correct_anchors(part, candidates, scratch);
                  evaluate_rows(candidates, scratch);
                  for (std::int64_t pass = 1; twin_ && pass < options_.n_passes; ++pass) {
                    improve_rows(part, candidates, scratch);
                  }
                  // Row by row: polishing may take long, and an interruption keeps what is ranked.
                  for (std::int64_t row = 0; row < count; ++row) {
                    const Goal own = part.rows(row, 1);
                    const Candidates few = candidates.rows(row, 1);
                    if (options_.polish) polish_rows(own, few, scratch);
                    verify_rows(own, few, scratch);
                    const std::int64_t k = out.k, done = (first + row) * k;
                    rank_row(own, 0, few,
                             {k, out.x + done * p_, out.residual + done, out.anchor + done,
                              out.status + done},
                             scratch);
                    count_done(1);
                  }
                });
}

void Pipeline::propose(const Goal& goal, const Candidates& candidates, int n_threads) const {
  const std::int64_t k = candidates.n_per_target, per_tile = targets_per_tile(goal.n, k);
  for_each_tile(goal.n, per_tile, bytes_of<Scratch>(*this, per_tile, k), n_threads,
                [&](std::int64_t first, std::int64_t count, const Workspace& workspace) {
                  Scratch scratch = workspace.lay_out<Scratch>(*this, per_tile, k);
                  propose_rows(goal.rows(first, count), candidates.rows(first, count), scratch);
                });
}

void Pipeline::correct(const Goal& goal, const Candidates& candidates, int n_threads) const {
  const std::int64_t k = candidates.n_per_target, per_tile = targets_per_tile(goal.n, k);
  for_each_tile(goal.n, per_tile, bytes_of<Scratch>(*this, per_tile, k), n_threads,
                [&](std::int64_t first, std::int64_t count, const Workspace& workspace) {
                  Scratch scratch = workspace.lay_out<Scratch>(*this, per_tile, k);
                  correct_rows(goal.rows(first, count), candidates.rows(first, count), scratch);
                });
}

void Pipeline::evaluate(const Candidates& candidates, int n_threads) const {
  const std::int64_t n = candidates.n_targets, k = candidates.n_per_target;
  const std::int64_t per_tile = targets_per_tile(n, k);
  for_each_tile(n, per_tile, bytes_of<Scratch>(*this, per_tile, k), n_threads,
                [&](std::int64_t first, std::int64_t count, const Workspace& workspace) {
                  Scratch scratch = workspace.lay_out<Scratch>(*this, per_tile, k);
                  evaluate_rows(candidates.rows(first, count), scratch);
                });
}

void Pipeline::polish(const Goal& goal, const Candidates& candidates, int n_threads) const {
  const std::int64_t k = candidates.n_per_target, per_tile = targets_per_tile(goal.n, k);
  for_each_tile(goal.n, per_tile, bytes_of<Scratch>(*this, per_tile, k), n_threads,
                [&](std::int64_t first, std::int64_t count, const Workspace& workspace) {
                  Scratch scratch = workspace.lay_out<Scratch>(*this, per_tile, k);
                  polish_rows(goal.rows(first, count), candidates.rows(first, count), scratch);
                });
}

void Pipeline::verify(const Goal& goal, const Candidates& candidates, int n_threads) const {
  const std::int64_t k = candidates.n_per_target, per_tile = targets_per_tile(goal.n, k);
  for_each_tile(goal.n, per_tile, bytes_of<Scratch>(*this, per_tile, k), n_threads,
                [&](std::int64_t first, std::int64_t count, const Workspace& workspace) {
                  Scratch scratch = workspace.lay_out<Scratch>(*this, per_tile, k);
                  verify_rows(goal.rows(first, count), candidates.rows(first, count), scratch);
                });
}

void Pipeline::rank(const Goal& goal, const Candidates& candidates, const Ranked& out) const {
  const std::int64_t per_target = candidates.n_per_target, k = out.k;
  Workspaces memory(1, bytes_of<Scratch>(*this, 1, per_target));
  Scratch scratch = memory[0].lay_out<Scratch>(*this, 1, per_target);
  for (std::int64_t row = 0; row < goal.n; ++row) {
    watch_point();
    const std::int64_t done = row * k;
    rank_row(goal, row, candidates.rows(row, 1),
             {k, out.x + done * p_, out.residual + done, out.anchor + done, out.status + done},
             scratch);
  }
}

void Pipeline::evaluate_rows(const Candidates& candidates, Scratch& scratch) const {
  problem_->function->values(candidates.x, candidates.fx, candidates.n(), scratch.function);
}

}  // namespace fastinv
