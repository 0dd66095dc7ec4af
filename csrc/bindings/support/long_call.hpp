// Native code that may take long runs without the GIL, and ends when a signal handler of Python
// raises, such as Ctrl-C's.
#pragma once

#include <cstdint>

#include "base/watch.hpp"
#include "bindings/support/gil.hpp"

namespace fastinv {

namespace py = pybind11;

inline bool in_main_thread() {
  const py::object main = py::module_::import("threading").attr("main_thread")();
  return main.attr("ident").cast<unsigned long>() == PyThread_get_thread_ident();
}

// Gives up the GIL for as long as this lives, and takes it now and then for what Python has to do
// meanwhile. What that raises comes as py::error_already_set.
class LongCall final : public Watch {
 public:
  LongCall() = default;
  // `goal` is a fastinv.functions.goal.Goal; its `progress` is told how many targets are finished.
  explicit LongCall(py::handle goal) : goal_(goal) {}

 private:
  bool ask(std::int64_t n_done) override {
    return gil_.with_gil([&] {
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      const py::object progress = goal_ ? py::object(goal_.attr("progress")) : py::none();
      if (!progress.is_none()) progress(n_done);
      // Only the main thread receives signals.
      return !progress.is_none() || in_main_thread();
    });
  }

  const py::handle goal_;
  ReleasedGil gil_;
};

}  // namespace fastinv
