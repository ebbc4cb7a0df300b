// SPDX-License-Identifier: Apache-2.0
// A convolution by its definition, in double precision.
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

}  // namespace frf::test
