// Multilayer perceptrons with the kernels of one instruction set: packing and inference.
#pragma once

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

// Scratch memory of a forward pass: the values of two layers at a time. `widest` is that of the
// network's shape, or the largest of several networks that take turns.
template <class T>
struct ForwardScratch {
  T* values[2];  // (n_rows, row_stride(widest))

  ForwardScratch(Taker& take, std::int64_t n_rows, std::int64_t widest) {
    for (T*& layer : values) take(layer, n_rows * row_stride<T>(widest));
  }
  ForwardScratch(T* first, T* second) : values{first, second} {}
};

// Scratch memory of a derivative: a row of values and n_inputs rows of tangents.
template <class T>
struct JacobianScratch {
  ForwardScratch<T> layers;
  T* slope;   // (row_stride(widest))
  T* inputs;  // (n_inputs + 1, n_inputs)

  JacobianScratch(Taker& take, std::int64_t n_inputs, std::int64_t widest)
      : layers(take, n_inputs + 1, widest) {
    take(slope, row_stride<T>(widest));
    take(inputs, (n_inputs + 1) * n_inputs);
  }
  JacobianScratch(T* memory, std::int64_t n_inputs, std::int64_t widest)
      : layers(memory, memory + (n_inputs + 1) * row_stride<T>(widest)),
        slope(memory + 2 * (n_inputs + 1) * row_stride<T>(widest)),
        inputs(slope + row_stride<T>(widest)) {}
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
  // The same two in plain memory: forward_rows needs workspace_size(n_rows) elements, and jacobian
  // 2 * workspace_size(n_inputs + 1) + (n_inputs + 1) * n_inputs.
  std::int64_t workspace_size(std::int64_t n_rows) const {
    return 2 * n_rows * row_stride<T>(shape_.widest());
  }
  void forward_rows(const T* in, T* out, std::int64_t n_rows, T* workspace) const {
    forward_rows(in, out, n_rows, {workspace, workspace + workspace_size(n_rows) / 2});
  }
  void jacobian(const T* in, T* jac, T* workspace) const {
    jacobian(in, jac, JacobianScratch<T>(workspace, shape_.n_inputs(), shape_.widest()));
  }
  // forward_rows for any number of rows, on n_threads.
  void forward(const T* in, T* out, std::int64_t n_rows, int n_threads) const;

 private:
  NetworkShape shape_;
  const Kernels<T>& kernels_;
  PackedParameters<T> parameters_;
  AlignedBuffer<T> zeros_;  // the biases of a derivative
};

}  // namespace fastinv
