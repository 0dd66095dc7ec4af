#include "solve/pipeline.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "base/arena.hpp"
#include "base/parallel.hpp"
#include "solve/pipeline_tile.hpp"
#include "base/vectors.hpp"

namespace fastinv {

namespace {

constexpr std::int64_t kTileRows = 192;  // candidates that pass through the network together
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::int64_t targets_per_tile(std::int64_t n_neighbors) {
  return std::max<std::int64_t>(1, kTileRows / n_neighbors);
}

// Runs work(range of tiles, scratch of `bytes`) over [0, n) cut into tiles, on n_threads. All
// memory is there before a thread starts: one that threw would end the process.
template <class F>
void for_each_tile(std::int64_t n, std::int64_t per_tile, std::size_t bytes, int n_threads,
                   const F& work) {
  const std::int64_t n_tiles = (n + per_tile - 1) / per_tile;
  const int threads = static_cast<int>(std::clamp<std::int64_t>(n_tiles, 1, n_threads));
  if (threads == 1) {
    Arena arena(bytes);
    return work(Range{0, n_tiles}, arena);
  }
  std::vector<std::unique_ptr<Arena>> arenas;
  for (int t = 0; t < threads; ++t) arenas.push_back(std::make_unique<Arena>(bytes));
  // Threads fetch some tiles at a time: one that is held up leaves its share to the others.
  constexpr std::int64_t kShares = 16;
  const std::int64_t share = (n_tiles + threads * kShares - 1) / (threads * kShares);
  std::atomic<std::int64_t> next{0};
  run_independent(threads, [&](int thread) {
    for (std::int64_t begin; (begin = next.fetch_add(share)) < n_tiles;) {
      Arena& arena = *arenas[static_cast<std::size_t>(thread)];
      arena.reset();
      work(Range{begin, std::min(begin + share, n_tiles)}, arena);
    }
  });
}

}  // namespace

Pipeline::Pipeline(std::vector<double> anchors_x, std::vector<double> anchors_y, std::int64_t p,
                   std::int64_t q, std::optional<TwinModel> twin, CompiledForward compiled,
                   std::optional<ForwardModel> learned, PipelineOptions options,
                   std::optional<RefineOptions> refine, const Kernels<double>& kernels)
    : anchors_x_(std::move(anchors_x)),
      anchors_y_(std::move(anchors_y)),
      p_(p),
      q_(q),
      n_anchors_(static_cast<std::int64_t>(anchors_x_.size()) / p),
      twin_(std::move(twin)),
      compiled_(compiled),
      learned_(std::move(learned)),
      options_(std::move(options)),
      region_(options_.lower, options_.upper, options_.x_spread,
              refine ? refine->periods
                     : std::vector<double>(static_cast<std::size_t>(p), kInfinity)),
      f_(p, q, compiled_, refine ? refine->jacobian : nullptr, learned_ ? &*learned_ : nullptr),
      kernels_(kernels),
      tree_(anchors_y_.data(), n_anchors_, q, 16, kernels) {
  if (twin_) scale_anchors();
  if (!refine || !has_forward()) return;
  separation_ = refine->separation;
  polish_.emplace(f_, region_.box(), PolishOptions{refine->max_evaluations});
}

std::int64_t Pipeline::network_workspace(std::int64_t n_rows) const {
  return std::max(twin_ ? twin_->network.workspace_size(n_rows) : 0,
                  learned_ ? learned_->network.workspace_size(n_rows) : 0);
}

// Candidates of tile.n_targets targets. A target that is not finite gets the first anchors, so
// that f sees nothing unusual; ranking marks the row.
void Pipeline::propose(const double* targets, Tile& tile) const {
  const std::int64_t k = tile.n_neighbors;
  for (std::int64_t t = 0; t < tile.n_targets; ++t) {
    const double* y = targets + t * q_;
    double* distances = tile.distances + t * k;
    std::int64_t* anchor = tile.anchor + t * k;
    if (all_finite(y, q_)) {
      find_anchors(y, anchor, distances, tile);
    } else {
      for (std::int64_t j = 0; j < k; ++j) anchor[j] = j;
      std::fill(distances, distances + k, kNaN);
    }
    tile.anchor_distance[t] = distances[0];
    for (std::int64_t j = 0; j < k; ++j) {
      const double* x_a = &anchors_x_[anchor[j] * p_];
      copy_few(x_a, p_, tile.x + (t * k + j) * p_);
    }
  }
  correct(targets, tile);
}

std::int64_t Pipeline::pool_size(std::int64_t n_neighbors) const {
  return options_.apart > 0 ? std::min(n_anchors_, options_.pool * n_neighbors) : 0;
}

// The anchors of one target, tile.n_neighbors of them, with their distances in y.
void Pipeline::find_anchors(const double* y, std::int64_t* anchor, double* distances,
                            Tile& tile) const {
  const std::int64_t k = tile.n_neighbors;
  if (tile.n_pool <= k) {
    kernels_.kdtree_query({tree_.view(), y, k, distances, anchor});
    return;
  }
  kernels_.kdtree_query({tree_.view(), y, tile.n_pool, tile.pool_distances, tile.pool});
  // Anchors on one branch are close in x, those of another are not: each that is far from all
  // chosen ones is taken first, in the order of distances in y; the nearest others fill up.
  std::int64_t n_chosen = 0;
  const auto take = [&](std::int64_t place) {
    anchor[n_chosen] = tile.pool[place];
    distances[n_chosen++] = tile.pool_distances[place];
    tile.pool[place] = -1;
  };
  for (std::int64_t place = 0; place < tile.n_pool && n_chosen < k; ++place) {
    const double* x = &anchors_x_[tile.pool[place] * p_];
    bool far = true;
    for (std::int64_t c = 0; c < n_chosen && far; ++c) {
      far = region_.distance(x, &anchors_x_[anchor[c] * p_]) > options_.apart;
    }
    if (far) take(place);
  }
  for (std::int64_t place = 0; place < tile.n_pool && n_chosen < k; ++place) {
    if (tile.pool[place] >= 0) take(place);
  }
}

void Pipeline::evaluate(Tile& tile) const {
  const std::int64_t rows = tile.n_targets * tile.n_neighbors;
  if (compiled_) {
    compiled_(tile.x, tile.fx, rows);
    return;
  }
  const ForwardModel& f = *learned_;
  f.scale_inputs(tile.x, tile.features, rows);
  f.network.forward_rows(tile.features, tile.outputs, rows, tile.workspace);
  for (std::int64_t i = 0; i < rows * q_; ++i) {
    const std::int64_t c = i % q_;
    tile.fx[i] = f.y_mean[c] + f.y_scale[c] * tile.outputs[i];
  }
}

// Damped Gauss-Newton from every candidate, or from its anchor where that is exact and closer.
void Pipeline::polish(const double* targets, Tile& tile) const {
  for (std::int64_t row = 0; row < tile.n_targets * tile.n_neighbors; ++row) {
    const double* const y = targets + row / tile.n_neighbors * q_;
    if (!all_finite(y, q_)) continue;
    double* const x = tile.x + row * p_;
    double* const fx = tile.fx + row * q_;
    if (options_.anchors_exact) {
      const double* const image = &anchors_y_[tile.anchor[row] * q_];
      if (!(distance(fx, y, q_) <= distance(image, y, q_))) {
        copy_few(&anchors_x_[tile.anchor[row] * p_], p_, x);
        copy_few(image, q_, fx);
        tile.flags[row] = 0;
      }
    }
    polish_->run(y, x, fx, tile.polish, tile.derivative);
    region_.wrap(x);
    tile.flags[row] &= static_cast<std::uint8_t>(~kClipped);
    if (region_.touches(x)) tile.flags[row] |= kClipped;
  }
}

void Pipeline::solve(const SolveArrays& arrays, int n_threads) const {
  const std::int64_t k = arrays.n_neighbors;
  const std::int64_t per_tile = std::min(targets_per_tile(k), std::max<std::int64_t>(arrays.n, 1));
  const std::size_t bytes = Tile::bytes(*this, per_tile, k);
  for_each_tile(arrays.n, per_tile, bytes, n_threads, [&](Range tiles, Arena& arena) {
    Tile tile(*this, per_tile, k, arena);
    for (std::int64_t i = tiles.begin; i < tiles.end; ++i) {
      const std::int64_t first = i * per_tile;
      tile.n_targets = std::min(per_tile, arrays.n - first);
      propose(arrays.targets + first * q_, tile);
      evaluate(tile);
      for (std::int64_t pass = 1; twin_ && pass < options_.n_passes; ++pass) {
        correct_again(arrays.targets + first * q_, tile);
      }
      if (polish_) polish(arrays.targets + first * q_, tile);
      for (std::int64_t t = 0; t < tile.n_targets; ++t) {
        rank_row(arrays, first + t,
                 {tile.x + t * k * p_, tile.anchor + t * k, tile.flags + t * k,
                  tile.fx + t * k * q_, tile.anchor_distance[t]},
                 tile);
      }
    }
  });
}

void Pipeline::candidates(const double* targets, std::int64_t n, std::int64_t n_neighbors,
                          const CandidateArrays& out, int n_threads) const {
  const std::int64_t k = n_neighbors, per_tile = targets_per_tile(k);
  const std::size_t bytes = Tile::bytes(*this, per_tile, k);
  for_each_tile(n, per_tile, bytes, n_threads, [&](Range tiles, Arena& arena) {
    Tile tile(*this, per_tile, k, arena);
    for (std::int64_t i = tiles.begin; i < tiles.end; ++i) {
      const std::int64_t first = i * per_tile;
      tile.n_targets = std::min(per_tile, n - first);
      const std::int64_t rows = tile.n_targets * k;
      propose(targets + first * q_, tile);
      std::copy(tile.x, tile.x + rows * p_, out.x + first * k * p_);
      std::copy(tile.anchor, tile.anchor + rows, out.anchor + first * k);
      std::copy(tile.flags, tile.flags + rows, out.flags + first * k);
      std::copy(tile.anchor_distance, tile.anchor_distance + tile.n_targets,
                out.anchor_distance + first);
    }
  });
}

void Pipeline::rank(const SolveArrays& arrays, const CandidateArrays& candidates,
                    const double* fx) const {
  const std::int64_t k = arrays.n_neighbors;
  Arena arena(Tile::bytes(*this, 1, k));
  Tile tile(*this, 1, k, arena);
  for (std::int64_t i = 0; i < arrays.n; ++i) {
    rank_row(arrays, i,
             {candidates.x + i * k * p_, candidates.anchor + i * k, candidates.flags + i * k,
              fx + i * k * q_, candidates.anchor_distance[i]},
             tile);
  }
}

}  // namespace fastinv
