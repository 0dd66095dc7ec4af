#include "mlp/trainer.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "base/denormals.hpp"
#include "base/parallel.hpp"

namespace fastinv {

namespace {

constexpr std::int64_t kLossRows = 256;    // rows at a time for a loss without gradient
constexpr std::int64_t kPieceRows = 1024;  // of a large batch, between watch points

// Calls run(part of `range`) for one piece after the other, with watch points between them.
template <class F>
void in_pieces(Range range, std::int64_t piece, const F& run) {
  for (std::int64_t begin = range.begin; begin < range.end; begin += piece) {
    if (begin > range.begin) watch_point();
    run(Range{begin, std::min(begin + piece, range.end)});
  }
}

}  // namespace

Loss loss_from(const std::string& name) {
  if (name == "squared_error") return Loss::squared_error;
  if (name == "absolute_error") return Loss::absolute_error;
  if (name == "huber") return Loss::huber;
  throw std::invalid_argument("unknown loss '" + name + "'");
}

// Memory of one batch between the layers; layers[l] is the output of layer l, 0 is the input.
template <class T>
struct Trainer<T>::Batch {
  struct Layer {
    std::int64_t size, padded, stride;  // of a row, in whole registers, between rows
    T* values;                          // (max_rows, stride)
    T* slopes;                          // (max_rows, stride), if they do not follow from the values
    T* deltas;                          // (max_rows, stride), except for the input
    T* deltas_t;                        // (padded, batch_stride), except for the input
  };
  std::int64_t n_rows = 0, max_rows;
  std::int64_t batch_stride;  // row stride of transposed deltas
  std::vector<Layer> layers;
  T* targets;                              // (max_rows, n_targets)
  double* row_losses;                      // (max_rows)
  T* mixture_losses;                       // (max_rows)
  std::vector<MixtureScratch<T>> mixture;  // one per thread

  Batch(Taker& take, const Trainer& trainer, std::int64_t max_rows_, int n_threads)
      : max_rows(max_rows_), batch_stride(row_stride<T>(max_rows_)) {
    const NetworkShape& shape = trainer.shape_;
    for (std::size_t l = 0; l < shape.sizes.size(); ++l) {
      const std::int64_t size = shape.sizes[l];
      Layer layer{size,
                  round_up(size, trainer.kernels_.lanes),
                  l == 0 ? size : row_stride<T>(size),
                  nullptr,
                  nullptr,
                  nullptr,
                  nullptr};
      take(layer.values, max_rows * layer.stride);
      const bool hidden = l > 0 && l + 1 < shape.sizes.size();
      if (hidden && !slope_follows_value(shape.activation)) {
        take(layer.slopes, max_rows * layer.stride);
      }
      if (l > 0) {
        take(layer.deltas, max_rows * layer.stride);
        take(layer.deltas_t, layer.padded * batch_stride);
      }
      layers.push_back(layer);
    }
    take(targets, max_rows * trainer.n_targets());
    take(row_losses, max_rows);
    take(mixture_losses, trainer.loss_.loss == Loss::mixture ? max_rows : 0);
    for (int t = 0; trainer.loss_.loss == Loss::mixture && t < n_threads; ++t) {
      mixture.emplace_back(take, trainer.loss_.mixture, trainer.kernels_);
    }
  }

  // Clears the padding of deltas, which kernels read as zero and do not change.
  void clear_padding() {
    for (std::size_t l = 1; l < layers.size(); ++l) {
      const Layer& layer = layers[l];
      std::fill(layer.deltas_t + layer.size * batch_stride,
                layer.deltas_t + layer.padded * batch_stride, T(0));
    }
    const Layer& output = layers.back();
    for (std::int64_t i = 0; i < max_rows; ++i) {
      std::fill(output.deltas + i * output.stride + output.size,
                output.deltas + i * output.stride + output.padded, T(0));
    }
  }
};

// One pass over a batch, from the view of one team member. Every member calls the same functions in
// the same order and does its part. A barrier stands where the next part needs the work of all.
template <class T>
class Trainer<T>::Step {
 public:
  Step(Trainer& trainer, Batch& batch, int thread, int n_threads, Barrier& barrier)
      : trainer_(trainer),
        batch_(batch),
        thread_(thread),
        n_threads_(n_threads),
        barrier_(barrier) {}

  // Copies rows order[0..n) of X and Y, or the first n if order is null, into the batch.
  void gather(const T* X, const T* Y, const std::int64_t* order) {
    const std::int64_t p = trainer_.shape_.n_inputs(), q = trainer_.n_targets();
    const Range rows = part_of(batch_.n_rows, thread_, n_threads_);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const std::int64_t row = order ? order[i] : i;
      std::copy(X + row * p, X + (row + 1) * p, batch_.layers[0].values + i * p);
      std::copy(Y + row * q, Y + (row + 1) * q, batch_.targets + i * q);
    }
    barrier_.wait();
  }

