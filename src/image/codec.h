// SPDX-License-Identifier: Apache-2.0
// What the PNG and JPEG readers share. Inside this room only; users include image_io.h.
// Subtle: both C libraries report errors by longjmp, which skips destructors. So every function that calls
// setjmp has only trivial locals, all state lives in a struct of its caller, and C++ (checks, allocation,
// throwing) happens between such functions, never inside them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "image/image_io.h"

namespace frf {

// What a header says, before anything is allocated.
struct DecodeCost {
  std::int64_t height = 0, width = 0;
  std::uint64_t bytes = 0;       // that decoding will hold at once, the compressed file included
  std::uint64_t compressed = 0;  // bytes of the file
  // The most that the format can pack into one compressed byte; 0: it sets no bound.
  std::uint64_t pixels_per_byte = 0;
};

// Refuses sizes and memory above the limits, sizes that the compressed bytes cannot possibly hold, and absurd
// density where the format allows any.
void CheckDecodeCost(const DecodeCost& cost, const char* format, const std::string& name,
                     const ImageLimits& limits);

// `count` bytes, or kOutOfMemory naming the file.
void AllocatePixels(std::vector<std::uint8_t>& pixels, std::uint64_t count, const std::string& name);

// A picture's size with its EXIF orientation (1..8) counted in.
struct PictureHeader {
  int height = 0, width = 0, orientation = 1;
};
// Of the size that is stored.
inline PictureHeader Held(int height, int width, int orientation) {
  if (orientation >= 5) std::swap(height, width);
  return {height, width, orientation};
}

Image DecodePng(std::string_view bytes, const std::string& name, const ImageLimits& limits);
LabelImage DecodePngLabels(std::string_view bytes, const std::string& name, const ImageLimits& limits);
// Empty where an EXIF orientation may still follow, unless these bytes are the `whole` file.
std::optional<PictureHeader> PngPictureHeader(std::string_view head, bool whole, const std::string& name);

Image DecodeJpeg(std::string_view bytes, const std::string& name, const ImageLimits& limits);
// Empty where the header goes on beyond these bytes.
std::optional<PictureHeader> JpegPictureHeader(std::string_view head, const std::string& name);

// EXIF orientation (1..8) in the body of an APP1 segment, 1 where there is none or it is malformed.
int ExifOrientation(std::string_view segment);
// The same in the TIFF structure alone: what an APP1 segment holds behind its "Exif" and a PNG's eXIf chunk
// as it is.
int TiffOrientation(std::string_view bytes);
// The image as it is meant to be seen.
Image ApplyOrientation(Image image, int orientation);

}  // namespace frf
