// SPDX-License-Identifier: Apache-2.0
// Networks that give labels and not scores: their ids, checked. An id that is no class would index past
// names, colors and matrices of whoever reads it.
#pragma once

#include <string>

#include "frf/image.h"
#include "graph/tensor.h"

namespace frf {

// `pixels` integers of any type as bytes. Throws kUnsupported for another number of them or floats,
// kCorruptFile for an id that is neither a class, 0 to classes - 1, nor 255, void; `who` (file and output)
// starts the error. classes = 0: whatever a byte holds.
Tensor LabelsOf(const Tensor& ids, std::int64_t pixels, int classes, const std::string& who);

// The same check of labels that are bytes already.
void CheckLabelIds(const LabelView& labels, int classes, const std::string& who);

}  // namespace frf
