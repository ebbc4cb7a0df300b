// SPDX-License-Identifier: Apache-2.0
// Another sky over a labelled picture. A data set of a few drives knows a few skies (CamVid's are white), and
// its network takes blue or clouded ones for something else.
#pragma once

#include <memory>

#include "base/random.h"
#include "data/dataset.h"
#include "data/photometric.h"

namespace frf {

// Pixels of class `sky` within `window` become a sky as the scene generator draws one: weather, clouds and
// colour gradient by `random`, as bright as the picture's own sky was at each pixel, so that wires and other
// unlabelled things in it stay. Where sky and something else share a pixel (up to two pixels around), the
// sky's part changes. Labels stay. Nothing happens where there is no sky.
void DrawNewSky(Image& image, const LabelImage& labels, int sky, const Window& window, Random random);

// The id of the class called sky, in whatever case; -1: there is none.
int SkyClass(const Classes& classes);

// The data set with the sky of every image drawn anew, image i's always the same way for one `seed`: a
// measure of whether a network knows more than its data's own skies. Throws kUsage where no class is called
// sky.
std::unique_ptr<Dataset> WithNewSkies(std::shared_ptr<const Dataset> data, std::uint64_t seed);

}  // namespace frf
