// Batched multilayer perceptron: forward, input gradient, weight gradient with Adam.
// Shapes are stated at the task structs in kernels.hpp.

template <class T>
FASTINV_INLINE vec<T> activate(vec<T> z, Activation activation) {
  const vec<T> one = constant<T>(1.0);
  switch (activation) {
    case Activation::relu:
      return max(constant<T>(0.0), z);
    case Activation::silu:
      return z / (one + exp(constant<T>(0.0) - z));
    case Activation::tanh:
      return tanh(z);
    case Activation::identity:
      break;
  }
  return z;
}

// act'(z) with a = act(z).
template <class T>
FASTINV_INLINE vec<T> slope_of(vec<T> z, vec<T> a, Activation activation) {
  const vec<T> zero = constant<T>(0.0), one = constant<T>(1.0);
  switch (activation) {
    case Activation::relu:
      return select_less(zero, z, one, zero);
    case Activation::silu: {
      const vec<T> sigmoid = one / (one + exp(zero - z));
      return sigmoid * fma(z, one - sigmoid, one);
    }
    case Activation::tanh:
      return one - a * a;
    case Activation::identity:
      break;
  }
  return one;
}

template <class T>
FASTINV_INLINE std::int64_t panel_width(const PackedLayer<T>& layer, std::int64_t panel) {
  const std::int64_t rest = layer.padded - panel * layer.panel;
  return rest < layer.panel ? rest : layer.panel;
}

template <class T>
void forward_panels(const ForwardTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  const PackedLayer<T>& layer = task.layer;
  for (std::int64_t p = begin; p < end; ++p) {
    const std::int64_t column = p * layer.panel, width = panel_width(layer, p);
    const T* weights = layer.weights + column * layer.n_in;
    for (std::int64_t row = 0, rows; row < task.n_rows; row += rows) {
      rows = next_rows(task.n_rows - row);
      with_tile<T>(rows, width / lanes, [&](auto& tile) {
        for (auto& sums : tile.sum) {
          std::int64_t j = column;
          for (auto& sum : sums) {
            sum = vec<T>::load(layer.biases + j);
            j += lanes;
          }
        }
        tile.multiply_add(task.in + row * task.in_stride, task.in_stride, 1, weights, width,
                          layer.n_in);
        std::int64_t i = row;
        for (auto& sums : tile.sum) {
          std::int64_t at = i++ * task.out_stride + column;
          for (auto& z : sums) {
            const vec<T> a = activate(z, task.activation);
            a.store(task.out + at);
            if (task.slope) slope_of(z, a, task.activation).store(task.slope + at);
            at += lanes;
          }
        }
      });
    }
  }
}

template <class T>
void input_gradient_blocks(const InputGradientTask<T>& task, std::int64_t begin,
                           std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  constexpr std::int64_t columns_per_tile = kRegistersPerPanel * lanes;
  const PackedLayer<T>& layer = task.layer;
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t unit = block * kRowsPerTile;
    const std::int64_t units =
        layer.n_in - unit < kRowsPerTile ? layer.n_in - unit : kRowsPerTile;
    for (std::int64_t b = 0; b < task.batch_padded; b += columns_per_tile) {
      const std::int64_t rest = task.batch_padded - b;
      const std::int64_t width = rest < columns_per_tile ? rest : columns_per_tile;
      with_tile<T>(units, width / lanes, [&](auto& tile) {
        tile.fill(constant<T>(0.0));
        for (std::int64_t p = 0; p < layer.n_panels; ++p) {
          const std::int64_t column = p * layer.panel, stored = panel_width(layer, p);
          const std::int64_t real = layer.n_out - column < stored ? layer.n_out - column : stored;
          tile.multiply_add(layer.weights + column * layer.n_in + unit * stored, stored, 1,
                            task.delta_out_t + column * task.batch_padded + b, task.batch_padded,
                            real);
        }
        T* out = task.delta_in_t + unit * task.batch_padded + b;
        for (auto& sums : tile.sum) {
          T* at = out;
          for (auto& sum : sums) {
            sum.store(at);
            at += lanes;
          }
          out += task.batch_padded;
        }
      });
    }
    for (std::int64_t i = 0; i < task.n_rows; ++i) {
      T* delta = task.delta_in + i * task.in_stride + unit;
      const T* slope = task.slope + i * task.in_stride + unit;
      T* transposed = task.delta_in_t + unit * task.batch_padded + i;
      for (std::int64_t u = 0; u < units; ++u) {
        delta[u] = transposed[u * task.batch_padded] *= slope[u];
      }
    }
  }
}

// One Adam step (Kingma & Ba 2015, algorithm 1) on a register of parameters.
template <class T>
FASTINV_INLINE void adam_step(const UpdateTask<T>& task, std::int64_t at, vec<T> g, T* w, T* m,
                              T* v) {
  const vec<T> beta_1 = vec<T>::set1(task.beta_1), beta_2 = vec<T>::set1(task.beta_2);
  const vec<T> first = fma(vec<T>::set1(T(1) - task.beta_1), g, beta_1 * vec<T>::load(m + at));
  const vec<T> second =
      fma(vec<T>::set1(T(1) - task.beta_2) * g, g, beta_2 * vec<T>::load(v + at));
  const vec<T> scale =
      fma(sqrt(second), vec<T>::set1(task.second_unbiasing), vec<T>::set1(task.epsilon));
  first.store(m + at);
  second.store(v + at);
  (vec<T>::load(w + at) - vec<T>::set1(task.step_size) * first / scale).store(w + at);
}

template <class T>
FASTINV_INLINE void apply_gradient(const UpdateTask<T>& task, std::int64_t at, vec<T> g,
                                   bool bias) {
  if (task.gradient.weights) {
    g.store((bias ? task.gradient.biases : task.gradient.weights) + at);
  } else if (bias) {
    adam_step(task, at, g, task.layer.biases, task.first_moment.biases,
              task.second_moment.biases);
  } else {
    adam_step(task, at, g, task.layer.weights, task.first_moment.weights,
              task.second_moment.weights);
  }
}

template <class T>
void update_blocks(const UpdateTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  const PackedLayer<T>& layer = task.layer;
  const std::int64_t blocks = (layer.n_in + kRowsPerTile - 1) / kRowsPerTile;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t p = i / blocks, unit = i % blocks * kRowsPerTile;
    const std::int64_t units =
        layer.n_in - unit < kRowsPerTile ? layer.n_in - unit : kRowsPerTile;
    const std::int64_t column = p * layer.panel, width = panel_width(layer, p);
    with_tile<T>(units, width / lanes, [&](auto& tile) {
      tile.fill(constant<T>(0.0));
      tile.multiply_add(task.in + unit, 1, task.in_stride, task.delta_out + column,
                        task.out_stride, task.n_rows);
      std::int64_t at = column * layer.n_in + unit * width;
      for (auto& sums : tile.sum) {
        for (auto& g : sums) {
          apply_gradient(task, at, g, false);
          at += lanes;
        }
      }
    });
    if (unit != 0) continue;
    for (std::int64_t j = column; j < column + width; j += lanes) {
      vec<T> g = constant<T>(0.0);
      for (std::int64_t b = 0; b < task.n_rows; ++b) {
        g = g + vec<T>::load(task.delta_out + b * task.out_stride + j);
      }
      apply_gradient(task, j, g, true);
    }
  }
}
