// Native code without the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace fastinv {

// Gives up the GIL for as long as this lives.
//
// Once the interpreter exits, CPython before 3.14 ends a daemon thread that asks for the GIL with
// pthread_exit. That unwinds the thread's stack, through destructors that must not throw, which
// aborts the process, and others that would change Python objects without the GIL. Such a thread
// stops here instead, as CPython 3.14 has it, until the process has ended.
class ReleasedGil {
 public:
  ReleasedGil() : state_(PyEval_SaveThread()) {}
  ~ReleasedGil() { take_back(); }
  ReleasedGil(const ReleasedGil&) = delete;
  ReleasedGil& operator=(const ReleasedGil&) = delete;

  // f() with the GIL, from the thread that gave it up.
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
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // no exception, but the unwinding of pthread_exit
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }

  PyThreadState* state_;
};

}  // namespace fastinv
