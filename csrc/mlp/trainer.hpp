// Trains multilayer perceptrons with Adam, one epoch per call.
#pragma once

#include <cstdint>
#include <string>

#include "mixture/mixture.hpp"
#include "mlp/mlp.hpp"

namespace fastinv {

enum class Loss : int { squared_error, absolute_error, huber, mixture };

Loss loss_from(const std::string& name);

struct AdamOptions {
  double beta_1, beta_2, epsilon;
};

struct LossOptions {
  Loss loss;
  double huber_delta;
  MixtureShape mixture;  // used if loss is Loss::mixture
};

// Parameters with Adam's moments.
template <class T>
class Trainer {
 public:
  Trainer(NetworkShape shape, const T* parameters, LossOptions loss, AdamOptions adam,
          const Kernels<T>& kernels);
  ~Trainer();

  const NetworkShape& shape() const { return shape_; }
  // Columns of Y: the dimensions of a mixture, else the network's outputs.
  std::int64_t n_targets() const {
    return loss_.loss == Loss::mixture ? loss_.mixture.n_dims : shape_.n_outputs();
  }
  // Takes one step per batch of `order` (indices into the rows of X and Y, already checked).
  // Returns the mean loss over the rows. An epoch that is ended early has taken whole steps; only
  // of a batch of many thousand rows, a part of the parameters may have taken its step.
  double train_epoch(const T* X, const T* Y, const std::int64_t* order, std::int64_t n_order,
                     std::int64_t batch_size, double learning_rate, int n_threads);
  // The mean loss over rows and outputs. If `gradient` (n_parameters, flat) is given, it is filled.
  double loss(const T* X, const T* Y, std::int64_t n_rows, T* gradient, int n_threads);

  std::int64_t step() const { return step_; }
  void set_step(std::int64_t step) { step_ = step; }
  PackedParameters<T>& parameters() { return parameters_; }
  PackedParameters<T>& first_moment() { return first_moment_; }
  PackedParameters<T>& second_moment() { return second_moment_; }

 private:
  struct Batch;
  class Step;

  NetworkShape shape_;
  LossOptions loss_;
  AdamOptions adam_;
  const Kernels<T>& kernels_;
  PackedParameters<T> parameters_, first_moment_, second_moment_;
  std::int64_t step_ = 0;
};

}  // namespace fastinv
