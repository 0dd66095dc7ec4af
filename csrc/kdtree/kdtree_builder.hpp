// Sorts the points of a KD-tree into blocks and writes its nodes and boxes.
//
// Every node owns a run of whole blocks. Runs are cut between blocks, as evenly as possible, by the
// points' order in (coordinate, index). Duplicates cannot unbalance the tree. No two points are
// equal in that order, so the tree is always the same. The beginnings and ends of runs, and so the
// children of each node, depend only on the number of points. They are written down first; then
// threads cut different runs.
//
// The points are kept in blocks from the start. Each cut moves a run between the tree's own blocks
// and a second set of blocks, from left to right. So points stay in the order of their indices
// within each part: equal coordinates need no comparison of indices, and each leaf is in order. The
// padding of the last block takes part as points at infinity, which come last.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/buffer.hpp"
#include "kdtree/kdtree.hpp"
#include "base/parallel.hpp"
#include "kdtree/selection.hpp"

namespace fastinv {

template <class T>
class KDTreeBuilder {
 public:
  // points (n_points, n_dims); leaves hold up to leaf_blocks blocks.
  KDTreeBuilder(const T* points, std::int64_t n_points, std::int64_t n_dims,
                std::int64_t leaf_blocks)
      : n_points_(n_points), n_dims_(n_dims), block_size_(n_dims * kKDWidth), points_(points) {
    const std::int64_t n_blocks = (n_points + kKDWidth - 1) / kKDWidth;
    std::int64_t capacity = leaf_blocks;
    for (; capacity < n_blocks; capacity *= kKDWidth) ++height;
    add_nodes(n_blocks, capacity);
    boxes = Buffer<T>(n_inner_ * 2 * block_size_);
    blocks = KDBlocks<T>(n_blocks, n_dims);
    if (height > 0) other_ = KDBlocks<T>(n_blocks, n_dims);
  }

  // False if a point is not finite and the tree has more than one leaf: the tree is then useless.
  bool build(int n_threads) {
    const bool finite = fill_blocks(n_threads);
    if (height == 0) return true;
    if (!finite) return false;
    // Threads do not share cache lines.
    box_stride_ = (height + 1) * 2 * n_dims_ + 128 / static_cast<std::int64_t>(sizeof(T));
    box_buffer_ = Buffer<T>(n_threads * box_stride_);
    measure(runs_[0], 0, box_of(0, 0));
    add_subtree(0, 0, 0, {0, n_threads});
    return true;
  }

  std::int64_t height = 0;
  std::vector<KDNode> nodes;
  Buffer<T> boxes;
  KDBlocks<T> blocks;

 private:
  struct BlockRange {
    std::int64_t begin, end;
    std::int64_t size() const { return end - begin; }
  };
  // The children [first, first + count) of an inner node. `side` says which blocks hold their run
  // of points: 0 for the tree's own, 1 for the second set.
  struct Family {
    std::int64_t node, first, count;
    BlockRange run;
    int side;
  };
  // Threads [first, first + count).
  struct Team {
    int first, count;
  };

  // Adds nodes level by level, each with its run; a node of the root's level has up to `capacity`
  // blocks.
  void add_nodes(std::int64_t n_blocks, std::int64_t capacity) {
    runs_.push_back({0, n_blocks});
    std::int64_t begin = 0;
    for (std::int64_t level = 0; level < height; ++level) {
      capacity /= kKDWidth;
      const auto end = static_cast<std::int64_t>(runs_.size());
      for (std::int64_t i = begin; i < end; ++i) {
        const BlockRange run = runs_[i];
        const std::int64_t parts = (run.size() + capacity - 1) / capacity;
        nodes.push_back(node(static_cast<std::int64_t>(runs_.size()), parts));
        add_runs(run, parts);
      }
      begin = end;
    }
    n_inner_ = begin;
    for (auto leaf = runs_.begin() + begin; leaf != runs_.end(); ++leaf)
      nodes.push_back(node(leaf->begin, leaf->size()));
  }

  void add_runs(BlockRange run, std::int64_t parts) {
    if (parts == 1) return runs_.push_back(run);
    const std::int64_t middle = middle_of(run, parts);
    add_runs({run.begin, middle}, parts / 2);
    add_runs({middle, run.end}, parts - parts / 2);
  }

  static KDNode node(std::int64_t first, std::int64_t count) {
    return {static_cast<std::int32_t>(first), static_cast<std::int32_t>(count)};
  }
  // The end of the first parts / 2 of equal parts of a run.
  static std::int64_t middle_of(BlockRange run, std::int64_t parts) {
    return run.begin + run.size() * (parts / 2) / parts;
  }
  KDBlocks<T>& on(int side) { return side == 0 ? blocks : other_; }

