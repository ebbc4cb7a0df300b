// SPDX-License-Identifier: Apache-2.0
// What the train room's own CPU kernels are written with: the instruction sets that they are compiled for, a
// vector of 16 floats, and exp and log that vectorise. Files in this folder know nothing of libtorch.
//
//   FRF_KERNEL void Scale(float* __restrict dst, const float* __restrict src, std::int64_t count, float
//   factor) { ... }
//
// Subtle: target_clones picks the version at load time. A kernel must be a plain function: the bodies of
// OpenMP regions and lambdas are not cloned, so regions call kernels on ranges. Ranges, and the order of sums
// over them, do not depend on the number of threads, so what these kernels compute does not either. They
// depend on the instruction set (fused multiply-adds round once). oneDNN's convolutions, beside them, may sum
// in another order with another number of threads.
#pragma once

#include <bit>
#include <cstdint>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define FRF_KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FRF_KERNEL
#endif

namespace frf {

// 16 floats of any alignment: one AVX-512 register, two of AVX2, four of SSE.
using Float16 = float __attribute__((vector_size(64), aligned(4), may_alias));
using Int16x = std::int32_t __attribute__((vector_size(64), aligned(4), may_alias));
inline constexpr int kLanes = 16;

[[gnu::always_inline]] inline Float16& At(float* p) { return *reinterpret_cast<Float16*>(p); }
[[gnu::always_inline]] inline const Float16& At(const float* p) {
  return *reinterpret_cast<const Float16*>(p);
}

// e^x to about 1e-7 relative; tiny below -87, finite above 88 (Cephes' polynomial). NaN stays NaN.
[[gnu::always_inline]] inline float VectorExp(float x) {
  x = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: rounds to the nearest integer
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const std::int32_t exponent = (static_cast<std::int32_t>(n) + 127) << 23;
  return p * std::bit_cast<float>(exponent);
}

// ln(x) of a positive normal number, to about 1e-7 (Cephes' polynomial).
[[gnu::always_inline]] inline float VectorLog(float x) {
  const std::int32_t bits = std::bit_cast<std::int32_t>(x);
  std::int32_t exponent = (bits >> 23) - 126;
  float m = std::bit_cast<float>((bits & 0x007fffff) | 0x3f000000);  // [0.5, 1)
  const bool low = m < 0.707106781f;
  exponent -= low ? 1 : 0;
  m = low ? m + m - 1.0f : m - 1.0f;
  const float e = static_cast<float>(exponent), z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  p = p * m * z + e * -2.12194440e-4f - 0.5f * z;
  return m + p + e * 0.693359375f;
}

// 1 / (1 + e^-x).
[[gnu::always_inline]] inline float VectorSigmoid(float x) { return 1.0f / (1.0f + VectorExp(-x)); }

}  // namespace frf
