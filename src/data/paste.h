// SPDX-License-Identifier: Apache-2.0
// Parts of one image in another: whole objects of rare classes (and picking a pixel of one), or a rectangle
// as it is.
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

// CutMix (Yun et al. 2019): a rectangle of `sample`, a tenth to a half of its pixels, becomes the same
// rectangle of `other`, which has its size; labels with it.
void MixRectangle(Sample& sample, const Sample& other, std::uint64_t seed);

}  // namespace frf
