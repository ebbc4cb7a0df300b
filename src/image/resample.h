// SPDX-License-Identifier: Apache-2.0
// Separable resampling of 8-bit RGB, one output row at a time, so that Preprocess can use a row while it is
// warm. Subtle: rows are blended first (long, contiguous, vectorised), then columns, both in float; values
// are rounded once.
#pragma once

#include <cstdint>
#include <vector>

#include "frf/image.h"

namespace frf {

struct AxisWeights {  // output i = sum over k < count[i] of weights[i * taps + k] * source[first[i] + k]; the
                      // sum is 1
  int taps = 0;
  std::vector<int> first, count;
  std::vector<float> weights;
  int size() const { return static_cast<int>(first.size()); }
};

AxisWeights BilinearWeights(int src, int dst, bool antialias);
AxisWeights AreaWeights(int src, int dst);

class Resampler {
 public:
  Resampler(const ImageView& src, AxisWeights rows, AxisWeights columns);
  int height() const { return rows_.size(); }
  int width() const { return columns_.size(); }
  std::size_t scratch_floats() const { return static_cast<std::size_t>(src_.width) * 3; }
  // Writes 3 * width() bytes in the source's channel order. Threads may work on different rows, each with its
  // scratch.
  void Row(int y, float* scratch, std::uint8_t* dst) const;

 private:
  ImageView src_;
  AxisWeights rows_, columns_;
};

// Throws kInvalidArgument unless the view describes at least one pixel of RGB or BGR and the size is
// positive.
void CheckView(const ImageView& src, int height, int width, const char* function);

}  // namespace frf
