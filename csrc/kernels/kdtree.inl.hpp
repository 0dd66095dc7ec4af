// The k nearest points of a query in a KD-tree, exactly: the same bits whatever the tree's shape.
//
// A squared distance is the sum over dimensions, in ascending order, of (point - query)^2, each term
// by one subtraction and one fma. A box's bound is the same sum over max(low - query, query - high,
// 0). Rounding is monotone, so a bound never exceeds the computed distance of a point in the box:
// skipping what is strictly beyond the k-th best so far loses nothing, ties included.

#if defined(FASTINV_AVX512)
FASTINV_INLINE unsigned lanes_at_most(vec<float> a, vec<float> b) {
  return _mm512_cmp_ps_mask(a.r, b.r, _CMP_LE_OQ);
}
FASTINV_INLINE unsigned lanes_at_most(vec<double> a, vec<double> b) {
  return _mm512_cmp_pd_mask(a.r, b.r, _CMP_LE_OQ);
}
#elif defined(FASTINV_AVX2)
FASTINV_INLINE unsigned lanes_at_most(vec<float> a, vec<float> b) {
  return static_cast<unsigned>(_mm256_movemask_ps(_mm256_cmp_ps(a.r, b.r, _CMP_LE_OQ)));
}
FASTINV_INLINE unsigned lanes_at_most(vec<double> a, vec<double> b) {
  return static_cast<unsigned>(_mm256_movemask_pd(_mm256_cmp_pd(a.r, b.r, _CMP_LE_OQ)));
}
#elif defined(FASTINV_SSE2)
FASTINV_INLINE unsigned lanes_at_most(vec<float> a, vec<float> b) {
  return static_cast<unsigned>(_mm_movemask_ps(_mm_cmple_ps(a.r, b.r)));
}
FASTINV_INLINE unsigned lanes_at_most(vec<double> a, vec<double> b) {
  return static_cast<unsigned>(_mm_movemask_pd(_mm_cmple_pd(a.r, b.r)));
}
#else
FASTINV_INLINE unsigned lanes_at_most(vec<float> a, vec<float> b) {
  const std::uint32_t bits[4] = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(vcleq_f32(a.r, b.r), vld1q_u32(bits)));
}
FASTINV_INLINE unsigned lanes_at_most(vec<double> a, vec<double> b) {
  const std::uint64_t bits[2] = {1, 2};
  return static_cast<unsigned>(vaddvq_u64(vandq_u64(vcleq_f64(a.r, b.r), vld1q_u64(bits))));
}
#endif

FASTINV_INLINE int lowest_bit(unsigned bits) {
#if defined(_MSC_VER) && !defined(__clang__)
  int position = 0;
  for (; !(bits & 1u); bits >>= 1) ++position;
  return position;
#else
  return __builtin_ctz(bits);
#endif
}

// kKDWidth numbers in registers: one per child of a node, or per point of a block.
template <class T>
struct Row {
  static constexpr int lanes = vec<T>::lanes;
  static constexpr int parts = kKDWidth / lanes;
  vec<T> part[parts];

  static FASTINV_INLINE Row zero() {
    Row row;
    for (int i = 0; i < parts; ++i) row.part[i] = vec<T>::set1(T(0));
    return row;
  }
  static FASTINV_INLINE Row load(const T* p) {
    Row row;
    for (int i = 0; i < parts; ++i) row.part[i] = vec<T>::load(p + i * lanes);
    return row;
  }
  FASTINV_INLINE void store(T* p) const {
    for (int i = 0; i < parts; ++i) part[i].store(p + i * lanes);
  }
  // Infinite where NaN: `min` returns its second argument there.
  FASTINV_INLINE Row without_nan() const {
    Row row;
    for (int i = 0; i < parts; ++i) row.part[i] = min(part[i], vec<T>::set1(T(HUGE_VAL)));
    return row;
  }
  // Bit i is set where number i is at most `limit`.
  FASTINV_INLINE unsigned at_most(T limit) const {
    unsigned bits = 0;
    for (int i = 0; i < parts; ++i)
      bits |= lanes_at_most(part[i], vec<T>::set1(limit)) << (i * lanes);
    return bits;
  }
};

// A set of points, each by its squared distance and its index.
template <class T, class I>
struct Entries {
  T* distances;
  I* indices;

  FASTINV_INLINE void put(std::int64_t place, T distance, std::int64_t index) const {
    distances[place] = distance;
    indices[place] = static_cast<I>(index);
  }
};

// Whether entry `a` comes before entry `b`: by distance, then by index.
template <class T>
FASTINV_INLINE bool before(T distance_a, std::int64_t index_a, T distance_b, std::int64_t index_b) {
  return distance_a < distance_b || (distance_a == distance_b && index_a < index_b);
}

// Sorts n entries, a multiple of kKDWidth up to `capacity`. Comparing all with all costs less than
// the branches of other methods, none of which could be predicted.
template <class T, int capacity>
FASTINV_INLINE void sort_entries(Entries<T, std::int32_t> in, Entries<T, std::int32_t> out, int n) {
  int n_equal[capacity] = {};
  for (int begin = 0; begin < n; begin += kKDWidth) {
    const Row<T> row = Row<T>::load(in.distances + begin);
    Row<T> n_smaller = Row<T>::zero();
    for (int j = 0; j < n; ++j) {
      const vec<T> other = vec<T>::set1(in.distances[j]);
      for (int i = 0; i < Row<T>::parts; ++i)
        n_smaller.part[i] = n_smaller.part[i] + select_less(other, row.part[i], vec<T>::set1(T(1)),
                                                            vec<T>::set1(T(0)));
    }
    T places[kKDWidth];
    n_smaller.store(places);
    for (int j = 0; j < kKDWidth; ++j) {
      const int place = static_cast<int>(places[j]);
      out.put(place + n_equal[place]++, in.distances[begin + j], in.indices[begin + j]);
    }
  }
  for (int j = 1; j < n; ++j) {
    const T distance = out.distances[j];
    const std::int32_t index = out.indices[j];
    int place = j;
    for (; place > 0 && distance == out.distances[place - 1] && index < out.indices[place - 1];
         --place)
      out.put(place, distance, out.indices[place - 1]);
    out.put(place, distance, index);
  }
}

// The k best so far, ascending in the output arrays. They start as k infinite distances of index
// kKDPadding, which any point beats. Where k is small, points are inserted one by one, else they
// are gathered and merged in many at a time.
template <class T>
struct Nearest {
  static constexpr std::int64_t kMaxInserted = 8;
  static constexpr int kCapacity = 128;
  Entries<T, std::int64_t> best;
  std::int64_t k;
  T worst;
  alignas(64) T gathered_distances[kCapacity];
  std::int32_t gathered_indices[kCapacity];
  int n_gathered, limit;

  FASTINV_INLINE Nearest(T* distances, std::int64_t* indices, std::int64_t k)
      : best{distances, indices}, k(k), worst(T(HUGE_VAL)), n_gathered(0) {
    // The first block is always merged: all of its points are new.
    limit = k <= kMaxInserted ? 0 : k < kCapacity - kKDWidth ? static_cast<int>(k) : kCapacity - kKDWidth;
    for (std::int64_t i = 0; i < k; ++i) best.put(i, T(HUGE_VAL), kKDPadding);
  }

  FASTINV_INLINE void add(unsigned lanes, const T* distances, const std::int32_t* indices) {
    const bool gather = k > kMaxInserted || best.indices[0] == kKDPadding;
    for (; lanes; lanes &= lanes - 1) {
      const int lane = lowest_bit(lanes);
      if (gather) {
        gathered_distances[n_gathered] = distances[lane];
        gathered_indices[n_gathered++] = indices[lane];
      } else {
        insert(distances[lane], indices[lane]);
      }
    }
    if (n_gathered > limit) merge();
  }

  FASTINV_INLINE void insert(T distance, std::int64_t index) {
    std::int64_t place = k - 1;
    if (!before(distance, index, best.distances[place], best.indices[place])) return;
    for (; place > 0; --place) {
      const T d = best.distances[place - 1];
      const std::int64_t i = best.indices[place - 1];
      if (!before(distance, index, d, i)) break;
      best.put(place, d, i);
    }
    best.put(place, distance, index);
    worst = best.distances[k - 1];
  }

  FASTINV_INLINE void merge() {
    T sorted_distances[kCapacity];
    std::int32_t sorted_indices[kCapacity];
    Entries<T, std::int32_t> in{gathered_distances, gathered_indices};
    Entries<T, std::int32_t> sorted{sorted_distances, sorted_indices};
    int n = n_gathered;
    for (; n % kKDWidth; ++n) in.put(n, T(HUGE_VAL), kKDPadding);
    sort_entries<T, kCapacity>(in, sorted, n);
    const auto best_is_last = [&](std::int64_t i, std::int64_t j) {
      return j == 0 || (i > 0 && before(sorted.distances[j - 1], sorted.indices[j - 1],
                                        best.distances[i - 1], best.indices[i - 1]));
    };
    std::int64_t i = k, j = n_gathered;
    while (i + j > k) {
      if (best_is_last(i, j)) --i; else --j;
    }
    for (std::int64_t place = k - 1; j > 0; --place) {
      if (best_is_last(i, j)) {
        --i;
        best.put(place, best.distances[i], best.indices[i]);
      } else {
        --j;
        best.put(place, sorted.distances[j], sorted.indices[j]);
      }
    }
    n_gathered = 0;
    worst = best.distances[k - 1];
  }
};

