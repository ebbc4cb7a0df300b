// SPDX-License-Identifier: Apache-2.0
// EXIF orientation: cameras store the sensor's rows and say by a number from 1 to 8 how to hold the picture.
// Subtle: the tag stands in a TIFF structure of either byte order whose offsets are the file's word; each is
// checked.
#include <algorithm>

#include "image/codec.h"
#include "image/transform.h"

namespace frf {
namespace {

class TiffReader {
 public:
  explicit TiffReader(std::string_view bytes) : bytes_(bytes) {}
  void set_big_endian(bool big) { big_ = big; }
  bool Has(std::size_t offset, std::size_t count) const {
    return offset <= bytes_.size() && count <= bytes_.size() - offset;
  }
  std::uint32_t Get(std::size_t offset, int count) const {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
      const int at = big_ ? i : count - 1 - i;
      value = value << 8 | static_cast<unsigned char>(bytes_[offset + static_cast<std::size_t>(at)]);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  bool big_ = true;
};

constexpr std::uint32_t kOrientationTag = 0x0112, kShort = 3;

}  // namespace

int ExifOrientation(std::string_view segment) {
  if (!segment.starts_with(std::string_view("Exif\0\0", 6))) return 1;
  return TiffOrientation(segment.substr(6));
}

int TiffOrientation(std::string_view bytes) {
  TiffReader tiff(bytes);
  if (!tiff.Has(0, 8)) return 1;
  if (bytes.starts_with("II")) {
    tiff.set_big_endian(false);
  } else if (!bytes.starts_with("MM")) {
    return 1;
  }
  const std::size_t directory = tiff.Get(4, 4);
  if (tiff.Get(2, 2) != 42 || !tiff.Has(directory, 2)) return 1;
  const std::uint32_t count = tiff.Get(directory, 2);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t entry = directory + 2 + std::size_t{12} * i;
    if (!tiff.Has(entry, 12)) return 1;
    if (tiff.Get(entry, 2) != kOrientationTag) continue;
    const std::uint32_t value = tiff.Get(entry + 8, 2);
    return tiff.Get(entry + 2, 2) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image ApplyOrientation(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  Image out;
  ApplyOrientation(image, orientation, out);
  return out;
}

void ApplyOrientation(const Image& src, int orientation, Image& dst) {
  const int h = src.height, w = src.width;
  const bool turned = orientation >= 5;
  dst.height = turned ? w : h, dst.width = turned ? h : w, dst.channels = src.channels;
  dst.pixels.resize(dst.bytes());
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  for (int y = 0; y < dst.height; ++y) {
    std::uint8_t* to = dst.at(y, 0);
    for (int x = 0; x < dst.width; ++x, to += dst.channels) {
      int row = turned ? x : y, column = turned ? y : x;
      if (from_bottom) row = h - 1 - row;
      if (from_right) column = w - 1 - column;
      std::copy_n(src.at(row, column), dst.channels, to);
    }
  }
}

}  // namespace frf
