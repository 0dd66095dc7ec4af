// The backward pass of the multilayer perceptron: input gradient, and weight gradient with Adam.
// The task structs in kernels.hpp describe the shapes.

// The tiles of the update: whole tiles and whole registers.
template <class T>
constexpr int unit_block() {
  int units = kRowsPerTile;
  while (units % vec<T>::lanes) units += kRowsPerTile;
  return units;
}

// act' from a layer's values, or from the slopes that its forward pass kept.
template <class T>
FASTINV_INLINE vec<T> slope_from(vec<T> below, Activation activation) {
  return slope_follows_value(activation) ? slope_of(below, below, activation) : below;
}

// Multiplies a square of delta_in, rows of the batch by units, by act' and stores it by row and
// transposed.
template <class T>
FASTINV_INLINE void finish_square(const InputGradientTask<T>& task, std::int64_t row,
                                  std::int64_t unit, vec<T> (&square)[vec<T>::lanes]) {
  constexpr int lanes = vec<T>::lanes;
  const std::int64_t rest = task.n_rows - row;
  for (int i = 0; i < lanes; ++i) {
    if (i >= rest) {
      square[i] = constant<T>(0.0);
      continue;
    }
    const std::int64_t at = (row + i) * task.in_stride + unit;
    square[i] = square[i] * slope_from(vec<T>::load(task.below + at), task.activation);
    square[i].store(task.delta_in + at);
  }
  transpose(square);
  for (int u = 0; u < lanes; ++u) {
    square[u].store(task.delta_in_t + (unit + u) * task.batch_stride + row);
  }
}

// Adds the products with panels [begin, end) of W to delta_in_t, for `units` units from `unit` and
// columns [b, b + width) of the batch; panel 0 starts the sums.
template <class T>
FASTINV_INLINE void add_panels(const InputGradientTask<T>& task, std::int64_t begin,
                               std::int64_t end, std::int64_t unit, std::int64_t units,
                               std::int64_t b, std::int64_t width) {
  constexpr int lanes = vec<T>::lanes;
  const PackedLayer<T>& layer = task.layer;
  with_tile<T>(units, width / lanes, [&](auto& tile) {
    T* const sums = task.delta_in_t + unit * task.batch_stride + b;
    if (begin == 0) {
      tile.fill(constant<T>(0.0));
    } else {
      tile.load(sums, task.batch_stride);
    }
    for (std::int64_t p = begin; p < end; ++p) {
      const std::int64_t column = p * layer.panel, stored = panel_width(layer, p);
      const std::int64_t real = layer.n_out - column < stored ? layer.n_out - column : stored;
      tile.multiply_add(layer.weights + column * layer.n_in + unit * stored, stored, 1,
                        task.delta_out_t + column * task.batch_stride + b, task.batch_stride, real);
    }
    tile.store(sums, task.batch_stride);
  });
}

template <class T>
void input_gradient_narrow(const InputGradientTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  const PackedLayer<T>& layer = task.layer;
  for (std::int64_t unit = begin; unit < end; unit += lanes) {
    for (std::int64_t row = 0; row < task.n_rows; row += lanes) {
      vec<T> square[lanes];
      const std::int64_t rows = task.n_rows - row < lanes ? task.n_rows - row : lanes;
      for (int i = 0; i < lanes; ++i) square[i] = constant<T>(0.0);
      for (std::int64_t j = 0; j < layer.n_out; ++j) {
        const vec<T> w = vec<T>::load(layer.weights + j * layer.padded_in + unit);
        const T* delta = task.delta_out + row * task.out_stride + j;
        for (int i = 0; i < rows; ++i) {
          square[i] = fma(vec<T>::set1(delta[i * task.out_stride]), w, square[i]);
        }
      }
      finish_square(task, row, unit, square);
    }
  }
}

