// Negative log-likelihood of Gaussian mixtures and its gradient, by log-sum-exp. MixtureTask in
// kernels.hpp describes the shapes and the raw rows.
//
// As many rows as a register has lanes are transposed at a time: lane l holds row l everywhere. So
// the same operations compute every row, whatever its neighbours are.

// Where exponentials and squares would leave the range of T, the likelihood is zero for all
// purposes. These limits keep it and its gradient finite there.
template <class T>
struct MixtureLimits;
template <>
struct MixtureLimits<float> {
  static constexpr double logit = 1e36, log_scale = 40.0, whitened = 1e15, pulled_back = 1e20;
  static constexpr double steepest = 1e18, smallest = 1e-30;
};
template <>
struct MixtureLimits<double> {
  static constexpr double logit = 1e300, log_scale = 300.0, whitened = 1e120, pulled_back = 1e180;
  static constexpr double steepest = 1e150, smallest = 1e-300;
};

constexpr double kHalfLog2Pi = 0.91893853320467274178;

// NaN is not changed.
template <class T>
FASTINV_INLINE vec<T> limited(vec<T> x, double limit) {
  return max(constant<T>(-limit), min(constant<T>(limit), x));
}

// Columns of the workspace, one register each: a block of transposed rows, and what each component
// keeps between the likelihood and its gradient. A null workspace only counts them.
template <class T>
struct MixtureBlock {
  static constexpr int lanes = vec<T>::lanes;
  T *raw, *gradient, *targets, *weights, *joint, *whitened, *inverse_scales, *scale_slopes;
  T* pulled_back;
  std::int64_t n_columns = 0;

  FASTINV_INLINE MixtureBlock(T* workspace, std::int64_t k, std::int64_t d, std::int64_t n_raw) {
    const auto take = [&](std::int64_t columns) -> T* {
      T* const start = workspace ? workspace + n_columns * lanes : nullptr;
      n_columns += columns;
      return start;
    };
    raw = take(n_raw);
    gradient = take(n_raw);
    targets = take(d);
    weights = take(k);
    joint = take(k);
    whitened = take(k * d);
    inverse_scales = take(k * d);
    scale_slopes = take(k * d);
    pulled_back = take(d);
  }
};

template <class T>
FASTINV_INLINE vec<T> at(const T* columns, std::int64_t c) {
  return vec<T>::load(columns + c * vec<T>::lanes);
}

template <class T>
FASTINV_INLINE void put(T* columns, std::int64_t c, vec<T> x) {
  x.store(columns + c * vec<T>::lanes);
}

// Prefetches `count` elements, one cache line at a time.
template <class T>
FASTINV_INLINE void prefetch_rows(const T* next, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += 64 / static_cast<std::int64_t>(sizeof(T))) {
    prefetch(next + i);
  }
}

// Transposes n rows of `width` to columns; lanes beyond n repeat the last row. It works on squares
// of registers. The last square is shifted to end with the rows, so that nothing is read beyond
// them.
template <class T>
FASTINV_INLINE void to_columns(const T* rows, std::int64_t stride, std::int64_t n,
                               std::int64_t width, T* columns) {
  constexpr int lanes = vec<T>::lanes;
  const T* row[lanes];
  for (int l = 0; l < lanes; ++l) row[l] = rows + (l < n ? l : n - 1) * stride;
  if (width < lanes) {
    for (std::int64_t c = 0; c < width; ++c) {
      for (int l = 0; l < lanes; ++l) columns[c * lanes + l] = row[l][c];
    }
    return;
  }
  for (std::int64_t c = 0; c < width; c += lanes) {
    const std::int64_t start = c + lanes <= width ? c : width - lanes;
    vec<T> square[lanes];
    for (int l = 0; l < lanes; ++l) square[l] = vec<T>::load(row[l] + start);
    transpose(square);
    for (int l = 0; l < lanes; ++l) square[l].store(columns + (start + l) * lanes);
  }
}

template <class T>
FASTINV_INLINE void to_rows(const T* columns, std::int64_t stride, std::int64_t n,
                            std::int64_t width, T* rows) {
  constexpr int lanes = vec<T>::lanes;
  if (width < lanes) {
    for (std::int64_t l = 0; l < n; ++l) {
      for (std::int64_t c = 0; c < width; ++c) rows[l * stride + c] = columns[c * lanes + l];
    }
    return;
  }
  for (std::int64_t c = 0; c < width; c += lanes) {
    const std::int64_t start = c + lanes <= width ? c : width - lanes;
    vec<T> square[lanes];
    for (int l = 0; l < lanes; ++l) square[l] = vec<T>::load(columns + (start + l) * lanes);
    transpose(square);
    for (std::int64_t l = 0; l < n; ++l) square[l].store(rows + l * stride + start);
  }
}