  // Copies the points into the tree's own blocks in their order and pads the last block. False if a
  // point is not finite.
  bool fill_blocks(int n_threads) {
    std::atomic<bool> finite{true};
    run_independent(n_threads, [&](int thread) {
      const Range range = part_of(runs_[0].size(), thread, n_threads);
      bool all_finite = true;
      for (std::int64_t b = range.begin; b < range.end; ++b) {
        watch_point();
        all_finite &= fill_block(b);
      }
      if (!all_finite) finite = false;
    });
    return finite;
  }

  bool fill_block(std::int64_t b) {
    const std::int64_t first = b * kKDWidth;
    const std::int64_t n = std::min<std::int64_t>(kKDWidth, n_points_ - first);
    T* block = blocks.points.data() + b * block_size_;
    const T* in = points_ + first * n_dims_;
    bool finite = true;
    for (std::int64_t d = 0; d < n_dims_; ++d) {
      for (std::int64_t i = 0; i < n; ++i) {
        const T x = in[i * n_dims_ + d];
        block[d * kKDWidth + i] = x;
        finite &= x - x == 0;  // NaN where x is not finite
      }
      std::fill(block + d * kKDWidth + n, block + (d + 1) * kKDWidth,
                std::numeric_limits<T>::infinity());
    }
    std::int32_t* indices = blocks.indices.data() + first;
    for (std::int64_t i = 0; i < kKDWidth; ++i)
      indices[i] = i < n ? static_cast<std::int32_t>(first + i) : kKDPadding;
    return finite;
  }

  // The box (n_dims, 2), low and high, that a thread works on at that level.
  T* box_of(int thread, std::int64_t level) {
    return box_buffer_.data() + thread * box_stride_ + level * 2 * n_dims_;
  }

  // Adds the subtree below a node of that level, whose points lie on that side.
  void add_subtree(std::int64_t node, std::int64_t level, int side, Team team) {
    const BlockRange run = runs_[node];
    if (level < height) {
      std::fill_n(boxes.data() + node * 2 * block_size_, 2 * block_size_, T(0));
      cut({node, nodes[node].first, nodes[node].count, run, side}, level, team);
    } else if (side == 1) {
      std::copy_n(other_.points.data() + run.begin * block_size_, run.size() * block_size_,
                  blocks.points.data() + run.begin * block_size_);
      std::copy_n(other_.indices.data() + run.begin * kKDWidth, run.size() * kKDWidth,
                  blocks.indices.data() + run.begin * kKDWidth);
    }
  }

  // Cuts a family's run, halving the number of children each time, and continues with each child.
  // The box of the run is measured for each child and only shrunk along each cut in between:
  // measuring takes as long as cutting does.
  void cut(const Family& family, std::int64_t level, Team team) {
    if (family.count == 1) return add_child(family, level, team);
    const T* box = box_of(team.first, level);
    std::int64_t widest = 0;
    for (std::int64_t d = 1; d < n_dims_; ++d) {
      if (box[2 * d + 1] - box[2 * d] > box[2 * widest + 1] - box[2 * widest]) widest = d;
    }
    const BlockRange run = family.run;
    const std::int64_t middle = middle_of(run, family.count), n_left = family.count / 2;
    const T value = partition(run, middle, widest, family.side);
    const int side = 1 - family.side;
    const Family left{family.node, family.first, n_left, {run.begin, middle}, side};
    const Family right{
        family.node, family.first + n_left, family.count - n_left, {middle, run.end}, side};
    if (team.count == 1) {
      cut_within(left, level, team, 2 * widest + 1, value);
      cut_within(right, level, team, 2 * widest, value);
      return;
    }
    const Team left_team{team.first, (team.count + 1) / 2};
    const Team right_team{team.first + left_team.count, team.count / 2};
    std::copy_n(box, 2 * n_dims_, box_of(right_team.first, level));
    run_independent(2, [&](int half) {
      if (half == 0) {
        cut_within(left, level, left_team, 2 * widest + 1, value);
      } else {
        cut_within(right, level, right_team, 2 * widest, value);
      }
    });
  }

  // The same, with one end of the box moved to `value` for the duration of the call.
  void cut_within(const Family& family, std::int64_t level, Team team, std::int64_t end, T value) {
    T* box = box_of(team.first, level);
    const T before = box[end];
    box[end] = value;
    cut(family, level, team);
    box[end] = before;
  }

  void add_child(const Family& family, std::int64_t level, Team team) {
    T* box = box_of(team.first, level + 1);
    measure(family.run, family.side, box);
    T* column =
        boxes.data() + family.node * 2 * block_size_ + family.first - nodes[family.node].first;
    for (std::int64_t i = 0; i < 2 * n_dims_; ++i) column[i * kKDWidth] = box[i];
    add_subtree(family.first, level + 1, family.side, team);
  }

