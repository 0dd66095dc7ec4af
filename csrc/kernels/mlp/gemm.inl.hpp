// The only matrix micro-kernel: MR x NV registers of sums, kept in registers over the whole inner
// dimension. Every sum runs over k in ascending order, one fma per term, so an element's bits
// depend neither on its tile nor on the number of threads.

#if defined(FASTINV_AVX512)
constexpr int kRegistersPerPanel = 2;
constexpr int kRowsPerTile = 8;
#elif defined(FASTINV_AVX2)
constexpr int kRegistersPerPanel = 2;
constexpr int kRowsPerTile = 6;
#elif defined(FASTINV_NEON)
constexpr int kRegistersPerPanel = 2;
constexpr int kRowsPerTile = 8;
#else
constexpr int kRegistersPerPanel = 2;
constexpr int kRowsPerTile = 4;
#endif

// After this many terms of the inner dimension, sums go to memory and the next rows follow. The
// part that all tiles of a column multiply with, this many rows of two registers, then stays in the
// first-level cache.
constexpr std::int64_t kInnerBlock = 256;

template <class T, int MR, int NV>
struct Tile {
  vec<T> sum[MR][NV];

  FASTINV_INLINE void fill(vec<T> x) {
    for (int r = 0; r < MR; ++r)
      for (int v = 0; v < NV; ++v) sum[r][v] = x;
  }

  // Loads from and stores to rows of memory.
  FASTINV_INLINE void load(const T* from, std::int64_t stride) {
    for (int r = 0; r < MR; ++r)
      for (int v = 0; v < NV; ++v) sum[r][v] = vec<T>::load(from + r * stride + v * vec<T>::lanes);
  }
  FASTINV_INLINE void store(T* to, std::int64_t stride) const {
    for (int r = 0; r < MR; ++r)
      for (int v = 0; v < NV; ++v) sum[r][v].store(to + r * stride + v * vec<T>::lanes);
  }

  // sum[r][:] += sum_k a[r * a_row + k * a_k] * b[k * b_k + :]
  FASTINV_INLINE void multiply_add(const T* a, std::int64_t a_row, std::int64_t a_k, const T* b,
                                   std::int64_t b_k, std::int64_t n_k) {
    for (std::int64_t k = 0; k < n_k; ++k) {
      vec<T> column[NV];
      for (int v = 0; v < NV; ++v) column[v] = vec<T>::load(b + v * vec<T>::lanes);
      for (int r = 0; r < MR; ++r) {
        const vec<T> row = vec<T>::set1(a[r * a_row]);
        for (int v = 0; v < NV; ++v) sum[r][v] = fma(row, column[v], sum[r][v]);
      }
      a += a_k;
      b += b_k;
    }
  }
};

// Calls f(Tile<T, rows, registers>&, ...) with run-time sizes turned into compile-time ones.
template <class T, class F, int MR = kRowsPerTile, int NV = kRegistersPerPanel>
FASTINV_INLINE void with_tile(std::int64_t rows, std::int64_t registers, const F& f) {
  if constexpr (NV > 1) {
    if (registers < NV) return with_tile<T, F, MR, NV - 1>(rows, registers, f);
  }
  if constexpr (MR > 1) {
    if (rows < MR) return with_tile<T, F, MR - 1, NV>(rows, registers, f);
  }
  Tile<T, MR, NV> tile;
  f(tile);
}

// The number of rows of the next tile when `remaining` are to be split evenly.
FASTINV_INLINE std::int64_t next_rows(std::int64_t remaining) {
  const std::int64_t tiles = (remaining + kRowsPerTile - 1) / kRowsPerTile;
  return (remaining + tiles - 1) / tiles;
}
