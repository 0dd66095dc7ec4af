// Finds the k nearest points of a query exactly: the same bits for every shape of the tree.
//
// A squared distance is the sum over dimensions, in ascending order, of (point - query)^2, each
// term by one subtraction and one fma. A box's bound is the same sum over
// max(low - query, query - high, 0). Rounding is monotone, so a bound never exceeds the computed
// distance of a point in the box: skipping what is strictly beyond the k-th best so far loses
// nothing, ties included.

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
  // Replaces NaN by infinity: `min` returns its second argument for NaN.
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

// Points by their squared distances and indices.
template <class T, class Index>
struct Entries {
  T* distances;
  Index* indices;

  FASTINV_INLINE void put(std::int64_t place, T distance, std::int64_t index) const {
    distances[place] = distance;
    indices[place] = static_cast<Index>(index);
  }
};

// Whether entry a[i] comes before entry b[j]: by distance, then by index.
template <class T, class IndexA, class IndexB>
FASTINV_INLINE bool before(Entries<T, IndexA> a, std::int64_t i, Entries<T, IndexB> b,
                           std::int64_t j) {
  return a.distances[i] < b.distances[j] ||
         (a.distances[i] == b.distances[j] && a.indices[i] < b.indices[j]);
}

// Sorts n entries by distance; equal ones stay in order. n is a multiple of kKDWidth up to
// `capacity`. Comparing all pairs costs less than the unpredictable branches of other methods.
template <int capacity, class T>
FASTINV_INLINE void sort_entries(Entries<T, const std::int32_t> in, Entries<T, std::int32_t> out,
                                 int n) {
  const vec<T> zero = vec<T>::set1(T(0)), one = vec<T>::set1(T(1));
  int n_equal[capacity] = {};
  for (int begin = 0; begin < n; begin += kKDWidth) {
    const Row<T> row = Row<T>::load(in.distances + begin);
    Row<T> n_smaller = Row<T>::zero();
    for (int j = 0; j < n; ++j) {
      const vec<T> other = vec<T>::set1(in.distances[j]);
      for (int i = 0; i < Row<T>::parts; ++i)
        n_smaller.part[i] = n_smaller.part[i] + select_less(other, row.part[i], one, zero);
    }
    T places[kKDWidth];
    n_smaller.store(places);
    for (int j = 0; j < kKDWidth; ++j) {
      const int place = static_cast<int>(places[j]);
      out.put(place + n_equal[place]++, in.distances[begin + j], in.indices[begin + j]);
    }
  }
}

// The k best points so far, in the output arrays, ascending. Empty places hold an infinite distance
// and the index kKDPadding, which any point beats. For small k: the first block, whose indices
// ascend, is sorted; later points are inserted one by one.
template <class T>
struct InsertedNearest {
  static constexpr std::int64_t kMaxK = 32;
  Entries<T, std::int64_t> best;
  std::int64_t k;
  T worst;
  bool empty;

  FASTINV_INLINE InsertedNearest(Entries<T, std::int64_t> out, std::int64_t k)
      : best(out), k(k), worst(T(HUGE_VAL)), empty(true) {
    for (std::int64_t i = kKDWidth; i < k; ++i) best.put(i, T(HUGE_VAL), kKDPadding);
  }

  // Adds the points of a block whose bits in `lanes` are set; all others are beyond `worst`.
  FASTINV_INLINE void add(Entries<T, const std::int32_t> block, unsigned lanes) {
    if (empty) {
      start(block);
    } else {
      for (; lanes; lanes &= lanes - 1) insert(block, lowest_bit(lanes));
    }
    worst = best.distances[k - 1];
  }

  FASTINV_INLINE void start(Entries<T, const std::int32_t> block) {
    T distances[kKDWidth];
    std::int32_t indices[kKDWidth];
    sort_entries<kKDWidth>(block, Entries<T, std::int32_t>{distances, indices}, kKDWidth);
    for (std::int64_t i = 0; i < (k < kKDWidth ? k : kKDWidth); ++i)
      best.put(i, distances[i], indices[i]);
    empty = false;
  }

  FASTINV_INLINE void insert(Entries<T, const std::int32_t> block, int lane) {
    if (!before(block, lane, best, k - 1)) return;
    std::int64_t place = k - 1;
    for (; place > 0 && before(block, lane, best, place - 1); --place)
      best.put(place, best.distances[place - 1], best.indices[place - 1]);
    best.put(place, block.distances[lane], block.indices[lane]);
  }

  FASTINV_INLINE void finish() {}
};

// The same for large k: points are gathered and merged in groups.
template <class T>
struct MergedNearest {
  static constexpr int kCapacity = 128;
  Entries<T, std::int64_t> best;
  std::int64_t k;
  T worst;
  int n_gathered = 0;
  T distances[kCapacity];
  std::int32_t indices[kCapacity];

  FASTINV_INLINE MergedNearest(Entries<T, std::int64_t> out, std::int64_t k)
      : best(out), k(k), worst(T(HUGE_VAL)) {
    for (std::int64_t i = 0; i < k; ++i) best.put(i, T(HUGE_VAL), kKDPadding);
  }

