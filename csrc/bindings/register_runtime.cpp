// Instruction sets, threads, and the elementary functions that tests compare.
#include <pybind11/stl.h>

#include <atomic>

#include "../core/dispatch.hpp"
#include "array_view.hpp"
#include "registers.hpp"

#if defined(_WIN32)
#define FASTINV_EXPORT extern "C" __declspec(dllexport)
#else
#define FASTINV_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {
// The limit that threadpoolctl sets and reads; 0: none. It is a default for Python to look up,
// no kernel reads it.
std::atomic<int> thread_limit{0};
}  // namespace

FASTINV_EXPORT int fastinv_get_num_threads() { return thread_limit.load(); }
FASTINV_EXPORT void fastinv_set_num_threads(int n) { thread_limit.store(n < 0 ? 0 : n); }

namespace fastinv {

namespace {

template <class T>
void elementary(const std::string& function, const py::array& in, const py::array& out,
                const std::string& isa) {
  const auto x = in_vector<T>(in, "x");
  const auto y = out_vector<T>(out, "out", x.size);
  const Kernels<T>& table = kernels<T>(isa);
  if (function == "exp") return table.exp(x.data, y.data, x.size);
  if (function == "log") return table.log(x.data, y.data, x.size);
  if (function == "tanh") return table.tanh(x.data, y.data, x.size);
  throw py::value_error("function must be 'exp', 'log' or 'tanh', got '" + function + "'");
}

}  // namespace

void register_runtime(py::module_& m) {
  m.def("isas", available_isas);
  m.def("default_isa", default_isa);
  m.def("get_num_threads", fastinv_get_num_threads);
  m.def("set_num_threads", fastinv_set_num_threads, py::arg("n_threads"));
  m.def("elementary_float32", elementary<float>, py::arg("function"), py::arg("x"),
        py::arg("out"), py::arg("isa"));
  m.def("elementary_float64", elementary<double>, py::arg("function"), py::arg("x"),
        py::arg("out"), py::arg("isa"));
}

}  // namespace fastinv
