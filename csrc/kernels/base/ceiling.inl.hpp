// Measures how fast this instruction set can multiply and add, as a yardstick for all other
// kernels.

// As many independent chains as fit into the registers beside two constants. They are more than the
// latency of an fma times the units that compute it (8 to 10), so no unit ever waits. The array has
// two dimensions because GCC unrolls a loop of 24 only as a nest.
#if defined(FASTINV_AVX512) || defined(FASTINV_NEON)
constexpr int kChainRows = 8;
#else
constexpr int kChainRows = 4;
#endif
constexpr int kChainColumns = 3;
constexpr int kChains = kChainRows * kChainColumns;

// Runs `rounds` steps x <- x / 2 + 1 of every chain; returns a sum that depends on all of them.
// Every chain starts at another value, so that the compiler cannot merge two of them.
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
