// Networks and trainers: _core.NetworkFloat32/64, _core.TrainerFloat32/64.
#include <pybind11/stl.h>

#include "base/dispatch.hpp"
#include "mlp/mlp.hpp"
#include "bindings/support/array_view.hpp"
#include "bindings/support/long_call.hpp"
#include "bindings/registers.hpp"
#include "bindings/support/trainer.hpp"

namespace fastinv {

namespace {

template <class T>
Network<T> make_network(const Sizes& sizes, const std::string& activation,
                        const py::array& parameters, const std::string& isa) {
  NetworkShape shape = PyTrainer<T>::checked(sizes, activation, parameters);
  return Network<T>(std::move(shape), detail::pointer<const T>(parameters), kernels<T>(isa));
}

template <class T>
void forward(const Network<T>& network, const py::array& X, const py::array& out, int n_threads) {
  const auto x = in_matrix<T>(X, "X", network.shape().n_inputs());
  const auto y = out_matrix<T>(out, "out", x.rows, network.shape().n_outputs());
  checked_threads(n_threads);
  const LongCall call;
  network.forward(x.data, y.data, x.rows, n_threads);
}

template <class T>
void register_for(py::module_& m, const std::string& suffix) {
  py::class_<Network<T>>(m, ("Network" + suffix).c_str())
      .def(py::init(&make_network<T>), py::arg("layer_sizes"), py::arg("activation"),
           py::arg("parameters"), py::arg("isa"))
      .def("forward", &forward<T>, py::arg("X"), py::arg("out"), py::arg("n_threads"));

  using Py = PyTrainer<T>;
  py::class_<Py> trainer(m, ("Trainer" + suffix).c_str());
  trainer.def(py::init<const Sizes&, const std::string&, const std::string&, double, double, double,
                       double, const py::array&, const std::string&>(),
              py::arg("layer_sizes"), py::arg("activation"), py::arg("loss"),
              py::arg("huber_delta"), py::arg("beta_1"), py::arg("beta_2"), py::arg("epsilon"),
              py::arg("parameters"), py::arg("isa"));
  def_trainer_methods<Py>(trainer);
}

}  // namespace

void register_mlp(py::module_& m) {
  register_for<float>(m, "Float32");
  register_for<double>(m, "Float64");
}

}  // namespace fastinv
