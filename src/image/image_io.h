// SPDX-License-Identifier: Apache-2.0
// PNG and JPEG files in and out, hardened: every size is checked against limits and against the bytes left
// before anything is allocated. 16-bit, grey, palette, alpha, CMYK and YCCK come out as 8-bit RGB; EXIF
// rotation is applied.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/model_info.h"
#include "frf/image.h"

namespace frf {

struct ImageLimits {
  std::int64_t max_pixels = 100'000'000;  // 300 MB as RGB; labels and overlays come on top
  int max_side = 65500;
  std::uint64_t max_decode_bytes = std::uint64_t{1}
                                   << 30;  // held at once while decoding, the file's bytes included
};

// By content, not by name. Always three channels, RGB; 16 bits are scaled to 8, alpha is dropped and gamma
// and colour profiles are ignored, as dataset readers do. A picture that is cut short or damaged is an error,
// never half a picture. Throws kNotFound, kCorruptFile, kUnsupported (a format by its name: GIF, WebP, BMP,
// TIFF ...), kOutOfMemory.
Image ReadImage(const std::string& path, const ImageLimits& limits = {});
Image DecodeImage(std::string_view bytes, const std::string& name, const ImageLimits& limits = {});

// A label image: the stored values of an 8-bit grey or palette PNG (palette indices, not colours), as they
// are. 16-bit grey is taken when every value fits 8 bits, RGB where the three channels are equal everywhere;
// alpha is passed over. RGB with colours is refused with the hint to map them (`frf data convert`).
LabelImage ReadLabels(const std::string& path, const ImageLimits& limits = {});
LabelImage DecodeLabels(const std::string& bytes, const std::string& name, const ImageLimits& limits = {});
// The same file as RGB colours, for datasets that store classes as colours, is ReadImage.

// Height and width as ReadImage would return them (EXIF rotation counted in), from the header alone.
std::pair<int, int> ReadImageSize(const std::string& path);
// The EXIF orientation, 1 to 8, by which ReadImage turns the picture; 1: it is as it is stored.
int ReadOrientation(const std::string& path);

// Written atomically. 1, 3 or 4 channels for PNG; 1 or 3 for JPEG.
void WritePng(const std::string& path, const Image& image);
void WriteJpeg(const std::string& path, const Image& image, int quality = 92);
std::string EncodePng(const Image& image);
std::string EncodeJpeg(const Image& image, int quality = 92);
// Ids as an 8-bit grey PNG, or as a palette PNG where a palette is given (the stored bytes are the ids in
// both). What is written is within the default ImageLimits, so ReadLabels takes it, one class everywhere
// included.
void WriteLabels(const std::string& path, const LabelImage& labels,
                 const std::vector<Color>* palette = nullptr);
std::string EncodeLabels(const LabelImage& labels, const std::vector<Color>* palette = nullptr);

// Writes PNG or JPEG by the file name's ending.
void WriteImage(const std::string& path, const Image& image);

bool LooksLikeImageFile(const std::string& path);  // by ending: png, jpg, jpeg

// Endings of pictures that frf does not read, in lower case: ".webp", ".bmp" ...
const std::vector<std::string>& OtherPictureEndings();
bool LooksLikeOtherPicture(const std::string& path);  // by ending: one of these
// "3 files of other formats left out (bmp, webp): frf reads PNG and JPEG"; "" where there are none.
std::string OtherFormatsLeftOut(const std::vector<std::string>& files);

}  // namespace frf
