// The value of a given rank among many, found without sorting and nearly without branches.
#pragma once

#include <algorithm>
#include <cstdint>

namespace fastinv {

// Where to cut a run of values so that `count` of them come first: all that are less than `value`,
// and the first `n_equal` that equal it.
template <class T>
struct CutValue {
  T value;
  std::int64_t n_equal;
  bool all_equal;  // n_equal counts all values that equal it
};

namespace detail {

struct Counts {
  std::int64_t less, at_most;  // values < low, values <= high
};

template <class T>
Counts count_values(const T* values, std::int64_t n, T low, T high) {
  std::int64_t less = 0, at_most = 0;
  // Short runs fit in a 32-bit counter, which is as wide as a float, so that both stay in one
  // register.
  for (std::int64_t begin = 0; begin < n; begin += 1 << 20) {
    const T* run = values + begin;
    const auto length = static_cast<std::int32_t>(std::min<std::int64_t>(n - begin, 1 << 20));
    std::int32_t run_less = 0, run_at_most = 0;
    for (std::int32_t i = 0; i < length; ++i) {
      run_less += run[i] < low;
      run_at_most += run[i] <= high;
    }
    less += run_less;
    at_most += run_at_most;
  }
  return {less, at_most};
}

// Moves the values for which `keep` is true to the front; returns their number.
template <class T, class Keep>
std::int64_t keep_values(T* values, std::int64_t n, const Keep& keep) {
  std::int64_t n_kept = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const T x = values[i];
    values[n_kept] = x;
    n_kept += keep(x);
  }
  return n_kept;
}

// Sorts by counting how many values come before each one. For a short sample this is faster than
// badly predicted branches.
template <class T>
void sort_sample(T* sample, int size) {
  constexpr int kShort = 16;
  if (size > kShort) return std::sort(sample, sample + size);
  T copy[kShort];
  std::copy_n(sample, kShort, copy);
  std::int32_t place[kShort] = {};
  for (int j = 0; j < kShort; ++j) {
    for (int i = 0; i < kShort; ++i)
      place[i] += (copy[j] < copy[i]) | ((copy[j] == copy[i]) & (j < i));
  }
  for (int i = 0; i < kShort; ++i) sample[place[i]] = copy[i];
}

// Two values that most likely enclose the one of that rank (Floyd and Rivest 1975). They are chosen
// by rank in a sample, from places that are unlikely to match a pattern in the values.
template <class T>
void bracket(const T* values, std::int64_t n, std::int64_t rank, T& low, T& high) {
  constexpr int kMaxSample = 256;
  T sample[kMaxSample];
  const int size = n < 1024 ? 16 : n < 16384 ? 64 : kMaxSample;
  std::uint64_t state = 0x9e3779b97f4a7c15;
  for (int i = 0; i < size; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    const std::uint64_t place = (state >> 33) * static_cast<std::uint64_t>(n) >> 31;
    sample[i] = values[place];
  }
  sort_sample(sample, size);
  const int deviation = size == 16 ? 3 : size == 64 ? 6 : 14;
  const int middle = static_cast<int>(rank * size / n);
  low = sample[std::max(middle - deviation, 0)];
  high = sample[std::min(middle + deviation, size - 1)];
}

// The same as cut_value for few values; it sorts up to and including the given rank.
template <class T>
CutValue<T> select_of_few(const T* values, std::int64_t n, std::int64_t rank) {
  for (std::int64_t i = 0;; ++i) {
    const Counts counts = count_values(values, n, values[i], values[i]);
    if (counts.less <= rank && rank < counts.at_most)
      return {values[i], rank - counts.less + 1, rank + 1 == counts.at_most};
  }
}

}  // namespace detail

// Where to cut n values, none of them NaN, so that `count` come first; 1 <= count <= n. Overwrites
// the values.
template <class T>
CutValue<T> cut_value(T* values, std::int64_t n, std::int64_t count) {
  constexpr std::int64_t kFew = 32;
  std::int64_t rank = count - 1;
  bool with_one_value = false;
  while (n > kFew) {
    T low, high;
    detail::bracket(values, n, rank, low, high);
    if (with_one_value) low = high;
    const detail::Counts counts = detail::count_values(values, n, low, high);
    std::int64_t n_kept;
    if (rank < counts.less) {
      n_kept = detail::keep_values(values, n, [=](T x) { return x < low; });
    } else if (rank >= counts.at_most) {
      n_kept = detail::keep_values(values, n, [=](T x) { return x > high; });
      rank -= counts.at_most;
    } else if (low == high) {
      return {low, rank - counts.less + 1, rank + 1 == counts.at_most};
    } else {
      n_kept = detail::keep_values(values, n, [=](T x) { return (x >= low) & (x <= high); });
      rank -= counts.less;
    }
    // A bracket around all values gains nothing; a single value always does.
    with_one_value = n_kept == n;
    n = n_kept;
  }
  return detail::select_of_few(values, n, rank);
}

}  // namespace fastinv
