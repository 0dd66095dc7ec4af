// Tests of base/parallel.hpp, in a program whose memory can be made to run out.
#include "base/parallel.hpp"

#include <cstdio>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>

namespace {

// Whether this thread gets no memory.
thread_local bool starved = false;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::abort();
}

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = starved ? nullptr : std::malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using namespace fastinv;

constexpr int kMost = 8;

struct Counts {
  std::atomic<int> of[kMost] = {};

  void require_once(int n, const char* what) const {
    for (int i = 0; i < kMost; ++i) require(of[i] == (i < n ? 1 : 0), what);
  }
};

void every_part_runs_once() {
  for (int n = 1; n <= kMost; ++n) {
    Counts counts;
    run_independent(n, [&](int i) { ++counts.of[i]; });
    counts.require_once(n, "every part runs once");
  }
}

void without_memory_the_caller_does_it_all() {
  for (int n = 1; n <= kMost; ++n) {
    Counts counts;
    starved = true;
    run_independent(n, [&](int i) { ++counts.of[i]; });
    int team_size = 0;
    run_team(n, [&](int, int team, Barrier& barrier) {
      barrier.wait();
      team_size = team;
    });
    starved = false;
    counts.require_once(n, "without memory, every part runs once");
    require(team_size == 1, "without memory, a team of one");
  }
}

void without_memory_in_a_worker_it_does_it_all() {
  Counts counts[kMost];
  run_independent(kMost, [&](int outer) {
    starved = true;
    run_independent(kMost, [&](int i) { ++counts[outer].of[i]; });
    starved = false;
  });
  for (const Counts& inner : counts) inner.require_once(kMost, "nested, without memory");
}

void what_a_part_throws_reaches_the_caller() {
  for (int n = 1; n <= kMost; ++n) {
    for (int thrower = 0; thrower < n; ++thrower) {
      Counts counts;
      std::string caught;
      try {
        run_independent(n, [&](int i) {
          ++counts.of[i];
          if (i == thrower) throw std::runtime_error("part " + std::to_string(i));
        });
      } catch (const std::runtime_error& error) {
        caught = error.what();
      }
      require(caught == "part " + std::to_string(thrower), "the caller gets what was thrown");
      counts.require_once(n, "the other parts run all the same");
    }
  }
}

void one_of_several_exceptions_reaches_the_caller() {
  int caught = -1;
  try {
    run_independent(kMost, [](int i) { throw i; });
  } catch (int i) {
    caught = i;
  }
  require(0 <= caught && caught < kMost, "one of several");
}

void a_team_waits_for_each_other() {
  for (int n = 1; n <= 4; ++n) {
    std::atomic<int> arrived{0};
    run_team(n, [&](int, int team, Barrier& barrier) {
      for (int round = 1; round <= 50; ++round) {
        ++arrived;
        barrier.wait();
        require(arrived == round * team, "all have arrived");
        barrier.wait();
      }
    });
  }
}

// The others wait for a member that does not come any more.
void what_a_member_throws_ends_the_team() {
  for (int n = 1; n <= 4; ++n) {
    for (int thrower = 0; thrower < n; ++thrower) {
      int team_size = 0, caught = -1;
      std::atomic<int> finished{0};
      try {
        run_team(n, [&](int i, int team, Barrier& barrier) {
          if (i == 0) team_size = team;
          barrier.wait();
          if (i == thrower || (i == 0 && thrower >= team)) throw i;
          for (int round = 0; round < 3; ++round) barrier.wait();
          ++finished;
        });
      } catch (int i) {
        caught = i;
      }
      require(caught == (thrower < team_size ? thrower : 0), "the caller gets what was thrown");
      require(finished == 0, "nobody got past the barrier");
    }
  }
}

}  // namespace

int main() {
  every_part_runs_once();
  without_memory_the_caller_does_it_all();
  without_memory_in_a_worker_it_does_it_all();
  what_a_part_throws_reaches_the_caller();
  one_of_several_exceptions_reaches_the_caller();
  a_team_waits_for_each_other();
  what_a_member_throws_ends_the_team();
}
