// SPDX-License-Identifier: Apache-2.0
// `frf info MODEL`: what a model file says of itself (docs/formats.md), for people.
#pragma once

#include "base/model_info.h"
#include "graph/image_size.h"

namespace frf::cli {

// Classes with their ids and colours, input, output, weights, training, scores, terms: on standard output.
// `fixed`: height and width that the file fixes; 0: free.
void PrintModel(const ModelInfo& info, SizePair fixed);

}  // namespace frf::cli
