// SPDX-License-Identifier: Apache-2.0
// Batch norm over the batches of all processes: statistics and the sums of its gradient are summed over them.
//
//   const double pixels = SumMoments(distributed, moments, own_pixels);     // channel-blocked kernels
//   torch::Tensor y = SyncBatchNorm({.x = x, .gamma = g, ...});             // libtorch's operators, any
//   device
//
// Subtle: gradients of gamma and beta stay this process's own; they are summed with all other gradients
// (gradient_buckets.h).
#pragma once

#include <torch/torch.h>

#include "train/distributed.h"
#include "train/kernels/batch_norm.h"

namespace frf {

// Moments of all processes' pixels from those of this one's; returns how many pixels those are.
double SumMoments(Distributed& distributed, ChannelMoments& moments, double pixels);

struct SyncBatchNormArgs {
  torch::Tensor x, gamma, beta, running_mean, running_variance;
  double momentum = 0.1, epsilon = 1e-5;
  Distributed* distributed = nullptr;
};
// In training; updates the running statistics as torch's batch_norm.
torch::Tensor SyncBatchNorm(const SyncBatchNormArgs& args);

}  // namespace frf
