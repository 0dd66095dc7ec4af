// Networks and trainers: _core.NetworkFloat32/64, _core.TrainerFloat32/64.
#include <pybind11/stl.h>

#include <atomic>
#include <cmath>

#include "base/dispatch.hpp"
#include "mlp/mlp.hpp"
#include "mlp/trainer.hpp"
#include "bindings/array_view.hpp"
#include "bindings/registers.hpp"
#include "bindings/released_gil.hpp"

namespace fastinv {

namespace {

using Sizes = std::vector<std::int64_t>;

bool in_main_thread() {
  const py::object main = py::module_::import("threading").attr("main_thread")();
  return main.attr("ident").cast<unsigned long>() == PyThread_get_thread_ident();
}

// Python's signals, Ctrl-C among them; a pending exception is left for the caller to raise. Only
// the main thread ever sees one, so others do not ask.
class PythonSignals : public InterruptCheck {
 public:
  PythonSignals(ReleasedGil& gil, bool in_main_thread)
      : gil_(gil), in_main_thread_(in_main_thread) {}

  bool interrupted() override {
    return in_main_thread_ && gil_.with_gil([] { return PyErr_CheckSignals() != 0; });
  }

 private:
  ReleasedGil& gil_;
  const bool in_main_thread_;
};

// Refuses a second thread while one is inside: a trainer's state has one user at a time.
class OneAtATime {
 public:
  explicit OneAtATime(std::atomic<bool>& busy) : busy_(busy) {
    if (busy_.exchange(true)) throw std::runtime_error("this trainer is in use by another thread");
  }
  ~OneAtATime() { busy_ = false; }

 private:
  std::atomic<bool>& busy_;
};

template <class T>
struct PyTrainer {
  Trainer<T> trainer;
  std::atomic<bool> busy{false};

  PyTrainer(const Sizes& sizes, const std::string& activation, const std::string& loss,
            double huber_delta, double beta_1, double beta_2, double epsilon,
            const py::array& parameters, const std::string& isa)
      : trainer(checked(sizes, activation, parameters),
                detail::pointer<const T>(parameters), {loss_from(loss), huber_delta, {}},
                {beta_1, beta_2, epsilon}, kernels<T>(isa)) {}

  PyTrainer(const Sizes& sizes, const std::string& activation, const MixtureShape& mixture,
            double beta_1, double beta_2, double epsilon, const py::array& parameters,
            const std::string& isa)
      : trainer(checked(sizes, activation, parameters), detail::pointer<const T>(parameters),
                {Loss::mixture, 0.0, mixture}, {beta_1, beta_2, epsilon}, kernels<T>(isa)) {
    if (trainer.shape().n_outputs() != mixture.n_raw()) {
      throw py::value_error("the network must have " + std::to_string(mixture.n_raw()) +
                            " outputs for this mixture, got " +
                            std::to_string(trainer.shape().n_outputs()));
    }
  }

  static NetworkShape checked(const Sizes& sizes, const std::string& activation,
                              const py::array& parameters) {
    NetworkShape shape(sizes, activation_from(activation));
    in_vector<T>(parameters, "parameters", shape.n_parameters());
    return shape;
  }

  double train_epoch(const py::array& X, const py::array& Y, const py::array& order,
                     std::int64_t batch_size, double learning_rate, int n_threads) {
    const OneAtATime lock(busy);
    const auto x = in_matrix<T>(X, "X", trainer.shape().n_inputs());
    const auto y = in_matrix<T>(Y, "Y", trainer.n_targets());
    const auto rows = in_vector<std::int64_t>(order, "order");
    if (x.rows != y.rows) throw py::value_error("X and Y must have the same number of rows");
    if (rows.size < 1) throw py::value_error("order must not be empty");
    if (batch_size < 1) throw py::value_error("batch_size must be at least 1");
    for (std::int64_t i = 0; i < rows.size; ++i) {
      if (rows.data[i] < 0 || rows.data[i] >= x.rows) {
        throw py::index_error("order holds " + std::to_string(rows.data[i]) + ", X has " +
                              std::to_string(x.rows) + " rows");
      }
    }
    checked_threads(n_threads);
    const bool can_be_interrupted = in_main_thread();
    double loss;
    {
      ReleasedGil released;
      PythonSignals signals(released, can_be_interrupted);
      loss = trainer.train_epoch(x.data, y.data, rows.data, rows.size, batch_size, learning_rate,
                                 n_threads, signals);
    }
    if (PyErr_Occurred()) throw py::error_already_set();
    return loss;
  }