  // The smallest box of a run's points.
  void measure(BlockRange run, int side, T* box) {
    const bool padded = run.end * kKDWidth > n_points_;
    const std::int64_t whole_end = padded ? run.end - 1 : run.end;
    for (std::int64_t d = 0; d < n_dims_; ++d) {
      watch_point();
      const T* column = on(side).points.data() + d * kKDWidth;
      T low[kKDWidth], high[kKDWidth];
      std::fill_n(low, kKDWidth, std::numeric_limits<T>::infinity());
      std::fill_n(high, kKDWidth, -std::numeric_limits<T>::infinity());
      for (std::int64_t b = run.begin; b < whole_end; ++b) {
        const T* x = column + b * block_size_;
        for (int i = 0; i < kKDWidth; ++i) {
          low[i] = x[i] < low[i] ? x[i] : low[i];
          high[i] = x[i] > high[i] ? x[i] : high[i];
        }
      }
      const std::int64_t end = std::min(run.end * kKDWidth, n_points_);
      for (std::int64_t place = whole_end * kKDWidth; place < end; ++place) {
        const T x = column[whole_end * block_size_ + place - whole_end * kKDWidth];
        low[0] = std::min(low[0], x);
        high[0] = std::max(high[0], x);
      }
      box[2 * d] = *std::min_element(low, low + kKDWidth);
      box[2 * d + 1] = *std::max_element(high, high + kKDWidth);
    }
  }

  // Moves a run to the other side. The points that come first in (coordinate, index) go before the
  // middle. Returns the largest coordinate among them.
  T partition(BlockRange run, std::int64_t middle, std::int64_t dimension, int side) {
    const T* keys = on(side).points.data() + dimension * kKDWidth;
    T* copies = on(1 - side).points.data() + run.begin * block_size_;
    for (std::int64_t b = run.begin; b < run.end; ++b)
      std::copy_n(keys + b * block_size_, kKDWidth, copies + (b - run.begin) * kKDWidth);
    CutValue<T> cut = cut_value(copies, run.size() * kKDWidth, (middle - run.begin) * kKDWidth);
    const T value = cut.value;
    if (cut.all_equal) {
      move_run(run, middle, side, keys, [=](T key) { return key <= value; });
    } else {
      move_run(run, middle, side, keys, [=](T key) mutable {
        const bool equal = key == value;
        cut.n_equal -= equal;
        return (key < value) | (equal & (cut.n_equal >= 0));
      });
    }
    return value;
  }

  // Moves a run to the other side. The points with keys that go left end before the middle.
  template <class GoesLeft>
  void move_run(BlockRange run, std::int64_t middle, int side, const T* keys, GoesLeft goes_left) {
    constexpr std::int64_t kTile = 16;
    std::int32_t places[kTile * kKDWidth];
    auto left = static_cast<std::int32_t>(run.begin * kKDWidth);
    auto right = static_cast<std::int32_t>(middle * kKDWidth);
    for (std::int64_t tile = run.begin; tile < run.end; tile += kTile) {
      watch_point();
      const std::int64_t tile_end = std::min(tile + kTile, run.end);
      std::int32_t* place = places;
      for (std::int64_t b = tile; b < tile_end; ++b) {
        const T* key = keys + b * block_size_;
        for (int i = 0; i < kKDWidth; ++i) {
          const std::int32_t is_left = goes_left(key[i]);
          // Selects left or right without a branch, which could not be predicted.
          *place++ = right ^ ((left ^ right) & -is_left);
          left += is_left;
          right += 1 - is_left;
        }
      }
      move_blocks(tile, tile_end, side, places);
    }
  }

  // Moves the points of some blocks to places in the other side's blocks.
  void move_blocks(std::int64_t begin, std::int64_t end, int side, const std::int32_t* places) {
    T* to = on(1 - side).points.data();
    std::int32_t* indices_to = on(1 - side).indices.data();
    for (std::int64_t b = begin; b < end; ++b, places += kKDWidth) {
      std::int64_t offsets[kKDWidth];
      for (int i = 0; i < kKDWidth; ++i) {
        const std::int64_t place = places[i];
        offsets[i] = (place & -kKDWidth) * (n_dims_ - 1) + place;
      }
      const T* from = on(side).points.data() + b * block_size_;
      for (std::int64_t d = 0; d < n_dims_; ++d) {
        for (int i = 0; i < kKDWidth; ++i) to[offsets[i] + d * kKDWidth] = from[d * kKDWidth + i];
      }
      const std::int32_t* indices_from = on(side).indices.data() + b * kKDWidth;
      for (int i = 0; i < kKDWidth; ++i) indices_to[places[i]] = indices_from[i];
    }
  }

  std::int64_t n_points_, n_dims_, block_size_, n_inner_ = 0, box_stride_ = 0;
  const T* points_;
  std::vector<BlockRange> runs_;
  KDBlocks<T> other_;
  Buffer<T> box_buffer_;
};

}  // namespace fastinv
