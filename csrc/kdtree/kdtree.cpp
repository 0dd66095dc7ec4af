#include "kdtree/kdtree.hpp"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "kdtree/kdtree_builder.hpp"
#include "base/parallel.hpp"

namespace fastinv {

namespace {

void require(bool holds, const std::string& what, std::int64_t got) {
  if (!holds) throw std::invalid_argument(what + ", got " + std::to_string(got));
}

std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

template <class T>
KDTree<T>::KDTree(const T* points, std::int64_t n_points, std::int64_t n_dims,
                  std::int64_t leaf_size, const Kernels<T>& kernels, int n_threads)
    : n_points_(n_points), n_dims_(n_dims), kernels_(&kernels) {
  require(n_points >= 1, "points must have at least one row", n_points);
  require(n_points < (std::int64_t{1} << 31) - 1, "points must have less than 2^31 - 1 rows",
          n_points);
  require(n_dims >= 1, "points must have at least one column", n_dims);
  require(leaf_size >= 1, "leaf_size must be at least 1", leaf_size);
  const std::int64_t leaf_blocks = divide_up(std::min(leaf_size, n_points), kKDWidth);
  KDTreeBuilder<T> builder(points, n_points, n_dims, leaf_blocks);
  if (!builder.build(n_threads)) {
    // Points that are not finite cannot be sorted for a cut: a single leaf holds them all.
    builder = KDTreeBuilder<T>(points, n_points, n_dims, divide_up(n_points, kKDWidth));
    builder.build(n_threads);
  }
  height_ = builder.height;
  nodes_ = std::move(builder.nodes);
  boxes_ = std::move(builder.boxes);
  blocks_ = std::move(builder.blocks);
}

template <class T>
KDTreeView<T> KDTree<T>::view() const {
  return {nodes_.data(), boxes_.data(), blocks_.points.data(), blocks_.indices.data(), n_points_,
          n_dims_,       height_};
}

template <class T>
void KDTree<T>::query(const T* queries, std::int64_t n_queries, std::int64_t k, T* distances,
                      std::int64_t* indices, int n_threads) const {
  require(k >= 1 && k <= n_points_,
          "k must be from 1 to the number of points, " + std::to_string(n_points_), k);
  // Neighbouring queries share cache lines of the tree. If the tree fits in the cache, sorting them
  // gains nothing.
  constexpr std::int64_t kManyBytes = std::int64_t{1} << 22, kManyQueries = 1024;
  const std::int64_t bytes = n_points_ * n_dims_ * static_cast<std::int64_t>(sizeof(T));
  const bool in_order = bytes >= kManyBytes && n_queries >= kManyQueries;
  // Slabs limit the memory for the order.
  constexpr std::int64_t kSlab = std::int64_t{1} << 18;
  for (std::int64_t begin = 0; begin < n_queries; begin += kSlab) {
    const std::int64_t n = std::min(kSlab, n_queries - begin);
    const T* slab = queries + begin * n_dims_;
    std::vector<std::int32_t> order;
    if (in_order) order = order_by_place(slab, n);
    query_slab(slab, n, in_order ? order.data() : nullptr, k, distances + begin * k,
               indices + begin * k, n_threads);
  }
}

template <class T>
void KDTree<T>::query_slab(const T* queries, std::int64_t n_queries, const std::int32_t* order,
                           std::int64_t k, T* distances, std::int64_t* indices,
                           int n_threads) const {
  // Queries near many points take longer: threads fetch chunks instead of equal shares.
  constexpr std::int64_t kChunk = 64;
  const std::int64_t n_chunks = divide_up(n_queries, kChunk);
  const auto useful = static_cast<int>(std::min<std::int64_t>(n_threads, n_chunks));
  const KDTreeView<T> tree = view();
  std::atomic<std::int64_t> next_chunk{0};
  run_independent(std::max(useful, 1), [&](int) {
    for (std::int64_t chunk; (chunk = next_chunk.fetch_add(1)) < n_chunks;) {
      const std::int64_t end = std::min((chunk + 1) * kChunk, n_queries);
      for (std::int64_t place = chunk * kChunk; place < end; ++place) {
        watch_point();
        const std::int64_t i = order ? order[place] : place;
        kernels_->kdtree_query(
            {tree, queries + i * n_dims_, k, distances + i * k, indices + i * k});
      }
    }
  });
}

// The order of queries along a Morton curve. It runs through a grid over the root's box, in the
// widest dimensions of the box.
template <class T>
std::vector<std::int32_t> KDTree<T>::order_by_place(const T* queries,
                                                    std::int64_t n_queries) const {
  constexpr int kMaxAxes = 3, kBits = 15;
  const int n_axes = static_cast<int>(std::min<std::int64_t>(n_dims_, kMaxAxes));
  const int bits = kBits / n_axes;
  const std::vector<Axis> axes = widest_axes(n_axes, std::int64_t{1} << bits);
  std::vector<std::int32_t> spread(std::size_t{1} << bits);
  for (std::size_t cell = 0; cell < spread.size(); ++cell) {
    for (int bit = 0; bit < bits; ++bit)
      spread[cell] |= static_cast<std::int32_t>((cell >> bit & 1) << (bit * n_axes));
  }
  std::vector<std::int32_t> cells(static_cast<std::size_t>(n_queries));
  std::vector<std::int32_t> first((std::size_t{1} << (bits * n_axes)) + 1);
  for (std::int64_t i = 0; i < n_queries; ++i) {
    std::int32_t cell = 0;
    for (int a = 0; a < n_axes; ++a)
      cell |= spread[axes[a].cell_of(queries[i * n_dims_ + axes[a].dimension])] << a;
    cells[i] = cell;
    ++first[cell + 1];
  }
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<std::int32_t> order(static_cast<std::size_t>(n_queries));
  for (std::int64_t i = 0; i < n_queries; ++i)
    order[first[cells[i]]++] = static_cast<std::int32_t>(i);
  return order;
}

template <class T>
std::vector<typename KDTree<T>::Axis> KDTree<T>::widest_axes(int n_axes,
                                                             std::int64_t n_cells) const {
  std::vector<Axis> axes;
  const std::int64_t n_children = height_ > 0 ? nodes_[0].count : 0;
  for (std::int64_t d = 0; d < n_dims_; ++d) {
    const T* low = boxes_.data() + 2 * d * kKDWidth;
    const T* high = low + kKDWidth;
    // In float64 the width is finite, except for useless extremes.
    double begin = 0, end = 0;
    if (n_children > 0) {
      begin = *std::min_element(low, low + n_children);
      end = *std::max_element(high, high + n_children);
    }
    axes.push_back({d, begin, end - begin, static_cast<double>(n_cells)});
  }
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return a.width > b.width; });
  axes.resize(static_cast<std::size_t>(n_axes));
  return axes;
}

template class KDTree<float>;
template class KDTree<double>;

}  // namespace fastinv
