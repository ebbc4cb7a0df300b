// SPDX-License-Identifier: Apache-2.0
// The part of frf/image_io.h that src/image does not have under the same signature: default limits, bytes, a
// model's palette.
#include "engine/session.h"
#include "frf/image_io.h"
#include "image/image_io.h"
#include "image/out_of_memory.h"

namespace frf {

Image ReadImage(const std::string& path) {
  return OrOutOfMemory([&] { return ReadImage(path, ImageLimits{}); }, path);
}

Image DecodeImage(const void* bytes, std::size_t size, const std::string& name) {
  if (bytes == nullptr) throw Error(ErrorCode::kInvalidArgument, name + ": there are no bytes to read");
  return OrOutOfMemory(
      [&] {
        return DecodeImage(std::string_view(static_cast<const char*>(bytes), size), name, ImageLimits{});
      },
      name);
}

void WriteLabels(const std::string& path, const LabelImage& labels, const LoadedModel& model) {
  OrOutOfMemory([&] { WriteLabels(path, labels, &model.impl().info.classes.palette); }, path);
}

}  // namespace frf
