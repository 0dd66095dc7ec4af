// An exact KD-tree for k nearest neighbours in the Euclidean distance (Bentley 1975; Friedman,
// Bentley and Finkel 1977), with kKDWidth children per node. Points that fit in one leaf are
// searched by brute force.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/kernels.hpp"
#include "base/buffer.hpp"

namespace fastinv {

// Points and their indices in blocks of kKDWidth, as KDTreeView stores them.
template <class T>
struct KDBlocks {
  KDBlocks() = default;
  KDBlocks(std::int64_t n_blocks, std::int64_t n_dims)
      : points(n_blocks * n_dims * kKDWidth), indices(n_blocks * kKDWidth) {}

  Buffer<T> points;              // (n_blocks, n_dims, kKDWidth)
  Buffer<std::int32_t> indices;  // (n_blocks, kKDWidth)
};

// Immutable after construction: any number of threads may query it.
template <class T>
class KDTree {
 public:
  // points (n_points, n_dims), finite, are copied. Leaves hold up to leaf_size points, rounded up
  // to whole blocks. Throws std::invalid_argument if a size is below 1 or n_points is 2^31 - 1 or
  // more. The tree is the same for any number of threads. With points that are not finite it is one
  // leaf.
  KDTree(const T* points, std::int64_t n_points, std::int64_t n_dims, std::int64_t leaf_size,
         const Kernels<T>& kernels, int n_threads = 1);

  std::int64_t n_points() const { return n_points_; }
  std::int64_t n_dims() const { return n_dims_; }
  // What the kernel reads. It is valid until this tree is destroyed or moved from.
  KDTreeView<T> view() const;
  // Writes the k nearest points of each of queries (n_queries, n_dims), ascending by (squared
  // distance, index), to distances and indices (n_queries, k). Throws std::invalid_argument unless
  // 1 <= k <= n_points.
  void query(const T* queries, std::int64_t n_queries, std::int64_t k, T* distances,
             std::int64_t* indices, int n_threads) const;

 private:
  // A dimension that is cut into cells.
  struct Axis {
    std::int64_t dimension;
    double begin, width, n_cells;

    // From 0 to n_cells - 1 for every x, NaN and infinity included.
    std::size_t cell_of(T x) const {
      const double place = (static_cast<double>(x) - begin) / width * n_cells;
      if (!(place > 0)) return 0;
      return static_cast<std::size_t>(place < n_cells - 1 ? place : n_cells - 1);
    }
  };

  void query_slab(const T* queries, std::int64_t n_queries, const std::int32_t* order,
                  std::int64_t k, T* distances, std::int64_t* indices, int n_threads) const;
  std::vector<std::int32_t> order_by_place(const T* queries, std::int64_t n_queries) const;
  std::vector<Axis> widest_axes(int n_axes, std::int64_t n_cells) const;

  std::int64_t n_points_, n_dims_, height_ = 0;
  const Kernels<T>* kernels_;
  std::vector<KDNode> nodes_;
  Buffer<T> boxes_;
  KDBlocks<T> blocks_;
};

}  // namespace fastinv
