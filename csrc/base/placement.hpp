// Where a call's helper threads start to run.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

namespace fastinv {

// Linux starts a thread on the processor of its creator. Some kernels leave both there, waiting for
// each other while a second processor idles, until the load is balanced after about ten
// milliseconds. A helper therefore asks for a processor of its own, and then for all that it may
// use again, so that the system is free to move it.
class Placement {
 public:
#if defined(__linux__)
  // The calling thread makes it.
  Placement() : here_(sched_getcpu()) {
    known_ = here_ >= 0 && sched_getaffinity(0, sizeof allowed_, &allowed_) == 0 &&
             CPU_COUNT(&allowed_) > 1;
  }

  // Called by helper `index` = 1, 2, ... . If the system refuses, only time is lost.
  void spread(int index) const {
    if (!known_) return;
    int cpu = here_;
    for (int to_skip = index % CPU_COUNT(&allowed_); to_skip > 0;) {
      cpu = (cpu + 1) % CPU_SETSIZE;
      if (CPU_ISSET(cpu, &allowed_)) --to_skip;
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) == 0) {
      sched_setaffinity(0, sizeof allowed_, &allowed_);
    }
  }

 private:
  int here_;
  cpu_set_t allowed_;
  bool known_;
#else
  void spread(int) const {}
#endif
};

}  // namespace fastinv
