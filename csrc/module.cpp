#include <pybind11/pybind11.h>

#include "bindings/registers.hpp"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Compiled kernels of fastinv.";
  fastinv::register_runtime(m);
  fastinv::register_mlp(m);
  fastinv::register_mixture(m);
  fastinv::register_kdtree(m);
  fastinv::register_problem(m);
  fastinv::register_pipeline(m);
  fastinv::register_frozen(m);
  fastinv::register_search(m);
}
