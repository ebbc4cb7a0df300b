// SPDX-License-Identifier: Apache-2.0
// PNG and JPEG files of every kind, for tests. PNG is put together here byte by byte, without libpng, so that
// a reader tested with it is tested against the format and not against its own library.
//
//   const std::string png = MakePng({.height = 4, .width = 7, .depth = 2, .color = kPngGrey, .interlaced =
//   true},
//                                   [](int y, int x, int) { return (y + x) % 4; });
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/model_info.h"

namespace frf::test {

// (row, column, channel) -> the stored sample
using Sample = std::function<int(int y, int x, int c)>;

enum PngColor { kPngGrey = 0, kPngRgb = 2, kPngPalette = 3, kPngGreyAlpha = 4, kPngRgba = 6 };

struct PngSpec {
  int height = 1, width = 1;
  int depth = 8, color = kPngRgb;
  bool interlaced = false;
  std::vector<Color> palette = {};  // PLTE
  std::string transparent = {};     // tRNS body
  std::string extra_chunks = {};    // put before IDAT, from PngChunk
  int filter = 0;                   // filter type of every row; only 0 is applied, others are for damage
};

std::string MakePng(const PngSpec& spec, const Sample& sample);
std::string PngChunk(const std::string& type, std::string_view body);  // length, type, body, CRC
std::string PngSignature();
std::string PngHeader(std::uint32_t width, std::uint32_t height, int depth, int color, int interlace = 0);
std::string Deflate(std::string_view bytes);
std::string DeflateZeros(std::uint64_t count);  // a zlib stream of that many zeros, made without storing them

enum class JpegSpace { kGrey, kYcc, kRgb, kCmyk, kYcck };

struct JpegSpec {
  int height = 1, width = 1;
  JpegSpace space = JpegSpace::kYcc;
  bool progressive = false, arithmetic = false;
  int quality = 95;
  int restart_rows = 0;   // a restart marker every so many rows of blocks
  std::string app1 = {};  // body of an APP1 segment, for instance ExifBody(6)
};

// Samples are RGB for kYcc and kRgb, grey for kGrey, and inks as stored (Photoshop's: 255 = no ink) for kCmyk
// and kYcck.
std::string MakeJpeg(const JpegSpec& spec, const Sample& sample);
std::string ExifBody(int orientation, bool big_endian = true);

// Offset of the first marker 0xff `code` after `from` in a JPEG, npos when absent. Entropy-coded data is
// passed over.
std::size_t FindMarker(const std::string& jpeg, int code, std::size_t from = 2);

void PutBigEndian(std::string& out, std::uint64_t value, int bytes);

}  // namespace frf::test
