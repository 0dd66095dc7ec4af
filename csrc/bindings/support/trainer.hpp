// The Python side of a trainer, shared by the bindings of networks and of mixtures.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/dispatch.hpp"
#include "bindings/support/array_view.hpp"
#include "bindings/support/long_call.hpp"
#include "mlp/mlp.hpp"
#include "mlp/trainer.hpp"

namespace fastinv {

using Sizes = std::vector<std::int64_t>;

// Refuses a second thread at the same time: a trainer's state has one user at a time.
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
      : trainer(checked(sizes, activation, parameters), detail::pointer<const T>(parameters),
                {loss_from(loss), huber_delta, {}}, {beta_1, beta_2, epsilon}, kernels<T>(isa)) {}

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
    const LongCall call;
    return trainer.train_epoch(x.data, y.data, rows.data, rows.size, batch_size, learning_rate,
                               n_threads);
  }

  double evaluate(const py::array& X, const py::array& Y, T* gradient, int n_threads) {
    const OneAtATime lock(busy);
    const auto x = in_matrix<T>(X, "X", trainer.shape().n_inputs());
    const auto y = in_matrix<T>(Y, "Y", trainer.n_targets());
    if (x.rows != y.rows) throw py::value_error("X and Y must have the same number of rows");
    if (x.rows < 1) throw py::value_error("X must have at least one row");
    checked_threads(n_threads);
    const LongCall call;
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

// The methods that trainers of every loss share.
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

}  // namespace fastinv
