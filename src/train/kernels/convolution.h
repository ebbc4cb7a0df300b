// SPDX-License-Identifier: Apache-2.0
// Convolutions of channel-blocked maps, forward and both gradients: by Winograd's minimal filtering where it
// fits (3x3, stride 1; kernels of our own, winograd.h), else by oneDNN 2.x. Winograd takes less than half the
// time of the direct form; its rounding error is five times larger (results) to twenty times (gradients).
//
//   if (BlockedConvolutionsWork()) { BlockedConvolution conv(shape, {.winograd = true}); conv.Forward(x, w,
//   nullptr, y); }
//
// Subtle: primitives are made for one number of threads; whoever keeps a BlockedConvolution keys it by that
// number too. Output channels are padded to a multiple of 16 with zeros.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>

namespace frf {

struct ConvolutionShape {
  std::int64_t images = 0, in = 0, out = 0, height = 0, width = 0;
  std::array<std::int64_t, 2> kernel{1, 1}, stride{1, 1}, pad{0, 0}, dilation{1, 1};
  std::int64_t out_height() const {
    return (height + 2 * pad[0] - dilation[0] * (kernel[0] - 1) - 1) / stride[0] + 1;
  }
  std::int64_t out_width() const {
    return (width + 2 * pad[1] - dilation[1] * (kernel[1] - 1) - 1) / stride[1] + 1;
  }
  std::int64_t out_blocks() const { return (out + 15) / 16; }
  auto operator<=>(const ConvolutionShape&) const = default;
};

struct ConvolutionOptions {
  bool winograd = true;
  bool plain_input = false;  // x is NCHW (the image); its gradient is not available
  bool bias = false;
  std::array<std::int64_t, 4> weight_strides{};  // of out, in, kernel height, kernel width
};

// Built with oneDNN 2.x and running on a CPU with AVX-512.
bool BlockedConvolutionsWork();

class BlockedConvolution {
 public:
  BlockedConvolution(const ConvolutionShape& shape, const ConvolutionOptions& options);
  ~BlockedConvolution();

  void Forward(const float* x, const float* weight, const float* bias, float* y);
  void BackwardData(const float* dy, const float* weight, float* dx);
  void BackwardWeights(const float* x, const float* dy, float* dweight, float* dbias);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace frf
