// SPDX-License-Identifier: Apache-2.0
// Rare classes: picking a pixel of one, and copying whole objects of them from another image.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "data/dataset.h"

namespace frf {

struct PixelAt {
  int y, x;
};

// A pixel of a rare class: first a class among those present, then one of its pixels, both uniform in `pick`.
// `rare` empty: classes under 2 % of the labelled pixels. None where no rare class is present.
std::optional<PixelAt> PickRarePixel(const LabelImage& labels, const std::vector<int>& rare,
                                     std::uint64_t pick);

// `sample` with up to three connected regions of rare classes from `donor` pasted over it. Regions keep their
// row (so their size still fits the perspective), move sideways, may be mirrored, and are brightened to the
// new surroundings.
Sample PasteRare(const Sample& sample, const Sample& donor, const std::vector<int>& rare, std::uint64_t seed);

}  // namespace frf