  FASTINV_INLINE void add(Entries<T, const std::int32_t> block, unsigned lanes) {
    for (; lanes; lanes &= lanes - 1) {
      const int lane = lowest_bit(lanes);
      distances[n_gathered] = block.distances[lane];
      indices[n_gathered++] = block.indices[lane];
    }
    if (n_gathered >= k || n_gathered > kCapacity - kKDWidth) finish();
  }

  // Merges the gathered points into the best.
  void finish() {
    T sorted_distances[kCapacity];
    std::int32_t sorted_indices[kCapacity];
    const Entries<T, std::int32_t> fresh{sorted_distances, sorted_indices};
    int n = n_gathered;
    for (; n % kKDWidth; ++n) {
      distances[n] = T(HUGE_VAL);
      indices[n] = kKDPadding;
    }
    sort_entries<kCapacity>(Entries<T, const std::int32_t>{distances, indices}, fresh, n);
    // Within a block indices ascend, but blocks come in any order.
    for (int j = 1; j < n; ++j) {
      for (int i = j; i > 0 && before(fresh, i, fresh, i - 1); --i) {
        const std::int32_t index = fresh.indices[i];
        fresh.indices[i] = fresh.indices[i - 1];
        fresh.indices[i - 1] = index;
      }
    }
    // The result is i of the best and j of the fresh ones, k together.
    std::int64_t i = k, j = n_gathered;
    while (i + j > k) {
      if (i > 0 && before(fresh, j - 1, best, i - 1)) {
        --i;
      } else {
        --j;
      }
    }
    for (std::int64_t place = k - 1; j > 0; --place) {
      if (i > 0 && before(fresh, j - 1, best, i - 1)) {
        --i;
        best.put(place, best.distances[i], best.indices[i]);
      } else {
        --j;
        best.put(place, fresh.distances[j], fresh.indices[j]);
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

// Adds the points of a block (n_dims, kKDWidth). Stops early when all sums exceed the k-th best.
template <class T, class Nearest>
FASTINV_INLINE void add_block(const T* block, const std::int32_t* indices, const T* query,
                              std::int64_t n_dims, Nearest& nearest) {
  constexpr std::int64_t kDimsPerCheck = 16;
  Row<T> sum = Row<T>::zero();
  unsigned lanes = 0;
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
    lanes = sum.without_nan().at_most(nearest.worst);
    if (!lanes) return;
  }
  T distances[kKDWidth];
  sum.without_nan().store(distances);
  nearest.add(Entries<T, const std::int32_t>{distances, indices}, lanes);
}

template <class T, class Nearest>
FASTINV_INLINE void add_leaf(const KDTreeView<T>& tree, std::int64_t node, const T* query,
                             Nearest& nearest) {
  const KDNode leaf = tree.nodes[node];
  for (std::int64_t block = leaf.first; block < leaf.first + leaf.count; ++block)
    add_block(tree.points + block * tree.n_dims * kKDWidth, tree.indices + block * kKDWidth, query,
              tree.n_dims, nearest);
}

// An inner node on the way down: the bounds of its children, and a bit for each still to visit.
template <class T>
struct Visit {
  T bounds[kKDWidth];
  unsigned pending;
  std::int32_t first_child;

  FASTINV_INLINE void open(const KDTreeView<T>& tree, std::int64_t node, const T* query) {
    const T* boxes = tree.boxes + node * tree.n_dims * 2 * kKDWidth;
    box_bounds(boxes, query, tree.n_dims).store(bounds);
    pending = (1u << tree.nodes[node].count) - 1;
    first_child = tree.nodes[node].first;
  }

  // Takes the pending child with the lowest bound, the first of equals; -1 if none can matter.
  FASTINV_INLINE std::int64_t next(T worst) {
    const Row<T> row = Row<T>::load(bounds);
    pending &= row.at_most(worst);
    if (!pending) return -1;
    const unsigned inside = pending & row.at_most(T(0));
    int best = lowest_bit(inside ? inside : pending);
    // No bound is below zero.
    for (unsigned rest = inside ? 0 : pending & (pending - 1); rest; rest &= rest - 1) {
      const int child = lowest_bit(rest);
      if (bounds[child] < bounds[best]) best = child;
    }
    pending &= ~(1u << best);
    return first_child + best;
  }
};

template <class T, class Nearest>
FASTINV_INLINE void search(const KDTreeView<T>& tree, const T* query, Nearest& nearest) {
  if (tree.height == 0) return add_leaf(tree, 0, query, nearest);
  Visit<T> path[kKDMaxHeight];
  path[0].open(tree, 0, query);
  for (std::int64_t level = 0; level >= 0;) {
    const std::int64_t node = path[level].next(nearest.worst);
    if (node < 0) {
      --level;
    } else if (level + 1 == tree.height) {
      add_leaf(tree, node, query, nearest);
    } else {
      path[++level].open(tree, node, query);
    }
  }
}

template <class T, class Nearest>
FASTINV_INLINE void search_into(const KDQueryTask<T>& task) {
  Nearest nearest({task.distances, task.indices}, task.k);
  search(task.tree, task.query, nearest);
  nearest.finish();
}

template <class T>
void kdtree_query(const KDQueryTask<T>& task) {
  if (task.k <= InsertedNearest<T>::kMaxK) {
    search_into<T, InsertedNearest<T>>(task);
  } else {
    search_into<T, MergedNearest<T>>(task);
  }
  map(task.distances, task.distances, task.k, [](vec<T> x) { return sqrt(x); });
}
