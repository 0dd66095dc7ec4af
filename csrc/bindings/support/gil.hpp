// Native code gives up the GIL and takes it back.
//
// Once the interpreter exits, CPython before 3.14 ends a daemon thread that asks for the GIL with
// pthread_exit. That unwinds the thread's stack, through destructors that must not throw, which
// aborts the process, and others that would change Python objects without the GIL. Such a thread
// stops where it asks instead, as CPython 3.14 has it, until the process has ended.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace fastinv {

namespace detail {

// f(), which takes the GIL.
template <class F>
void take_gil_or_stop(const F& f) noexcept {
  try {
    f();
  } catch (...) {  // no exception, but the unwinding of pthread_exit
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

}  // namespace detail

// Gives up the GIL for as long as this lives.
class ReleasedGil {
 public:
  ReleasedGil() : state_(PyEval_SaveThread()) {}
  ~ReleasedGil() { take_back(); }
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;

  // Calls f() with the GIL; only the thread that released it may call this.
  template <class F>
  auto with_gil(const F& f) {
    take_back();
    const GiveUpAgain at_the_end{*this};
    return f();
  }

 private:
  struct GiveUpAgain {
    ReleasedGil& gil;
    ~GiveUpAgain() { gil.state_ = PyEval_SaveThread(); }
  };

  void take_back() noexcept {
    detail::take_gil_or_stop([this] { PyEval_RestoreThread(state_); });
  }

  PyThreadState* state_;
};

// Holds the GIL for as long as this lives, on any thread, whether that has it already or not.
class HeldGil {
 public:
  HeldGil() {
    detail::take_gil_or_stop([this] { state_ = PyGILState_Ensure(); });
  }
  ~HeldGil() { PyGILState_Release(state_); }
  HeldGil(const HeldGil&) = delete;
  HeldGil& operator=(const HeldGil&) = delete;

 private:
  PyGILState_STATE state_;
};

}  // namespace fastinv
