// Instruction sets, threads, the elementary functions that tests compare, and the arithmetic rate
// that benchmarks compare with.
#include <pybind11/stl.h>

#include <atomic>
#include <chrono>
#include <cstdlib>

#include "base/dispatch.hpp"
#include "base/parallel.hpp"
#include "bindings/support/array_view.hpp"
#include "bindings/registers.hpp"
#include "bindings/support/long_call.hpp"

#if defined(_WIN32)
#define FASTINV_EXPORT extern "C" __declspec(dllexport)
#else
#define FASTINV_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace {
// The limit that threadpoolctl sets and reads; 0 means none. Python uses it as a default; no kernel
// reads it.
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

// Fused multiply-add rate of all threads together, in floating-point operations per second. Every
// thread runs until the time is up, so a thread that loses its processor for a while counts less.
double fma_rate(double seconds, int n_threads, const std::string& isa) {
  using Clock = std::chrono::steady_clock;
  constexpr std::int64_t kRounds = 4096;  // between two clock readings: some microseconds
  const Kernels<float>& table = kernels<float>(isa);
  checked_threads(n_threads);
  if (!(seconds > 0.0 && seconds <= 10.0)) {
    throw py::value_error("seconds must be above 0 and at most 10, got " + std::to_string(seconds));
  }
  std::atomic<std::int64_t> n_calls{0};
  double elapsed = 0.0;
  const LongCall call;
  run_team(n_threads, [&](int thread, int, Barrier& barrier) {
    float value = 1.0f;
    table.fma_chains(value, 16 * kRounds);  // wide registers take a while to reach full speed
    barrier.wait();
    const auto start = Clock::now();
    const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    std::int64_t mine = 0;
    for (; passed() < seconds; ++mine) {
      watch_point();
      value = table.fma_chains(value, kRounds);
    }
    n_calls += mine;
    barrier.wait();
    if (thread == 0) elapsed = passed();
  });
  return static_cast<double>(n_calls.load() * kRounds * table.flops_per_round) / elapsed;
}

// The environment variable, or an empty string if it is not set.
py::str environment(const char* name) {
  const char* value = std::getenv(name);
  auto decoded = py::reinterpret_steal<py::str>(PyUnicode_DecodeFSDefault(value ? value : ""));
  if (!decoded) throw py::error_already_set();
  return decoded;
}

}  // namespace

void register_runtime(py::module_& m) {
  m.def("isas", available_isas);
  m.def("default_isa", default_isa);
  m.def("environment", environment, py::arg("name"));
  m.def("get_num_threads", fastinv_get_num_threads);
  m.def("set_num_threads", fastinv_set_num_threads, py::arg("n_threads"));
  m.def("elementary_float32", elementary<float>, py::arg("function"), py::arg("x"), py::arg("out"),
        py::arg("isa"));
  m.def("elementary_float64", elementary<double>, py::arg("function"), py::arg("x"), py::arg("out"),
        py::arg("isa"));
  m.def("fma_rate_float32", fma_rate, py::arg("seconds"), py::arg("n_threads"), py::arg("isa"));
}

}  // namespace fastinv
