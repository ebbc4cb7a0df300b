// SPDX-License-Identifier: Apache-2.0
// What a core does at best, with nothing to wait for: the yardsticks that `frf bench` and `frf info --plan`
// hold times against. Each loop does `rounds` of its work and returns how many operations that were, two for
// a multiply-accumulate. Subtle: sums are independent, enough of them to hide the latency of one instruction,
// and go to `sink`, so that no compiler can leave them out.
#pragma once

#include "engine/kernels/simd.h"

namespace frf::kernels::FRF_ISA {

inline constexpr int kPeakSums =
    12;  // latency 4 and two units want 8; 12 and two factors fit in 16 registers

// float32; `sink` takes kLanes floats.
static double PeakFma(std::int64_t rounds, float* sink) {
  volatile float unknown = 0.999f;  // sums stay finite and normal: they tend to 1
  const V factor = Broadcast(unknown), term = Broadcast(1.0f - unknown);
  V sum[kPeakSums];
  for (int i = 0; i < kPeakSums; ++i) sum[i] = Broadcast(static_cast<float>(i));
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kPeakSums; ++i) sum[i] = Fma(sum[i], factor, term);
  }
  V total = sum[0];
  for (int i = 1; i < kPeakSums; ++i) total = total + sum[i];
  Store(sink, total);
  return 2.0 * kPeakSums * kLanes * static_cast<double>(rounds);
}

#if defined(FRF_ISA_AVX512)

__attribute__((target("avx512vnni"))) static double PeakDotVnni(std::int64_t rounds, std::int32_t* sink) {
  volatile int unknown = 1;
  const __m512i a = _mm512_set1_epi8(static_cast<char>(unknown)),
                b = _mm512_set1_epi8(static_cast<char>(unknown + 1));
  __m512i sum[kPeakSums];
  for (int i = 0; i < kPeakSums; ++i) sum[i] = _mm512_set1_epi32(i);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kPeakSums; ++i) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
  }
  for (int i = 1; i < kPeakSums; ++i) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
  _mm512_storeu_si512(sink, sum[0]);
  return 2.0 * kPeakSums * 64 * static_cast<double>(rounds);
}

static double PeakDotPairs(std::int64_t rounds, std::int32_t* sink) {
  volatile int unknown = 1;
  const __m512i a = _mm512_set1_epi8(static_cast<char>(unknown)),
                ones = _mm512_set1_epi16(static_cast<short>(unknown));
  __m512i sum[kPeakSums];
  for (int i = 0; i < kPeakSums; ++i) sum[i] = _mm512_set1_epi32(i);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kPeakSums;
         ++i) {  // the factor hangs on the sum, or one product would do for all rounds
      const __m512i pairs = _mm512_maddubs_epi16(a, sum[i]);
      sum[i] = _mm512_add_epi32(sum[i], _mm512_madd_epi16(pairs, ones));
    }
  }
  for (int i = 1; i < kPeakSums; ++i) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
  _mm512_storeu_si512(sink, sum[0]);
  return 2.0 * kPeakSums * 64 * static_cast<double>(rounds);
}

// 8 bits unsigned times 8 bits signed, summed in 32: by one instruction where there is VNNI. `sink` takes 16
// integers.
static double PeakDot(std::int64_t rounds, std::int32_t* sink) {
  return HasDot() ? PeakDotVnni(rounds, sink) : PeakDotPairs(rounds, sink);
}

// Copies, past the caches where there are stores that do so. `dst` is 64-byte aligned, `count` a multiple
// of 64.
static void PeakCopy(const float* src, float* dst, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) _mm512_stream_ps(dst + i, Load(src + i));
  _mm_sfence();
}

#elif defined(FRF_ISA_AVX2)

__attribute__((target("avxvnni"))) static double PeakDotVnni(std::int64_t rounds, std::int32_t* sink) {
  volatile int unknown = 1;
  const __m256i a = _mm256_set1_epi8(static_cast<char>(unknown)),
                b = _mm256_set1_epi8(static_cast<char>(unknown + 1));
  __m256i sum[kPeakSums];
  for (int i = 0; i < kPeakSums; ++i) sum[i] = _mm256_set1_epi32(i);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kPeakSums; ++i) sum[i] = _mm256_dpbusd_avx_epi32(sum[i], a, b);
  }
  for (int i = 1; i < kPeakSums; ++i) sum[0] = _mm256_add_epi32(sum[0], sum[i]);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sink), sum[0]);
  return 2.0 * kPeakSums * 32 * static_cast<double>(rounds);
}

static double PeakDotPairs(std::int64_t rounds, std::int32_t* sink) {
  volatile int unknown = 1;
  const __m256i a = _mm256_set1_epi8(static_cast<char>(unknown)),
                ones = _mm256_set1_epi16(static_cast<short>(unknown));
  __m256i sum[kPeakSums];
  for (int i = 0; i < kPeakSums; ++i) sum[i] = _mm256_set1_epi32(i);
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kPeakSums;
         ++i) {  // the factor hangs on the sum, or one product would do for all rounds
      const __m256i pairs = _mm256_maddubs_epi16(a, sum[i]);
      sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(pairs, ones));
    }
  }
  for (int i = 1; i < kPeakSums; ++i) sum[0] = _mm256_add_epi32(sum[0], sum[i]);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(sink), sum[0]);
  return 2.0 * kPeakSums * 32 * static_cast<double>(rounds);
}

static double PeakDot(std::int64_t rounds, std::int32_t* sink) {
  return HasDot() ? PeakDotVnni(rounds, sink) : PeakDotPairs(rounds, sink);
}

static void PeakCopy(const float* src, float* dst, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) _mm256_stream_ps(dst + i, Load(src + i));
  _mm_sfence();
}

#else

// Without an instruction for it: 32-bit products, four at a time.
static double PeakDot(std::int64_t rounds, std::int32_t* sink) {
  volatile std::int32_t unknown = 3;
  const std::int32_t start = unknown;
  const VI factor{start, start, start, start};
  VI sum[kPeakSums];
  for (int i = 0; i < kPeakSums; ++i) sum[i] = VI{i, i, i, i};
  for (std::int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < kPeakSums; ++i) sum[i] = (sum[i] & 127) * factor + factor;
  }
  for (int i = 1; i < kPeakSums; ++i) sum[0] += sum[i];
  __builtin_memcpy(sink, &sum[0], sizeof sum[0]);
  return 2.0 * kPeakSums * kLanes * static_cast<double>(rounds);
}

static void PeakCopy(const float* src, float* dst, std::int64_t count) {
  __builtin_memcpy(dst, src, static_cast<std::size_t>(count) * sizeof(float));
}

#endif

}  // namespace frf::kernels::FRF_ISA
