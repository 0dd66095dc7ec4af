// Tests of base/workspace.hpp, in a program that counts how often it asks for memory.
#include "base/workspace.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

int n_allocations = 0;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::abort();
}

}  // namespace

void* operator new(std::size_t size, std::align_val_t alignment) {
  ++n_allocations;
  const auto unit = static_cast<std::size_t>(alignment);
  void* const memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

using namespace fastinv;

struct Inner {
  float* few;

  Inner(Taker& take, std::int64_t n) { take(few, n); }
};

struct Layout {
  Inner inner;
  double* numbers;
  std::uint8_t* flags;
  std::int32_t* nothing;

  Layout(Taker& take, std::int64_t n) : inner(take, n) {
    take(numbers, 3 * n);
    take(flags, n);
    take(nothing, 0);
  }
};

template <class T>
void fill(T* piece, std::int64_t n, T value) {
  require(reinterpret_cast<std::uintptr_t>(piece) % 64 == 0, "pieces start on cache lines");
  for (std::int64_t i = 0; i < n; ++i) piece[i] = value;
}

template <class T>
bool holds_only(const T* piece, std::int64_t n, T value) {
  for (std::int64_t i = 0; i < n; ++i) {
    if (piece[i] != value) return false;
  }
  return true;
}

void pieces_do_not_overlap() {
  for (std::int64_t n : {0, 1, 7, 33, 1000, 100'000}) {
    for (int threads : {1, 2, 5}) {
      Workspaces memory(threads, bytes_of<Layout>(n));
      for (int t = 0; t < threads; ++t) {
        const auto layout = memory[t].lay_out<Layout>(n);
        fill(layout.inner.few, n, static_cast<float>(t));
        fill(layout.numbers, 3 * n, static_cast<double>(t));
        fill(layout.flags, n, static_cast<std::uint8_t>(t));
      }
    }
  }
}

// Laying out the memory a second time would poison it, so all layouts are kept.
void threads_do_not_overlap() {
  constexpr std::int64_t n = 33;
  Workspaces memory(3, bytes_of<Layout>(n));
  const Layout layouts[] = {memory[0].lay_out<Layout>(n), memory[1].lay_out<Layout>(n),
                            memory[2].lay_out<Layout>(n)};
  for (int t = 0; t < 3; ++t) {
    fill(layouts[t].inner.few, n, static_cast<float>(t));
    fill(layouts[t].numbers, 3 * n, static_cast<double>(t));
    fill(layouts[t].flags, n, static_cast<std::uint8_t>(t));
  }
  for (int t = 0; t < 3; ++t) {
    require(holds_only(layouts[t].inner.few, n, static_cast<float>(t)) &&
                holds_only(layouts[t].numbers, 3 * n, static_cast<double>(t)) &&
                holds_only(layouts[t].flags, n, static_cast<std::uint8_t>(t)),
            "threads do not overlap");
  }
}

void small_workspaces_take_no_memory() {
  n_allocations = 0;
  for (int threads : {1, 2}) {
    Workspaces memory(threads, bytes_of<Layout>(100));
    memory[0].lay_out<Layout>(100);
  }
  require(n_allocations == 0, "small ones are on the stack");
  Workspaces memory(2, bytes_of<Layout>(10'000));
  memory[1].lay_out<Layout>(10'000);
  require(n_allocations == 1, "large ones take memory once");
}

template <class F>
bool throws_bad_alloc(const F& f) {
  try {
    f();
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

void what_does_not_fit_is_refused() {
  Workspaces memory(1, bytes_of<Layout>(33));
  require(throws_bad_alloc([&] { memory[0].lay_out<Layout>(97); }), "too much for the memory");
  require(throws_bad_alloc([] { bytes_of<Layout>(-1); }), "a negative count");
  require(throws_bad_alloc([] { bytes_of<Layout>(std::int64_t(1) << 61); }), "an endless count");
  require(throws_bad_alloc([] { Workspaces(1024, std::size_t(1) << 60); }), "endless threads");
}

void scratch_is_poisoned() {
#if defined(FASTINV_POISON)
  Workspaces memory(1, bytes_of<Layout>(33));
  for (int round = 0; round < 2; ++round) {
    const auto layout = memory[0].lay_out<Layout>(33);
    require(std::isnan(layout.inner.few[32]) && std::isnan(layout.numbers[98]), "poisoned numbers");
    require(layout.flags[32] == 0xFF, "poisoned flags");
    fill(layout.numbers, 99, 1.0);
    fill(layout.inner.few, 33, 1.0f);
    fill(layout.flags, 33, std::uint8_t(1));
  }
#endif
}

}  // namespace

int main() {
  pieces_do_not_overlap();
  threads_do_not_overlap();
  small_workspaces_take_no_memory();
  what_does_not_fit_is_refused();
  scratch_is_poisoned();
}
