// SPDX-License-Identifier: Apache-2.0
// Differentiable operators on channel-blocked maps: an N x C x H x W map of 16n channels is a contiguous
// torch tensor of N x C/16 x H x W x 16, what oneDNN's fastest convolutions want. Element-wise torch
// operators work on it as it is.
//
//   torch::Tensor x = ToBlocked(map);
//   torch::Tensor y = BlockedBatchNorm({.x = BlockedConv(x, weight, {}, spec), .gamma = g, ...});
//   torch::Tensor map = FromBlocked(y);
//
// Subtle: convolutions of fewer than 16 output channels give plain N x C x H x W tensors whose strides skip
// the padding.
#pragma once

#include <torch/torch.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>

#include "train/kernels/convolution.h"

namespace frf {

class Distributed;

torch::Tensor ToBlocked(const torch::Tensor& map);        // N x 16n x H x W of any strides
torch::Tensor FromBlocked(const torch::Tensor& blocked);  // channels last

// One convolution of a network: attributes, and the kernels made so far for the sizes that came by.
struct BlockedConvSpec {
  std::array<std::int64_t, 2> stride{1, 1}, pad{0, 0}, dilation{1, 1};
  bool plain_input = false, winograd = true;

  std::shared_ptr<BlockedConvolution> KernelFor(const ConvolutionShape& shape, const torch::Tensor& weight,
                                                bool bias) const;

 private:
  using Key =
      std::tuple<ConvolutionShape, std::array<std::int64_t, 4>, int>;  // shape, weight strides, threads
  mutable std::mutex mutex_;
  mutable std::map<Key, std::shared_ptr<BlockedConvolution>> kernels_;
};

// x: blocked, or N x C x H x W with spec->plain_input (then no gradient flows to it).
torch::Tensor BlockedConv(const torch::Tensor& x, const torch::Tensor& weight, const torch::Tensor& bias,
                          std::shared_ptr<const BlockedConvSpec> spec);

struct BlockedBatchNormArgs {
  torch::Tensor x, gamma, beta, running_mean, running_variance;
  torch::Tensor residual;  // added behind the ReLU; may be undefined
  bool relu = false, training = false;
  double momentum = 0.1, epsilon = 1e-5;
  Distributed* distributed = nullptr;  // whose processes' pixels the statistics cover in training
};
// Updates the running statistics in training, as torch's batch_norm.
torch::Tensor BlockedBatchNorm(const BlockedBatchNormArgs& args);

torch::Tensor BlockedGate(const torch::Tensor& o, const torch::Tensor& l);  // o + l * sigmoid(o)
torch::Tensor BlockedMaskedSum(const torch::Tensor& o, const torch::Tensor& y, double threshold);
torch::Tensor BlockedSpectral(const torch::Tensor& x,
                              const torch::Tensor& basis);  // basis: C/16 x H x W x 16
torch::Tensor BlockedResize(const torch::Tensor& x, std::int64_t height, std::int64_t width);
struct BlockedPoolSpec {
  std::array<std::int64_t, 2> kernel{1, 1}, stride{1, 1}, pad{0, 0};
  bool ceil_mode = false;
};
torch::Tensor BlockedMaxPool(const torch::Tensor& x, const BlockedPoolSpec& spec);

}  // namespace frf
