// Batched multilayer perceptron: activations and the forward pass. The task structs in kernels.hpp
// describe the shapes.

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

// The sums of a narrow layer: registers run along the inputs, for MR rows and NO outputs at a time.
template <class T, int MR, int NO>
FASTINV_INLINE void forward_narrow_tile(const ForwardTask<T>& task, std::int64_t row,
                                        std::int64_t output) {
  const PackedLayer<T>& layer = task.layer;
  const T* in = task.in + row * task.in_stride;
  const T* weights = layer.weights + output * layer.padded_in;
  Tile<T, MR, NO> tile;
  tile.fill(constant<T>(0.0));
  for (std::int64_t k = 0; k < layer.padded_in; k += vec<T>::lanes) {
    vec<T> w[NO];
    for (int j = 0; j < NO; ++j) w[j] = vec<T>::load(weights + j * layer.padded_in + k);
    for (int i = 0; i < MR; ++i) {
      const vec<T> x = vec<T>::load(in + i * task.in_stride + k);
      for (int j = 0; j < NO; ++j) tile.sum[i][j] = fma(x, w[j], tile.sum[i][j]);
    }
  }
  for (int i = 0; i < MR; ++i) {
    for (int j = 0; j < NO; ++j) {
      task.out[(row + i) * task.out_stride + output + j] =
          layer.biases[output + j] + sum_of(tile.sum[i][j]);
    }
  }
}

// A narrow layer has fewer outputs than a register: the rest of each row is padding.
template <class T, int MR>
FASTINV_INLINE void forward_narrow_rows(const ForwardTask<T>& task, std::int64_t row) {
  const std::int64_t n_out = task.layer.n_out;
  for (int i = 0; i < MR; ++i) constant<T>(0.0).store(task.out + (row + i) * task.out_stride);
  std::int64_t j = 0;
  for (; j + 4 <= n_out; j += 4) forward_narrow_tile<T, MR, 4>(task, row, j);
  if (n_out - j == 3) forward_narrow_tile<T, MR, 3>(task, row, j);
  if (n_out - j == 2) forward_narrow_tile<T, MR, 2>(task, row, j);
  if (n_out - j == 1) forward_narrow_tile<T, MR, 1>(task, row, j);
}

template <class T>
void forward_narrow(const ForwardTask<T>& task) {
  constexpr int lanes = vec<T>::lanes, kRows = lanes < 16 ? 2 : 4;  // as the registers allow
  std::int64_t row = 0;
  for (; row + kRows <= task.n_rows; row += kRows) forward_narrow_rows<T, kRows>(task, row);
  for (; row < task.n_rows; ++row) forward_narrow_rows<T, 1>(task, row);
  if (task.activation == Activation::identity && !task.slope) return;
  for (row = 0; row < task.n_rows; ++row) {
    for (std::int64_t j = 0; j < task.layer.padded; j += lanes) {
      const std::int64_t at = row * task.out_stride + j;
      const vec<T> z = vec<T>::load(task.out + at), a = activate(z, task.activation);
      a.store(task.out + at);
      if (task.slope) slope_of(z, a, task.activation).store(task.slope + at);
    }
  }
}

template <class T>
void forward_panels(const ForwardTask<T>& task, std::int64_t begin, std::int64_t end) {
  constexpr int lanes = vec<T>::lanes;
  const PackedLayer<T>& layer = task.layer;
  if (layer.narrow) return forward_narrow(task);
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
