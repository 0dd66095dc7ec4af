#include "bindings/support/solution.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "function/status.hpp"
#include "bindings/registers.hpp"

namespace fastinv {

namespace py = pybind11;

namespace {

constexpr std::int64_t kLargest = std::int64_t(1) << 24;  // products of sizes cannot overflow

SolutionObject& solution(PyObject* self) { return *reinterpret_cast<SolutionObject*>(self); }

// A writable array over the memory of `self`. The array keeps `self` alive.
template <class T>
PyObject* view(PyObject* self, T* data, std::initializer_list<Py_ssize_t> shape) {
  auto& api = py::detail::npy_api::get();
  constexpr int flags = py::detail::npy_api::NPY_ARRAY_WRITEABLE_ |
                        py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ |
                        py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  PyObject* const array = api.PyArray_NewFromDescr_(
      api.PyArray_Type_, py::dtype::of<T>().release().ptr(), static_cast<int>(shape.size()),
      shape.begin(), nullptr, data, flags, nullptr);
  if (!array) return nullptr;
  Py_INCREF(self);
  if (api.PyArray_SetBaseObject_(array, self) < 0) {  // steals the reference even if it fails
    Py_DECREF(array);
    return nullptr;
  }
  return array;
}

PyObject* get_x(PyObject* self, void*) {
  SolutionObject& s = solution(self);
  return view(self, s.x(), {static_cast<Py_ssize_t>(s.k), static_cast<Py_ssize_t>(s.p)});
}

PyObject* get_residual(PyObject* self, void*) {
  return view(self, solution(self).residual(), {static_cast<Py_ssize_t>(solution(self).k)});
}

PyObject* get_target(PyObject* self, void*) {
  return view(self, solution(self).target(), {static_cast<Py_ssize_t>(solution(self).q)});
}

PyObject* get_anchor(PyObject* self, void*) {
  return view(self, solution(self).anchor(), {static_cast<Py_ssize_t>(solution(self).k)});
}

PyObject* get_status(PyObject* self, void*) {
  return view(self, solution(self).status(), {static_cast<Py_ssize_t>(solution(self).k)});
}

PyObject* get_best(PyObject* self, void*) {
  return view(self, solution(self).x(), {static_cast<Py_ssize_t>(solution(self).p)});
}

Py_ssize_t length(PyObject* self) { return static_cast<Py_ssize_t>(solution(self).k); }

// SolutionBuffer(k, p, q): all INVALID, because nothing is solved yet.
PyObject* make(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  Py_ssize_t k, p, q;
  static const char* names[] = {"k", "p", "q", nullptr};
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nnn", const_cast<char**>(names), &k, &p, &q)) {
    return nullptr;
  }
  if (std::min({k, p, q}) < 1 || std::max({k, p, q}) > kLargest) {
    PyErr_Format(PyExc_ValueError, "k, p and q must be from 1 to 2^24, got %zd, %zd and %zd", k, p,
                 q);
    return nullptr;
  }
  SolutionObject* s = new_solution(type, k, p, q);
  if (!s) return nullptr;
  std::fill(s->target(), s->target() + q, std::numeric_limits<double>::quiet_NaN());
  mark_not_solved(*s);
  return reinterpret_cast<PyObject*>(s);
}

PyGetSetDef attributes[] = {
    {"target", get_target, nullptr, "The target, shape (q,), float64.", nullptr},
    {"x", get_x, nullptr, "Solutions, best first, shape (k, p), float64.", nullptr},
    {"residual", get_residual, nullptr, "||f(x) - y||, shape (k,), float64.", nullptr},
    {"anchor", get_anchor, nullptr, "Rows of the anchors, shape (k,), int64.", nullptr},
    {"status", get_status, nullptr, "A Status each, shape (k,), int8.", nullptr},
    {"best", get_best, nullptr, "The first solution, shape (p,), float64.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(&make)},
                       {Py_tp_getset, attributes},
                       {Py_sq_length, reinterpret_cast<void*>(&length)},
                       {0, nullptr}};

PyType_Spec spec = {"fastinv._core.SolutionBuffer", sizeof(SolutionObject), 8,
                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

SolutionObject* new_solution(PyTypeObject* type, std::int64_t k, std::int64_t p, std::int64_t q) {
  PyObject* const self = type->tp_alloc(type, SolutionObject::n_words(k, p, q));
  if (!self) return nullptr;
  SolutionObject& s = solution(self);
  s.k = k;
  s.p = p;
  s.q = q;
  return &s;
}

void mark_not_solved(SolutionObject& s) {
  std::fill(s.x(), s.x() + s.k * s.p, std::numeric_limits<double>::quiet_NaN());
  std::fill(s.residual(), s.residual() + s.k, std::numeric_limits<double>::infinity());
  std::fill(s.anchor(), s.anchor() + s.k, std::int64_t(-1));
  std::fill(s.status(), s.status() + s.k, static_cast<std::int8_t>(Status::invalid));
}

void register_solution(py::module_& m) {
  const auto type = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
  if (!type) throw py::error_already_set();
  m.attr("SolutionBuffer") = type;
}

}  // namespace fastinv
