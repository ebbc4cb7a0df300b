// SPDX-License-Identifier: Apache-2.0
// A convolution by its definition, in double precision, and what kernels want to be told about it.
#pragma once

#include <vector>

#include "engine/own_map.h"

namespace frf::test {

struct ConvShape {
  int in, out, height, width, kernel_h, kernel_w, stride, dilation, pad;
};

inline double Sum(const OwnMap& src, const std::vector<float>& weights, const ConvShape& s, int o, int y,
                  int x) {
  double sum = 0;
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    for (int kx = 0; kx < s.kernel_w; ++kx) {
      const int sy = y * s.stride + ky * s.dilation - s.pad, sx = x * s.stride + kx * s.dilation - s.pad;
      if (sy < 0 || sx < 0 || sy >= s.height || sx >= s.width) continue;
      for (int c = 0; c < s.in; ++c) {
        sum += static_cast<double>(src.at(sy, sx, c)) *
               weights[((o * s.in + c) * s.kernel_h + ky) * s.kernel_w + kx];
      }
    }
  }
  return sum;
}

inline int OutSize(int size, int kernel, const ConvShape& s) {
  return (size + 2 * s.pad - s.dilation * (kernel - 1) - 1) / s.stride + 1;
}

// All but epilogue, weights and what planning fills in. `zeros`: as many as src has padded channels.
inline kernels::DirectConv DirectOf(const ConvShape& s, const OwnMap& src, const OwnMap& dst,
                                    const std::vector<float>& zeros) {
  kernels::DirectConv conv{.src = src.view, .dst = dst.view, .kernel_h = s.kernel_h, .kernel_w = s.kernel_w};
  conv.stride_h = conv.stride_w = s.stride;
  conv.dilation_h = conv.dilation_w = s.dilation;
  conv.pad_top = conv.pad_left = s.pad;
  conv.depth = src.padded;
  conv.zeros = zeros.data();
  return conv;
}

inline kernels::WinogradConv WinogradOf(const ConvShape& s, int tile, const OwnMap& src, const OwnMap& dst,
                                        const std::vector<float>& zeros) {
  kernels::WinogradConv conv{.src = src.view, .dst = dst.view};
  conv.pad_top = conv.pad_left = s.pad;
  conv.depth = src.padded;
  conv.tile = tile, conv.stride = s.stride;
  conv.zeros = zeros.data();
  return conv;
}

// Packs the weights and gives them to the convolution; keep what comes back as long as that.
inline std::vector<float> PackInto(const kernels::ConvKernels& k, const ConvShape& s,
                                   const std::vector<float>& weights, kernels::DirectConv& conv) {
  std::vector<float> packed(k.direct_packed_size(s.out, s.kernel_h * s.kernel_w, conv.depth));
  k.pack_direct(weights.data(), s.out, s.in, s.kernel_h, s.kernel_w, conv.depth, packed.data());
  conv.weights = {packed.data(), kernels::PaddedChannels(s.out) / kernels::kBlock, conv.depth};
  return packed;
}

inline std::vector<float> PackStrassenInto(const kernels::Kernels& k, const ConvShape& s,
                                           const std::vector<float>& weights, kernels::DirectConv& conv) {
  std::vector<float> packed(k.strassen_packed_size(s.out, conv.depth));
  k.pack_strassen(weights.data(), s.out, s.in, conv.depth, packed.data());
  conv.weights = {packed.data(), kernels::PaddedChannels(s.out) / kernels::kBlock, conv.depth};
  return packed;
}

inline std::vector<float> PackInto(const kernels::ConvKernels& k, const ConvShape& s,
                                   const std::vector<float>& weights, kernels::WinogradConv& conv) {
  std::vector<float> packed(k.winograd_packed_size(conv.tile, conv.stride, s.out, conv.depth));
  k.pack_winograd(weights.data(), s.out, s.in, conv.depth, conv.tile, conv.stride, packed.data());
  conv.weights = {packed.data(), kernels::PaddedChannels(s.out) / kernels::kBlock, conv.depth};
  return packed;
}

// The whole convolution, items in any order.
inline void RunAll(const kernels::ConvKernels& k, const kernels::DirectConv& conv) {
  std::vector<float> scratch(k.direct_scratch(conv));
  for (std::int64_t i = conv.items; i-- > 0;) k.direct_conv(conv, i, scratch.data());
}

inline void RunAllStrassen(const kernels::Kernels& k, const kernels::DirectConv& conv) {
  std::vector<float> scratch(k.strassen_scratch(conv));
  for (std::int64_t i = conv.items; i-- > 0;) k.strassen_conv(conv, i, scratch.data());
}

inline void RunAll(const kernels::ConvKernels& k, kernels::WinogradConv& conv) {
  std::vector<float> shared(k.winograd_shared(conv)), scratch(k.winograd_scratch(conv));
  conv.shared = shared.data();
  for (std::int64_t i = 0; i < conv.transform_items; ++i) k.winograd_transform(conv, i);
  for (std::int64_t i = 0; i < conv.items; ++i) k.winograd_conv(conv, i, scratch.data());
}

}  // namespace frf::test