// From a raw log scale s: the logarithm of the scale, its inverse, and d logarithm / d s.
template <class T>
struct Scale {
  vec<T> logarithm, inverse, slope;

  FASTINV_INLINE Scale(vec<T> raw, T min_scale) {
    const vec<T> s = limited(raw, MixtureLimits<T>::log_scale);
    if (min_scale > 0) {
      const vec<T> above = exp(s), scale = above + vec<T>::set1(min_scale);
      logarithm = log(scale);
      inverse = constant<T>(1.0) / scale;
      slope = above * inverse;
    } else {
      slope = constant<T>(1.0);
      logarithm = s;
      inverse = exp(constant<T>(0.0) - s);
    }
  }
};

// Writes log weights of the components to block.joint and the softmax of the logits to
// block.weights.
template <class T>
FASTINV_INLINE void mixture_weights(const MixtureTask<T>& task, const MixtureBlock<T>& block) {
  const std::int64_t k_max = task.n_components;
  const auto logit = [&](std::int64_t k) {
    return limited(at(block.raw, k), MixtureLimits<T>::logit);
  };
  vec<T> largest = logit(0);
  for (std::int64_t k = 1; k < k_max; ++k) largest = max(largest, logit(k));
  vec<T> sum = constant<T>(0.0);
  for (std::int64_t k = 0; k < k_max; ++k) {
    const vec<T> e = exp(logit(k) - largest);
    put(block.weights, k, e);
    sum = sum + e;
  }
  const vec<T> inverse = constant<T>(1.0) / sum, log_sum = log(sum);
  const vec<T> rest = vec<T>::set1(T(1) - static_cast<T>(k_max) * task.min_weight);
  for (std::int64_t k = 0; k < k_max; ++k) {
    const vec<T> p = at(block.weights, k) * inverse;
    put(block.weights, k, p);
    const vec<T> log_weight = task.min_weight > 0 ? log(fma(rest, p, vec<T>::set1(task.min_weight)))
                                                  : logit(k) - largest - log_sum;
    put(block.joint, k, log_weight);
  }
}

// Whitened residuals z of component k, and its log density except for the constant.
template <class T>
FASTINV_INLINE vec<T> whiten(const MixtureTask<T>& task, const MixtureBlock<T>& block,
                             std::int64_t k) {
  const std::int64_t d_max = task.n_dims;
  const std::int64_t mean = task.n_components + k * d_max;
  const std::int64_t scales = task.n_components * (1 + d_max) + k * task.n_scales;
  vec<T> squares = constant<T>(0.0), log_det = constant<T>(0.0);
  std::int64_t row = scales;  // start of a row of the Cholesky factor
  for (std::int64_t i = 0; i < d_max; ++i) {
    vec<T> residual = at(block.targets, i) - at(block.raw, mean + i);
    std::int64_t diagonal = scales;
    if (task.covariance == Covariance::diag) diagonal += i;
    if (task.covariance == Covariance::full) {
      for (std::int64_t j = 0; j < i; ++j) {
        const vec<T> l = limited(at(block.raw, row + j), MixtureLimits<T>::whitened);
        residual = residual - l * at(block.whitened, k * d_max + j);
      }
      diagonal = row + i;
      row += i + 1;
    }
    const Scale<T> scale(at(block.raw, diagonal), task.min_scale);
    const vec<T> z = limited(residual * scale.inverse, MixtureLimits<T>::whitened);
    put(block.whitened, k * d_max + i, z);
    put(block.inverse_scales, k * d_max + i, scale.inverse);
    put(block.scale_slopes, k * d_max + i, scale.slope);
    squares = fma(z, z, squares);
    log_det = log_det + scale.logarithm;
  }
  return fma(constant<T>(-0.5), squares, constant<T>(0.0) - log_det);
}

