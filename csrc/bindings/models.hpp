// Python's descriptions of networks and forward functions -> the models that the core works with.
#pragma once

#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "function/differentiable.hpp"
#include "base/dispatch.hpp"
#include "bindings/array_view.hpp"

namespace fastinv {

inline std::vector<double> vector_of(const py::array& a, const char* name, std::int64_t size) {
  const auto view = in_vector<double>(a, name, size);
  return {view.data, view.data + view.size};
}

inline std::vector<double> entry(const py::dict& d, const char* name, std::int64_t size) {
  return vector_of(d[name].cast<py::array>(), name, size);
}

inline Network<float> network_of(const py::dict& d, std::int64_t n_in, std::int64_t n_out,
                          const std::string& isa) {
  NetworkShape shape(d["layer_sizes"].cast<std::vector<std::int64_t>>(),
                     activation_from(d["activation"].cast<std::string>()));
  if (shape.n_inputs() != n_in || shape.n_outputs() != n_out) {
    throw py::value_error("layer_sizes must start with " + std::to_string(n_in) +
                          " and end with " + std::to_string(n_out));
  }
  const auto flat = in_vector<float>(d["parameters"].cast<py::array>(), "parameters",
                                     shape.n_parameters());
  return Network<float>(std::move(shape), flat.data, kernels<float>(isa));
}

// f, compiled or learned; neither where only Python can evaluate it.
struct ForwardChoice {
  CompiledForward compiled = nullptr;
  std::optional<ForwardModel> learned;
};

// The function at an address; null for None.
inline CompiledForward address_of(const py::object& address) {
  if (address.is_none()) return nullptr;
  return reinterpret_cast<CompiledForward>(address.cast<std::uintptr_t>());
}

inline ForwardChoice forward_of(const py::object& forward, std::int64_t p, std::int64_t q,
                                const std::string& isa) {
  ForwardChoice choice;
  if (py::isinstance<py::dict>(forward)) {
    const py::dict d = forward.cast<py::dict>();
    choice.learned.emplace(ForwardModel{network_of(d, p, q, isa), entry(d, "x_mean", p),
                                        entry(d, "x_scale", p), entry(d, "y_mean", q),
                                        entry(d, "y_scale", q)});
  } else {
    choice.compiled = address_of(forward);
  }
  return choice;
}

}  // namespace fastinv
