// SPDX-License-Identifier: Apache-2.0
// One vector of floats, `kLanes` wide, in the namespace of the instruction set that this translation unit is
// compiled for. Included by isa_*.cpp alone, each with its own compiler flags; nothing here may be an inline
// function outside namespace FRF_ISA, or the linker could hand an AVX-512 copy to a machine without it.
//
//   V sum = Broadcast(0.0f);
//   for (int i = 0; i < n; i += kLanes) sum = Fma(Load(a + i), Load(b + i), sum);
//
// Subtle: loads and stores are unaligned on purpose; buffers are 64-byte aligned anyway, and a slice of a
// concatenation need not be. Vectors are GCC's, so that + - * work; what they lack is below.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(FRF_ISA_AVX512) || defined(FRF_ISA_AVX2)
#include <cpuid.h>
#include <immintrin.h>
#endif

#define FRF_INLINE inline __attribute__((always_inline))

namespace frf::kernels::FRF_ISA {

// Whether the CPU adds up products of bytes in one instruction of this set.
#if defined(FRF_ISA_AVX512)
[[maybe_unused]] static bool HasDot() { return __builtin_cpu_supports("avx512vnni"); }
#elif defined(FRF_ISA_AVX2)
[[maybe_unused]] static bool HasDot() {  // CPUID.7.1:EAX.4, AVX-VNNI, which clang 14 has no name for
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}
#else
[[maybe_unused]] static bool HasDot() { return false; }
#endif

#if defined(FRF_ISA_AVX512)

inline constexpr int kLanes = 16;
using V = __m512;
FRF_INLINE V Load(const float* p) { return _mm512_loadu_ps(p); }
FRF_INLINE void Store(float* p, V v) { _mm512_storeu_ps(p, v); }
FRF_INLINE void StorePastCaches(float* p, V v) { _mm512_stream_ps(p, v); }  // at 64 bytes
FRF_INLINE V Broadcast(float x) { return _mm512_set1_ps(x); }
FRF_INLINE V Fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }      // a * b + c
FRF_INLINE V NegFma(V a, V b, V c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a * b
FRF_INLINE V Max(V a, V b) { return _mm512_max_ps(a, b); }
FRF_INLINE V Min(V a, V b) { return _mm512_min_ps(a, b); }
FRF_INLINE V Ceil(V a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
FRF_INLINE V Floor(V a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
FRF_INLINE V Nearest(V a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FRF_INLINE V Sqrt(V a) { return _mm512_sqrt_ps(a); }
FRF_INLINE V PowerOfTwo(V whole) { return _mm512_scalef_ps(_mm512_set1_ps(1.0f), whole); }
FRF_INLINE V IfLess(V a, V b, V yes, V no) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}

#elif defined(FRF_ISA_AVX2)

inline constexpr int kLanes = 8;
using V = __m256;
FRF_INLINE V Load(const float* p) { return _mm256_loadu_ps(p); }
FRF_INLINE void Store(float* p, V v) { _mm256_storeu_ps(p, v); }
FRF_INLINE void StorePastCaches(float* p, V v) { Store(p, v); }  // half lines would cost more
FRF_INLINE V Broadcast(float x) { return _mm256_set1_ps(x); }
FRF_INLINE V Fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
FRF_INLINE V NegFma(V a, V b, V c) { return _mm256_fnmadd_ps(a, b, c); }
FRF_INLINE V Max(V a, V b) { return _mm256_max_ps(a, b); }
FRF_INLINE V Min(V a, V b) { return _mm256_min_ps(a, b); }
FRF_INLINE V Ceil(V a) { return _mm256_ceil_ps(a); }
FRF_INLINE V Floor(V a) { return _mm256_floor_ps(a); }
FRF_INLINE V Nearest(V a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
FRF_INLINE V Sqrt(V a) { return _mm256_sqrt_ps(a); }
FRF_INLINE V PowerOfTwo(V whole) {  // whole in [-126, 127]
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
FRF_INLINE V IfLess(V a, V b, V yes, V no) {
  return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

#else  // any CPU: four lanes, which every 64-bit x86 and Arm has

inline constexpr int kLanes = 4;
typedef float V __attribute__((vector_size(16)));
typedef std::int32_t VI __attribute__((vector_size(16)));
FRF_INLINE V Load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
FRF_INLINE void Store(float* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
FRF_INLINE void StorePastCaches(float* p, V v) { Store(p, v); }  // half lines would cost more
FRF_INLINE V Broadcast(float x) { return V{x, x, x, x}; }
FRF_INLINE V Fma(V a, V b, V c) { return a * b + c; }
FRF_INLINE V NegFma(V a, V b, V c) { return c - a * b; }
FRF_INLINE V Max(V a, V b) { return a > b ? a : b; }
FRF_INLINE V Min(V a, V b) { return a < b ? a : b; }
template <typename F>
FRF_INLINE V Each(V a, const F& f) {
  return V{f(a[0]), f(a[1]), f(a[2]), f(a[3])};
}
FRF_INLINE V Ceil(V a) {
  return Each(a, [](float x) { return __builtin_ceilf(x); });
}
FRF_INLINE V Floor(V a) {
  return Each(a, [](float x) { return __builtin_floorf(x); });
}
FRF_INLINE V Nearest(V a) {
  return Each(a, [](float x) { return __builtin_nearbyintf(x); });
}
FRF_INLINE V Sqrt(V a) {
  return Each(a, [](float x) { return __builtin_sqrtf(x); });
}
FRF_INLINE V PowerOfTwo(V whole) {
  const VI bits = (__builtin_convertvector(whole, VI) + 127) << 23;
  V v;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}
FRF_INLINE V IfLess(V a, V b, V yes, V no) { return a < b ? yes : no; }

#endif

FRF_INLINE V Zero() { return Broadcast(0.0f); }
FRF_INLINE V Clamp(V a, V low, V high) { return Min(Max(a, low), high); }

// e^x, relative error below 2e-7 for x in [-87, 88]; clamped outside. Cephes' reduction: x = n ln 2 + r, |r|
// <= ln 2 / 2, then a polynomial of degree 6 in r.
FRF_INLINE V Exp(V x) {
  x = Clamp(x, Broadcast(-87.0f), Broadcast(88.0f));
  const V n = Nearest(x * Broadcast(1.44269504f));
  V r = NegFma(n, Broadcast(0.693359375f), x);
  r = NegFma(n, Broadcast(-2.12194440e-4f), r);
  V p = Broadcast(1.9875691500e-4f);
  p = Fma(p, r, Broadcast(1.3981999507e-3f));
  p = Fma(p, r, Broadcast(8.3334519073e-3f));
  p = Fma(p, r, Broadcast(4.1665795894e-2f));
  p = Fma(p, r, Broadcast(1.6666665459e-1f));
  p = Fma(p, r, Broadcast(5.0000001201e-1f));
  p = Fma(p, r * r, r + Broadcast(1.0f));
  return p * PowerOfTwo(n);
}

// 1 / (1 + 2^t), t = -x / ln 2; 2^t by its whole part and a polynomial for the rest (minimax, 7.5e-8).
// Absolute error below 1.5e-7.
FRF_INLINE V Sigmoid(V x) {
  const V t = Clamp(x * Broadcast(-1.44269504f), Broadcast(-126.0f), Broadcast(126.0f));
  const V n = Nearest(t), r = t - n;
  V p = Broadcast(1.3276472e-3f);
  p = Fma(p, r, Broadcast(9.67554133e-3f));
  p = Fma(p, r, Broadcast(5.55071327e-2f));
  p = Fma(p, r, Broadcast(2.40221197e-1f));
  p = Fma(p, r, Broadcast(6.93146967e-1f));
  p = Fma(p, r, Broadcast(1.00000007f));
  return Broadcast(1.0f) / Fma(p, PowerOfTwo(n), Broadcast(1.0f));
}

}  // namespace frf::kernels::FRF_ISA
