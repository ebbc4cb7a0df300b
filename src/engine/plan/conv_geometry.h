// SPDX-License-Identifier: Apache-2.0
// What the builders of float and integer convolutions share: where a kernel lies on its source, and what
// Winograd can be.
#pragma once

#include <algorithm>
#include <cstddef>

#include "engine/kernels/kernels.h"
#include "engine/plan/ir.h"

namespace frf::engine {

inline constexpr std::size_t kL2Bytes = 1 << 20;

inline bool FitsWinograd(const ConvOp& op) {
  return op.weight.dim(2) == 3 && op.weight.dim(3) == 3 && op.stride_h == op.stride_w && op.groups == 1 &&
         op.phase_h == 1 && op.phase_w == 1 &&
         (op.stride_h == 1 || (op.stride_h == 2 && op.dilation_h == 1 && op.dilation_w == 1));
}

// Kernel, strides, dilations and padding, of whichever kernel's parameters.
template <typename Conv>
void TakeGeometry(const ConvOp& op, Conv& conv) {
  conv.kernel_h = static_cast<int>(op.weight.dim(2)), conv.kernel_w = static_cast<int>(op.weight.dim(3));
  conv.stride_h = op.stride_h, conv.stride_w = op.stride_w;
  conv.dilation_h = op.dilation_h, conv.dilation_w = op.dilation_w;
  conv.pad_top = op.pad_top, conv.pad_left = op.pad_left;
}

// Of a convolution on the picture with its border laid around it: a kernel row is one tap (see Build of
// PictureOp).
template <typename Conv>
void TakeBorderedPicture(const ConvOp& op, const Value& src, const Value& dst, Conv& conv) {
  const int width =
      std::max(src.width + std::max(0, op.pad_left), (dst.width - 1) * op.stride_w + conv.kernel_w);
  conv.src.pixel = 3, conv.src.row = static_cast<std::ptrdiff_t>(width) * 3;
  conv.src.height = std::max(src.height + std::max(0, op.pad_top),
                             (dst.height - 1) * op.stride_h + (conv.kernel_h - 1) * op.dilation_h + 1);
  conv.src.width = width;
  conv.pad_top = conv.pad_left = 0;
  conv.kernel_w = 1;
}

// The size of a map that is nowhere in memory: only the program behind the convolution sees it.
inline kernels::Map Nowhere(const Value& value) {
  return {nullptr,        value.height,   value.width,
          value.padded(), value.padded(), static_cast<std::ptrdiff_t>(value.width) * value.padded()};
}

// Tiles that cover the destination, edges that fill none in full; a dilated convolution is one for every
// phase of rows and columns.
inline double TilesOver(const ConvOp& op, const Value& dst, int tile) {
  const int height = (dst.height + op.dilation_h - 1) / op.dilation_h,
            width = (dst.width + op.dilation_w - 1) / op.dilation_w;
  return static_cast<double>((height + tile - 1) / tile) * ((width + tile - 1) / tile) * op.dilation_h *
         op.dilation_w;
}

}  // namespace frf::engine
