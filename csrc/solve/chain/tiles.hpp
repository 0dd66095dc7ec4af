// Work over many targets, a few at a time, on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/parallel.hpp"
#include "base/workspace.hpp"

namespace fastinv {

// The number of targets whose candidates, n_per_target each, pass through a network together.
inline std::int64_t targets_per_tile(std::int64_t n_targets, std::int64_t n_per_target) {
  constexpr std::int64_t kTileRows = 192;
  const std::int64_t full = std::max<std::int64_t>(1, kTileRows / n_per_target);
  return std::min(full, std::max<std::int64_t>(n_targets, 1));
}

// Runs work(first, count, workspace of `bytes`) over [0, n), per_tile at a time, on n_threads. All
// memory is allocated before a thread starts.
template <class F>
void for_each_tile(std::int64_t n, std::int64_t per_tile, std::size_t bytes, int n_threads,
                   const F& work) {
  const std::int64_t n_tiles = (n + per_tile - 1) / per_tile;
  const int threads = static_cast<int>(std::clamp<std::int64_t>(n_tiles, 1, n_threads));
  Workspaces memory(threads, bytes);
  const auto run_tile = [&](std::int64_t tile, const Workspace& workspace) {
    const std::int64_t first = tile * per_tile;
    watch_point();
    work(first, std::min(per_tile, n - first), workspace);
  };
  if (threads == 1) {
    const Workspace workspace = memory[0];
    for (std::int64_t tile = 0; tile < n_tiles; ++tile) run_tile(tile, workspace);
    return;
  }
  // Threads fetch a few tiles at a time, so that a delayed thread leaves its share to the others.
  constexpr std::int64_t kShares = 16;
  const std::int64_t share = (n_tiles + threads * kShares - 1) / (threads * kShares);
  std::atomic<std::int64_t> next{0};
  run_independent(threads, [&](int thread) {
    const Workspace workspace = memory[thread];
    for (std::int64_t begin; (begin = next.fetch_add(share)) < n_tiles;) {
      const std::int64_t end = std::min(begin + share, n_tiles);
      for (std::int64_t tile = begin; tile < end; ++tile) run_tile(tile, workspace);
    }
  });
}

}  // namespace fastinv
