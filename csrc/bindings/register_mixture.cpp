// Gaussian mixtures as a loss: _core.mixture_nll_float32/64, _core.MixtureTrainerFloat32/64.
#include <pybind11/stl.h>

#include <memory>

#include "base/dispatch.hpp"
#include "mixture/mixture.hpp"
#include "bindings/array_view.hpp"
#include "bindings/registers.hpp"
#include "bindings/trainer.hpp"

namespace fastinv {

namespace {

MixtureShape mixture_shape(std::int64_t n_components, std::int64_t n_dims,
                           const std::string& covariance_type, double min_weight,
                           double min_scale) {
  MixtureShape shape{n_components, n_dims, covariance_from(covariance_type), min_weight,
                     min_scale};
  shape.check();
  return shape;
}

template <class T>
void mixture_nll_arrays(const py::array& raw, const py::array& targets, std::int64_t n_components,
                        const std::string& covariance_type, double min_weight, double min_scale,
                        const py::array& loss, const py::array& gradient, int n_threads,
                        const std::string& isa) {
  const auto y = in_matrix<T>(targets, "targets");
  const MixtureShape shape =
      mixture_shape(n_components, y.cols, covariance_type, min_weight, min_scale);
  const auto x = in_matrix<T>(raw, "raw", shape.n_raw());
  if (x.rows != y.rows) throw py::value_error("raw and targets must have the same number of rows");
  const auto losses = out_vector<T>(loss, "loss", x.rows);
  const auto slopes = out_matrix<T>(gradient, "gradient", x.rows, x.cols);
  checked_threads(n_threads);
  const Kernels<T>& table = kernels<T>(isa);
  const py::gil_scoped_release release;
  mixture_nll(shape, x.data, y.data, x.rows, losses.data, slopes.data, n_threads, table);
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
  mixture.def(py::init([](const Sizes& sizes, const std::string& activation,
                          std::int64_t n_components, std::int64_t n_dims,
                          const std::string& covariance_type, double min_weight, double min_scale,
                          double beta_1, double beta_2, double epsilon,
                          const py::array& parameters, const std::string& isa) {
                return std::make_unique<Mixture>(
                    sizes, activation,
                    mixture_shape(n_components, n_dims, covariance_type, min_weight, min_scale),
                    beta_1, beta_2, epsilon, parameters, isa);
              }),
              py::arg("layer_sizes"), py::arg("activation"), py::arg("n_components"),
              py::arg("n_dims"), py::arg("covariance_type"), py::arg("min_weight"),
              py::arg("min_scale"), py::arg("beta_1"), py::arg("beta_2"), py::arg("epsilon"),
              py::arg("parameters"), py::arg("isa"));
  def_trainer_methods<Mixture>(mixture);
}

}  // namespace

void register_mixture(py::module_& m) {
  register_for<float>(m, "Float32");
  register_for<double>(m, "Float64");
  const auto def_mixture_nll = [&m](const char* name, auto function) {
    m.def(name, function, py::arg("raw"), py::arg("targets"), py::arg("n_components"),
          py::arg("covariance_type"), py::arg("min_weight"), py::arg("min_scale"),
          py::arg("loss"), py::arg("gradient"), py::arg("n_threads"), py::arg("isa"));
  };
  def_mixture_nll("mixture_nll_float32", &mixture_nll_arrays<float>);
  def_mixture_nll("mixture_nll_float64", &mixture_nll_arrays<double>);
}

}  // namespace fastinv
