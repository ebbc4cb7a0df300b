// SPDX-License-Identifier: Apache-2.0
// Fuzzes DecodeImage and DecodeLabels: any bytes give a consistent picture or a frf::Error of one line.
// Limits are low so that a run is quick; that they are held is part of what is tested.
#include <cstdlib>

#include "frf/error.h"
#include "fuzz/corpus.h"
#include "image/image_io.h"
#include "support/hostile_images.h"

namespace {

constexpr frf::ImageLimits kLimits{.max_pixels = 1 << 18, .max_side = 1 << 14, .max_decode_bytes = 1 << 23};

void Check(bool promise) {
  if (!promise) std::abort();
}

void CheckRefusal(const frf::Error& error) {
  const std::string text = error.what();
  Check(text.starts_with("fuzz: ") && text.find('\n') == std::string::npos &&
        error.code() != frf::ErrorCode::kInternal);
}

}  // namespace

std::vector<std::string> frf::test::FuzzCorpus() {
  std::vector<std::string> corpus;
  for (const HostileImage& image : HostileImages()) {
    if (image.kind == HostileImage::kFile) corpus.push_back(image.bytes);
  }
  return corpus;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  try {
    const frf::Image image = frf::DecodeImage(bytes, "fuzz", kLimits);
    Check(image.channels == 3 && image.height > 0 && image.width > 0 && image.pixels.size() == image.bytes());
    Check(image.bytes() / 3 <= static_cast<std::size_t>(kLimits.max_pixels));
  } catch (const frf::Error& error) {
    CheckRefusal(error);
  }
  try {
    const frf::LabelImage labels = frf::DecodeLabels(bytes, "fuzz", kLimits);
    Check(labels.ids.size() ==
          static_cast<std::size_t>(labels.height) * static_cast<std::size_t>(labels.width));
  } catch (const frf::Error& error) {
    CheckRefusal(error);
  }
  return 0;
}
