// A frozen solver: from one target to ranked solutions without running Python code. Any argument
// that is not a clean array of one target goes to the method `_solve` of the derived Python class.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "solve/chain/pipeline.hpp"
#include "bindings/support/array_view.hpp"
#include "bindings/support/long_call.hpp"
#include "bindings/registers.hpp"
#include "bindings/support/solution.hpp"

namespace fastinv {

namespace {

using Clock = std::chrono::steady_clock;

// A shorter call keeps the GIL. Releasing and retaking it costs 50 ns if no other thread wants it,
// and up to the switch interval of 5 ms if another Python thread does.
constexpr std::chrono::microseconds kLongCall{20};
constexpr char kNotInitialised[] = "this frozen solver was not initialised";
constexpr int kRepetitions = 3;  // the first one may find a cold cache

struct FrozenCall {
  // pybind11 allocates this when it is first read, even where its constructor has not run: zeros
  // then say so.
  static void* operator new(std::size_t size) { return std::memset(::operator new(size), 0, size); }
  static void operator delete(void* memory) { ::operator delete(memory); }

  py::object solver;
  py::object pipeline_owner;  // keeps `pipeline` alive
  const Pipeline* pipeline;   // null: every call goes through Python
  std::int64_t n_candidates, n_candidates_near, k, p = 0, q = 0;
  double tol = 0;
  std::vector<double> error_tol;  // empty: the solution must be a root
  py::object solution_type;
  bool releases_gil = false;

