// SPDX-License-Identifier: Apache-2.0
// Height and width of the image that a network takes, as its file declares them: both free, both fixed, or
// one of the two.
#pragma once

#include <string>
#include <utility>

#include "graph/graph.h"

namespace frf {

using SizePair = std::pair<int, int>;  // height, width

// Of the first input; 0 for a side that is free, and where it is no 4-dimensional image.
SizePair FixedSides(const Graph& graph);

// Whether a picture's channels stand last there (1xHxWx3, or x1), where its width is looked for.
bool ChannelsComeLast(const GraphInput& input);

// `wanted`, but for the sides that are fixed.
SizePair WithFixedSides(SizePair wanted, SizePair fixed);

// "96x?": a question mark for a side that is free.
std::string FixedSidesText(SizePair fixed);

}  // namespace frf
