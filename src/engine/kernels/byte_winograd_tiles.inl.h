// SPDX-License-Identifier: Apache-2.0
// The transforms of byte_winograd.inl.h: bytes of a 6x6 piece of the source to words, 36 products to 4x4
// sums.
#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/simd.h"

namespace frf::kernels::FRF_ISA {

inline constexpr int kBytePoints = 6;  // of a tile along an axis
inline constexpr int kByteTile = 4;

// Lavin and Gray's kernel transform, points 0, +-1, +-2 and infinity, its rows times 12, 6, 6, 24, 24, 3; 24
// over those is what the output transform multiplies by.
inline constexpr int kWhole[kBytePoints][3] = {{3, 0, 0}, {-1, -1, -1}, {-1, 1, -1},
                                               {1, 2, 4}, {1, -2, 4},   {0, 0, 3}};

#if defined(FRF_ISA_AVX512) || defined(FRF_ISA_AVX2)

using Words16 = std::int16_t __attribute__((vector_size(32)));
#if defined(FRF_ISA_AVX512)
using WideWords = std::int16_t __attribute__((vector_size(64)));
using Modular = std::uint32_t __attribute__((vector_size(64)));  // unsigned: wraps
FRF_INLINE void LoadWords(const std::uint8_t* p, WideWords& v) {
  v = reinterpret_cast<WideWords>(
      _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))));
}
FRF_INLINE void StoreWords(std::int16_t* p, WideWords v) {
  _mm512_storeu_si512(p, reinterpret_cast<__m512i>(v));
}
FRF_INLINE Modular LoadModular(const std::int32_t* p) {
  return reinterpret_cast<Modular>(_mm512_loadu_si512(p));
}
FRF_INLINE void StoreModular(std::int32_t* p, Modular v) {
  _mm512_storeu_si512(p, reinterpret_cast<__m512i>(v));
}
#else
using WideWords = Words16;
using Modular = std::uint32_t __attribute__((vector_size(32)));
FRF_INLINE Modular LoadModular(const std::int32_t* p) {
  return reinterpret_cast<Modular>(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
FRF_INLINE void StoreModular(std::int32_t* p, Modular v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v));
}
#endif
FRF_INLINE void LoadWords(const std::uint8_t* p, Words16& v) {
  v = reinterpret_cast<Words16>(_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
FRF_INLINE void StoreWords(std::int16_t* p, Words16 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(v));
}

template <typename W>
FRF_INLINE void WordsInput(W (&d)[6]) {
  const W a = d[4] - (d[2] << 2), b = d[3] - (d[1] << 2), c = d[4] - d[2], e = (d[3] - d[1]) << 1;
  const W first = ((d[0] - d[2]) << 2) + c, last = (d[5] - d[3]) - (e << 1);
  d[0] = first;
  d[1] = a + b;
  d[2] = a - b;
  d[3] = c + e;
  d[4] = c - e;
  d[5] = last;
}

// 24 times the four results, of the products with s = m1 + m2, t = m1 - m2, u = m3 + m4, v = m3 - m4.
FRF_INLINE Modular FirstResult(Modular m0, Modular s, Modular u) { return ((m0 + (s << 1)) << 1) + u; }
FRF_INLINE Modular SecondResult(Modular t, Modular v) { return ((t << 1) + v) << 1; }
FRF_INLINE Modular ThirdResult(Modular s, Modular u) { return (s + u) << 2; }
FRF_INLINE Modular FourthResult(Modular t, Modular v, Modular m5) { return (((v + m5) << 1) + t) << 2; }

FRF_INLINE void WordsOutput(const Modular (&m)[6], Modular (&o)[4]) {
  const Modular s = m[1] + m[2], t = m[1] - m[2], u = m[3] + m[4], v = m[3] - m[4];
  o[0] = FirstResult(m[0], s, u);
  o[1] = SecondResult(t, v);
  o[2] = ThirdResult(s, u);
  o[3] = FourthResult(t, v, m[5]);
}

// `at(i, j)`: where source value i, j of the tile lies.
template <typename W, bool kFetch, typename At>
FRF_INLINE void TransformBytes(const At& at, int c, std::int16_t* dst, std::ptrdiff_t point) {
  constexpr int S = kBytePoints;
  W grid[S][S];
  // Loops that are not unrolled: all addresses at once would not fit the registers.
#pragma GCC unroll 1
  for (int i = 0; i < S; ++i) {
    W line[S];
#pragma GCC unroll 6
    for (int j = 0; j < S; ++j) LoadWords(at(i, j) + c, line[j]);
    if constexpr (kFetch) {  // the next tile's columns
#pragma GCC unroll 6
      for (int j = S - kByteTile; j < S; ++j) __builtin_prefetch(at(i, j + kByteTile) + c);
    }
    WordsInput(line);
#pragma GCC unroll 6
    for (int j = 0; j < S; ++j) grid[i][j] = line[j];
  }
#pragma GCC unroll 1
  for (int j = 0; j < S; ++j) {
    W line[S];
#pragma GCC unroll 6
    for (int i = 0; i < S; ++i) line[i] = grid[i][j];
    WordsInput(line);
#pragma GCC unroll 6
    for (int i = 0; i < S; ++i) StoreWords(dst + (i * S + j) * point + c, line[i]);
  }
}

template <bool kFetch, typename At>
FRF_INLINE void TransformAllBytes(const At& at, int depth, std::int16_t* dst, std::ptrdiff_t point) {
  constexpr int kWide = sizeof(WideWords) / 2;
  int c = 0;
  for (; c + kWide <= depth; c += kWide) TransformBytes<WideWords, kFetch>(at, c, dst, point);
  for (; c < depth; c += 16) TransformBytes<Words16, kFetch>(at, c, dst, point);
}

using SignedSums = std::int32_t __attribute__((vector_size(sizeof(Modular))));

// Products of a tile to its 4x4 sums, a row of four at a time: row(i, sums). The order is that of fewest
// values at once: along the rows first, and of the six rows only the sums and differences that WordsOutput
// wants are kept, 16 vectors.
template <typename Row>
FRF_INLINE void TransformWordProducts(const std::int32_t* products, std::ptrdiff_t point, const Row& row) {
  constexpr int S = kBytePoints, T = kByteTile;
  const Modular ninth = Modular{} + 954437177u;  // times 9 it is 1 modulo 2^32
  const auto along = [&](int i, Modular(&out)[T]) {
    Modular line[S];
#pragma GCC unroll 6
    for (int j = 0; j < S; ++j) line[j] = LoadModular(products + (i * S + j) * point);
    WordsOutput(line, out);
  };
  const auto finish = [&](int i, const Modular(&times576)[T]) {
    SignedSums sums[T];
#pragma GCC unroll 6
    for (int j = 0; j < T; ++j) sums[j] = reinterpret_cast<SignedSums>(times576[j] * ninth) >> 6;
    row(i, sums);
  };
  Modular s[T], t[T], u[T], v[T], x[T], y[T];
  along(1, x), along(2, y);
#pragma GCC unroll 6
  for (int j = 0; j < T; ++j) s[j] = x[j] + y[j], t[j] = x[j] - y[j];
  along(3, x), along(4, y);
#pragma GCC unroll 6
  for (int j = 0; j < T; ++j) u[j] = x[j] + y[j], v[j] = x[j] - y[j];
  along(0, x);
#pragma GCC unroll 6
  for (int j = 0; j < T; ++j) y[j] = FirstResult(x[j], s[j], u[j]);
  finish(0, y);
#pragma GCC unroll 6
  for (int j = 0; j < T; ++j) y[j] = SecondResult(t[j], v[j]);
  finish(1, y);
#pragma GCC unroll 6
  for (int j = 0; j < T; ++j) y[j] = ThirdResult(s[j], u[j]);
  finish(2, y);
  along(5, x);
#pragma GCC unroll 6
  for (int j = 0; j < T; ++j) y[j] = FourthResult(t[j], v[j], x[j]);
  finish(3, y);
}

#endif

}  // namespace frf::kernels::FRF_ISA