  void forward() {
    const std::int64_t n_layers = trainer_.shape_.n_layers();
    for (std::int64_t l = 1; l <= n_layers; ++l) {
      const PackedLayer<T>& layer = trainer_.parameters_.layers()[l - 1];
      const auto &below = batch_.layers[l - 1], &own = batch_.layers[l];
      ForwardTask<T> task{
          layer,         below.values,
          own.values,    own.slopes,
          batch_.n_rows, below.stride,
          own.stride,    l == n_layers ? Activation::identity : trainer_.shape_.activation};
      if (layer.n_panels >= n_threads_) {
        forward_rows(task, {0, batch_.n_rows}, part_of(layer.n_panels, thread_, n_threads_));
      } else {
        forward_rows(task, part_of(batch_.n_rows, thread_, n_threads_), {0, layer.n_panels});
      }
      barrier_.wait();
    }
  }

  // Computes losses of the rows and the deltas of the output layer.
  void output_loss() {
    const Range rows = part_of(batch_.n_rows, thread_, n_threads_);
    if (trainer_.loss_.loss == Loss::mixture) {
      mixture_loss(rows);
    } else {
      element_losses(rows);
    }
    const auto& output = batch_.layers.back();
    const std::int64_t q = output.size;
    T* const delta_t = output.deltas_t;
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const T* delta = output.deltas + i * output.stride;
      for (std::int64_t j = 0; j < q; ++j) delta_t[j * batch_.batch_stride + i] = delta[j];
    }
    if (thread_ == 0) {
      for (std::int64_t j = 0; j < q; ++j) {
        std::fill(delta_t + j * batch_.batch_stride + batch_.n_rows,
                  delta_t + (j + 1) * batch_.batch_stride, T(0));
      }
    }
    barrier_.wait();
  }

  // The backward pass. It updates every layer, or only stores the gradient if `gradient` is given.
  void backward(const UpdateTask<T>& options, const PackedParameters<T>* gradient) {
    for (std::int64_t l = trainer_.shape_.n_layers(); l >= 1; --l) {
      const PackedLayer<T>& layer = trainer_.parameters_.layers()[l - 1];
      const auto &below = batch_.layers[l - 1], &own = batch_.layers[l];
      if (l > 1) {
        input_gradient(layer, l);
        // The update below overwrites weights that other threads still read.
        barrier_.wait();
      }
      UpdateTask<T> task = options;
      task.layer = layer;
      task.first_moment = trainer_.first_moment_.layers()[l - 1];
      task.second_moment = trainer_.second_moment_.layers()[l - 1];
      if (gradient) task.gradient = gradient->layers()[l - 1];
      task.in = below.values;
      task.delta_out = own.deltas;
      task.n_rows = batch_.n_rows;
      task.in_stride = below.stride;
      task.out_stride = own.stride;
      const Range part = part_of(n_update_blocks(layer), thread_, n_threads_);
      // All blocks at once, unless the batch is large.
      const std::int64_t n_blocks = std::max<std::int64_t>(1, 64 * kPieceRows / batch_.n_rows);
      in_pieces(part, n_blocks,
                [&](Range piece) { trainer_.kernels_.update(task, piece.begin, piece.end); });
    }
    barrier_.wait();
  }

 private:
  void forward_rows(const ForwardTask<T>& whole, Range rows, Range panels) {
    in_pieces(rows, kPieceRows, [&](Range piece) {
      ForwardTask<T> task = whole;
      task.in += piece.begin * task.in_stride;
      task.out += piece.begin * task.out_stride;
      if (task.slope) task.slope += piece.begin * task.out_stride;
      task.n_rows = piece.end - piece.begin;
      trainer_.kernels_.forward(task, panels.begin, panels.end);
    });
  }

  // Computes the deltas of layer l - 1 from those of layer l.
  void input_gradient(const PackedLayer<T>& layer, std::int64_t l) {
    const Activation activation = trainer_.shape_.activation;
    const auto &below = batch_.layers[l - 1], &own = batch_.layers[l];
    const InputGradientTask<T> task{
        layer,        own.deltas,     own.deltas_t,
        below.deltas, below.deltas_t, slope_follows_value(activation) ? below.values : below.slopes,
        activation,   batch_.n_rows,  batch_.batch_stride,
        below.stride, own.stride};
    const std::int64_t unit_block = trainer_.kernels_.unit_block;
    const Range part = part_of((layer.n_in + unit_block - 1) / unit_block, thread_, n_threads_);
    in_pieces({0, batch_.n_rows}, kPieceRows, [&](Range piece) {
      InputGradientTask<T> rows = task;
      rows.delta_out += piece.begin * task.out_stride;
      rows.delta_out_t += piece.begin;
      rows.delta_in += piece.begin * task.in_stride;
      rows.delta_in_t += piece.begin;
      rows.below += piece.begin * task.in_stride;
      rows.n_rows = piece.end - piece.begin;
      trainer_.kernels_.input_gradient(rows, part.begin, part.end);
    });
  }

  std::int64_t n_update_blocks(const PackedLayer<T>& layer) const {
    if (layer.narrow) return (layer.padded_in + layer.panel - 1) / layer.panel;
    const std::int64_t row_block = trainer_.kernels_.row_block;
    return layer.n_panels * ((layer.n_in + row_block - 1) / row_block);
  }

  void mixture_loss(Range rows) {
    MixtureTask<T> task = mixture_task<T>(trainer_.loss_.mixture);
    task.gradient_factor = T(1) / static_cast<T>(batch_.n_rows);
    const auto& output = batch_.layers.back();
    task.raw = output.values;
    task.targets = batch_.targets;
    task.losses = batch_.mixture_losses;
    task.gradient = output.deltas;
    task.workspace = batch_.mixture[static_cast<std::size_t>(thread_)].columns;
    task.raw_stride = task.gradient_stride = output.stride;
    in_pieces(rows, kPieceRows,
              [&](Range piece) { trainer_.kernels_.mixture(task, piece.begin, piece.end); });
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      batch_.row_losses[i] = static_cast<double>(task.losses[i]);
    }
  }

  void element_losses(Range rows) {
    const auto& output = batch_.layers.back();
    const std::int64_t q = output.size;
    const T scale = T(1) / static_cast<T>(batch_.n_rows * q);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const T* predicted = output.values + i * output.stride;
      const T* target = batch_.targets + i * q;
      T* delta = output.deltas + i * output.stride;
      double sum = 0;
      for (std::int64_t j = 0; j < q; ++j) {
        T slope;
        sum += element_loss(predicted[j] - target[j], slope);
        delta[j] = slope * scale;
      }
      batch_.row_losses[i] = sum / static_cast<double>(q);
    }
  }

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
      case Loss::mixture:  // not a loss per element
        break;
    }
    const T delta = static_cast<T>(trainer_.loss_.huber_delta);
    if (size > delta) {
      slope = delta * sign;
      const double excess = static_cast<double>(size) - 0.5 * trainer_.loss_.huber_delta;
      return static_cast<double>(delta) * excess;
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
                               std::int64_t n_order, std::int64_t batch_size, double learning_rate,
                               int n_threads) {
  const std::int64_t max_rows = std::min(batch_size, n_order);
  Workspaces memory(1, bytes_of<Batch>(*this, max_rows, n_threads));
  auto batch = memory[0].lay_out<Batch>(*this, max_rows, n_threads);
  batch.clear_padding();
  double total = 0;
  run_team(n_threads, [&](int thread, int team, Barrier& barrier) {
    const DenormalsAreZero guard;
    Step step(*this, batch, thread, team, barrier);
    for (std::int64_t begin = 0; begin < n_order; begin += max_rows) {
      if (thread == 0) {
        watch_point();
        batch.n_rows = std::min(max_rows, n_order - begin);
      }
      barrier.wait();
      step.gather(X, Y, order + begin);
      step.forward();
      step.output_loss();
      if (thread == 0) {
        for (std::int64_t i = 0; i < batch.n_rows; ++i) total += batch.row_losses[i];
      }
      const double t = static_cast<double>(step_ + 1);
      UpdateTask<T> options{};
      options.beta_1 = static_cast<T>(adam_.beta_1);
      options.beta_2 = static_cast<T>(adam_.beta_2);
      options.epsilon = static_cast<T>(adam_.epsilon);
      options.step_size = static_cast<T>(learning_rate / (1 - std::pow(adam_.beta_1, t)));
      options.second_unbiasing = static_cast<T>(1 / std::sqrt(1 - std::pow(adam_.beta_2, t)));
      step.backward(options, nullptr);
      if (thread == 0) ++step_;
    }
  });
  return total / static_cast<double>(n_order);
}

template <class T>
double Trainer<T>::loss(const T* X, const T* Y, std::int64_t n_rows, T* gradient, int n_threads) {
  // A gradient needs the whole batch at once; a loss alone can be summed piece by piece.
  const std::int64_t max_rows = gradient ? n_rows : std::min(n_rows, kLossRows);
  Workspaces memory(1, bytes_of<Batch>(*this, max_rows, n_threads));
  auto batch = memory[0].lay_out<Batch>(*this, max_rows, n_threads);
  batch.clear_padding();
  std::optional<PackedParameters<T>> packed;
  if (gradient) packed.emplace(shape_, kernels_);
  double total = 0;
  run_team(n_threads, [&](int thread, int team, Barrier& barrier) {
    Step step(*this, batch, thread, team, barrier);
    for (std::int64_t begin = 0; begin < n_rows; begin += max_rows) {
      if (thread == 0) {
        watch_point();
        batch.n_rows = std::min(max_rows, n_rows - begin);
      }
      barrier.wait();
      step.gather(X + begin * shape_.n_inputs(), Y + begin * n_targets(), nullptr);
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

template class Trainer<float>;
template class Trainer<double>;

}  // namespace fastinv
