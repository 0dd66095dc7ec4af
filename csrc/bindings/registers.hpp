// The functions that module.cpp calls to register each subject.
#pragma once

#include <pybind11/pybind11.h>

namespace fastinv {

void register_runtime(pybind11::module_& m);
void register_mlp(pybind11::module_& m);
void register_mixture(pybind11::module_& m);
void register_kdtree(pybind11::module_& m);
void register_problem(pybind11::module_& m);
void register_pipeline(pybind11::module_& m);
void register_frozen(pybind11::module_& m);
void register_search(pybind11::module_& m);

}  // namespace fastinv
