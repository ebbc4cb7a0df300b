// SPDX-License-Identifier: Apache-2.0
// 3x3 convolutions of stride 1, forward and backward, by minimal filtering: kernels of our own, which need
// AVX-512. Maps are channel-blocked (convolution.h), weights stay in the parameter's own order.
#pragma once

#include <array>
#include <cstdint>

#include "train/kernels/convolution.h"

namespace frf {

class WinogradConvolution {
 public:
  // Whether this shape can be done, and the CPU can do it.
  static bool Fits(const ConvolutionShape& shape);

  // `weight_strides`: of out, in, kernel height, kernel width.
  WinogradConvolution(const ConvolutionShape& shape, const std::array<std::int64_t, 4>& weight_strides);

  void Forward(const float* x, const float* weight, float* y) const;
  void BackwardData(const float* dy, const float* weight, float* dx) const;
  void BackwardWeights(const float* x, const float* dy, float* dweight) const;

 private:
  ConvolutionShape shape_;
  std::array<std::int64_t, 4> strides_;
};

}  // namespace frf
