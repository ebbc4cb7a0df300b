// SPDX-License-Identifier: Apache-2.0
// See update.h.
#include "train/kernels/update.h"

#include <cmath>

#include "train/kernels/simd.h"

namespace frf {

FRF_KERNEL void AdamKernel(const UpdatePointers& p, const UpdateScalars& u, std::int64_t count) {
  float* __restrict value = p.value;
  const float* __restrict gradient = p.gradient;
  float* __restrict first = p.first;
  float* __restrict second = p.second;
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * u.gradient_scale + u.decay * value[i];
    const float m = first[i] * u.beta1 + g * u.one_minus_beta1;
    const float v = second[i] * u.beta2 + g * g * u.one_minus_beta2;
    first[i] = m;
    second[i] = v;
    value[i] = value[i] * u.shrink - u.step * (m / (std::sqrt(v) * u.inverse_root + u.epsilon));
  }
}

FRF_KERNEL void SgdKernel(const UpdatePointers& p, const UpdateScalars& u, std::int64_t count) {
  float* __restrict value = p.value;
  const float* __restrict gradient = p.gradient;
  float* __restrict first = p.first;
  for (std::int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * u.gradient_scale + u.decay * value[i];
    const float m = first[i] * u.beta1 + g;
    first[i] = m;
    value[i] -= u.step * (u.nesterov ? g + u.beta1 * m : m);
  }
}

FRF_KERNEL void AverageKernel(float* __restrict average, const float* __restrict value, float keep,
                              float take, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) average[i] = average[i] * keep + take * value[i];
}

FRF_KERNEL double SumOfSquares(const float* __restrict values, std::int64_t count) {
  double sums[16] = {};
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (int k = 0; k < 16; ++k)
      sums[k] += static_cast<double>(values[i + k]) * static_cast<double>(values[i + k]);
  }
  double total = 0;
  for (const double sum : sums) total += sum;
  for (; i < count; ++i) total += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return total;
}

}  // namespace frf
