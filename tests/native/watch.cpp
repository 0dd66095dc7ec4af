// Tests of base/watch.hpp: how calls on several threads are asked whether to end, and end.
#include "base/watch.hpp"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "base/parallel.hpp"

namespace {

using namespace fastinv;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::abort();
}

// Ends the call when it is asked for the n-th time.
class EndsAt : public Watch {
 public:
  explicit EndsAt(int n) : n_(n) {}
  int n_asked = 0;
  std::int64_t n_done = 0;

 private:
  bool ask(std::int64_t done) override {
    n_done = done;
    if (++n_asked == n_) throw std::runtime_error("enough");
    return true;
  }
  const int n_;
};

void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(1)); }

template <class F>
bool ends_early(const F& work) {
  try {
    work();
  } catch (const std::runtime_error&) {
    return true;
  }
  return false;
}

void without_a_watch_points_do_nothing() {
  for (int i = 0; i < 100; ++i) watch_point();
  require(watch_points(1000) == 1000, "no pieces");
  count_done(1);
}

void pieces_are_small_where_they_take_long() {
  EndsAt watch(1000);
  for (int i = 0; i < 100; ++i) watch_point();
  require(watch_points(1000) > 1, "several at once");
  watch_point();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  while (watch_points(1000) > 1) {
  }
  require(watch_points(1000) <= 2, "few after a long one");
}

void all_threads_end(int n) {
  EndsAt watch(3);
  require(ends_early([&] {
            run_independent(n, [](int) {
              for (;;) {
                watch_point();
                rest();
                count_done(1);
              }
            });
          }),
          "what asking throws reaches the caller");
  require(watch.n_asked == 3 && watch.n_done >= 10, "it is told what is done");
}

void a_thread_that_waits_asks() {
  EndsAt watch(2);
  require(ends_early([] {
            run_independent(2, [](int i) {
              while (i == 1) {
                watch_point();
                rest();
              }
            });
          }),
          "the other thread ends");
}

// Nothing may be taken for finished after a run whose helpers have left early.
void nested_threads_end() {
  EndsAt watch(2);
  std::atomic<int> n_finished{0};
  require(ends_early([&] {
            run_independent(2, [&](int) {
              run_independent(2, [&](int) {
                for (;;) {
                  watch_point();
                  rest();
                }
              });
              ++n_finished;
            });
          }),
          "nested threads end");
  require(n_finished == 0, "nobody goes on");
}

void a_team_ends(int n) {
  EndsAt watch(2);
  require(ends_early([&] {
            run_team(n, [&](int thread, int, Barrier& barrier) {
              for (;;) {
                if (thread == 0) watch_point();
                rest();
                barrier.wait();
              }
            });
          }),
          "a team ends");
}

void what_was_interrupted_is_made_again() {
  Once once;
  int n_begun = 0;
  {
    EndsAt watch(1);
    require(ends_early([&] {
              once([&] {
                ++n_begun;
                for (;;) {
                  watch_point();
                  rest();
                }
              });
            }),
            "making it ends");
  }
  for (int i = 0; i < 2; ++i) once([&] { ++n_begun; });
  require(n_begun == 2, "it is made again, once");
}

void waiting_for_another_thread_ends() {
  Once once;
  std::atomic<bool> begun{false}, go_on{false};
  std::thread maker([&] {
    once([&] {
      begun = true;
      while (!go_on) rest();
    });
  });
  while (!begun) rest();
  {
    EndsAt watch(1);
    require(ends_early([&] { once([] { require(false, "only one makes it"); }); }), "waiting ends");
  }
  go_on = true;
  maker.join();
}

// Asking may run anything, such as another call on this thread.
class CallsAnother : public Watch {
 public:
  bool asked = false;

 private:
  bool ask(std::int64_t) override {
    asked = true;
    require(Watch::current() == nullptr, "the asked is not part of the call");
    EndsAt inner(1);
    require(ends_early([] { all_of_it(); }), "the inner call ends");
    return false;
  }
  static void all_of_it() {
    for (;;) {
      watch_point();
      rest();
    }
  }
};

void calls_may_be_nested() {
  CallsAnother watch;
  for (int i = 0; i < 200; ++i) {
    watch_point();
    rest();
    require(Watch::current() == &watch, "the outer call is there again");
  }
  require(watch.asked, "asked");
}

}  // namespace

int main() {
  without_a_watch_points_do_nothing();
  pieces_are_small_where_they_take_long();
  for (int n = 1; n <= 3; ++n) all_threads_end(n);
  a_thread_that_waits_asks();
  nested_threads_end();
  for (int n = 1; n <= 3; ++n) a_team_ends(n);
  what_was_interrupted_is_made_again();
  waiting_for_another_thread_ends();
  calls_may_be_nested();
  require(Watch::current() == nullptr, "nothing is left");
}
