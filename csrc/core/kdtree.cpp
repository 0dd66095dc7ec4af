#include "kdtree.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "parallel.hpp"

namespace fastinv {

namespace {

void require(bool holds, const std::string& what, std::int64_t got) {
  if (!holds) throw std::invalid_argument(what + ", got " + std::to_string(got));
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

struct BlockRange {
  std::int64_t begin, end;
};

// Orders the points so that every node owns a run of whole blocks. Runs are cut between blocks, as
// evenly as that allows, by the points' order in (coordinate, index): duplicates cannot unbalance
// the tree, and no two points are equal in that order, so the tree is always the same.
template <class T>
class Builder {
 public:
  Builder(const T* points, std::int64_t n_points, std::int64_t n_dims)
      : points_(points), n_points_(n_points), n_dims_(n_dims),
        order_(static_cast<std::size_t>(n_points)) {
    std::iota(order_.begin(), order_.end(), 0);
  }

  void build(std::int64_t leaf_blocks) {
    const std::int64_t n_blocks = divide_up(n_points_, kKDWidth);
    std::int64_t capacity = leaf_blocks;
    for (; capacity < n_blocks; capacity *= kKDWidth) ++height;
    std::vector<BlockRange> level{{0, n_blocks}};
    for (std::int64_t i = 0; i < height; ++i) {
      capacity /= kKDWidth;
      level = add_level(level, capacity);
    }
    for (const BlockRange leaf : level) {
      nodes.push_back(node(leaf.begin, leaf.end - leaf.begin));
      std::sort(order_.begin() + first_point(leaf.begin), order_.begin() + first_point(leaf.end));
    }
    pack_blocks(n_blocks);
  }

  std::int64_t height = 0;
  std::vector<KDNode> nodes;
  CacheLines<T> boxes, blocks;
  std::vector<std::int32_t> indices;

 private:
  static KDNode node(std::int64_t first, std::int64_t count) {
    return {static_cast<std::int32_t>(first), static_cast<std::int32_t>(count)};
  }
  std::int64_t first_point(std::int64_t block) const {
    return std::min(block * kKDWidth, n_points_);
  }
  const T* point(std::int64_t place) const { return points_ + order_[place] * n_dims_; }

  // Adds the inner nodes that own the runs of `level`, and returns their children's runs, each of
  // `capacity` blocks at most.
  std::vector<BlockRange> add_level(const std::vector<BlockRange>& level, std::int64_t capacity) {
    const auto first_child = static_cast<std::int64_t>(nodes.size() + level.size());
    const std::int64_t boxes_per_node = 2 * n_dims_ * kKDWidth;
    boxes.resize(first_child * boxes_per_node);
    std::vector<BlockRange> children;
    for (const BlockRange range : level) {
      const auto before = static_cast<std::int64_t>(children.size());
      T* node_boxes = boxes.data() + static_cast<std::int64_t>(nodes.size()) * boxes_per_node;
      const std::int64_t parts = divide_up(range.end - range.begin, capacity);
      cut(range, parts, node_boxes, children);
      nodes.push_back(node(first_child + before, parts));
    }
    return children;
  }

  // Cuts a run into `parts` runs of equal length, one block more or less, and stores their boxes
  // in the next columns of the node's (n_dims, 2, kKDWidth).
  void cut(BlockRange range, std::int64_t parts, T*& column, std::vector<BlockRange>& children) {
    measure(range);
    if (parts == 1) {
      for (std::int64_t i = 0; i < 2 * n_dims_; ++i) column[i * kKDWidth] = box_[i];
      ++column;
      children.push_back(range);
      return;
    }
    const std::int64_t left_parts = parts / 2;
    const std::int64_t middle = range.begin + (range.end - range.begin) * left_parts / parts;
    partition(range, middle, widest_dimension());
    cut({range.begin, middle}, left_parts, column, children);
    cut({middle, range.end}, parts - left_parts, column, children);
  }

  // The smallest box of a run's points: (low, high) for each dimension.
  void measure(BlockRange range) {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    box_.resize(static_cast<std::size_t>(2 * n_dims_));
    for (std::int64_t d = 0; d < n_dims_; ++d) {
      box_[2 * d] = infinity;
      box_[2 * d + 1] = -infinity;
    }
    const std::int64_t end = first_point(range.end);
    for (std::int64_t place = first_point(range.begin); place < end; ++place) {
      const T* x = point(place);
      for (std::int64_t d = 0; d < n_dims_; ++d) {
        box_[2 * d] = std::min(box_[2 * d], x[d]);
        box_[2 * d + 1] = std::max(box_[2 * d + 1], x[d]);
      }
    }
  }

  std::int64_t widest_dimension() const {
    std::int64_t widest = 0;
    for (std::int64_t d = 1; d < n_dims_; ++d) {
      if (box_[2 * d + 1] - box_[2 * d] > box_[2 * widest + 1] - box_[2 * widest]) widest = d;
    }
    return widest;
  }

  void partition(BlockRange range, std::int64_t middle, std::int64_t dimension) {
    const std::int64_t begin = first_point(range.begin), end = first_point(range.end);
    keys_.clear();
    for (std::int64_t place = begin; place < end; ++place)
      keys_.emplace_back(point(place)[dimension], order_[place]);
    std::nth_element(keys_.begin(), keys_.begin() + (first_point(middle) - begin), keys_.end());
    for (std::int64_t place = begin; place < end; ++place)
      order_[place] = keys_[place - begin].second;
  }

  void pack_blocks(std::int64_t n_blocks) {
    blocks.resize(n_blocks * n_dims_ * kKDWidth);
    std::fill_n(blocks.data(), n_blocks * n_dims_ * kKDWidth, std::numeric_limits<T>::infinity());
    indices.assign(static_cast<std::size_t>(n_blocks * kKDWidth), kKDPadding);
    for (std::int64_t place = 0; place < n_points_; ++place) {
      T* block = blocks.data() + place / kKDWidth * n_dims_ * kKDWidth;
      for (std::int64_t d = 0; d < n_dims_; ++d)
        block[d * kKDWidth + place % kKDWidth] = point(place)[d];
      indices[place] = order_[place];
    }
  }

  const T* points_;
  std::int64_t n_points_, n_dims_;
  std::vector<std::int32_t> order_;
  std::vector<std::pair<T, std::int32_t>> keys_;
  std::vector<T> box_;
};

}  // namespace

template <class T>
KDTree<T>::KDTree(const T* points, std::int64_t n_points, std::int64_t n_dims,
                  std::int64_t leaf_size, const Kernels<T>& kernels)
    : n_points_(n_points), n_dims_(n_dims), kernels_(&kernels) {
  require(n_points >= 1, "points must have at least one row", n_points);
  require(n_points < (std::int64_t{1} << 31) - 1, "points must have less than 2^31 - 1 rows",
          n_points);
  require(n_dims >= 1, "points must have at least one column", n_dims);
  require(leaf_size >= 1, "leaf_size must be at least 1", leaf_size);
  Builder<T> builder(points, n_points, n_dims);
  builder.build(divide_up(std::min(leaf_size, n_points), kKDWidth));
  height_ = builder.height;
  nodes_ = std::move(builder.nodes);
  boxes_ = std::move(builder.boxes);
  points_ = std::move(builder.blocks);
  indices_ = std::move(builder.indices);
}

template <class T>
KDTreeView<T> KDTree<T>::view() const {
  return {nodes_.data(), boxes_.data(), points_.data(), indices_.data(),
          n_points_,     n_dims_,       height_};
}

template <class T>
void KDTree<T>::query(const T* queries, std::int64_t n_queries, std::int64_t k, T* distances,
                      std::int64_t* indices, int n_threads) const {
  require(k >= 1 && k <= n_points_,
          "k must be from 1 to the number of points, " + std::to_string(n_points_), k);
  // Queries near a crowd of points take longer: threads fetch chunks instead of equal shares.
  constexpr std::int64_t kChunk = 64;
  const std::int64_t n_chunks = divide_up(n_queries, kChunk);
  const auto useful = static_cast<int>(std::min<std::int64_t>(n_threads, n_chunks));
  const KDTreeView<T> tree = view();
  std::atomic<std::int64_t> next_chunk{0};
  run_independent(std::max(useful, 1), [&](int) {
    for (std::int64_t chunk; (chunk = next_chunk.fetch_add(1)) < n_chunks;) {
      const std::int64_t end = std::min((chunk + 1) * kChunk, n_queries);
      for (std::int64_t i = chunk * kChunk; i < end; ++i)
        kernels_->kdtree_query({tree, queries + i * n_dims_, k, distances + i * k,
                                indices + i * k});
    }
  });
}

template class KDTree<float>;
template class KDTree<double>;

}  // namespace fastinv
