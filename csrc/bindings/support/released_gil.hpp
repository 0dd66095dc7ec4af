// Runs native code without the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>

namespace fastinv {

// Releases the GIL while this object lives.
//
// When the interpreter exits, CPython before 3.14 ends a daemon thread that asks for the GIL with
// pthread_exit. That unwinds the thread's stack. Destructors that must not throw then abort the
// process, and others would change Python objects without the GIL. Here such a thread stops instead
// until the process has ended, as in CPython 3.14.
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
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // not an exception but the unwinding of pthread_exit
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    }
  }

  PyThreadState* state_;
};

}  // namespace fastinv
