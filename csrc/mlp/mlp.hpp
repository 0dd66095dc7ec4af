// Multilayer perceptrons with the kernels of one instruction set: packing and inference.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/workspace.hpp"
#include "kernels/kernels.hpp"

namespace fastinv {

Activation activation_from(const std::string& name);

// n rounded up to a multiple of unit.
inline std::int64_t round_up(std::int64_t n, std::int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

// The stride of rows of n numbers: an odd number of whole cache lines, so that a column of rows
// spreads over all sets of a cache.
template <class T>
std::int64_t row_stride(std::int64_t n) {
  constexpr std::int64_t line = 64 / sizeof(T);
  return ((n + line - 1) / line | 1) * line;
}

// Zeros, aligned to cache lines so that packed panels start on one.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::int64_t size)
      : storage_(static_cast<std::size_t>(size) + 64 / sizeof(T), T(0)), size_(size) {}
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&&) = default;
  AlignedBuffer& operator=(AlignedBuffer&&) = default;

  T* data() { return storage_.data() + offset(); }
  const T* data() const { return storage_.data() + offset(); }
  std::int64_t size() const { return size_; }

 private:
  std::size_t offset() const {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    return (64 - address % 64) % 64 / sizeof(T);
  }

  std::vector<T> storage_;
  std::int64_t size_ = 0;
};

// The sizes of a network: (n_inputs, *hidden, n_outputs).
struct NetworkShape {
  std::vector<std::int64_t> sizes;
  Activation activation;

  // Throws std::invalid_argument for fewer than two sizes, or one below 1 or above 2^20.
  NetworkShape(std::vector<std::int64_t> sizes, Activation activation);

  std::int64_t n_inputs() const { return sizes.front(); }
  std::int64_t n_outputs() const { return sizes.back(); }
  std::int64_t n_layers() const { return static_cast<std::int64_t>(sizes.size()) - 1; }
  std::int64_t n_parameters() const;
  std::int64_t widest() const;  // largest layer output
};

// One value per parameter (weights, a moment, a gradient), packed for an instruction set.
template <class T>
class PackedParameters {
 public:
  PackedParameters(const NetworkShape& shape, const Kernels<T>& kernels);

  const std::vector<PackedLayer<T>>& layers() const { return layers_; }
  // To and from the flat order: per layer weights (n_in, n_out) row by row, then biases.
  void pack(const T* flat);
  void unpack(T* flat) const;

 private:
  AlignedBuffer<T> storage_;
  std::vector<PackedLayer<T>> layers_;
};

// What a forward pass works in: the values of two layers at a time. `widest` is that of the
// network's shape.
template <class T>
struct ForwardScratch {
  T* values[2] = {};  // (n_rows, row_stride(widest))

  ForwardScratch() = default;
  ForwardScratch(Taker& take, std::int64_t n_rows, std::int64_t widest) {
    for (T*& layer : values) take(layer, n_rows * row_stride<T>(widest));
  }
};

// Scratch memory of a derivative: a row of values and n_inputs rows of tangents.
template <class T>
struct JacobianScratch {
  ForwardScratch<T> layers;  // for max(n_rows, n_inputs + 1) rows
  T* slope = nullptr;        // (row_stride(widest))
  T* inputs = nullptr;       // (n_inputs + 1, n_inputs)

  JacobianScratch() = default;
  // `layers` serve forward passes of n_rows, too.
  JacobianScratch(Taker& take, std::int64_t n_rows, const NetworkShape& shape) {
    const std::int64_t n_inputs = shape.n_inputs(), widest = shape.widest();
    layers = ForwardScratch<T>(take, std::max(n_rows, n_inputs + 1), widest);
    take(slope, row_stride<T>(widest));
    take(inputs, (n_inputs + 1) * n_inputs);
  }
};

// An immutable network for inference.
template <class T>
class Network {
 public:
  Network(NetworkShape shape, const T* parameters, const Kernels<T>& kernels);

  const NetworkShape& shape() const { return shape_; }
  // Maps in (n_rows, n_inputs) to out (n_rows, n_outputs); allocates nothing.
  void forward_rows(const T* in, T* out, std::int64_t n_rows,
                    const ForwardScratch<T>& scratch) const;
  // d out / d in at one input: jac (n_outputs, n_inputs); allocates nothing.
  void jacobian(const T* in, T* jac, const JacobianScratch<T>& scratch) const;
  // forward_rows for any number of rows, on n_threads.
  void forward(const T* in, T* out, std::int64_t n_rows, int n_threads) const;

 private:
  NetworkShape shape_;
  const Kernels<T>& kernels_;
  PackedParameters<T> parameters_;
  AlignedBuffer<T> zeros_;  // the biases of a derivative
};

}  // namespace fastinv
