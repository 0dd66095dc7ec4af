// NumPy array -> pointer and sizes, with every check of layout: dtype, dimensions, contiguity,
// writability. Kernels see only arrays that passed these checks. Python checks what the values
// mean.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace fastinv {

namespace py = pybind11;

template <class T>
struct Matrix {
  T* data;
  std::int64_t rows, cols;
};

template <class T>
struct Vector {
  T* data;
  std::int64_t size;
};

namespace detail {

inline void require(bool holds, const char* name, const char* what) {
  if (!holds) throw py::type_error(std::string(name) + " must be " + what);
}

template <class T>
[[noreturn]] void refuse_dtype(const py::array& a, const char* name) {
  throw py::type_error(std::string(name) + " must be of dtype " +
                       std::string(py::str(static_cast<py::handle>(py::dtype::of<T>()))) +
                       ", got " + std::string(py::str(static_cast<py::handle>(a.dtype()))));
}

[[noreturn]] inline void refuse_ndim(const py::array& a, const char* name, int ndim) {
  throw py::type_error(std::string(name) + " must be " + std::to_string(ndim) +
                       "-dimensional, got " + std::to_string(a.ndim()) + " dimensions");
}

// Builds messages only when they are needed, because it runs before every kernel call.
template <class T>
void check(const py::array& a, const char* name, int ndim, bool writable) {
  if (!py::isinstance<py::array_t<T>>(a)) refuse_dtype<T>(a, name);
  if (a.ndim() != ndim) refuse_ndim(a, name, ndim);
  require((a.flags() & py::array::c_style) != 0, name, "C-contiguous");
  require((a.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0, name, "aligned in memory");
  require(!writable || a.writeable(), name, "writable");
}

template <class T>
T* pointer(const py::array& a) {
  return static_cast<T*>(const_cast<void*>(a.data()));
}

}  // namespace detail

template <class T>
Matrix<const T> in_matrix(const py::array& a, const char* name, std::int64_t cols = -1) {
  detail::check<T>(a, name, 2, false);
  if (cols >= 0 && a.shape(1) != cols) {
    throw py::value_error(std::string(name) + " must have " + std::to_string(cols) +
                          " columns, got " + std::to_string(a.shape(1)));
  }
  return {detail::pointer<const T>(a), a.shape(0), a.shape(1)};
}

template <class T>
Matrix<T> out_matrix(const py::array& a, const char* name, std::int64_t rows, std::int64_t cols) {
  detail::check<T>(a, name, 2, true);
  if (a.shape(0) != rows || a.shape(1) != cols) {
    throw py::value_error(std::string(name) + " must have shape (" + std::to_string(rows) + ", " +
                          std::to_string(cols) + "), got (" + std::to_string(a.shape(0)) + ", " +
                          std::to_string(a.shape(1)) + ")");
  }
  return {detail::pointer<T>(a), rows, cols};
}

// A three-dimensional array as the matrix (rows, middle * cols).
template <class T>
T* block(const py::array& a, const char* name, std::int64_t rows, std::int64_t middle,
         std::int64_t cols, bool writable = false) {
  detail::check<T>(a, name, 3, writable);
  if (a.shape(0) != rows || a.shape(1) != middle || a.shape(2) != cols) {
    throw py::value_error(std::string(name) + " must have shape (" + std::to_string(rows) + ", " +
                          std::to_string(middle) + ", " + std::to_string(cols) + ")");
  }
  return detail::pointer<T>(a);
}

template <class T>
Vector<const T> in_vector(const py::array& a, const char* name, std::int64_t size = -1) {
  detail::check<T>(a, name, 1, false);
  if (size >= 0 && a.shape(0) != size) {
    throw py::value_error(std::string(name) + " must have length " + std::to_string(size) +
                          ", got " + std::to_string(a.shape(0)));
  }
  return {detail::pointer<const T>(a), a.shape(0)};
}

template <class T>
Vector<T> out_vector(const py::array& a, const char* name, std::int64_t size) {
  detail::check<T>(a, name, 1, true);
  if (a.shape(0) != size) {
    throw py::value_error(std::string(name) + " must have length " + std::to_string(size) +
                          ", got " + std::to_string(a.shape(0)));
  }
  return {detail::pointer<T>(a), size};
}

// A new array of that shape. By NumPy's own function, which takes half the time of pybind11's.
template <class T>
py::array new_array(std::initializer_list<Py_ssize_t> shape) {
  const auto& api = py::detail::npy_api::get();
  auto array = py::reinterpret_steal<py::array>(api.PyArray_NewFromDescr_(
      api.PyArray_Type_, py::dtype::of<T>().release().ptr(), static_cast<int>(shape.size()),
      shape.begin(), nullptr, nullptr, 0, nullptr));
  if (!array) throw py::error_already_set();
  return array;
}

inline int checked_threads(int n_threads) {
  if (n_threads < 1 || n_threads > 1024) {
    throw py::value_error("n_threads must be from 1 to 1024, got " + std::to_string(n_threads));
  }
  return n_threads;
}

}  // namespace fastinv
