// An exact KD-tree for k nearest neighbours in the Euclidean distance (Bentley 1975; Friedman,
// Bentley and Finkel 1977), with kKDWidth children a node. A set that fits in one leaf is searched
// by brute force.
#pragma once

#include <cstdint>
#include <vector>

#include "../kernels/kernels.hpp"

namespace fastinv {

// Numbers, zero at first, that start on a cache line, so that no register's load crosses one.
template <class T>
class CacheLines {
 public:
  void resize(std::int64_t size) {
    lines_.resize(static_cast<std::size_t>((size + kPerLine - 1) / kPerLine));
  }
  T* data() { return reinterpret_cast<T*>(lines_.data()); }
  const T* data() const { return reinterpret_cast<const T*>(lines_.data()); }

 private:
  static constexpr std::int64_t kPerLine = 64 / sizeof(T);
  struct alignas(64) Line {
    T numbers[kPerLine];
  };
  std::vector<Line> lines_;
};

// Immutable after construction: any number of threads may query it.
template <class T>
class KDTree {
 public:
  // points (n_points, n_dims), finite, copied; leaves hold up to leaf_size points, rounded up to
  // whole blocks. Throws std::invalid_argument where a size is below 1 or n_points is 2^31 or more.
  KDTree(const T* points, std::int64_t n_points, std::int64_t n_dims, std::int64_t leaf_size,
         const Kernels<T>& kernels);

  std::int64_t n_points() const { return n_points_; }
  std::int64_t n_dims() const { return n_dims_; }
  // What the kernel reads; valid as long as this tree lives and is not moved from.
  KDTreeView<T> view() const;
  // The k nearest points of each of queries (n_queries, n_dims), ascending by (squared distance,
  // index): distances and indices (n_queries, k). Throws std::invalid_argument unless
  // 1 <= k <= n_points.
  void query(const T* queries, std::int64_t n_queries, std::int64_t k, T* distances,
             std::int64_t* indices, int n_threads) const;

 private:
  std::int64_t n_points_, n_dims_, height_ = 0;
  const Kernels<T>* kernels_;
  std::vector<KDNode> nodes_;
  CacheLines<T> boxes_, points_;
  std::vector<std::int32_t> indices_;
};

}  // namespace fastinv
