// Gaussian mixtures: _core.mixture_nll and _core.MixtureTrainerFloat32/64, and their modes.
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "base/dispatch.hpp"
#include "mixture/mixture.hpp"
#include "mixture/modes.hpp"
#include "bindings/support/arguments.hpp"
#include "bindings/support/long_call.hpp"
#include "bindings/registers.hpp"
#include "bindings/support/trainer.hpp"

namespace fastinv {

namespace {

MixtureShape mixture_shape(std::int64_t n_components, std::int64_t n_dims,
                           const std::string& covariance_type, double min_weight,
                           double min_scale) {
  MixtureShape shape{n_components, n_dims, covariance_from(covariance_type), min_weight, min_scale};
  shape.check();
  return shape;
}

template <class T>
py::tuple nll_of(const MixtureShape& shape, const py::array& raw, py::handle targets, int n_threads,
                 const Kernels<T>& table) {
  const py::array x = matrix_argument<T>(raw, "raw", kAnyLength, shape.n_raw());
  const std::int64_t n = x.shape(0);
  const py::array y = matrix_argument<T>(targets, "targets", n, shape.n_dims);
  py::array_t<T> losses(n), gradient({n, shape.n_raw()});
  const T *rows = detail::pointer<const T>(x), *goals = detail::pointer<const T>(y);
  T *values = losses.mutable_data(), *slopes = gradient.mutable_data();
  {
    const LongCall call;
    mixture_nll(shape, rows, goals, n, values, slopes, n_threads, table);
  }
  return py::make_tuple(std::move(losses), std::move(gradient));
}

// Returns new arrays: losses (n) and gradient (n, n_raw), in the dtype of `raw` and `targets`.
py::tuple nll(py::handle raw, py::handle targets, std::int64_t n_components, std::int64_t n_dims,
              const std::string& covariance_type, double min_weight, double min_scale,
              py::handle n_threads, const std::string& isa) {
  const MixtureShape shape =
      mixture_shape(n_components, n_dims, covariance_type, min_weight, min_scale);
  const py::array rows = array_argument(raw, "raw");
  const int threads = threads_argument(n_threads);
  if (has_dtype<float>(rows)) {
    return nll_of<float>(shape, rows, targets, threads, kernels<float>(isa));
  }
  if (has_dtype<double>(rows)) {
    return nll_of<double>(shape, rows, targets, threads, kernels<double>(isa));
  }
  refuse_dtype(rows, "raw", "float32 or float64");
}

// Returns new arrays: x (n, starts, D), weights (n, starts) and counts (n); what is beyond a row's
// count has no value. `lower` is (n, K, D * D).
py::tuple modes(const py::array& weights, const py::array& means, const py::array& lower,
                int n_threads, const std::string& isa) {
  const Matrix<const double> shares = in_matrix<double>(weights, "weights");
  if (means.ndim() != 3) detail::refuse_ndim(means, "means", 3);
  const std::int64_t n = shares.rows, k = shares.cols, d = means.shape(2);
  constexpr std::int64_t largest = 4096;
  if (k < 1 || k > largest || d < 1 || d > largest) {
    throw py::value_error("means must have from 1 to 4096 components and dimensions");
  }
  ModesTask task{};
  task.n_components = k;
  task.n_dims = d;
  task.weights = shares.data;
  task.means = block<double>(means, "means", n, k, d);
  task.lower = block<double>(lower, "lower", n, k, d * d);
  py::array x = new_array<double>({n, task.starts(), d});
  py::array mass = new_array<double>({n, task.starts()});
  py::array count = new_array<std::int64_t>({n});
  task.x = detail::pointer<double>(x);
  task.mass = detail::pointer<double>(mass);
  task.count = detail::pointer<std::int64_t>(count);
  const int threads = checked_threads(n_threads);
  const Kernels<double>& table = kernels<double>(isa);
  {
    const LongCall call;
    find_modes(task, n, threads, table);
  }
  return py::make_tuple(std::move(x), std::move(mass), std::move(count));
}

// The same trainer behind a second Python class, whose constructor takes a mixture.
template <class T>
struct PyMixtureTrainer : PyTrainer<T> {
  using PyTrainer<T>::PyTrainer;
};

template <class T>
void register_for(py::module_& m, const std::string& suffix) {
  using Mixture = PyMixtureTrainer<T>;
  py::class_<Mixture> mixture(m, ("MixtureTrainer" + suffix).c_str());
  mixture.def(
      py::init([](const Sizes& sizes, const std::string& activation, std::int64_t n_components,
                  std::int64_t n_dims, const std::string& covariance_type, double min_weight,
                  double min_scale, double beta_1, double beta_2, double epsilon,
                  const py::array& parameters, const std::string& isa) {
        return std::make_unique<Mixture>(
            sizes, activation,
            mixture_shape(n_components, n_dims, covariance_type, min_weight, min_scale), beta_1,
            beta_2, epsilon, parameters, isa);
      }),
      py::arg("layer_sizes"), py::arg("activation"), py::arg("n_components"), py::arg("n_dims"),
      py::arg("covariance_type"), py::arg("min_weight"), py::arg("min_scale"), py::arg("beta_1"),
      py::arg("beta_2"), py::arg("epsilon"), py::arg("parameters"), py::arg("isa"));
  def_trainer_methods<Mixture>(mixture);
}

}  // namespace

void register_mixture(py::module_& m) {
  register_for<float>(m, "Float32");
  register_for<double>(m, "Float64");
  m.def("mixture_nll", &nll, py::arg("raw"), py::arg("targets"), py::arg("n_components"),
        py::arg("n_dims"), py::arg("covariance_type"), py::arg("min_weight"), py::arg("min_scale"),
        py::arg("n_threads"), py::arg("isa"));
  m.def("mixture_modes", &modes, py::arg("weights"), py::arg("means"), py::arg("lower"),
        py::arg("n_threads"), py::arg("isa"));
}

}  // namespace fastinv
