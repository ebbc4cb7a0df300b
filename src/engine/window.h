// SPDX-License-Identifier: Apache-2.0
// Kernel, stride, dilation and padding of convolutions and pools, from ONNX attributes, checked; maps of one
// spatial dimension (N x C x W) are seen as maps of height 1.
#pragma once

#include <array>
#include <cstdint>

#include "engine/plain_op.h"

namespace frf::plain {

struct Window {  // index 0: height, 1: width
  std::array<std::int64_t, 2> kernel{1, 1}, stride{1, 1}, dilation{1, 1}, pad_begin{0, 0}, pad_end{0, 0};
  bool ceil_mode = false;
  // Positions that the dilated kernel covers.
  std::int64_t Extent(int axis) const { return (kernel[axis] - 1) * dilation[axis] + 1; }
};

// N x C x H x W of an input of three or four dimensions; anything else throws kUnsupported.
std::array<std::int64_t, 4> MapShape(const OpContext& c, const Tensor& tensor);

// A result of MapShape's kind with the rank of `like`.
Shape RestoreRank(const Shape& nchw, const Tensor& like);

// kernel_shape (or `kernel`, the weights' own), strides, dilations, pads and auto_pad for an input of height
// x width. Not for ConvTranspose's auto_pad and output_shape, which PlanTransposed settles.
Window ReadWindow(const OpContext& c, const Tensor& input, const Shape& kernel);

// Output size along an axis. Ceil mode as torch: the last window must start inside the input or its leading
// padding.
std::int64_t OutputSize(const OpContext& c, const Window& window, int axis, std::int64_t in);

}  // namespace frf::plain
