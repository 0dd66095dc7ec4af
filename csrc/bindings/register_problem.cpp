// Functions, regions, anchors and problems.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/dispatch.hpp"
#include "base/parallel.hpp"
#include "bindings/support/nouns.hpp"
#include "bindings/support/long_call.hpp"
#include "bindings/registers.hpp"
#include "function/anchors.hpp"
#include "function/problem.hpp"

namespace fastinv {

namespace {

constexpr std::int64_t kRowsPerThread = 64;  // fewer rows of f are not worth a thread

void require_sizes(std::int64_t n_inputs, std::int64_t n_outputs) {
  constexpr std::int64_t largest = std::int64_t{1} << 20;
  if (std::min(n_inputs, n_outputs) < 1 || std::max(n_inputs, n_outputs) > largest) {
    throw py::value_error("n_inputs and n_outputs must be from 1 to 2^20");
  }
}

// A Python object that native code keeps alive and may release on any thread.
std::shared_ptr<const void> owner_of(const py::object& object) {
  return {object.inc_ref().ptr(), [](void* owner) {
            if (!Py_IsInitialized()) return;  // nothing is left to let go
            const HeldGil gil;
            Py_DECREF(static_cast<PyObject*>(owner));
          }};
}

// The machine code of a fastinv.functions.code.RowCode.
RowCode address_of(const py::object& code) {
  const auto address = code.attr("address").cast<std::uintptr_t>();
  if (address == 0) throw py::value_error("the address of machine code must not be null");
  return reinterpret_cast<RowCode>(address);
}

std::shared_ptr<Function> compiled_function(std::int64_t n_inputs, std::int64_t n_outputs,
                                            const py::object& values, const py::object& jacobian,
                                            const std::optional<py::array>& diff_step) {
  require_sizes(n_inputs, n_outputs);
  std::vector<double> steps;
  if (diff_step) steps = vector_of(*diff_step, "diff_step", n_inputs);
  return std::make_shared<CompiledFunction>(
      n_inputs, n_outputs, address_of(values), jacobian.is_none() ? nullptr : address_of(jacobian),
      std::move(steps), owner_of(py::make_tuple(values, jacobian)));
}

std::shared_ptr<Function> learned_function(const py::dict& d, const std::string& isa) {
  const auto sizes = d["layer_sizes"].cast<std::vector<std::int64_t>>();
  if (sizes.empty()) throw py::value_error("layer_sizes must not be empty");
  const std::int64_t p = sizes.front(), q = sizes.back();
  require_sizes(p, q);
  return std::make_shared<LearnedFunction>(
      network_of(d, p, q, isa), NetworkScaling{entry(d, "x_mean", p), entry(d, "x_scale", p),
                                               entry(d, "y_mean", q), entry(d, "y_scale", q)});
}

struct ValuesScratch {
  FunctionScratch function;
  ValuesScratch(Taker& take, const Function& f, std::int64_t n_rows)
      : function(f.lay_out(take, n_rows)) {}
};

void values(const Function& self, const py::array& X, const py::array& out, int n_threads) {
  const auto x = in_matrix<double>(X, "X", self.n_inputs());
  const auto y = out_matrix<double>(out, "out", x.rows, self.n_outputs());
  checked_threads(n_threads);
  const LongCall call;
  const std::int64_t n_blocks = (x.rows + kRowsPerThread - 1) / kRowsPerThread;
  const int n = static_cast<int>(std::clamp<std::int64_t>(n_blocks, 1, n_threads));
  Workspaces memory(n, bytes_of<ValuesScratch>(self, kRowsPerThread));
  run_independent(n, [&](int thread) {
    const auto scratch = memory[thread].lay_out<ValuesScratch>(self, kRowsPerThread);
    const Range blocks = part_of(n_blocks, thread, n);
    for (std::int64_t block = blocks.begin; block < blocks.end; ++block) {
      const std::int64_t row = block * kRowsPerThread;
      self.values(x.data + row * x.cols, y.data + row * y.cols,
                  std::min(kRowsPerThread, x.rows - row), scratch.function);
    }
  });
}

Region make_region(const py::array& lower, const py::array& upper, const py::array& scale,
                   const py::array& periods) {
  const std::int64_t p = in_vector<double>(lower, "lower").size;
  require_sizes(p, 1);
  return Region(vector_of(lower, "lower", p), vector_of(upper, "upper", p),
                vector_of(scale, "scale", p), vector_of(periods, "periods", p));
}

Metric make_metric(const py::array& y_scale) {
  std::vector<double> scale = vector_of(y_scale, "y_scale", kAnyLength);
  for (const double unit : scale) {
    if (!(unit > 0) || !std::isfinite(unit) || !std::isfinite(1 / unit)) {
      throw py::value_error("y_scale must be positive and finite, and so must be its inverse");
    }
  }
  return Metric(std::move(scale));
}

std::shared_ptr<Problem> make_problem(const std::optional<std::shared_ptr<Function>>& given,
                                      const Region& region, const py::array& y_scale,
                                      const py::array& resolution) {
  const std::shared_ptr<Function> function = given.value_or(nullptr);
  Metric metric = make_metric(y_scale);
  const std::int64_t n_outputs = metric.n_outputs();
  require_sizes(region.n_inputs(), n_outputs);
  if (function &&
      (function->n_inputs() != region.n_inputs() || function->n_outputs() != n_outputs)) {
    throw py::value_error("function must have the inputs of the region, and n_outputs outputs");
  }
  return std::make_shared<Problem>(
      Problem{function, region, std::move(metric), vector_of(resolution, "resolution", n_outputs)});
}

std::shared_ptr<Anchors> make_anchors(const py::array& x, const py::array& y,
                                      const py::array& y_scale, const std::string& isa) {
  const auto points = in_matrix<double>(x, "x");
  const auto images = in_matrix<double>(y, "y");
  if (points.rows != images.rows || points.rows < 1 || points.cols < 1 || images.cols < 1) {
    throw py::value_error("x and y of anchors must have the same number of rows, at least 1");
  }
  Metric metric = make_metric(y_scale);
  if (metric.n_outputs() != images.cols) {
    throw py::value_error("y_scale must have as many numbers as y has outputs");
  }
  return std::make_shared<Anchors>(
      std::vector<double>(points.data, points.data + points.rows * points.cols),
      std::vector<double>(images.data, images.data + images.rows * images.cols), points.cols,
      std::move(metric), kernels<double>(isa));
}

void nearest(const Anchors& self, const py::array& targets, std::int64_t k,
             const py::array& distances, const py::array& indices, int n_threads) {
  const auto y = in_matrix<double>(targets, "targets", self.n_outputs());
  const auto d = out_matrix<double>(distances, "distances", y.rows, k);
  const auto found = out_matrix<std::int64_t>(indices, "indices", y.rows, k);
  checked_threads(n_threads);
  const LongCall call;
  std::vector<double> scaled(static_cast<std::size_t>(y.rows * y.cols));
  for (std::int64_t row = 0; row < y.rows; ++row) {
    self.metric().scaled(y.data + row * y.cols, scaled.data() + row * y.cols);
  }
  self.tree().query(scaled.data(), y.rows, k, d.data, found.data, n_threads);
}

}  // namespace

void register_problem(py::module_& m) {
  py::class_<Function, std::shared_ptr<Function>>(m, "Function")
      .def_property_readonly("n_inputs", &Function::n_inputs)
      .def_property_readonly("n_outputs", &Function::n_outputs)
      .def("values", &values, py::arg("X"), py::arg("out"), py::arg("n_threads"));
  m.def("compiled_function", &compiled_function, py::arg("n_inputs"), py::arg("n_outputs"),
        py::arg("values"), py::arg("jacobian"), py::arg("diff_step") = py::none());
  m.def("learned_function", &learned_function, py::arg("network"), py::arg("isa"));
  py::class_<Region>(m, "Region")
      .def(py::init(&make_region), py::arg("lower"), py::arg("upper"), py::arg("scale"),
           py::arg("periods"));
  py::class_<Problem, std::shared_ptr<Problem>>(m, "Problem")
      .def(py::init(&make_problem), py::arg("function"), py::arg("region"), py::arg("y_scale"),
           py::arg("resolution"));
  py::class_<Anchors, std::shared_ptr<Anchors>>(m, "Anchors")
      .def(py::init(&make_anchors), py::arg("x"), py::arg("y"), py::arg("y_scale"), py::arg("isa"))
      .def("nearest", &nearest, py::arg("targets"), py::arg("k"), py::arg("distances"),
           py::arg("indices"), py::arg("n_threads"));
}

}  // namespace fastinv
