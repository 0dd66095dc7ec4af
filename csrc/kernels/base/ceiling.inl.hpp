// The rate at which this instruction set can multiply and add: what every other kernel is measured
// against.

// As many independent chains as registers leave room for beside two constants, and more than the
// latency of an fma times the units that do them (8 to 10), so that no unit ever waits. In two
// dimensions, because GCC unrolls a loop of 24 only as a nest.
#if defined(FASTINV_AVX512) || defined(FASTINV_NEON)
constexpr int kChainRows = 8;
#else
constexpr int kChainRows = 4;
#endif
constexpr int kChainColumns = 3;
constexpr int kChains = kChainRows * kChainColumns;

// `rounds` steps x <- x / 2 + 1 of every chain; returns a sum that depends on all of them. Chains
// start apart, so that the compiler cannot see two of them as one.
template <class T>
T fma_chains(T start, std::int64_t rounds) {
  const vec<T> half = vec<T>::set1(T(0.5)), one = vec<T>::set1(T(1));
  vec<T> chain[kChainRows][kChainColumns];
  for (int r = 0; r < kChainRows; ++r)
    for (int c = 0; c < kChainColumns; ++c)
      chain[r][c] = vec<T>::set1(start + T(r * kChainColumns + c));
  for (std::int64_t round = 0; round < rounds; ++round)
    for (int r = 0; r < kChainRows; ++r)
      for (int c = 0; c < kChainColumns; ++c) chain[r][c] = fma(chain[r][c], half, one);
  vec<T> sum = vec<T>::set1(T(0));
  for (int r = 0; r < kChainRows; ++r)
    for (int c = 0; c < kChainColumns; ++c) sum = sum + chain[r][c];
  T lanes[vec<T>::lanes];
  sum.store(lanes);
  return lanes[0];
}
