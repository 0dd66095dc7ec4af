// transpose: a square of registers, rows to columns, in place.

#if defined(FASTINV_AVX512)

FASTINV_INLINE void transpose(vec<float> (&a)[16]) {
  __m512 t[16], u[16];
  for (int i = 0; i < 8; ++i) {  // pairs of rows, interleaved by element
    t[2 * i] = _mm512_unpacklo_ps(a[2 * i].r, a[2 * i + 1].r);
    t[2 * i + 1] = _mm512_unpackhi_ps(a[2 * i].r, a[2 * i + 1].r);
  }
  for (int i = 0; i < 4; ++i) {  // fours of rows: u[4 i + c] holds columns c, c + 4, c + 8, c + 12
    const __m512d lo0 = _mm512_castps_pd(t[4 * i]), lo1 = _mm512_castps_pd(t[4 * i + 2]);
    const __m512d hi0 = _mm512_castps_pd(t[4 * i + 1]), hi1 = _mm512_castps_pd(t[4 * i + 3]);
    u[4 * i] = _mm512_castpd_ps(_mm512_unpacklo_pd(lo0, lo1));
    u[4 * i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(lo0, lo1));
    u[4 * i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(hi0, hi1));
    u[4 * i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(hi0, hi1));
  }
  for (int c = 0; c < 4; ++c) {  // quarters, 4 x 4
    const __m512 a0 = _mm512_shuffle_f32x4(u[c], u[4 + c], 0x44);
    const __m512 a1 = _mm512_shuffle_f32x4(u[c], u[4 + c], 0xee);
    const __m512 b0 = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0x44);
    const __m512 b1 = _mm512_shuffle_f32x4(u[8 + c], u[12 + c], 0xee);
    a[c].r = _mm512_shuffle_f32x4(a0, b0, 0x88);
    a[4 + c].r = _mm512_shuffle_f32x4(a0, b0, 0xdd);
    a[8 + c].r = _mm512_shuffle_f32x4(a1, b1, 0x88);
    a[12 + c].r = _mm512_shuffle_f32x4(a1, b1, 0xdd);
  }
}

FASTINV_INLINE void transpose(vec<double> (&a)[8]) {
  __m512d t[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm512_unpacklo_pd(a[2 * i].r, a[2 * i + 1].r);
    t[2 * i + 1] = _mm512_unpackhi_pd(a[2 * i].r, a[2 * i + 1].r);
  }
  for (int c = 0; c < 2; ++c) {  // t[2 i + c] holds columns c, c + 2, c + 4, c + 6 of two rows
    const __m512d a0 = _mm512_shuffle_f64x2(t[c], t[2 + c], 0x44);
    const __m512d a1 = _mm512_shuffle_f64x2(t[c], t[2 + c], 0xee);
    const __m512d b0 = _mm512_shuffle_f64x2(t[4 + c], t[6 + c], 0x44);
    const __m512d b1 = _mm512_shuffle_f64x2(t[4 + c], t[6 + c], 0xee);
    a[c].r = _mm512_shuffle_f64x2(a0, b0, 0x88);
    a[2 + c].r = _mm512_shuffle_f64x2(a0, b0, 0xdd);
    a[4 + c].r = _mm512_shuffle_f64x2(a1, b1, 0x88);
    a[6 + c].r = _mm512_shuffle_f64x2(a1, b1, 0xdd);
  }
}

#elif defined(FASTINV_AVX2)

FASTINV_INLINE void transpose(vec<float> (&a)[8]) {
  __m256 t[8], u[8];
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(a[2 * i].r, a[2 * i + 1].r);
    t[2 * i + 1] = _mm256_unpackhi_ps(a[2 * i].r, a[2 * i + 1].r);
  }
  for (int i = 0; i < 2; ++i) {
    u[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    u[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    u[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    u[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  for (int c = 0; c < 4; ++c) {
    a[c].r = _mm256_permute2f128_ps(u[c], u[4 + c], 0x20);
    a[4 + c].r = _mm256_permute2f128_ps(u[c], u[4 + c], 0x31);
  }
}

FASTINV_INLINE void transpose(vec<double> (&a)[4]) {
  const __m256d t0 = _mm256_unpacklo_pd(a[0].r, a[1].r), t1 = _mm256_unpackhi_pd(a[0].r, a[1].r);
  const __m256d t2 = _mm256_unpacklo_pd(a[2].r, a[3].r), t3 = _mm256_unpackhi_pd(a[2].r, a[3].r);
  a[0].r = _mm256_permute2f128_pd(t0, t2, 0x20);
  a[1].r = _mm256_permute2f128_pd(t1, t3, 0x20);
  a[2].r = _mm256_permute2f128_pd(t0, t2, 0x31);
  a[3].r = _mm256_permute2f128_pd(t1, t3, 0x31);
}

#else

// Registers of two or four elements are transposed element by element.
template <class T>
FASTINV_INLINE void transpose(vec<T> (&a)[vec<T>::lanes]) {
  constexpr int lanes = vec<T>::lanes;
  T rows[lanes][lanes], columns[lanes][lanes];
  for (int i = 0; i < lanes; ++i) a[i].store(rows[i]);
  for (int i = 0; i < lanes; ++i) {
    for (int j = 0; j < lanes; ++j) columns[j][i] = rows[i][j];
  }
  for (int i = 0; i < lanes; ++i) a[i] = vec<T>::load(columns[i]);
}

#endif