template <class T>
void input_gradient_blocks(const InputGradientTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  constexpr std::int64_t columns_per_tile = kRegistersPerPanel * lanes;
  constexpr std::int64_t kPanels = kInnerBlock / columns_per_tile;
  const PackedLayer<T>& layer = task.layer;
  const std::int64_t first = begin * unit_block<T>(), last = end * unit_block<T>();
  const std::int64_t stop = last < layer.n_in ? last : layer.n_in;
  const std::int64_t padded_stop = last < layer.padded_in ? last : layer.padded_in;
  if (layer.narrow) return input_gradient_narrow(task, first, padded_stop);
  const std::int64_t batch_padded = (task.n_rows + lanes - 1) / lanes * lanes;
  // The columns of one tile stay in the cache during the loop over units.
  for (std::int64_t b = 0; b < batch_padded; b += columns_per_tile) {
    const std::int64_t rest = batch_padded - b;
    const std::int64_t width = rest < columns_per_tile ? rest : columns_per_tile;
    for (std::int64_t p = 0; p < layer.n_panels; p += kPanels) {
      const std::int64_t end = layer.n_panels - p < kPanels ? layer.n_panels : p + kPanels;
      for (std::int64_t unit = first; unit < stop; unit += kRowsPerTile) {
        const std::int64_t units = stop - unit < kRowsPerTile ? stop - unit : kRowsPerTile;
        add_panels(task, p, end, unit, units, b, width);
      }
    }
    for (std::int64_t row = b; row < b + width; row += lanes) {
      for (std::int64_t unit = first; unit < padded_stop; unit += lanes) {
        vec<T> square[lanes];
        for (int u = 0; u < lanes; ++u) {
          square[u] = vec<T>::load(task.delta_in_t + (unit + u) * task.batch_stride + row);
        }
        transpose(square);
        finish_square(task, row, unit, square);
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
  const vec<T> second = fma(vec<T>::set1(T(1) - task.beta_2) * g, g, beta_2 * vec<T>::load(v + at));
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
    adam_step(task, at, g, task.layer.biases, task.first_moment.biases, task.second_moment.biases);
  } else {
    adam_step(task, at, g, task.layer.weights, task.first_moment.weights,
              task.second_moment.weights);
  }
}

// Adds up delta_out over the batch for `width` columns from `column`: the biases' gradient.
template <class T>
FASTINV_INLINE void update_biases(const UpdateTask<T>& task, std::int64_t column,
                                  std::int64_t width) {
  const T one = 1;
  with_tile<T>(1, width / vec<T>::lanes, [&](auto& tile) {
    tile.fill(constant<T>(0.0));
    tile.multiply_add(&one, 0, 0, task.delta_out + column, task.out_stride, task.n_rows);
    std::int64_t at = column;
    for (auto& g : tile.sum[0]) {
      apply_gradient(task, at, g, true);
      at += vec<T>::lanes;
    }
  });
}

template <class T>
void update_narrow(const UpdateTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  const PackedLayer<T>& layer = task.layer;
  for (std::int64_t block = begin; block < end; ++block) {
    const std::int64_t unit = block * layer.panel, rest = layer.padded_in - unit;
    const std::int64_t width = rest < layer.panel ? rest : layer.panel;
    for (std::int64_t j = 0; j < layer.n_out; j += kRowsPerTile) {
      const std::int64_t remaining = layer.n_out - j;
      const std::int64_t rows = remaining < kRowsPerTile ? remaining : kRowsPerTile;
      with_tile<T>(rows, width / lanes, [&](auto& tile) {
        tile.fill(constant<T>(0.0));
        tile.multiply_add(task.delta_out + j, 1, task.out_stride, task.in + unit, task.in_stride,
                          task.n_rows);
        std::int64_t row = j * layer.padded_in + unit;
        for (auto& sums : tile.sum) {
          std::int64_t at = row;
          for (auto& g : sums) {
            apply_gradient(task, at, g, false);
            at += lanes;
          }
          row += layer.padded_in;
        }
      });
    }
    if (block == 0) update_biases(task, 0, layer.padded);
  }
}

template <class T>
void update_blocks(const UpdateTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  const PackedLayer<T>& layer = task.layer;
  if (layer.narrow) return update_narrow(task, begin, end);
  const std::int64_t blocks = (layer.n_in + kRowsPerTile - 1) / kRowsPerTile;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t p = i / blocks, unit = i % blocks * kRowsPerTile;
    const std::int64_t units = layer.n_in - unit < kRowsPerTile ? layer.n_in - unit : kRowsPerTile;
    const std::int64_t column = p * layer.panel, width = panel_width(layer, p);
    with_tile<T>(units, width / lanes, [&](auto& tile) {
      tile.fill(constant<T>(0.0));
      tile.multiply_add(task.in + unit, 1, task.in_stride, task.delta_out + column, task.out_stride,
                        task.n_rows);
      std::int64_t at = column * layer.n_in + unit * width;
      for (auto& sums : tile.sum) {
        for (auto& g : sums) {
          apply_gradient(task, at, g, false);
          at += lanes;
        }
      }
    });
    if (unit == 0) update_biases(task, column, width);
  }
}
