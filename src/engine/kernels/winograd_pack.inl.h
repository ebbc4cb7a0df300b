// SPDX-License-Identifier: Apache-2.0
// Kernels of 3x3 transformed for winograd.inl.h: for each product of a tile a matrix of depth x out.
#pragma once

#include "engine/kernels/gemm.inl.h"
#include "engine/kernels/winograd_tiles.inl.h"

namespace frf::kernels::FRF_ISA {

// Source values, and products, of a tile along one axis.
static inline std::ptrdiff_t PointsOf(int tile, int stride) { return stride == 1 ? tile + 2 : 2 * tile + 1; }

static std::size_t WinogradPackedSize(int tile, int stride, int out, int depth) {
  return static_cast<std::size_t>(PointsOf(tile, stride) * PointsOf(tile, stride)) * PaddedChannels(out) *
         depth / kPerWord;
}

template <typename F>
static void PackWinogradTile(const float* weights, int out, int in, int depth, float* packed) {
  constexpr int S = F::kPoints;
  const Panels panels = PanelsOf(PaddedChannels(out) / kBlock);
  constexpr int kMaxWidth = kMaxVectors * kLanes;
  for (int p = 0; p < panels.count; ++p) {
    const int width = panels.width(p) * kLanes, first = panels.start(p) * kLanes;
    float* const panel = packed + static_cast<std::int64_t>(first) * S * S * (depth / kPerWord);
    for (int c = 0; c < depth; ++c) {
      // A panel's channels side by side, in double: the loops over k are vectors.
      double g[9][kMaxWidth] = {}, rows[S][3][kMaxWidth];
      for (int k = 0; k < width && first + k < out && c < in; ++k) {
        const float* const from = weights + (static_cast<std::int64_t>(first + k) * in + c) * 9;
        for (int t = 0; t < 9; ++t) g[t][k] = from[t];
      }
      for (int i = 0; i < S; ++i) {
        const double(&m)[3] = F::kKernel[i];
        for (int x = 0; x < 3; ++x) {
          for (int k = 0; k < width; ++k)
            rows[i][x][k] = m[0] * g[x][k] + m[1] * g[3 + x][k] + m[2] * g[6 + x][k];
        }
      }
      for (int i = 0; i < S; ++i) {
        for (int j = 0; j < S; ++j) {
          const double(&m)[3] = F::kKernel[j];
          float weight[kMaxWidth];
          for (int k = 0; k < width; ++k)
            weight[k] =
                static_cast<float>(rows[i][0][k] * m[0] + rows[i][1][k] * m[1] + rows[i][2][k] * m[2]);
          PutWeights(weight, width, c,
                     panel + static_cast<std::int64_t>(i * S + j) * (depth / kPerWord) * width);
        }
      }
    }
  }
}

static void PackWinograd(const float* weights, int out, int in, int depth, int tile, int stride,
                         float* packed) {
  if (stride == 2 && tile == 2)
    PackWinogradTile<Winograd<2, 2>>(weights, out, in, depth, packed);
  else if (stride == 2)
    PackWinogradTile<Winograd<4, 2>>(weights, out, in, depth, packed);
  else if (tile == 4)
    PackWinogradTile<Winograd<4, 1>>(weights, out, in, depth, packed);
  else
    PackWinogradTile<Winograd<6, 1>>(weights, out, in, depth, packed);
}

}  // namespace frf::kernels::FRF_ISA
