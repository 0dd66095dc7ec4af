#include "mlp/mlp.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/parallel.hpp"

namespace fastinv {

namespace {

constexpr std::int64_t kInferenceRows = 96;  // rows that pass through all layers together

}  // namespace

Activation activation_from(const std::string& name) {
  if (name == "identity") return Activation::identity;
  if (name == "relu") return Activation::relu;
  if (name == "silu") return Activation::silu;
  if (name == "tanh") return Activation::tanh;
  throw std::invalid_argument("unknown activation '" + name + "'");
}

NetworkShape::NetworkShape(std::vector<std::int64_t> sizes_, Activation activation_)
    : sizes(std::move(sizes_)), activation(activation_) {
  constexpr std::int64_t largest = std::int64_t(1) << 20;
  if (sizes.size() < 2) throw std::invalid_argument("layer_sizes needs at least two entries");
  for (const std::int64_t size : sizes) {
    if (size < 1 || size > largest) {
      throw std::invalid_argument("layer_sizes must be from 1 to 2^20, got " +
                                  std::to_string(size));
    }
  }
}

std::int64_t NetworkShape::n_parameters() const {
  std::int64_t n = 0;
  for (std::int64_t l = 0; l < n_layers(); ++l) n += (sizes[l] + 1) * sizes[l + 1];
  return n;
}

std::int64_t NetworkShape::widest() const {
  return *std::max_element(sizes.begin() + 1, sizes.end());
}

// The sizes of layer l's storage. The first layer's input belongs to the caller and has no padding.
template <class T>
static PackedLayer<T> empty_layer(const NetworkShape& shape, std::int64_t l,
                                  const Kernels<T>& kernels) {
  PackedLayer<T> layer{};
  layer.n_in = shape.sizes[l];
  layer.n_out = shape.sizes[l + 1];
  layer.padded = round_up(layer.n_out, kernels.lanes);
  layer.padded_in = round_up(layer.n_in, kernels.lanes);
  layer.panel = kernels.panel;
  layer.narrow = l > 0 && layer.n_out <= kMaxNarrow && layer.n_out < kernels.lanes;
  layer.n_panels = layer.narrow ? 1 : (layer.padded + layer.panel - 1) / layer.panel;
  return layer;
}

template <class T>
static std::int64_t n_stored_weights(const PackedLayer<T>& layer) {
  return layer.narrow ? layer.n_out * layer.padded_in : layer.n_in * layer.padded;
}

template <class T>
PackedParameters<T>::PackedParameters(const NetworkShape& shape, const Kernels<T>& kernels) {
  std::int64_t total = 0;
  for (std::int64_t l = 0; l < shape.n_layers(); ++l) {
    layers_.push_back(empty_layer(shape, l, kernels));
    total += n_stored_weights(layers_.back()) + layers_.back().padded;
  }
  storage_ = AlignedBuffer<T>(total);
  T* next = storage_.data();
  for (PackedLayer<T>& layer : layers_) {
    layer.weights = next;
    layer.biases = next + n_stored_weights(layer);
    next = layer.biases + layer.padded;
  }
}

// Calls f(flat index, packed element) for every parameter of the layers.
template <class T, class F>
static void for_each_parameter(const std::vector<PackedLayer<T>>& layers, const F& f) {
  std::int64_t flat = 0;
  for (const PackedLayer<T>& layer : layers) {
    for (std::int64_t i = 0; layer.narrow && i < layer.n_in * layer.n_out; ++i) {
      f(flat + i, layer.weights[i % layer.n_out * layer.padded_in + i / layer.n_out]);
    }
    for (std::int64_t p = 0; !layer.narrow && p < layer.n_panels; ++p) {
      const std::int64_t column = p * layer.panel;
      const std::int64_t stored = std::min(layer.panel, layer.padded - column);
      const std::int64_t real = std::min(layer.n_out - column, stored);
      T* panel = layer.weights + column * layer.n_in;
      for (std::int64_t k = 0; k < layer.n_in; ++k) {
        for (std::int64_t j = 0; j < real; ++j) {
          f(flat + k * layer.n_out + column + j, panel[k * stored + j]);
        }
      }
    }
    flat += layer.n_in * layer.n_out;
    for (std::int64_t j = 0; j < layer.n_out; ++j) f(flat + j, layer.biases[j]);
    flat += layer.n_out;
  }
}

template <class T>
void PackedParameters<T>::pack(const T* flat) {
  for_each_parameter(layers_, [flat](std::int64_t i, T& packed) { packed = flat[i]; });
}

template <class T>
void PackedParameters<T>::unpack(T* flat) const {
  for_each_parameter(layers_, [flat](std::int64_t i, T& packed) { flat[i] = packed; });
}

template <class T>
Network<T>::Network(NetworkShape shape, const T* parameters, const Kernels<T>& kernels)
    : shape_(std::move(shape)),
      kernels_(kernels),
      parameters_(shape_, kernels),
      zeros_(round_up(shape_.widest(), kernels.lanes)) {
  parameters_.pack(parameters);
}

template <class T>
void Network<T>::forward_rows(const T* in, T* out, std::int64_t n_rows,
                              const ForwardScratch<T>& scratch) const {
  const std::int64_t n_layers = shape_.n_layers(), n_outputs = shape_.n_outputs();
  const T* from = in;
  std::int64_t stride = shape_.n_inputs();
  for (std::int64_t l = 0; l < n_layers; ++l) {
    const PackedLayer<T>& layer = parameters_.layers()[l];
    T* const to = scratch.values[l % 2];
    const bool last = l + 1 == n_layers;
    const std::int64_t out_stride = row_stride<T>(layer.n_out);
    kernels_.forward({layer, from, to, nullptr, n_rows, stride, out_stride,
                      last ? Activation::identity : shape_.activation},
                     0, layer.n_panels);
    from = to;
    stride = out_stride;
  }
  for (std::int64_t i = 0; i < n_rows; ++i) {
    std::copy(from + i * stride, from + i * stride + n_outputs, out + i * n_outputs);
  }
}

// Forward mode: a row of values, followed by n_inputs rows of tangents. Tangents pass through the
// same weights without biases and are multiplied by the slopes at the values.
template <class T>
void Network<T>::jacobian(const T* in, T* jac, const JacobianScratch<T>& scratch) const {
  const std::int64_t n_in = shape_.n_inputs(), n_layers = shape_.n_layers();
  T* const slope = scratch.slope;
  T* const first = scratch.inputs;  // the input, then its unit tangents
  std::copy(in, in + n_in, first);
  std::fill(first + n_in, first + (n_in + 1) * n_in, T(0));
  for (std::int64_t i = 0; i < n_in; ++i) first[(i + 1) * n_in + i] = 1;
  const T* from = first;
  std::int64_t stride = n_in;
  for (std::int64_t l = 0; l < n_layers; ++l) {
    PackedLayer<T> layer = parameters_.layers()[l];
    const std::int64_t out_stride = row_stride<T>(layer.n_out);
    const bool last = l + 1 == n_layers;
    T* const to = scratch.layers.values[l % 2];
    kernels_.forward({layer, from, to, slope, 1, stride, out_stride,
                      last ? Activation::identity : shape_.activation},
                     0, layer.n_panels);
    layer.biases = const_cast<T*>(zeros_.data());
    kernels_.forward({layer, from + stride, to + out_stride, nullptr, n_in, stride, out_stride,
                      Activation::identity},
                     0, layer.n_panels);
    for (std::int64_t i = 1; !last && i <= n_in; ++i) {
      for (std::int64_t j = 0; j < layer.n_out; ++j) to[i * out_stride + j] *= slope[j];
    }
    from = to;
    stride = out_stride;
  }
  for (std::int64_t j = 0; j < shape_.n_outputs(); ++j) {
    for (std::int64_t i = 0; i < n_in; ++i) jac[j * n_in + i] = from[(i + 1) * stride + j];
  }
}

template <class T>
void Network<T>::forward(const T* in, T* out, std::int64_t n_rows, int n_threads) const {
  const std::int64_t n_blocks = (n_rows + kInferenceRows - 1) / kInferenceRows;
  const int n = static_cast<int>(std::clamp<std::int64_t>(n_blocks, 1, n_threads));
  const std::int64_t per_block = std::min(n_rows, kInferenceRows), widest = shape_.widest();
  Workspaces memory(n, bytes_of<ForwardScratch<T>>(per_block, widest));
  run_independent(n, [&](int thread) {
    const auto scratch = memory[thread].lay_out<ForwardScratch<T>>(per_block, widest);
    const Range blocks = part_of(n_blocks, thread, n);
    for (std::int64_t b = blocks.begin; b < blocks.end; ++b) {
      watch_point();
      const std::int64_t row = b * kInferenceRows;
      forward_rows(in + row * shape_.n_inputs(), out + row * shape_.n_outputs(),
                   std::min(kInferenceRows, n_rows - row), scratch);
    }
  });
}

template class PackedParameters<float>;
template class PackedParameters<double>;
template class Network<float>;
template class Network<double>;

}  // namespace fastinv