  double evaluate(const py::array& X, const py::array& Y, T* gradient, int n_threads) {
    const OneAtATime lock(busy);
    const auto x = in_matrix<T>(X, "X", trainer.shape().n_inputs());
    const auto y = in_matrix<T>(Y, "Y", trainer.n_targets());
    if (x.rows != y.rows) throw py::value_error("X and Y must have the same number of rows");
    if (x.rows < 1) throw py::value_error("X must have at least one row");
    checked_threads(n_threads);
    const ReleasedGil released;
    return trainer.loss(x.data, y.data, x.rows, gradient, n_threads);
  }

  double loss(const py::array& X, const py::array& Y, int n_threads) {
    return evaluate(X, Y, nullptr, n_threads);
  }

  py::tuple gradient(const py::array& X, const py::array& Y, int n_threads) {
    py::array_t<T> flat(trainer.shape().n_parameters());
    const double value = evaluate(X, Y, flat.mutable_data(), n_threads);
    return py::make_tuple(value, flat);
  }

  py::array_t<T> unpacked(const PackedParameters<T>& packed) {
    const OneAtATime lock(busy);
    py::array_t<T> flat(trainer.shape().n_parameters());
    packed.unpack(flat.mutable_data());
    return flat;
  }

  void load_state(const py::array& parameters, const py::array& first, const py::array& second,
                  std::int64_t step) {
    const OneAtATime lock(busy);
    const std::int64_t n = trainer.shape().n_parameters();
    const auto w = in_vector<T>(parameters, "parameters", n);
    const auto m = in_vector<T>(first, "first_moment", n);
    const auto v = in_vector<T>(second, "second_moment", n);
    constexpr std::int64_t largest = std::int64_t(1) << 53;  // far from where counting overflows
    if (step < 0 || step > largest) {
      throw py::value_error("step must be from 0 to 2^53, got " + std::to_string(step));
    }
    trainer.parameters().pack(w.data);
    trainer.first_moment().pack(m.data);
    trainer.second_moment().pack(v.data);
    trainer.set_step(step);
  }
};

MixtureShape mixture_shape(std::int64_t n_components, std::int64_t n_dims,
                           const std::string& covariance_type, double min_weight,
                           double min_scale) {
  MixtureShape shape{n_components, n_dims, covariance_from(covariance_type), min_weight,
                     min_scale};
  shape.check();
  return shape;
}

// The methods that trainers share, whatever their loss.
template <class Py, class Class>
void def_trainer_methods(Class& trainer) {
  trainer
      .def("train_epoch", &Py::train_epoch, py::arg("X"), py::arg("Y"), py::arg("order"),
           py::arg("batch_size"), py::arg("learning_rate"), py::arg("n_threads"))
      .def("loss", &Py::loss, py::arg("X"), py::arg("Y"), py::arg("n_threads"))
      .def("gradient", &Py::gradient, py::arg("X"), py::arg("Y"), py::arg("n_threads"))
      .def("parameters", [](Py& self) { return self.unpacked(self.trainer.parameters()); })
      .def("first_moment", [](Py& self) { return self.unpacked(self.trainer.first_moment()); })
      .def("second_moment", [](Py& self) { return self.unpacked(self.trainer.second_moment()); })
      .def_property_readonly("step", [](const Py& self) { return self.trainer.step(); })
      .def("load_state", &Py::load_state, py::arg("parameters"), py::arg("first_moment"),
           py::arg("second_moment"), py::arg("step"));
}

// The same trainer behind a second Python class, whose constructor takes a mixture.
template <class T>
struct PyMixtureTrainer : PyTrainer<T> {
  using PyTrainer<T>::PyTrainer;
};

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
  const ReleasedGil released;
  mixture_nll(shape, x.data, y.data, x.rows, losses.data, slopes.data, n_threads, table);
}

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
  const ReleasedGil released;
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
  trainer.def(py::init<const Sizes&, const std::string&, const std::string&, double, double,
                       double, double, const py::array&, const std::string&>(),
              py::arg("layer_sizes"), py::arg("activation"), py::arg("loss"),
              py::arg("huber_delta"), py::arg("beta_1"), py::arg("beta_2"), py::arg("epsilon"),
              py::arg("parameters"), py::arg("isa"));
  def_trainer_methods<Py>(trainer);

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

void register_mlp(py::module_& m) {
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
