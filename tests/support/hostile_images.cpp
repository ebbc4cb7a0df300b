// SPDX-License-Identifier: Apache-2.0
// See hostile_images.h. One function a family; every size is small except where size is the point.
#include "support/hostile_images.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "support/make_image.h"

namespace frf::test {
namespace {

using List = std::vector<HostileImage>;
using enum HostileImage::Outcome;
using enum HostileImage::Kind;

constexpr int kHeight = 37, kWidth = 53;

// Hashed noise over a gradient: does not compress away, so a cut falls into pixels.
int Texture(int y, int x, int c) {
  const unsigned place = static_cast<unsigned>(y) * 7919u + static_cast<unsigned>(x) * 104729u +
                         static_cast<unsigned>(c) * 1299709u;
  const unsigned hash = place * 2654435761u;
  return (y * 2 + x * 3 + static_cast<int>(hash >> 27)) & 0xff;
}
int Smooth(int y, int x, int c) { return (y * 3 + x * 2 + c * 40) & 0xff; }

std::string Png(int height = kHeight, int width = kWidth) {
  return MakePng({.height = height, .width = width}, Texture);
}
std::string Jpeg(bool progressive = false) {
  return MakeJpeg({.height = kHeight, .width = kWidth, .progressive = progressive}, Texture);
}

std::string Patched(std::string bytes, std::size_t at, const std::string& patch) {
  return bytes.replace(at, patch.size(), patch);
}
std::string Flipped(std::string bytes, std::size_t at, int mask = 0x55) {
  bytes[at] = static_cast<char>(bytes[at] ^ mask);
  return bytes;
}

// A PNG of chosen header over the given zlib stream.
std::string PngOf(std::uint32_t width, std::uint32_t height, int depth, int color, const std::string& stream,
                  int interlace = 0) {
  return PngSignature() + PngHeader(width, height, depth, color, interlace) + PngChunk("IDAT", stream) +
         PngChunk("IEND", "");
}

void AddCut(List& list) {
  const std::string png = Png(), jpeg = Jpeg(), progressive = Jpeg(true);
  const std::string interlaced = MakePng({.height = kHeight, .width = kWidth, .interlaced = true}, Texture);
  list.push_back({"empty.png", "", kRefused, 0, 0, "empty"});
  list.push_back({"empty.jpg", "", kRefused, 0, 0, "empty"});
  for (const std::size_t bytes : {3, 6, 20, 30, 40}) {
    list.push_back(
        {"cut-" + std::to_string(bytes) + ".png", png.substr(0, bytes), kRefused, 0, 0, "ends after"});
  }
  list.push_back({"cut-half.png", png.substr(0, png.size() / 2), kRefused, 0, 0, "rows are there"});
  list.push_back({"cut-end-marker.png", png.substr(0, png.size() - 12), kRefused, 0, 0, "end marker"});
  list.push_back({"cut-last-byte.png", png.substr(0, png.size() - 1), kRefused, 0, 0, "cut short"});
  list.push_back(
      {"cut-interlaced.png", interlaced.substr(0, interlaced.size() / 2), kRefused, 0, 0, "in pass"});
  for (const std::size_t bytes : {2, 3, 20, 200}) {
    list.push_back(
        {"cut-" + std::to_string(bytes) + ".jpg", jpeg.substr(0, bytes), kRefused, 0, 0, "ends after"});
  }
  list.push_back({"cut-half.jpg", jpeg.substr(0, jpeg.size() / 2), kRefused, 0, 0, "rows are there"});
  list.push_back({"cut-end-marker.jpg", jpeg.substr(0, jpeg.size() - 2), kRefused, 0, 0, "cut short"});
  list.push_back(
      {"cut-progressive.jpg", progressive.substr(0, progressive.size() / 2), kRefused, 0, 0, "in scan"});
}

void AddDamagedPng(List& list) {
  const std::string png = Png();
  const std::size_t data = png.find("IDAT") + 4;
  list.push_back({"flip-signature.png", Flipped(png, 5), kRefused, 0, 0, "signature"});
  list.push_back({"flip-width.png", Flipped(png, 19), kRefused, 0, 0, "damaged"});
  list.push_back({"flip-pixels.png", Flipped(png, data + 500), kRefused, 0, 0, "damaged"});
  std::string stream = png.substr(data, png.find("IEND") - 8 - data);
  list.push_back({"flip-stream.png", PngOf(kWidth, kHeight, 8, kPngRgb, Flipped(stream, 500)), kRefused, 0, 0,
                  "damaged"});
  list.push_back(
      {"short-stream.png", PngOf(kWidth, kHeight + 9, 8, kPngRgb, stream), kRefused, 0, 0, "damaged"});
  list.push_back(
      {"long-stream.png", PngOf(kWidth, kHeight - 9, 8, kPngRgb, stream), kEither, kHeight - 9, kWidth});
  list.push_back({"depth-3.png", PngOf(kWidth, kHeight, 3, kPngGrey, stream), kRefused, 0, 0, "3 bits"});
  list.push_back({"color-7.png", PngOf(kWidth, kHeight, 8, 7, stream), kRefused, 0, 0, "colour type 7"});
  list.push_back(
      {"interlace-2.png", PngOf(kWidth, kHeight, 8, kPngRgb, stream, 2), kRefused, 0, 0, "interlace"});
  list.push_back({"zero-width.png", PngOf(0, 5, 8, kPngRgb, stream), kRefused, 0, 0, "5x0"});
  list.push_back({"zero-height.png", PngOf(5, 0, 8, kPngRgb, stream), kRefused, 0, 0, "0x5"});
  list.push_back({"no-data.png", PngSignature() + PngHeader(5, 5, 8, kPngRgb) + PngChunk("IEND", ""),
                  kRefused, 0, 0, "damaged"});
  list.push_back({"no-header.png", PngSignature() + PngChunk("IDAT", stream) + PngChunk("IEND", ""), kRefused,
                  0, 0, "IHDR"});
  list.push_back({"no-palette.png", PngOf(5, 5, 8, kPngPalette, Deflate(std::string(30, '\0'))), kRefused, 0,
                  0, "damaged"});
  list.push_back({"index-beyond-palette.png",
                  MakePng({.height = 5, .width = 6, .color = kPngPalette, .palette = {{1, 2, 3}}},
                          [](int, int x, int) { return x * 40; }),
                  kDecodes, 5, 6});
  list.push_back(
      {"filter-9.png", MakePng({.height = 5, .width = 6, .filter = 9}, Smooth), kRefused, 0, 0, "damaged"});
  std::string long_chunk = png;
  list.push_back(
      {"chunk-of-4-gib.png", long_chunk.insert(33, "\xff\xff\xff\xfftEXtx"), kRefused, 0, 0, ".png"});
  list.push_back({"unknown-critical-chunk.png",
                  MakePng({.height = 5, .width = 6, .extra_chunks = PngChunk("ABCD", "x")}, Smooth), kEither,
                  5, 6});
  list.push_back(
      {"two-headers.png",
       MakePng({.height = 5, .width = 6, .extra_chunks = PngHeader(60000, 60000, 8, kPngRgb)}, Smooth),
       kRefused, 0, 0, "damaged"});
  list.push_back({"trailing-junk.png", png + std::string(100000, 'x'), kDecodes, kHeight, kWidth});
}

void AddPngBombs(List& list) {
  const std::string tiny = Deflate(std::string(100, '\0'));
  const auto zeros = [](std::uint64_t width, std::uint64_t height) {
    return PngOf(static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height), 8, kPngRgb,
                 DeflateZeros(height * (width * 3 + 1)));
  };
  list.push_back({"two-billion-a-side.png", PngOf(0x7fffffff, 0x7fffffff, 16, kPngRgba, tiny), kRefused, 0, 0,
                  "a side"});
  list.push_back({"four-billion-a-side.png", PngOf(0xffffffff, 0xffffffff, 8, kPngRgb, tiny), kRefused, 0, 0,
                  "a side"});  // their product is no int64
  list.push_back({"negative-side.png", PngOf(0xffffffff, 3, 8, kPngRgb, tiny), kRefused, 0, 0, "a side"});
  list.push_back({"65500-a-side.png", PngOf(65500, 65500, 8, kPngRgb, tiny), kRefused, 0, 0, "million"});
  list.push_back(
      {"promises-too-much.png", PngOf(9000, 9000, 8, kPngRgb, tiny), kRefused, 0, 0, "cannot fit"});
  list.push_back({"bomb-16384.png", zeros(16384, 16384), kRefused, 0, 0, "million"});
  list.push_back({"bomb-10001.png", zeros(10001, 10001), kRefused, 0, 0, "million"});
  list.push_back({"bomb-interlaced.png", PngOf(12000, 12000, 1, kPngGrey, DeflateZeros(12000 * 1501), 1),
                  kRefused, 0, 0, "million"});
  list.push_back(
      {"too-dense-one-bit.png", PngOf(9500, 9500, 1, kPngGrey, tiny), kRefused, 0, 0, "cannot fit"});
  // As dense as deflate can be, and yet a picture that somebody may have drawn: within the limits it is read.
  list.push_back({"uniform-5000.png", zeros(5000, 5000), kDecodes, 5000, 5000});
  list.push_back({"uniform-9500.png", zeros(9500, 9500), kDecodes, 9500, 9500});
  const std::string text_bomb = std::string("a\0\0", 3) + DeflateZeros(std::uint64_t{1} << 30);
  list.push_back({"text-bomb.png",
                  MakePng({.height = 5, .width = 6, .extra_chunks = PngChunk("zTXt", text_bomb)}, Smooth),
                  kDecodes, 5, 6});
  list.push_back({"profile-bomb.png",
                  MakePng({.height = 5, .width = 6, .extra_chunks = PngChunk("iCCP", text_bomb)}, Smooth),
                  kDecodes, 5, 6});
  std::string texts;
  for (int i = 0; i < 50000; ++i) texts += PngChunk("tEXt", std::string("a\0b", 3));
  list.push_back(
      {"50000-texts.png", MakePng({.height = 5, .width = 6, .extra_chunks = texts}, Smooth), kDecodes, 5, 6});
}

void AddDamagedJpeg(List& list) {
  const std::string jpeg = Jpeg();
  const std::size_t sof = FindMarker(jpeg, 0xc0), sos = FindMarker(jpeg, 0xda),
                    huffman = FindMarker(jpeg, 0xc4), quant = FindMarker(jpeg, 0xdb);
  list.push_back({"flip-scan.jpg", Flipped(jpeg, sos + 200), kEither, kHeight, kWidth});
  list.push_back(
      {"flip-many.jpg", Patched(jpeg, sos + 100, std::string(60, '\xa5')), kEither, kHeight, kWidth});
  list.push_back({"early-end.jpg", Patched(jpeg, sos + 300, "\xff\xd9"), kRefused, 0, 0, "damaged"});
  list.push_back({"zeros-in-scan.jpg", Patched(jpeg, sos + 100, std::string(jpeg.size() - sos - 102, '\0')),
                  kEither, kHeight, kWidth});
  list.push_back({"65535-a-side.jpg", Patched(jpeg, sof + 5, "\xff\xff\xff\xff"), kRefused, 0, 0, "65500"});
  list.push_back(
      {"promises-too-much.jpg", Patched(jpeg, sof + 5, "\x23\x28\x23\x28"), kRefused, 0, 0, "cannot fit"});
  list.push_back({"zero-width.jpg", Patched(jpeg, sof + 7, std::string(2, '\0')), kRefused, 0, 0, "damaged"});
  list.push_back(
      {"height-unknown.jpg", Patched(jpeg, sof + 5, std::string(2, '\0')), kRefused, 0, 0, ".jpg"});
  list.push_back({"12-bit.jpg", Patched(jpeg, sof + 4, "\x0c"), kRefused, 0, 0, "does not read"});
  list.push_back({"lossless.jpg", Patched(jpeg, sof + 1, "\xc3"), kRefused, 0, 0, "does not read"});
  list.push_back(
      {"sampling-zero.jpg", Patched(jpeg, sof + 11, std::string(1, '\0')), kRefused, 0, 0, "damaged"});
  list.push_back({"sampling-15.jpg", Patched(jpeg, sof + 11, "\xff"), kRefused, 0, 0, "damaged"});
  list.push_back({"no-huffman-table.jpg", Patched(jpeg, huffman + 1, "\xfe"), kEither, kHeight, kWidth});
  list.push_back({"no-quantisation.jpg", Patched(jpeg, quant + 1, "\xfe"), kRefused, 0, 0, "damaged"});
  list.push_back(
      {"marker-of-length-0.jpg", Patched(jpeg, quant + 2, std::string(2, '\0')), kRefused, 0, 0, "damaged"});
  list.push_back(
      {"two-frames.jpg", std::string(jpeg).insert(sos, jpeg.substr(sof, 19)), kRefused, 0, 0, "damaged"});
  list.push_back({"no-scan.jpg", jpeg.substr(0, sos) + "\xff\xd9", kRefused, 0, 0, "damaged"});
  list.push_back(
      {"only-markers.jpg", "\xff\xd8" + std::string(1 << 20, '\xff'), kRefused, 0, 0, "ends after"});
  const std::string restarts = MakeJpeg({.height = kHeight, .width = kWidth, .restart_rows = 1}, Texture);
  list.push_back({"restart-lost.jpg", Patched(restarts, FindMarker(restarts, 0xd0), "\xff\xd5"), kRefused, 0,
                  0, "damaged"});
}

void AddOddJpeg(List& list) {
  const std::string progressive = Jpeg(true);
  const std::size_t first = FindMarker(progressive, 0xda);
  std::size_t second = FindMarker(progressive, 0xc4, first + 2);
  if (second == std::string::npos) second = FindMarker(progressive, 0xda, first + 2);
  const std::string scan = progressive.substr(first, second - first);
  std::string bomb = progressive.substr(0, second);
  for (int i = 0; i < 3000; ++i) bomb += scan;
  list.push_back({"scan-bomb.jpg", bomb + progressive.substr(second), kRefused, 0, 0, "scans"});
  const auto with_exif = [](const std::string& body) {
    return MakeJpeg({.height = kHeight, .width = kWidth, .app1 = body}, Smooth);
  };
  list.push_back({"exif-turned.jpg", with_exif(ExifBody(6)), kDecodes, kWidth, kHeight});
  list.push_back({"exif-orientation-9.jpg", with_exif(ExifBody(9)), kDecodes, kHeight, kWidth});
  list.push_back({"exif-offset-beyond.jpg", with_exif(Patched(ExifBody(6), 10, "\xff\xff\xff\xf0")), kDecodes,
                  kHeight, kWidth});
  list.push_back(
      {"exif-65535-entries.jpg", with_exif(Patched(ExifBody(6), 14, "\xff\xff")), kEither, kWidth, kHeight});
  const auto with_chunk = [](std::string chunk) {
    return MakePng(
        {.height = kHeight, .width = kWidth, .depth = 8, .color = kPngRgb, .extra_chunks = std::move(chunk)},
        Smooth);
  };
  list.push_back(
      {"exif-turned.png", with_chunk(PngChunk("eXIf", ExifBody(6).substr(6))), kDecodes, kWidth, kHeight});
  list.push_back({"exif-offset-beyond.png",
                  with_chunk(PngChunk("eXIf", Patched(ExifBody(6), 10, "\xff\xff\xff\xf0").substr(6))),
                  kDecodes, kHeight, kWidth});
  list.push_back({"exif-cut.jpg", with_exif(ExifBody(6).substr(0, 20)), kDecodes, kHeight, kWidth});
  list.push_back(
      {"cmyk.jpg", MakeJpeg({.height = 9, .width = 11, .space = JpegSpace::kCmyk}, Smooth), kDecodes, 9, 11});
  list.push_back(
      {"ycck.jpg", MakeJpeg({.height = 9, .width = 11, .space = JpegSpace::kYcck}, Smooth), kDecodes, 9, 11});
  list.push_back(
      {"arithmetic.jpg", MakeJpeg({.height = 9, .width = 11, .arithmetic = true}, Smooth), kEither, 9, 11});
  // Arithmetic coding has no bound of its own: 300 bytes for 90 million pixels.
  const std::string arithmetic = MakeJpeg({.height = 9, .width = 11, .arithmetic = true}, Smooth);
  list.push_back({"bomb-arithmetic.jpg",
                  Patched(arithmetic, FindMarker(arithmetic, 0xc9) + 5, "\x25\x1c\x25\x1c"), kRefused, 0, 0,
                  "bomb"});
  list.push_back({"one-pixel.jpg", MakeJpeg({.height = 1, .width = 1}, Smooth), kDecodes, 1, 1});
  list.push_back({"one-row.jpg", MakeJpeg({.height = 1, .width = 3000}, Smooth), kDecodes, 1, 3000});
  list.push_back({"one-column.jpg", MakeJpeg({.height = 3000, .width = 1}, Smooth), kDecodes, 3000, 1});
}

void AddOddPng(List& list) {
  list.push_back({"one-pixel.png", Png(1, 1), kDecodes, 1, 1});
  list.push_back({"one-row.png", Png(1, 65500), kDecodes, 1, 65500});
  list.push_back({"one-column.png", Png(65500, 1), kDecodes, 65500, 1});
  list.push_back({"bits-16.png", MakePng({.height = 3, .width = 5, .depth = 16, .color = kPngRgba}, Texture),
                  kDecodes, 3, 5});
  list.push_back({"interlaced-one-bit.png",
                  MakePng({.height = 5, .width = 3, .depth = 1, .color = kPngGrey, .interlaced = true},
                          [](int y, int x, int) { return (y + x) & 1; }),
                  kDecodes, 5, 3});
  list.push_back({"jpeg-inside.png", Jpeg(), kDecodes, kHeight, kWidth});
  list.push_back({"png-inside.jpg", Png(), kDecodes, kHeight, kWidth});
  list.push_back({"line\nbreak.png", "not a picture", kRefused, 0, 0, "neither"});
}

void AddOthers(List& list) {
  const auto other = [&](const std::string& name, const std::string& bytes, const std::string& says) {
    list.push_back({name, bytes + std::string(64, '\0'), kRefused, 0, 0, says});
  };
  other("gif.png", "GIF89a", "GIF");
  other("webp.jpg", std::string("RIFF\x20\0\0\0WEBPVP8 ", 16), "WebP");
  other("bmp.png", std::string("BM\x46\0\0\0", 6), "BMP");
  other("tiff.png", std::string("II*\0\x08\0\0\0", 8), "TIFF");
  other("heic.jpg",
        std::string("\0\0\0\x18"
                    "ftypheic",
                    12),
        "HEIC");
  other("pnm.png", "P6\n3 3\n255\n", "PNM");
  other("ico.png", std::string("\0\0\1\0\1\0", 6), "ICO");
  other("pdf.png", "%PDF-1.7\n", "PDF");
  other("zip.jpg", "PK\3\4", "ZIP");
  other("page.jpg", "<!DOCTYPE html>", "web page");
  other("text.png", "hello", "neither");
  other("lfs.png", "version https://git-lfs.github.com/spec/v1\n", "Git LFS");
  list.push_back({"folder.png", "", kRefused, 0, 0, "folder", kFolder});
  list.push_back({"dangling.png", "nowhere.png", kRefused, 0, 0, "link", kLink});
  list.push_back({"loop.png", "loop.png", kRefused, 0, 0, "loop.png", kLink});
  list.push_back({"endless.png", "/dev/zero", kRefused, 0, 0, "device", kLink});
  list.push_back({"pipe.png", "", kRefused, 0, 0, "pipe", kPipe});
  list.push_back({"five-gib.png", Png(), kRefused, 0, 0, "bytes", kSparse});
}

}  // namespace

std::vector<HostileImage> HostileImages() {
  List list;
  AddCut(list);
  AddDamagedPng(list);
  AddPngBombs(list);
  AddDamagedJpeg(list);
  AddOddJpeg(list);
  AddOddPng(list);
  AddOthers(list);
  return list;
}

std::string Place(const HostileImage& image, const std::string& folder) {
  namespace fs = std::filesystem;
  const fs::path path = fs::path(folder) / image.name;
  switch (image.kind) {
    case HostileImage::kFolder:
      fs::create_directory(path);
      break;
    case HostileImage::kLink:
      fs::create_symlink(image.bytes, path);
      break;
    case HostileImage::kPipe:
      if (::mkfifo(path.c_str(), 0600) != 0) throw std::runtime_error("mkfifo " + path.string());
      break;
    default:
      std::ofstream(path, std::ios::binary) << image.bytes;
  }
  if (image.kind == HostileImage::kSparse) fs::resize_file(path, std::uintmax_t{5} << 30);
  return path.string();
}

}  // namespace frf::test
