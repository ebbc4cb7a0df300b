// SPDX-License-Identifier: Apache-2.0
// What products are made of: words of 32 bits, each one float32 or a pair of 16-bit numbers of neighbouring
// channels. A pair takes part as float32 does, word by word, so that panels, rows and blocks are laid out the
// same and only the loop over depth is half as long:
//
//   Sum sum = NoSum();
//   for (int w = 0; w < depth / kPerWord; ++w) sum = AddProducts(Broadcast(row[w]), Load(panel), sum);
//   V channels = Total(sum);       // sixteen output channels
//
// FRF_BFLOAT16 and FRF_FLOAT16 choose the pairs' format. Pairs, because a broadcast of 32 bits is free beside
// a load everywhere and one of 16 bits is not, and because sixteen channels fill a vector whatever their
// count.
#pragma once

#include <cstdint>

#include "engine/kernels/simd.h"

namespace frf::kernels::FRF_ISA {

#if defined(FRF_BFLOAT16)

inline constexpr int kPerWord = 2;
using Sum = V;
FRF_INLINE Sum NoSum() { return Zero(); }
FRF_INLINE Sum AddProducts(V words, V weights, Sum sum) {
  return _mm512_dpbf16_ps(sum, (__m512bh)words, (__m512bh)weights);
}
FRF_INLINE V Total(Sum sum) { return sum; }
FRF_INLINE void StoreOperands(float* to, V v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(v));
}

#elif defined(FRF_FLOAT16)

inline constexpr int kPerWord = 2;
// Halves in the upper and in the lower part of each word, as floats.
FRF_INLINE V LowerHalves(__m512i words) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)); }
FRF_INLINE V UpperHalves(__m512i words) { return LowerHalves(_mm512_srli_epi32(words, 16)); }
// Clamped: what lies above a half's range must not become infinite, not even where a weight of zero meets it.
FRF_INLINE void StoreOperands(float* to, V v) {
  v = Clamp(v, Broadcast(-65504.0f), Broadcast(65504.0f));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

#if defined(__AVX512FP16__)

// Sums of odd and of even channels, rounded to halves at every product; their total is float32's.
using Sum = __m512h;
FRF_INLINE Sum NoSum() { return _mm512_setzero_ph(); }
FRF_INLINE Sum AddProducts(V words, V weights, Sum sum) {
  return _mm512_fmadd_ph(_mm512_castps_ph(words), _mm512_castps_ph(weights), sum);
}
FRF_INLINE V Total(Sum sum) {
  const __m512i words = _mm512_castph_si512(sum);
  return UpperHalves(words) + LowerHalves(words);
}

#else

// The same on a CPU without the instructions: every product is rounded as theirs is (once more, to float32,
// before it, which shows in the last place of one in some thousands). Slow; it tells what the labels would
// be.
struct Sum {
  V upper, lower;
};
FRF_INLINE V RoundedToHalf(V v) {
  return _mm512_cvtph_ps(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FRF_INLINE Sum NoSum() { return {Zero(), Zero()}; }
FRF_INLINE Sum AddProducts(V words, V weights, Sum sum) {
  const __m512i a = _mm512_castps_si512(words), b = _mm512_castps_si512(weights);
  return {RoundedToHalf(Fma(UpperHalves(a), UpperHalves(b), sum.upper)),
          RoundedToHalf(Fma(LowerHalves(a), LowerHalves(b), sum.lower))};
}
FRF_INLINE V Total(Sum sum) { return sum.upper + sum.lower; }

#endif

#else

inline constexpr int kPerWord = 1;
using Sum = V;
FRF_INLINE Sum NoSum() { return Zero(); }
FRF_INLINE Sum AddProducts(V words, V weights, Sum sum) { return Fma(words, weights, sum); }
FRF_INLINE V Total(Sum sum) { return sum; }
FRF_INLINE void StoreOperands(float* to, V v) { Store(to, v); }

#endif

// Puts channel `c` of `count` outputs' weights into a panel that is `count` words wide; other channels of the
// same words stay as they are.
FRF_INLINE void PutWeights(const float* weights, int count, std::int64_t c, float* panel) {
  float* const words = panel + c / kPerWord * count;
  if constexpr (kPerWord == 1) {
    for (int k = 0; k < count; ++k) words[k] = weights[k];
  } else {
    auto* const halves = reinterpret_cast<std::uint16_t*>(words) + c % kPerWord;
    for (int k = 0; k < count; k += kLanes) {
      std::uint16_t rounded[2 * kLanes];
      StoreOperands(reinterpret_cast<float*>(rounded), Load(weights + k));
      for (int i = 0; i < kLanes; ++i) halves[(k + i) * kPerWord] = rounded[i];
    }
  }
}

}  // namespace frf::kernels::FRF_ISA
