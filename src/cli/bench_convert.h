// SPDX-License-Identifier: Apache-2.0
// What a runtime's user writes around it, written well: pixels to planes before, scores to labels after. `frf
// bench` counts it to the peers' times where a file leaves it to the caller; frf itself has it in its
// kernels.
#pragma once

#include <cstdint>

#include "base/model_info.h"
#include "frf/image.h"

namespace frf::cli {

// Interleaved RGB -> three planes of bytes.
void PlanarBytes(const ImageView& picture, std::uint8_t* planes, int threads);
// Interleaved RGB -> three planes of (pixel - mean) / std, to the bit as Preprocess.
void PlanarFloats(const ImageView& picture, const InputSpec& input, float* planes, int threads);
// classes x pixels scores -> labels; the lowest class wins ties. NaN never wins.
void ArgMax(const float* scores, int classes, std::int64_t pixels, std::uint8_t* labels, int threads);

}  // namespace frf::cli
