// SPDX-License-Identifier: Apache-2.0
// Cross-entropy of bilinearly upsampled scores and its gradient, without full-size scores. See loss.cpp.
#pragma once

#include <cstdint>

namespace frf {

struct CrossEntropyArgs {
  const float* scores = nullptr;
  std::int64_t strides[4] = {};          // of scores: image, class, row, column
  const std::uint8_t* labels = nullptr;  // images x out_height x out_width
  const float* class_weight = nullptr;   // 256 entries, 0 at void and above
  int images = 0, classes = 0, height = 0, width = 0, out_height = 0, out_width = 0;
  float* gradient = nullptr;  // images x height x width x classes, zeroed; null: not wanted
};

// Weighted mean over the labels; 0 where no label has a weight. Labels must be below `classes` or weightless.
double CrossEntropyKernel(const CrossEntropyArgs& args);

}  // namespace frf