  // Solves for out.target(), near `state` unless that is null.
  void solve(const double* state, SolutionObject& out) const {
    const double* const errors = error_tol.empty() ? nullptr : error_tol.data();
    pipeline->solve({out.target(), state, 1, p, q, tol, errors, !errors},
                    state ? n_candidates_near : n_candidates,
                    {k, out.x(), out.residual(), out.anchor(), out.status()}, 1);
  }
};

PyTypeObject* type_of(const FrozenCall& self) {
  return reinterpret_cast<PyTypeObject*>(self.solution_type.ptr());
}

// Whether any of the targets `probes` (m, q) takes long, even at its fastest repetition.
bool takes_long(const FrozenCall& self, const Matrix<const double>& probes) {
  const auto owner = py::reinterpret_steal<py::object>(
      reinterpret_cast<PyObject*>(new_solution(type_of(self), self.k, self.p, self.q)));
  if (!owner) throw py::error_already_set();
  auto& scratch = *reinterpret_cast<SolutionObject*>(owner.ptr());
  const LongCall call;
  for (std::int64_t i = 0; i < probes.rows; ++i) {
    std::copy_n(probes.data + i * self.q, self.q, scratch.target());
    Clock::duration shortest = Clock::duration::max();
    for (int repetition = 0; repetition < kRepetitions; ++repetition) {
      const auto start = Clock::now();
      self.solve(nullptr, scratch);
      shortest = std::min(shortest, Clock::now() - start);
    }
    if (shortest > kLongCall) return true;
  }
  return false;
}

std::unique_ptr<FrozenCall> make_frozen(py::object solver, py::object pipeline,
                                        std::int64_t n_candidates, std::int64_t n_candidates_near,
                                        std::int64_t k, double tol, std::vector<double> error_tol,
                                        py::object solution_type, const py::array& probes) {
  const py::object buffer = py::module_::import("fastinv._core").attr("SolutionBuffer");
  if (!PyType_Check(solution_type.ptr()) ||
      !PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(solution_type.ptr()),
                        reinterpret_cast<PyTypeObject*>(buffer.ptr()))) {
    throw py::type_error("solution_type must be a SolutionBuffer");
  }
  auto self = std::make_unique<FrozenCall>();
  self->solver = std::move(solver);
  self->solution_type = std::move(solution_type);
  self->pipeline = nullptr;
  self->n_candidates = n_candidates;
  self->n_candidates_near = n_candidates_near;
  self->k = k;
  self->tol = tol;
  self->error_tol = std::move(error_tol);
  if (pipeline.is_none()) return self;
  self->pipeline = pipeline.cast<const Pipeline*>();
  self->pipeline_owner = std::move(pipeline);
  const Pipeline& native = *self->pipeline;
  if (!native.has_function()) throw py::value_error("this pipeline's function runs in Python only");
  if (k < 1 || k > n_candidates || n_candidates > n_candidates_near ||
      n_candidates_near > native.anchors().size()) {
    throw py::value_error(
        "they must satisfy 1 <= k <= n_candidates <= n_candidates_near <= number of anchors");
  }
  self->p = native.n_inputs();
  self->q = native.n_outputs();
  if (!self->error_tol.empty() && self->error_tol.size() != static_cast<std::size_t>(self->q)) {
    throw py::value_error("error_tol must have one number per output, or none");
  }
  self->releases_gil = takes_long(*self, in_matrix<double>(probes, "probes", self->q));
  return self;
}

// The data of `object` if it is an ndarray of `size` float64, C-contiguous and not of a subclass
// (masked arrays hide values); else null.
const double* clean_vector(PyObject* object, std::int64_t size) {
  auto& api = py::detail::npy_api::get();
  if (Py_TYPE(object) != api.PyArray_Type_) return nullptr;
  const auto* array = py::detail::array_proxy(object);
  constexpr int wanted =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (array->nd != 1 || array->dimensions[0] != size || (array->flags & wanted) != wanted) {
    return nullptr;
  }
  const py::dtype float64 = py::dtype::of<double>();
  if (array->descr != float64.ptr() && !api.PyArray_EquivTypes_(array->descr, float64.ptr())) {
    return nullptr;
  }
  return reinterpret_cast<const double*>(array->data);
}

struct Arguments {
  PyObject* y = nullptr;
  PyObject* near = nullptr;  // null also for None
  PyObject* out = nullptr;
};

bool is_name(PyObject* key, const char* name) {
  return PyUnicode_CompareWithASCIIString(key, name) == 0;
}

// Sets a TypeError and returns false for anything but (y, *, near=None, out=None).
bool parse(PyObject* args, PyObject* kwargs, Arguments& found) {
  const Py_ssize_t n = PyTuple_GET_SIZE(args);
  if (n > 1) {
    PyErr_Format(PyExc_TypeError, "a frozen solver takes one positional argument, y, got %zd", n);
    return false;
  }
  if (n == 1) found.y = PyTuple_GET_ITEM(args, 0);
  PyObject *key, *value;
  Py_ssize_t position = 0;
  while (kwargs && PyDict_Next(kwargs, &position, &key, &value)) {
    if (is_name(key, "near")) {
      found.near = value == Py_None ? nullptr : value;
    } else if (is_name(key, "out")) {
      found.out = value == Py_None ? nullptr : value;
    } else if (is_name(key, "y") && n == 0) {
      found.y = value;
    } else {
      PyErr_Format(PyExc_TypeError,
                   "a frozen solver takes y, near and out, each once, got an argument %R", key);
      return false;
    }
  }
  if (!found.y) {
    PyErr_SetString(PyExc_TypeError, "a frozen solver takes the target(s) y, got none");
    return false;
  }
  return true;
}

bool fits(const FrozenCall& self, PyObject* out) {
  if (Py_TYPE(out) != type_of(self)) return false;
  const auto& s = *reinterpret_cast<SolutionObject*>(out);
  return s.k == self.k && s.p == self.p && s.q == self.q;
}

PyObject* through_python(PyObject* self, const Arguments& given) {
  const auto name = py::reinterpret_steal<py::object>(PyUnicode_InternFromString("_solve"));
  return PyObject_CallMethodObjArgs(self, name.ptr(), given.y, given.near ? given.near : Py_None,
                                    given.out ? given.out : Py_None, nullptr);
}

// Solves for `target` (q), which is copied to out.target(). Both `target` and `near` (p) may be a
// part of `out`: `near` is copied before anything is written there.
void solve_one(const FrozenCall& self, const double* target, const double* near,
               SolutionObject& out) {
  constexpr std::int64_t kLocal = 32;
  double local[kLocal];
  std::vector<double> long_state;
  if (near) {
    double* state = local;
    if (self.p > kLocal) {
      long_state.resize(static_cast<std::size_t>(self.p));
      state = long_state.data();
    }
    std::copy_n(near, self.p, state);
    near = state;
  }
  std::copy_n(target, self.q, out.target());
  if (self.releases_gil) {
    mark_not_solved(out);  // it may be interrupted
    const LongCall call;
    self.solve(near, out);
  } else {
    self.solve(near, out);
  }
}

PyObject* call(PyObject* object, PyObject* args, PyObject* kwargs) {
  Arguments given;
  if (!parse(args, kwargs, given)) return nullptr;
  const auto* self = static_cast<const FrozenCall*>(
      reinterpret_cast<py::detail::instance*>(object)->get_value_and_holder().value_ptr());
  if (!self || !self->solver) {
    PyErr_SetString(PyExc_TypeError, kNotInitialised);
    return nullptr;
  }
  if (!self->pipeline) return through_python(object, given);
  const double* target = clean_vector(given.y, self->q);
  const double* near = given.near ? clean_vector(given.near, self->p) : nullptr;
  const bool clean =
      target && (near || !given.near) && (!given.out || fits(*self, given.out)) &&
      (!near || std::all_of(near, near + self->p, [](double v) { return std::isfinite(v); }));
  if (!clean) return through_python(object, given);
  PyObject* out = given.out;
  if (out) {
    Py_INCREF(out);
  } else {
    out = reinterpret_cast<PyObject*>(new_solution(type_of(*self), self->k, self->p, self->q));
    if (!out) return nullptr;
  }
  try {
    solve_one(*self, target, near, *reinterpret_cast<SolutionObject*>(out));
  } catch (const std::bad_alloc&) {
    Py_DECREF(out);
    return PyErr_NoMemory();
  } catch (py::error_already_set& error) {
    Py_DECREF(out);
    error.restore();
    return nullptr;
  }
  return out;
}

void set_call(PyHeapTypeObject* type) { type->ht_type.tp_call = &call; }

}  // namespace

void register_frozen(py::module_& m) {
  register_solution(m);
  py::class_<FrozenCall>(m, "FrozenCall", py::custom_type_setup(&set_call))
      .def(py::init(&make_frozen), py::arg("solver"), py::arg("pipeline"), py::arg("n_candidates"),
           py::arg("n_candidates_near"), py::arg("k"), py::arg("tol"), py::arg("error_tol"),
           py::arg("solution_type"), py::arg("probes"))
      .def_readonly("k", &FrozenCall::k, "Solutions per target.")
      .def_property_readonly("_solver",
                             [](const FrozenCall& self) {
                               if (!self.solver) throw py::type_error(kNotInitialised);
                               return self.solver;
                             })
      .def_property_readonly("_is_native",
                             [](const FrozenCall& self) { return self.pipeline != nullptr; })
      .def_readonly("_releases_gil", &FrozenCall::releases_gil);
}

}  // namespace fastinv