// Writes d loss / d (mean and scales) of component k with responsibility gamma to block.gradient.
template <class T>
FASTINV_INLINE void component_gradient(const MixtureTask<T>& task, const MixtureBlock<T>& block,
                                       std::int64_t k, vec<T> gamma) {
  const std::int64_t d_max = task.n_dims;
  const std::int64_t mean = task.n_components + k * d_max;
  const std::int64_t scales = task.n_components * (1 + d_max) + k * task.n_scales;
  const vec<T> zero = constant<T>(0.0), one = constant<T>(1.0);
  const T* z_columns = block.whitened + k * d_max * vec<T>::lanes;
  const T* inverses = block.inverse_scales + k * d_max * vec<T>::lanes;
  const T* scale_slopes = block.scale_slopes + k * d_max * vec<T>::lanes;
  if (task.covariance != Covariance::full) {
    vec<T> sum = zero;
    for (std::int64_t i = 0; i < d_max; ++i) {
      const vec<T> z = at(z_columns, i), inverse = at(inverses, i);
      put(block.gradient, mean + i, zero - gamma * z * inverse);
      const vec<T> slope = gamma * (one - z * z) * at(scale_slopes, i);
      if (task.covariance == Covariance::diag) put(block.gradient, scales + i, slope);
      sum = sum + slope;
    }
    if (task.covariance == Covariance::spherical) put(block.gradient, scales, sum);
    return;
  }
  // w = L^-T z, from the last row up.
  for (std::int64_t i = d_max - 1; i >= 0; --i) {
    vec<T> w = at(z_columns, i);
    for (std::int64_t j = i + 1; j < d_max; ++j) {
      const std::int64_t entry = scales + j * (j + 1) / 2 + i;
      const vec<T> l = limited(at(block.raw, entry), MixtureLimits<T>::whitened);
      w = w - l * at(block.pulled_back, j);
    }
    put(block.pulled_back, i, limited(w * at(inverses, i), MixtureLimits<T>::pulled_back));
  }
  std::int64_t entry = scales;
  for (std::int64_t i = 0; i < d_max; ++i) {
    const vec<T> w = at(block.pulled_back, i), inverse = at(inverses, i);
    put(block.gradient, mean + i, zero - gamma * w);
    for (std::int64_t j = 0; j < i; ++j) {
      put(block.gradient, entry++, zero - gamma * (w * at(z_columns, j)));
    }
    const vec<T> scaled = limited(w / inverse, MixtureLimits<T>::pulled_back);
    const vec<T> product = scaled * at(z_columns, i);
    put(block.gradient, entry++, gamma * (one - product) * at(scale_slopes, i));
  }
}

template <class T>
void mixture_rows(const MixtureTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  const std::int64_t k_max = task.n_components, d_max = task.n_dims, n_raw = task.n_raw;
  const MixtureBlock<T> block(task.workspace, k_max, d_max, n_raw);
  const vec<T> constants = constant<T>(-kHalfLog2Pi * static_cast<double>(d_max));
  const vec<T> rest = vec<T>::set1(T(1) - static_cast<T>(k_max) * task.min_weight);
  for (std::int64_t first = begin; first < end; first += lanes) {
    const std::int64_t n = end - first < lanes ? end - first : lanes;
    if (first + 2 * lanes <= end) {
      // Strided reads of a block are too many streams for a CPU's own prefetching.
      prefetch_rows(task.raw + (first + lanes) * task.raw_stride, lanes * task.raw_stride);
      if (task.gradient) {
        prefetch_rows(task.gradient + (first + lanes) * task.gradient_stride,
                      lanes * task.gradient_stride);
      }
    }
    to_columns(task.raw + first * task.raw_stride, task.raw_stride, n, n_raw, block.raw);
    to_columns(task.targets + first * d_max, d_max, n, d_max, block.targets);
    mixture_weights(task, block);
    vec<T> largest = constant<T>(-HUGE_VAL);
    for (std::int64_t k = 0; k < k_max; ++k) {
      const vec<T> joint = at(block.joint, k) + whiten(task, block, k) + constants;
      put(block.joint, k, joint);
      largest = max(largest, joint);
    }
    vec<T> sum = constant<T>(0.0);
    for (std::int64_t k = 0; k < k_max; ++k) {
      const vec<T> likelihood = exp(at(block.joint, k) - largest);
      put(block.joint, k, likelihood);
      sum = sum + likelihood;
    }
    const vec<T> log_likelihood = largest + log(sum);
    T losses[lanes];
    (constant<T>(0.0) - log_likelihood).store(losses);
    for (std::int64_t l = 0; l < n; ++l) task.losses[first + l] = losses[l];
    if (!task.gradient) continue;

    const vec<T> factor = vec<T>::set1(task.gradient_factor), inverse = constant<T>(1.0) / sum;
    vec<T> sum_r = constant<T>(0.0);
    for (std::int64_t k = 0; k < k_max; ++k) {
      const vec<T> gamma = at(block.joint, k) * inverse;
      vec<T> r = gamma;
      if (task.min_weight > 0) {
        const vec<T> p = at(block.weights, k);
        r = gamma * rest * p / fma(rest, p, vec<T>::set1(task.min_weight));
      }
      put(block.joint, k, r);
      sum_r = sum_r + r;
      component_gradient(task, block, k, gamma * factor);
    }
    for (std::int64_t k = 0; k < k_max; ++k) {
      const vec<T> slope = fma(at(block.weights, k), sum_r, constant<T>(0.0) - at(block.joint, k));
      put(block.gradient, k, slope * factor);
    }
    to_rows(block.gradient, task.gradient_stride, n, n_raw,
            task.gradient + first * task.gradient_stride);
  }
}

template <class T>
std::int64_t mixture_workspace(std::int64_t k, std::int64_t d, std::int64_t n_raw) {
  return MixtureBlock<T>(nullptr, k, d, n_raw).n_columns * vec<T>::lanes;
}
