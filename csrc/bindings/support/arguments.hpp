// Turns a caller's arguments into arrays and counts that kernels can take. Messages use the wording
// of fastinv/backends/checks/common.py, so that every backend refuses in the same words.
#pragma once

#include <cstdint>
#include <string>

#include "bindings/support/array_view.hpp"

namespace fastinv {

// `object` as an array.
inline py::array array_argument(py::handle object, const char* name) {
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(std::string(name) + " must be a NumPy array, got " +
                         std::string(py::str(py::type::of(object).attr("__name__"))));
  }
  return py::reinterpret_borrow<py::array>(object);
}

// Only native byte order matches.
template <class T>
bool has_dtype(const py::array& array) {
  return py::isinstance<py::array_t<T>>(array);
}

[[noreturn]] inline void refuse_dtype(const py::array& array, const char* name,
                                      const std::string& wanted) {
  throw py::type_error(std::string(name) + " must have dtype " + wanted + ", got " +
                       std::string(py::str(static_cast<py::handle>(array.dtype()))));
}

constexpr std::int64_t kAnyLength = -1;

// `object` as a matrix (rows, cols) of T in the layout that kernels read: the array itself, or a
// copy if it is strided or not aligned in memory.
template <class T>
py::array matrix_argument(py::handle object, const char* name, std::int64_t rows,
                          std::int64_t cols) {
  const py::array array = array_argument(object, name);
  if (!has_dtype<T>(array)) {
    refuse_dtype(array, name, py::str(static_cast<py::handle>(py::dtype::of<T>())));
  }
  const bool fits =
      array.ndim() == 2 && (rows == kAnyLength || array.shape(0) == rows) && array.shape(1) == cols;
  if (!fits) {
    throw py::value_error(std::string(name) + " must have shape (" +
                          (rows == kAnyLength ? "n" : std::to_string(rows)) + ", " +
                          std::to_string(cols) + "), got " +
                          std::string(py::str(array.attr("shape"))));
  }
  constexpr int layout = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if ((array.flags() & layout) == layout) return array;
  auto copy = py::array_t<T, layout>::ensure(array);
  if (!copy) throw py::error_already_set();
  return copy;
}

// A number of threads: an integer from 1 to 1024.
inline int threads_argument(py::handle object) {
  constexpr long long most = 1024;
  int overflow = 0;
  const long long count = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
  if (count == -1 && PyErr_Occurred()) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) throw py::error_already_set();
    PyErr_Clear();
    throw py::type_error("n_threads must be an integer, got " + std::string(py::repr(object)));
  }
  if (overflow < 0 || (overflow == 0 && count < 1)) {
    throw py::value_error("n_threads must be at least 1, got " + std::string(py::str(object)));
  }
  if (overflow > 0 || count > most) {
    throw py::value_error("n_threads must be at most " + std::to_string(most) + ", got " +
                          std::string(py::str(object)));
  }
  return static_cast<int>(count);
}

}  // namespace fastinv
