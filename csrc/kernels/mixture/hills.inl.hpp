// How the log density of a Gaussian mixture looks around points: HillsTask in kernels.hpp describes
// the shapes. Lane l of every register holds point l, so that a point's results do not depend on
// its neighbours.

constexpr std::int64_t triangle(std::int64_t i, std::int64_t j) { return i * (i + 1) / 2 + j; }

// Columns of the workspace, one register each.
template <class T>
struct HillsBlock {
  T *x, *shares, *pulls, *gradient, *factor, *inverse_diagonal, *drop, *root, *step;
  std::int64_t n_columns = 0;

  FASTINV_INLINE HillsBlock(T* workspace, std::int64_t k, std::int64_t d) {
    const auto take = [&](std::int64_t columns) -> T* {
      T* const start = workspace ? workspace + n_columns * vec<T>::lanes : nullptr;
      n_columns += columns;
      return start;
    };
    x = take(d);
    shares = take(k);
    pulls = take(k * d);
    gradient = take(d);
    factor = take(triangle(d, 0));
    inverse_diagonal = take(d);
    drop = take(triangle(d, 0));
    root = take(triangle(d, 0));
    step = take(d);
  }
};

// Replaces b (d columns) by L^-1 b. `inverse` are the reciprocals of L's diagonal.
template <class T>
FASTINV_INLINE void solve_factor(const T* factor, const T* inverse, std::int64_t d, T* b) {
  for (std::int64_t i = 0; i < d; ++i) {
    vec<T> rest = at(b, i);
    for (std::int64_t j = 0; j < i; ++j) rest = rest - at(factor, triangle(i, j)) * at(b, j);
    put(b, i, rest * at(inverse, i));
  }
}

// Replaces b (d columns) by L^-T b.
template <class T>
FASTINV_INLINE void solve_transposed(const T* factor, const T* inverse, std::int64_t d, T* b) {
  for (std::int64_t i = d - 1; i >= 0; --i) {
    vec<T> rest = at(b, i);
    for (std::int64_t j = i + 1; j < d; ++j) rest = rest - at(factor, triangle(j, i)) * at(b, j);
    put(b, i, rest * at(inverse, i));
  }
}

// Writes the Cholesky factor of `matrix` to `factor`, which may be the same, and the reciprocals of
// its diagonal. Pivots are raised to `floor` times the matrix's diagonal, at least to the smallest
// number; returns the least pivot before that.
template <class T>
FASTINV_INLINE vec<T> factorize(const T* matrix, std::int64_t d, double floor, T* factor,
                                T* inverse) {
  vec<T> least = constant<T>(HUGE_VAL);
  for (std::int64_t i = 0; i < d; ++i) {
    const vec<T> lowest = max(constant<T>(floor) * at(matrix, triangle(i, i)),
                              constant<T>(MixtureLimits<T>::smallest));
    for (std::int64_t j = 0; j <= i; ++j) {
      vec<T> sum = at(matrix, triangle(i, j));
      for (std::int64_t l = 0; l < j; ++l) {
        sum = sum - at(factor, triangle(i, l)) * at(factor, triangle(j, l));
      }
      if (j < i) {
        put(factor, triangle(i, j), sum * at(inverse, j));
        continue;
      }
      least = min(least, sum);  // NaN if the sum is
      const vec<T> diagonal = sqrt(max(sum, lowest));
      put(factor, triangle(i, i), diagonal);
      put(inverse, i, constant<T>(1.0) / diagonal);
    }
  }
  return least;
}

template <class T>
FASTINV_INLINE vec<T> length_of(const T* columns, std::int64_t d) {
  vec<T> squares = constant<T>(0.0);
  for (std::int64_t i = 0; i < d; ++i) squares = fma(at(columns, i), at(columns, i), squares);
  return sqrt(squares);
}

// Writes shares of the components to block.shares, the gradients of their log densities to
// block.pulls, and returns the log density.
template <class T>
FASTINV_INLINE vec<T> weigh_components(const HillsTask<T>& task, const HillsBlock<T>& block) {
  const std::int64_t k_max = task.n_components, d = task.n_dims;
  vec<T> largest = constant<T>(-HUGE_VAL);
  for (std::int64_t k = 0; k < k_max; ++k) {
    const T* const root = task.roots + k * triangle(d, 0);
    T* const z = block.pulls + k * d * vec<T>::lanes;
    vec<T> squares = constant<T>(0.0);
    for (std::int64_t i = 0; i < d; ++i) {
      vec<T> sum = constant<T>(0.0);
      for (std::int64_t j = 0; j <= i; ++j) {
        const vec<T> offset = at(block.x, j) - vec<T>::set1(task.means[k * d + j]);
        sum = fma(vec<T>::set1(root[triangle(i, j)]), offset, sum);
      }
      sum = limited(sum, MixtureLimits<T>::steepest);
      put(z, i, sum);
      squares = fma(sum, sum, squares);
    }
    const vec<T> term = fma(constant<T>(-0.5), squares, vec<T>::set1(task.log_factors[k]));
    put(block.shares, k, term);
    largest = max(largest, term);
    for (std::int64_t j = 0; j < d; ++j) {  // -A^T z, in place: entry j needs z from j on
      vec<T> sum = constant<T>(0.0);
      for (std::int64_t i = j; i < d; ++i) {
        sum = sum - vec<T>::set1(root[triangle(i, j)]) * at(z, i);
      }
      put(z, j, limited(sum, MixtureLimits<T>::steepest));
    }
  }
  vec<T> total = constant<T>(0.0);
  for (std::int64_t k = 0; k < k_max; ++k) {
    const vec<T> e = exp(at(block.shares, k) - largest);
    put(block.shares, k, e);
    total = total + e;
  }
  const vec<T> inverse = constant<T>(1.0) / total;
  for (std::int64_t k = 0; k < k_max; ++k) put(block.shares, k, at(block.shares, k) * inverse);
  return largest + log(total);
}

