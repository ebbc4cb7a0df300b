// SPDX-License-Identifier: Apache-2.0
// Maps for the kernels' tests, with memory of their own.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/maps.h"

namespace frf::test {

inline std::vector<float> Draw(std::size_t count, std::uint64_t seed) {
  std::vector<float> values(count);
  Random random(seed);
  for (float& v : values) v = static_cast<float>(random.Uniform(-1, 1));
  return values;
}

// A map in memory of its own, `extra` floats wider than its channels at every pixel: a slice.
struct OwnMap {
  OwnMap(int height, int width, int channels, int extra, std::uint64_t seed)
      : padded(kernels::PaddedChannels(channels)),
        values(Draw(static_cast<std::size_t>(height) * width * (padded + extra), seed)) {
    view = {values.data(), height,         width,
            padded,        padded + extra, static_cast<std::ptrdiff_t>(width) * (padded + extra)};
    for (int i = 0; i < height * width; ++i) {
      for (int c = channels; c < padded; ++c)
        values[i * view.pixel + c] = 0.5f;  // finite, and nobody's business
    }
  }
  float at(int y, int x, int c) const { return values[y * view.row + x * view.pixel + c]; }
  int padded;
  std::vector<float> values;
  kernels::Map view;
};

}  // namespace frf::test
