#include "mlp.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

#include "denormals.hpp"
#include "parallel.hpp"

namespace fastinv {

namespace {

constexpr std::int64_t kInferenceRows = 96;  // rows that pass through all layers together
constexpr std::int64_t kLossRows = 256;
constexpr auto kInterruptPeriod = std::chrono::milliseconds(50);

std::int64_t round_up(std::int64_t n, std::int64_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

Activation activation_from(const std::string& name) {
  if (name == "identity") return Activation::identity;
  if (name == "relu") return Activation::relu;
  if (name == "silu") return Activation::silu;
  if (name == "tanh") return Activation::tanh;
  throw std::invalid_argument("unknown activation '" + name + "'");
}

Loss loss_from(const std::string& name) {
  if (name == "squared_error") return Loss::squared_error;
  if (name == "absolute_error") return Loss::absolute_error;
  if (name == "huber") return Loss::huber;
  throw std::invalid_argument("unknown loss '" + name + "'");
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

std::int64_t NetworkShape::widest(std::int64_t lanes) const {
  return round_up(*std::max_element(sizes.begin() + 1, sizes.end()), lanes);
}

template <class T>
PackedParameters<T>::PackedParameters(const NetworkShape& shape, const Kernels<T>& kernels) {
  std::int64_t total = 0;
  for (std::int64_t l = 0; l < shape.n_layers(); ++l) {
    total += (shape.sizes[l] + 1) * round_up(shape.sizes[l + 1], kernels.lanes);
  }
  storage_ = AlignedBuffer<T>(total);
  T* next = storage_.data();
  for (std::int64_t l = 0; l < shape.n_layers(); ++l) {
    PackedLayer<T> layer;
    layer.n_in = shape.sizes[l];
    layer.n_out = shape.sizes[l + 1];
    layer.padded = round_up(layer.n_out, kernels.lanes);
    layer.panel = kernels.panel;
    layer.n_panels = (layer.padded + layer.panel - 1) / layer.panel;
    layer.weights = next;
    layer.biases = next + layer.n_in * layer.padded;
    next = layer.biases + layer.padded;
    layers_.push_back(layer);
  }
}

// Calls f(flat index, packed element) for every parameter of the layers.
template <class T, class F>
static void for_each_parameter(const std::vector<PackedLayer<T>>& layers, const F& f) {
  std::int64_t flat = 0;
  for (const PackedLayer<T>& layer : layers) {
    for (std::int64_t p = 0; p < layer.n_panels; ++p) {
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
    : shape_(std::move(shape)), kernels_(kernels), parameters_(shape_, kernels) {
  parameters_.pack(parameters);
}

template <class T>
std::int64_t Network<T>::workspace_size(std::int64_t n_rows) const {
  return 2 * n_rows * shape_.widest(kernels_.lanes);
}

template <class T>
void Network<T>::forward_rows(const T* in, T* out, std::int64_t n_rows, T* workspace) const {
  const std::int64_t n_layers = shape_.n_layers(), n_outputs = shape_.n_outputs();
  T* const buffers[2] = {workspace, workspace + n_rows * shape_.widest(kernels_.lanes)};
  const T* from = in;
  std::int64_t stride = shape_.n_inputs();
  for (std::int64_t l = 0; l < n_layers; ++l) {
    const PackedLayer<T>& layer = parameters_.layers()[l];
    T* const to = buffers[l % 2];
    const bool last = l + 1 == n_layers;
    kernels_.forward({layer, from, to, nullptr, n_rows, stride, layer.padded,
                      last ? Activation::identity : shape_.activation},
                     0, layer.n_panels);
    from = to;
    stride = layer.padded;
  }
  for (std::int64_t i = 0; i < n_rows; ++i) {
    std::copy(from + i * stride, from + i * stride + n_outputs, out + i * n_outputs);
  }
}

template <class T>
void Network<T>::forward(const T* in, T* out, std::int64_t n_rows, int n_threads) const {
  const std::int64_t n_blocks = (n_rows + kInferenceRows - 1) / kInferenceRows;
  const int n = static_cast<int>(std::clamp<std::int64_t>(n_blocks, 1, n_threads));
  const std::int64_t size = workspace_size(std::min(n_rows, kInferenceRows));
  std::vector<AlignedBuffer<T>> workspaces;
  for (int t = 0; t < n; ++t) workspaces.emplace_back(size);
  run_independent(n, [&](int thread) {
    const Range blocks = part_of(n_blocks, thread, n);
    for (std::int64_t b = blocks.begin; b < blocks.end; ++b) {
      const std::int64_t row = b * kInferenceRows;
      forward_rows(in + row * shape_.n_inputs(), out + row * shape_.n_outputs(),
                   std::min(kInferenceRows, n_rows - row), workspaces[thread].data());
    }
  });
}

// What one batch needs between the layers; index l of the vectors is layer l's output, 0 the input.
template <class T>
struct Trainer<T>::Batch {
  std::int64_t n_rows = 0, padded_rows = 0;
  std::vector<std::int64_t> strides;
  std::vector<AlignedBuffer<T>> values, slopes, deltas, deltas_t;
  AlignedBuffer<T> targets;
  std::vector<double> row_losses;

  Batch(const NetworkShape& shape, std::int64_t max_rows, const Kernels<T>& kernels) {
    const std::int64_t max_padded = round_up(max_rows, kernels.lanes);
    for (std::size_t l = 0; l < shape.sizes.size(); ++l) {
      const std::int64_t size = shape.sizes[l];
      const std::int64_t stride = l == 0 ? size : round_up(size, kernels.lanes);
      strides.push_back(stride);
      values.emplace_back(max_rows * stride);
      const bool hidden = l > 0;
      slopes.emplace_back(hidden ? max_rows * stride : 0);
      deltas.emplace_back(hidden ? max_rows * stride : 0);
      deltas_t.emplace_back(hidden ? size * max_padded : 0);
    }
    targets = AlignedBuffer<T>(max_rows * shape.n_outputs());
    row_losses.resize(static_cast<std::size_t>(max_rows));
  }

  void resize(std::int64_t rows, const Kernels<T>& kernels) {
    n_rows = rows;
    padded_rows = round_up(rows, kernels.lanes);
  }
};

// One pass over a batch, written for one member of a team: every member calls the same functions
// in the same order, each does its part, and the barriers are where the next part needs them all.
template <class T>
class Trainer<T>::Step {
 public:
  Step(Trainer& trainer, Batch& batch, int thread, int n_threads, Barrier& barrier)
      : trainer_(trainer), batch_(batch), thread_(thread), n_threads_(n_threads),
        barrier_(barrier) {}

  // Rows order[0..n) of X and Y (or the first n where order is null) into the batch.
  void gather(const T* X, const T* Y, const std::int64_t* order) {
    const std::int64_t p = trainer_.shape_.n_inputs(), q = trainer_.shape_.n_outputs();
    const Range rows = part_of(batch_.n_rows, thread_, n_threads_);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const std::int64_t row = order ? order[i] : i;
      std::copy(X + row * p, X + (row + 1) * p, batch_.values[0].data() + i * p);
      std::copy(Y + row * q, Y + (row + 1) * q, batch_.targets.data() + i * q);
    }
    barrier_.wait();
  }

  void forward() {
    const std::int64_t n_layers = trainer_.shape_.n_layers();
    for (std::int64_t l = 1; l <= n_layers; ++l) {
      const PackedLayer<T>& layer = trainer_.parameters_.layers()[l - 1];
      ForwardTask<T> task{layer,
                          batch_.values[l - 1].data(),
                          batch_.values[l].data(),
                          batch_.slopes[l].data(),
                          batch_.n_rows,
                          batch_.strides[l - 1],
                          batch_.strides[l],
                          l == n_layers ? Activation::identity : trainer_.shape_.activation};
      if (layer.n_panels >= n_threads_) {
        const Range panels = part_of(layer.n_panels, thread_, n_threads_);
        trainer_.kernels_.forward(task, panels.begin, panels.end);
      } else {
        const Range rows = part_of(batch_.n_rows, thread_, n_threads_);
        task.in += rows.begin * task.in_stride;
        task.out += rows.begin * task.out_stride;
        task.slope += rows.begin * task.out_stride;
        task.n_rows = rows.end - rows.begin;
        trainer_.kernels_.forward(task, 0, layer.n_panels);
      }
      barrier_.wait();
    }
  }

  // Losses of the rows, and the deltas of the output layer.
  void output_loss() {
    const std::int64_t q = trainer_.shape_.n_outputs(), stride = batch_.strides.back();
    const T scale = T(1) / static_cast<T>(batch_.n_rows * q);
    T* const delta_t = batch_.deltas_t.back().data();
    const Range rows = part_of(batch_.n_rows, thread_, n_threads_);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const T* predicted = batch_.values.back().data() + i * stride;
      const T* target = batch_.targets.data() + i * q;
      T* delta = batch_.deltas.back().data() + i * stride;
      double sum = 0;
      for (std::int64_t j = 0; j < q; ++j) {
        T slope;
        sum += element_loss(predicted[j] - target[j], slope);
        delta[j] = delta_t[j * batch_.padded_rows + i] = slope * scale;
      }
      batch_.row_losses[i] = sum / static_cast<double>(q);
    }
    if (thread_ == 0) {
      for (std::int64_t j = 0; j < q; ++j) {
        std::fill(delta_t + j * batch_.padded_rows + batch_.n_rows,
                  delta_t + (j + 1) * batch_.padded_rows, T(0));
      }
    }
    barrier_.wait();
  }

  // Backward pass with the update of every layer, or with `gradient` given, its gradient.
  void backward(const UpdateTask<T>& options, const PackedParameters<T>* gradient) {
    for (std::int64_t l = trainer_.shape_.n_layers(); l >= 1; --l) {
      const PackedLayer<T>& layer = trainer_.parameters_.layers()[l - 1];
      const std::int64_t row_block = trainer_.kernels_.row_block;
      const std::int64_t blocks = (layer.n_in + row_block - 1) / row_block;
      if (l > 1) {
        const InputGradientTask<T> task{layer,
                                        batch_.deltas_t[l].data(),
                                        batch_.deltas[l - 1].data(),
                                        batch_.deltas_t[l - 1].data(),
                                        batch_.slopes[l - 1].data(),
                                        batch_.n_rows,
                                        batch_.padded_rows,
                                        batch_.strides[l - 1]};
        const Range part = part_of(blocks, thread_, n_threads_);
        trainer_.kernels_.input_gradient(task, part.begin, part.end);
        // The update below overwrites weights that the others still multiply with.
        barrier_.wait();
      }
      UpdateTask<T> task = options;
      task.layer = layer;
      task.first_moment = trainer_.first_moment_.layers()[l - 1];
      task.second_moment = trainer_.second_moment_.layers()[l - 1];
      if (gradient) task.gradient = gradient->layers()[l - 1];
      task.in = batch_.values[l - 1].data();
      task.delta_out = batch_.deltas[l].data();
      task.n_rows = batch_.n_rows;
      task.in_stride = batch_.strides[l - 1];
      task.out_stride = batch_.strides[l];
      const Range part = part_of(blocks * layer.n_panels, thread_, n_threads_);
      trainer_.kernels_.update(task, part.begin, part.end);
    }
    barrier_.wait();
  }

 private:
  double element_loss(T residual, T& slope) const {
    const T size = std::abs(residual), sign = static_cast<T>((residual > 0) - (residual < 0));
    switch (trainer_.loss_.loss) {
      case Loss::squared_error:
        slope = 2 * residual;
        return static_cast<double>(residual) * static_cast<double>(residual);
      case Loss::absolute_error:
        slope = std::isnan(residual) ? residual : sign;
        return static_cast<double>(size);
      case Loss::huber:
        break;
    }
    const T delta = static_cast<T>(trainer_.loss_.huber_delta);
    if (size > delta) {
      slope = delta * sign;
      return static_cast<double>(delta) * (static_cast<double>(size) - 0.5 * trainer_.loss_.huber_delta);
    }
    slope = residual;
    return 0.5 * static_cast<double>(residual) * static_cast<double>(residual);
  }

  Trainer& trainer_;
  Batch& batch_;
  const int thread_, n_threads_;
  Barrier& barrier_;
};

template <class T>
Trainer<T>::Trainer(NetworkShape shape, const T* parameters, LossOptions loss, AdamOptions adam,
                    const Kernels<T>& kernels)
    : shape_(std::move(shape)),
      loss_(loss),
      adam_(adam),
      kernels_(kernels),
      parameters_(shape_, kernels),
      first_moment_(shape_, kernels),
      second_moment_(shape_, kernels) {
  parameters_.pack(parameters);
}

template <class T>
Trainer<T>::~Trainer() = default;

template <class T>
double Trainer<T>::train_epoch(const T* X, const T* Y, const std::int64_t* order,
                               std::int64_t n_order, std::int64_t batch_size,
                               double learning_rate, int n_threads, InterruptCheck& check) {
  using Clock = std::chrono::steady_clock;
  const std::int64_t max_rows = std::min(batch_size, n_order);
  Batch batch(shape_, max_rows, kernels_);
  std::atomic<bool> stop{false};
  double total = 0;
  run_team(n_threads, [&](int thread, int team, Barrier& barrier) {
    const DenormalsAreZero guard;
    Step step(*this, batch, thread, team, barrier);
    auto asked = Clock::now();
    for (std::int64_t begin = 0; begin < n_order; begin += max_rows) {
      if (thread == 0) {
        batch.resize(std::min(max_rows, n_order - begin), kernels_);
        if (Clock::now() - asked > kInterruptPeriod) {
          stop = check.interrupted();
          asked = Clock::now();
        }
        if (!stop) ++step_;
      }
      barrier.wait();
      if (stop) return;
      step.gather(X, Y, order + begin);
      step.forward();
      step.output_loss();
      if (thread == 0) {
        for (std::int64_t i = 0; i < batch.n_rows; ++i) total += batch.row_losses[i];
      }
      const double t = static_cast<double>(step_);
      UpdateTask<T> options{};
      options.beta_1 = static_cast<T>(adam_.beta_1);
      options.beta_2 = static_cast<T>(adam_.beta_2);
      options.epsilon = static_cast<T>(adam_.epsilon);
      options.step_size = static_cast<T>(learning_rate / (1 - std::pow(adam_.beta_1, t)));
      options.second_unbiasing = static_cast<T>(1 / std::sqrt(1 - std::pow(adam_.beta_2, t)));
      step.backward(options, nullptr);
    }
  });
  return stop ? std::numeric_limits<double>::quiet_NaN() : total / static_cast<double>(n_order);
}

template <class T>
double Trainer<T>::loss(const T* X, const T* Y, std::int64_t n_rows, T* gradient, int n_threads) {
  // A gradient is of the whole batch at once; a loss alone can go piece by piece.
  const std::int64_t max_rows = gradient ? n_rows : std::min(n_rows, kLossRows);
  Batch batch(shape_, max_rows, kernels_);
  std::optional<PackedParameters<T>> packed;
  if (gradient) packed.emplace(shape_, kernels_);
  double total = 0;
  run_team(n_threads, [&](int thread, int team, Barrier& barrier) {
    Step step(*this, batch, thread, team, barrier);
    for (std::int64_t begin = 0; begin < n_rows; begin += max_rows) {
      if (thread == 0) batch.resize(std::min(max_rows, n_rows - begin), kernels_);
      barrier.wait();
      step.gather(X + begin * shape_.n_inputs(), Y + begin * shape_.n_outputs(), nullptr);
      step.forward();
      step.output_loss();
      if (thread == 0) {
        for (std::int64_t i = 0; i < batch.n_rows; ++i) total += batch.row_losses[i];
      }
      if (gradient) step.backward(UpdateTask<T>{}, &*packed);
      // The next piece overwrites what thread 0 has just summed.
      barrier.wait();
    }
  });
  if (gradient) packed->unpack(gradient);
  return total / static_cast<double>(n_rows);
}

template class PackedParameters<float>;
template class PackedParameters<double>;
template class Network<float>;
template class Network<double>;
template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastinv
