// SPDX-License-Identifier: Apache-2.0
// The sizes of a run: of its images, of what the network sees in validation and use, of training crops.
#pragma once

#include "data/dataset.h"
#include "train/plan.h"

namespace frf {

struct ImageSizes {
  int height = 0, width = 0;  // the most frequent size; of equally frequent ones the first
  int common = 0, all = 0;    // images of that size, images
  bool equal() const { return common == all; }
};

// Asks for every image's size.
ImageSizes LookAtSizes(const Dataset& data);

// Fills in what the person left open: input size and fit, and, so that training shows images at the scale at
// which they are used, the recipe's base size and crop. A rounded network (plan.quantization) keeps its
// file's input. Says in the log what differing sizes lead to.
void ResolveSizes(const TrainOptions& options, const ImageSizes& sizes, Plan& plan);

}  // namespace frf