// Bounds of the squared distances to a node's children: boxes (n_dims, 2, kKDWidth).
template <class T>
FASTINV_INLINE Row<T> box_bounds(const T* boxes, const T* query, std::int64_t n_dims) {
  Row<T> sum = Row<T>::zero();
  for (std::int64_t d = 0; d < n_dims; ++d, boxes += 2 * kKDWidth) {
    const Row<T> low = Row<T>::load(boxes), high = Row<T>::load(boxes + kKDWidth);
    const vec<T> q = vec<T>::set1(query[d]);
    for (int i = 0; i < Row<T>::parts; ++i) {
      const vec<T> outside = max(low.part[i] - q, q - high.part[i]);
      const vec<T> gap = max(outside, vec<T>::set1(T(0)));
      sum.part[i] = fma(gap, gap, sum.part[i]);
    }
  }
  return sum;
}

// Adds the points of a block (n_dims, kKDWidth). Gives up where all sums are beyond the k-th best.
template <class T>
FASTINV_INLINE void add_block(const T* block, const std::int32_t* indices, const T* query,
                              std::int64_t n_dims, Nearest<T>& nearest) {
  constexpr std::int64_t kDimsPerCheck = 16;
  Row<T> sum = Row<T>::zero();
  unsigned bits = 0;
  for (std::int64_t begin = 0; begin < n_dims; begin += kDimsPerCheck) {
    const std::int64_t end = begin + kDimsPerCheck < n_dims ? begin + kDimsPerCheck : n_dims;
    for (std::int64_t d = begin; d < end; ++d, block += kKDWidth) {
      const Row<T> point = Row<T>::load(block);
      const vec<T> q = vec<T>::set1(query[d]);
      for (int i = 0; i < Row<T>::parts; ++i) {
        const vec<T> difference = point.part[i] - q;
        sum.part[i] = fma(difference, difference, sum.part[i]);
      }
    }
    bits = sum.without_nan().at_most(nearest.worst);
    if (!bits) return;
  }
  T distances[kKDWidth];
  sum.without_nan().store(distances);
  nearest.add(bits, distances, indices);
}

template <class T>
FASTINV_INLINE void add_leaf(const KDTreeView<T>& tree, KDNode leaf, const T* query,
                             Nearest<T>& nearest) {
  for (std::int64_t block = leaf.first; block < leaf.first + leaf.count; ++block)
    add_block(tree.points + block * tree.n_dims * kKDWidth, tree.indices + block * kKDWidth, query,
              tree.n_dims, nearest);
}

// An inner node on the way down: the bounds of its children, and a bit for each still to visit.
template <class T>
struct Visit {
  alignas(64) T bounds[kKDWidth];
  unsigned pending;
  std::int32_t first_child;

  FASTINV_INLINE void open(const KDTreeView<T>& tree, std::int64_t node, const T* query) {
    const T* boxes = tree.boxes + node * tree.n_dims * 2 * kKDWidth;
    box_bounds(boxes, query, tree.n_dims).store(bounds);
    pending = (1u << tree.nodes[node].count) - 1;
    first_child = tree.nodes[node].first;
  }
  // The pending child of the lowest bound, the first of equals; -1 where none can matter.
  FASTINV_INLINE int next(T worst) {
    pending &= Row<T>::load(bounds).at_most(worst);
    if (!pending) return -1;
    const unsigned inside = pending & Row<T>::load(bounds).at_most(T(0));
    int best = lowest_bit(inside ? inside : pending);
    for (unsigned rest = inside ? 0 : pending & (pending - 1); rest; rest &= rest - 1) {
      const int child = lowest_bit(rest);
      if (bounds[child] < bounds[best]) best = child;
    }
    pending &= ~(1u << best);
    return best;
  }
};

template <class T>
void kdtree_query(const KDQueryTask<T>& task) {
  const KDTreeView<T>& tree = task.tree;
  Nearest<T> nearest(task.distances, task.indices, task.k);
  Visit<T> path[kKDMaxHeight];
  int level = 0;
  if (tree.height == 0) {
    add_leaf(tree, tree.nodes[0], task.query, nearest);
  } else {
    path[0].open(tree, 0, task.query);
  }
  while (tree.height > 0 && level >= 0) {
    const int child = path[level].next(nearest.worst);
    if (child < 0) {
      --level;
      continue;
    }
    const std::int64_t node = path[level].first_child + child;
    if (level + 1 == tree.height) {
      add_leaf(tree, tree.nodes[node], task.query, nearest);
    } else {
      path[++level].open(tree, node, task.query);
    }
  }
  if (nearest.n_gathered) nearest.merge();
  map(task.distances, task.distances, task.k, [](vec<T> x) { return sqrt(x); });
}
