// The solutions of one target in one Python object. It is made in tens of nanoseconds; four NumPy
// arrays would take half a microsecond. Arrays over its memory are made when they are asked for.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace fastinv {

// Followed, in words of 8 bytes, by x (k, p) | residual (k) | target (q) | anchor (k) | status (k
// bytes).
struct SolutionObject {
  PyObject_VAR_HEAD;
  std::int64_t k, p, q;

  double* x() { return reinterpret_cast<double*>(this + 1); }
  double* residual() { return x() + k * p; }
  double* target() { return residual() + k; }
  std::int64_t* anchor() { return reinterpret_cast<std::int64_t*>(target() + q); }
  std::int8_t* status() { return reinterpret_cast<std::int8_t*>(anchor() + k); }

  static Py_ssize_t n_words(std::int64_t k, std::int64_t p, std::int64_t q) {
    return static_cast<Py_ssize_t>(k * p + k + q + k + (k + 7) / 8);
  }
};
static_assert(sizeof(SolutionObject) % 8 == 0, "what follows must be aligned");

// A new object of `type`, a SolutionBuffer; its values are not set. Returns null and sets a Python
// error if there is no memory.
SolutionObject* new_solution(PyTypeObject* type, std::int64_t k, std::int64_t p, std::int64_t q);

// Sets all but the target to what says that nothing is solved yet: NaN, infinity, -1, INVALID.
void mark_not_solved(SolutionObject& solution);

// Adds the type SolutionBuffer to the module.
void register_solution(pybind11::module_& m);

}  // namespace fastinv
