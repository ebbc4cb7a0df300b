// SPDX-License-Identifier: Apache-2.0
// Depthwise convolution: one filter a channel. A block of channels keeps its weights in registers or L1 while
// a row of output pixels passes.
#pragma once

#include "engine/kernels/gemm.inl.h"

namespace frf::kernels::FRF_ISA {

static void RunDepthwise(const DepthwiseConv& conv, std::int64_t item) {
  const int begin = static_cast<int>(item) * conv.rows_per_item;
  const int end = begin + conv.rows_per_item < conv.dst.height ? begin + conv.rows_per_item : conv.dst.height;
  const Epilogue& e = conv.epilogue;
  const Rounder round(e.round), round_sum(e.round_sum);
  for (int y = begin; y < end; ++y) {
    for (int c = 0; c < conv.dst.channels; c += kLanes) {
      const V bias = e.bias ? Load(e.bias + c) : Zero();
      for (int x = 0; x < conv.dst.width; ++x) {
        V v = bias;
        const float* weight = conv.weights + c;
        const int left = x * conv.stride_w - conv.pad_left;
        const bool inside = left >= 0 && left + (conv.kernel_w - 1) * conv.dilation_w < conv.src.width;
        for (int ky = 0; ky < conv.kernel_h; ++ky) {
          const int sy = y * conv.stride_h + ky * conv.dilation_h - conv.pad_top;
          if (sy < 0 || sy >= conv.src.height) {
            weight += conv.kernel_w * conv.dst.channels;
            continue;
          }
          const float* from = conv.src.data + sy * conv.src.row + left * conv.src.pixel + c;
          const std::ptrdiff_t step = conv.dilation_w * conv.src.pixel;
          for (int kx = 0; kx < conv.kernel_w; ++kx, from += step, weight += conv.dst.channels) {
            const int sx = left + kx * conv.dilation_w;
            if (inside || (sx >= 0 && sx < conv.src.width)) v = Fma(Load(from), Load(weight), v);
          }
        }
        const std::ptrdiff_t at = x;
        if (e.add.data && e.add_first) v = v + Load(e.add.data + y * e.add.row + at * e.add.pixel + c);
        if (e.act == Act::kRelu) {
          v = Max(v, Zero());
        } else if (e.act != Act::kNone) {
          v = ActivateRare(v, e.act, e.alpha, e.beta);
        }
        if (e.add.data && !e.add_first) {
          const V add = Load(e.add.data + y * e.add.row + at * e.add.pixel + c);
          if (e.sum.data) {
            if (round.on) v = round(v);
            Store(e.sum.data + y * e.sum.row + at * e.sum.pixel + c,
                  round_sum.on ? round_sum(v + add) : v + add);
          } else {
            v = v + add;
          }
        }
        Store(conv.dst.data + y * conv.dst.row + at * conv.dst.pixel + c, round.on ? round(v) : v);
      }
    }
  }
}

}  // namespace frf::kernels::FRF_ISA
