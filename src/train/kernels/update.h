// SPDX-License-Identifier: Apache-2.0
// Inner loops of the optimisers over a run of elements. Scalars are float32, as torch's become inside its own
// kernels.
#pragma once

#include <cstdint>

namespace frf {

struct UpdatePointers {
  float* value;
  const float* gradient;
  float *first, *second, *average;  // second: Adam only; average: may be null
};

struct UpdateScalars {  // float32, as torch's scalars become inside its kernels
  float gradient_scale;
  float shrink;                                          // AdamW: 1 - rate * decay
  float decay;                                           // Adam, SGD: decay * value is added to the gradient
  float beta1, one_minus_beta1, beta2, one_minus_beta2;  // SGD: beta1 is the momentum
  float step, inverse_root, epsilon;                     // SGD: step is the rate
  bool nesterov;
  float keep, take;  // of the average
};

void AdamKernel(const UpdatePointers& p, const UpdateScalars& u, std::int64_t count);
void SgdKernel(const UpdatePointers& p, const UpdateScalars& u, std::int64_t count);
void AverageKernel(float* average, const float* value, float keep, float take, std::int64_t count);
double SumOfSquares(const float* values, std::int64_t count);

}  // namespace frf
