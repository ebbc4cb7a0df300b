// SPDX-License-Identifier: Apache-2.0
// Lovasz-softmax (Berman et al. 2018, algorithm 1) over the classes that stand in a batch, with its gradient.
#pragma once

#include <cstdint>

namespace frf {

struct LovaszArgs {
  const float* shares = nullptr;         // images x classes x pixels, each in [0, 1]
  const std::uint8_t* labels = nullptr;  // images x pixels; 255 (void) and ids from `classes` on do not count
  std::int64_t images = 0, classes = 0, pixels = 0;
  float* gradient = nullptr;  // as shares: written from end to end; null: not wanted
};

// Mean over the classes that have labels; 0 where none has. Does not depend on the number of threads. images
// * pixels must be below 2^31.
double LovaszKernel(const LovaszArgs& args);

}  // namespace frf
