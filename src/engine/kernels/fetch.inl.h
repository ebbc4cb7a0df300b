// SPDX-License-Identifier: Apache-2.0
// Fetching ahead: which memory a convolution touches next, handed to products that have nothing to fetch
// themselves.
#pragma once

#include "engine/kernels/gemm.inl.h"

namespace frf::kernels::FRF_ISA {

// Memory that will be read or written soon, fetched a cache line at a time while products run. The transforms
// touch many lines in a burst; without this they wait for each, and the products leave the memory idle.
class Fetcher {
 public:
  // Rows [y0, y1) and columns [x0, x1) of a map, clipped; `channels` floats from `offset` at every pixel.
  void Add(const Map& map, int y0, int y1, int x0, int x1, int channels) {
    y0 = y0 < 0 ? 0 : y0, x0 = x0 < 0 ? 0 : x0;
    y1 = y1 > map.height ? map.height : y1, x1 = x1 > map.width ? map.width : x1;
    if (x1 <= x0) return;
    const std::ptrdiff_t pixels = x1 - x0;
    for (int y = y0; y < y1; ++y) {
      const float* const row = map.data + y * map.row + x0 * map.pixel;
      if (map.pixel == channels) {  // one piece of memory
        Push({row, pixels * channels / 16, 16});
      } else {  // a slice: the pixels' first lines, then their second ones, ...
        for (int c = 0; c < channels; c += 16) Push({row + c, pixels, map.pixel});
      }
    }
  }
  // For a product that starts at `row` and takes `steps` steps.
  Prefetch Next(const float* row, std::ptrdiff_t steps) {
    if (next_ == count_) return {};
    Range& range = ranges_[next_];
    const Prefetch prefetch{range.at - row, range.stride};
    range.at += range.stride * steps;
    range.lines -= steps;
    if (range.lines <= 0) ++next_;
    return prefetch;
  }

 private:
  struct Range {
    const float* at;
    std::ptrdiff_t lines, stride;
  };
  void Push(const Range& range) {
    if (count_ < kRanges) ranges_[count_++] = range;
  }
  static constexpr int kRanges = 256;
  Range ranges_[kRanges];
  int count_ = 0, next_ = 0;
};

}  // namespace frf::kernels::FRF_ISA