// Writes the gradient and the factor of the mean precision.
template <class T>
FASTINV_INLINE void average(const HillsTask<T>& task, const HillsBlock<T>& block) {
  const std::int64_t d = task.n_dims, n_entries = triangle(d, 0);
  for (std::int64_t i = 0; i < d; ++i) {
    vec<T> sum = constant<T>(0.0);
    for (std::int64_t k = 0; k < task.n_components; ++k) {
      sum = fma(at(block.shares, k), at(block.pulls, k * d + i), sum);
    }
    put(block.gradient, i, sum);
  }
  for (std::int64_t i = 0; i < n_entries; ++i) {
    vec<T> sum = constant<T>(0.0);
    for (std::int64_t k = 0; k < task.n_components; ++k) {
      sum = fma(at(block.shares, k), vec<T>::set1(task.precisions[k * n_entries + i]), sum);
    }
    put(block.factor, i, sum);
  }
  // Components may be correlated within rounding.
  factorize(block.factor, d, 2.220446049250313e-16, block.factor, block.inverse_diagonal);
}

// Writes `drop`: 1 less the scatter of the components' gradients, in units of local standard
// deviations. Gradients are replaced by their deviations from the mean.
template <class T>
FASTINV_INLINE void bend_of_shares(const HillsTask<T>& task, const HillsBlock<T>& block) {
  const std::int64_t d = task.n_dims;
  for (std::int64_t i = 0; i < d; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      put(block.drop, triangle(i, j), constant<T>(i == j ? 1.0 : 0.0));
    }
  }
  for (std::int64_t k = 0; k < task.n_components; ++k) {
    T* const deviation = block.pulls + k * d * vec<T>::lanes;
    for (std::int64_t i = 0; i < d; ++i)
      put(deviation, i, at(deviation, i) - at(block.gradient, i));
    solve_factor(block.factor, block.inverse_diagonal, d, deviation);
    for (std::int64_t i = 0; i < d; ++i) {
      put(deviation, i, limited(at(deviation, i), MixtureLimits<T>::steepest));
      const vec<T> shared = at(block.shares, k) * at(deviation, i);
      for (std::int64_t j = 0; j <= i; ++j) {
        const vec<T> entry = at(block.drop, triangle(i, j)) - shared * at(deviation, j);
        put(block.drop, triangle(i, j), entry);
      }
    }
  }
}

template <class T>
void hills_around(const HillsTask<T>& task, std::int64_t begin, std::int64_t end) {
  const std::int64_t d = task.n_dims, n_entries = triangle(d, 0), stride = task.stride;
  const HillsBlock<T> block(task.workspace, task.n_components, d);
  const auto write = [&](T* to, const T* columns, std::int64_t n, std::int64_t first) {
    for (std::int64_t i = 0; i < n; ++i) at(columns, i).store(to + i * stride + first);
  };
  for (std::int64_t first = begin; first < end; first += vec<T>::lanes) {
    for (std::int64_t i = 0; i < d; ++i) {
      put(block.x, i, vec<T>::load(task.points + i * stride + first));
    }
    weigh_components(task, block).store(task.log_density + first);
    average(task, block);
    bend_of_shares(task, block);

    T* const step = block.gradient;
    solve_factor(block.factor, block.inverse_diagonal, d, step);
    write(task.slope, step, d, first);
    length_of(step, d).store(task.slope_length + first);
    for (std::int64_t i = 0; i < d; ++i) put(block.step, i, at(step, i));
    solve_transposed(block.factor, block.inverse_diagonal, d, step);
    write(task.safe, step, d, first);

    T* const inverse_root = block.x;  // the point is not needed any more
    factorize(block.drop, d, 0.0, block.root, inverse_root).store(task.least_pivot + first);
    solve_factor(block.root, inverse_root, d, block.step);
    solve_transposed(block.root, inverse_root, d, block.step);
    length_of(block.step, d).store(task.leap_length + first);
    solve_transposed(block.factor, block.inverse_diagonal, d, block.step);
    write(task.leap, block.step, d, first);
    write(task.factor, block.factor, n_entries, first);
    write(task.drop, block.drop, n_entries, first);
  }
}

template <class T>
std::int64_t hills_workspace(std::int64_t k, std::int64_t d) {
  return HillsBlock<T>(nullptr, k, d).n_columns * vec<T>::lanes;
}
