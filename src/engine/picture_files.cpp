// SPDX-License-Identifier: Apache-2.0
// The part of frf/image_io.h that src/image does not have under the same signature: default limits, a model's
// palette.
#include "engine/session.h"
#include "frf/image_io.h"
#include "image/image_io.h"

namespace frf {

Image ReadImage(const std::string& path) { return ReadImage(path, ImageLimits{}); }

void WriteLabels(const std::string& path, const LabelImage& labels, const LoadedModel& model) {
  WriteLabels(path, labels, &model.impl().info.classes.palette);
}

}  // namespace frf
