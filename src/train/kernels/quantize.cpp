// SPDX-License-Identifier: Apache-2.0
// See quantize.h. Subtle: the borders of the range are whole numbers, so clamping before rounding gives what
// clamping behind it does; and adding and taking away 1.5 * 2^23 rounds to even in every instruction set.
#include "train/kernels/quantize.h"

#include <algorithm>

#include "train/kernels/simd.h"

namespace frf {
namespace {

constexpr std::int64_t kRun = 1 << 13;

FRF_KERNEL void ForwardRun(const float* __restrict x, float step, float zero, float* __restrict y,
                           std::int64_t count) {
  const float low = -zero, high = 255.0f - zero;
  for (std::int64_t i = 0; i < count; ++i) {
    float v = x[i] / step;
    v = v > low ? v : low;
    v = v < high ? v : high;
    y[i] = ((v + 12582912.0f) - 12582912.0f) * step;
  }
}

FRF_KERNEL void BackwardRun(const float* __restrict x, float step, float zero, const float* __restrict dy,
                            float* __restrict dx, std::int64_t count) {
  const float low = -zero - 0.5f, high = 255.5f - zero;
  for (std::int64_t i = 0; i < count; ++i) {
    const float v = x[i] / step;
    dx[i] = (v >= low && v <= high) ? dy[i] : 0.0f;
  }
}

}  // namespace

void FakeQuantizeForward(const float* x, float step, int zero, float* y, std::int64_t size) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < size; i += kRun)
    ForwardRun(x + i, step, static_cast<float>(zero), y + i, std::min(kRun, size - i));
}

void FakeQuantizeBackward(const float* x, float step, int zero, const float* dy, float* dx,
                          std::int64_t size) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < size; i += kRun)
    BackwardRun(x + i, step, static_cast<float>(zero), dy + i, dx + i, std::min(kRun, size - i));
}

}  // namespace frf
