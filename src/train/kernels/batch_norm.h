// SPDX-License-Identifier: Apache-2.0
// Batch norm with ReLU and a following addition, in one pass forward after the statistics and two passes
// backward. Maps are channel-blocked: [images][channels / 16][pixels][16].
//
//   Moments and Normalize forward (Normalize alone in inference), BatchNormBackward for gradients.
//
// Subtle: ReLU's mask is recomputed from the input, so neither the normalised map nor the mask is kept. Sums
// run in float over at most 256 pixels, shifted by the channel's first pixel so that a mean far from 0 costs
// few digits, then in double.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace frf {

struct BlockedShape {
  std::int64_t images = 0, blocks = 0, pixels = 0;  // channels = 16 * blocks
  std::int64_t channels() const { return blocks * 16; }
  std::int64_t size() const { return images * blocks * pixels * 16; }
};

struct ChannelMoments {
  std::vector<double> mean, variance;  // biased variance
};
ChannelMoments Moments(const float* x, const BlockedShape& shape);

// y = relu?(x * scale + offset) + residual?; scale and offset per channel.
struct NormalizeArgs {
  const float *x, *residual;  // residual may be null
  const float *scale, *offset;
  float* y;
  bool relu;
};
void Normalize(const NormalizeArgs& args, const BlockedShape& shape);

// Gradients of y = relu?(gamma * (x - mean) / deviation + beta). `scale`, `offset` as in the forward pass.
struct BatchNormBackwardArgs {
  const float *x, *dy;
  const float *scale, *offset, *mean, *inverse_deviation;
  float *dx, *dgamma, *dbeta;  // dx may equal dy
  bool relu;
  bool batch_statistics;  // false: mean and deviation are constants (inference mode)
  // Where statistics covered the pixels of several processes: sums a vector over them in place, and how many
  // pixels that were. dgamma and dbeta stay this process's part.
  std::function<void(std::vector<double>& sums)> sum_over_processes{};
  double pixels = 0;
};
void BatchNormBackward(const BatchNormBackwardArgs& args, const BlockedShape& shape);

}  // namespace frf
