// SPDX-License-Identifier: Apache-2.0
// Bytes to a vector of floats and back.
#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/simd.h"

namespace frf::kernels::FRF_ISA {

// LoadColours: whole pixels of three bytes, as many as leave a lane over, whose value is any; `swap` puts
// blue where red is. StoreBytes wants numbers in [0, 255] and rounds to the nearest, halves to even.
#if defined(FRF_ISA_AVX512)

FRF_INLINE V LoadBytes(const std::uint8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
FRF_INLINE V LoadColours(const std::uint8_t* p, bool swap) {
  const __m128i order = swap ? _mm_setr_epi8(2, 1, 0, 5, 4, 3, 8, 7, 6, 11, 10, 9, 14, 13, 12, 15)
                             : _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m128i bytes = _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), order);
  return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
}
FRF_INLINE void StoreBytes(std::uint8_t* p, V v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(v)));
}

#elif defined(FRF_ISA_AVX2)

FRF_INLINE V LoadBytes(const std::uint8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
FRF_INLINE V LoadColours(const std::uint8_t* p, bool swap) {
  const __m128i order = swap ? _mm_setr_epi8(2, 1, 0, 5, 4, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
                             : _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m128i bytes = _mm_shuffle_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), order);
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
}
FRF_INLINE void StoreBytes(std::uint8_t* p, V v) {
  const __m256i whole = _mm256_cvtps_epi32(v);
  const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(half, half));
}

#else

FRF_INLINE V LoadBytes(const std::uint8_t* p) {
  return V{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]),
           static_cast<float>(p[3])};
}
FRF_INLINE V LoadColours(const std::uint8_t* p, bool swap) {
  return V{static_cast<float>(p[swap ? 2 : 0]), static_cast<float>(p[1]), static_cast<float>(p[swap ? 0 : 2]),
           0.0f};
}
FRF_INLINE void StoreBytes(std::uint8_t* p, V v) {
  v = Nearest(v);
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<std::uint8_t>(v[i]);
}

#endif

// To the nearest number that a byte of that coding stands for.
struct Rounder {
  bool on;
  V inverse, low, high, step;
  explicit Rounder(const Coding& coding)
      : on(coding.step > 0),
        inverse(Broadcast(on ? 1.0f / coding.step : 0.0f)),
        low(Broadcast(on ? static_cast<float>(-coding.zero) * coding.step : -__builtin_inff())),
        high(Broadcast(on ? static_cast<float>(255 - coding.zero) * coding.step : __builtin_inff())),
        step(Broadcast(coding.step)) {}
  V operator()(V v) const { return Inside(Clamp(v, low, high)); }
  // Of what lies in [low, high].
  V Inside(V v) const {
    const V magic =
        Broadcast(12582912.0f);  // 1.5 * 2^23: what is added to it keeps whole numbers alone, halves to even
    return (Fma(v, inverse, magic) - magic) * step;
  }
};

}  // namespace frf::kernels::FRF_ISA
