// Gaussian mixtures as a loss: sizes, and batches shared by threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "base/parallel.hpp"
#include "base/workspace.hpp"
#include "kernels/kernels.hpp"

namespace fastinv {

inline Covariance covariance_from(const std::string& name) {
  if (name == "spherical") return Covariance::spherical;
  if (name == "diag") return Covariance::diag;
  if (name == "full") return Covariance::full;
  throw std::invalid_argument("unknown covariance_type '" + name + "'");
}

struct MixtureShape {
  std::int64_t n_components = 0, n_dims = 0;
  Covariance covariance = Covariance::diag;
  double min_weight = 0, min_scale = 0;

  std::int64_t n_scales() const {
    if (covariance == Covariance::spherical) return 1;
    return covariance == Covariance::diag ? n_dims : n_dims * (n_dims + 1) / 2;
  }
  std::int64_t n_raw() const { return n_components * (1 + n_dims + n_scales()); }

  // Throws std::invalid_argument for a size below 1 or above 4096, a weight outside [0, 1 / K) or a
  // negative scale.
  void check() const {
    constexpr std::int64_t largest = 4096;
    if (n_components < 1 || n_components > largest || n_dims < 1 || n_dims > largest) {
      throw std::invalid_argument("n_components and n_dims must be from 1 to 4096");
    }
    if (!(min_weight >= 0 && min_weight * static_cast<double>(n_components) < 1)) {
      throw std::invalid_argument("min_weight must be at least 0 and below 1 / n_components");
    }
    if (!(min_scale >= 0 && min_scale < HUGE_VAL)) {
      throw std::invalid_argument("min_scale must be at least 0 and finite");
    }
  }
};

// A task without its arrays.
template <class T>
MixtureTask<T> mixture_task(const MixtureShape& shape) {
  MixtureTask<T> task{};
  task.n_components = shape.n_components;
  task.n_dims = shape.n_dims;
  task.n_scales = shape.n_scales();
  task.n_raw = shape.n_raw();
  task.covariance = shape.covariance;
  task.min_weight = static_cast<T>(shape.min_weight);
  task.min_scale = static_cast<T>(shape.min_scale);
  task.gradient_factor = T(1);
  return task;
}

// The scratch memory of one thread.
template <class T>
struct MixtureScratch {
  T* columns;

  MixtureScratch(Taker& take, const MixtureShape& shape, const Kernels<T>& kernels) {
    take(columns, kernels.mixture_workspace(shape.n_components, shape.n_dims, shape.n_raw()));
  }
};

// Computes losses (n) and gradient (n, n_raw) of raw (n, n_raw) and targets (n, n_dims).
template <class T>
void mixture_nll(const MixtureShape& shape, const T* raw, const T* targets, std::int64_t n,
                 T* losses, T* gradient, int n_threads, const Kernels<T>& kernels) {
  const int threads = static_cast<int>(
      std::clamp<std::int64_t>((n + kernels.lanes - 1) / kernels.lanes, 1, n_threads));
  Workspaces memory(threads, bytes_of<MixtureScratch<T>>(shape, kernels));
  run_independent(threads, [&](int thread) {
    MixtureTask<T> task = mixture_task<T>(shape);
    task.raw = raw;
    task.targets = targets;
    task.losses = losses;
    task.gradient = gradient;
    task.raw_stride = task.gradient_stride = task.n_raw;
    task.workspace = memory[thread].lay_out<MixtureScratch<T>>(shape, kernels).columns;
    constexpr std::int64_t kPiece = 256;  // rows between watch points
    const Range rows = part_of(n, thread, threads);
    for (std::int64_t row = rows.begin; row < rows.end; row += kPiece) {
      watch_point();
      kernels.mixture(task, row, std::min(row + kPiece, rows.end));
    }
  });
}

}  // namespace fastinv
