// Turns Python's goals, candidates and networks into the views and models that the core uses.
#pragma once

#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/dispatch.hpp"
#include "base/vectors.hpp"
#include "bindings/support/arguments.hpp"
#include "bindings/support/array_view.hpp"
#include "function/goal.hpp"
#include "mlp/mlp.hpp"
#include "solve/chain/candidates.hpp"
#include "solve/options.hpp"

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
    throw py::value_error("layer_sizes must start with " + std::to_string(n_in) + " and end with " +
                          std::to_string(n_out));
  }
  const auto flat =
      in_vector<float>(d["parameters"].cast<py::array>(), "parameters", shape.n_parameters());
  return Network<float>(std::move(shape), flat.data, kernels<float>(isa));
}

// An attribute whose name Python keeps, so that it is not made anew for each look.
template <const char* name>
py::object attribute(py::handle object) {
  static PyObject* const interned = PyUnicode_InternFromString(name);
  PyObject* const value = PyObject_GetAttr(object.ptr(), interned);
  if (!value) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(value);
}
inline constexpr char kTargets[] = "targets", kNear[] = "near", kTol[] = "tol";
inline constexpr char kErrorTol[] = "error_tol", kMustBeRoot[] = "root";

// A fastinv.functions.goal.Goal, and the arrays that the view reads.
struct GoalArrays {
  py::array targets;
  std::optional<py::array> near, error_tol;
  Goal view;

  GoalArrays(py::handle goal, std::int64_t n_inputs, std::int64_t n_outputs)
      : targets(
            matrix_argument<double>(attribute<kTargets>(goal), "targets", kAnyLength, n_outputs)) {
    const std::int64_t n = targets.shape(0);
    const double* states = nullptr;
    const py::object given = attribute<kNear>(goal);
    if (!given.is_none()) {
      near = matrix_argument<double>(given, "near", n, n_inputs);
      states = detail::pointer<const double>(*near);
      if (!all_finite(states, n * n_inputs)) {
        throw py::value_error("near must be finite, got NaN or infinity");
      }
    }
    const double tol = attribute<kTol>(goal).cast<double>();
    if (!(tol >= 0)) throw py::value_error("tol must be at least 0, got " + std::to_string(tol));
    const double* errors = nullptr;
    const py::object limits = attribute<kErrorTol>(goal);
    if (!limits.is_none()) {
      error_tol = limits.cast<py::array>();
      errors = in_vector<double>(*error_tol, "error_tol", n_outputs).data;
    }
    const bool root = attribute<kMustBeRoot>(goal).ptr() == Py_True;
    view = {
        detail::pointer<const double>(targets), states, n, n_inputs, n_outputs, tol, errors, root};
  }
};

// A fastinv.backends.solving.Candidates of n_targets rows, and the arrays that its view reads and,
// if `writable`, changes.
struct CandidateArrays {
  py::array x, fx, anchor, flags, anchor_distance;
  Candidates view;

  CandidateArrays(py::handle candidates, std::int64_t n_targets, std::int64_t n_inputs,
                  std::int64_t n_outputs, std::int64_t n_anchors, bool writable)
      : x(candidates.attr("x").cast<py::array>()),
        fx(candidates.attr("fx").cast<py::array>()),
        anchor(candidates.attr("anchor").cast<py::array>()),
        flags(candidates.attr("flags").cast<py::array>()),
        anchor_distance(candidates.attr("anchor_distance").cast<py::array>()) {
    detail::check<std::int64_t>(anchor, "candidates.anchor", 2, writable);
    const std::int64_t k = anchor.shape(1);
    if (k < 1) throw py::value_error("candidates must hold at least one a target");
    detail::check<std::uint8_t>(flags, "candidates.flags", 2, writable);
    detail::check<double>(anchor_distance, "candidates.anchor_distance", 1, writable);
    if (anchor.shape(0) != n_targets || flags.shape(0) != n_targets || flags.shape(1) != k ||
        anchor_distance.shape(0) != n_targets) {
      throw py::value_error(
          "candidates must have one row per target, and as many flags as anchors");
    }
    view = {n_targets,
            k,
            n_inputs,
            n_outputs,
            block<double>(x, "candidates.x", n_targets, k, n_inputs, writable),
            block<double>(fx, "candidates.fx", n_targets, k, n_outputs, writable),
            detail::pointer<std::int64_t>(anchor),
            detail::pointer<std::uint8_t>(flags),
            detail::pointer<double>(anchor_distance)};
    for (std::int64_t i = 0; !writable && i < n_targets * k; ++i) {
      if (view.anchor[i] < 0 || view.anchor[i] >= n_anchors) {
        throw py::index_error("candidates.anchor holds an index outside the anchors");
      }
    }
  }
};

// The fields of a fastinv.backends.solving.PipelineOptions.
inline PipelineOptions options_of(py::handle given) {
  PipelineOptions options;
#define FASTINV_READ_OPTION(type, name) options.name = given.attr(#name).cast<type>();
  FASTINV_PIPELINE_OPTIONS(FASTINV_READ_OPTION)
#undef FASTINV_READ_OPTION
  if (options.pool_factor < 1 || options.n_passes < 1) {
    throw py::value_error("pool_factor and n_passes must be at least 1");
  }
  return options;
}

// The arrays of `k` ranked solutions of n targets.
inline Ranked ranked_of(const py::array& x, const py::array& residual, const py::array& anchor,
                        const py::array& status, std::int64_t n, std::int64_t k,
                        std::int64_t n_inputs) {
  return {k, block<double>(x, "x", n, k, n_inputs, true),
          out_matrix<double>(residual, "residual", n, k).data,
          out_matrix<std::int64_t>(anchor, "anchor", n, k).data,
          out_matrix<std::int8_t>(status, "status", n, k).data};
}

}  // namespace fastinv
