// SPDX-License-Identifier: Apache-2.0
// Which decoder gets which file, and what is refused before any decoder sees it.
// Subtle: the kind is judged by content, from the first bytes, before the file is read whole; so a film or a
// disk image named .png costs 64 bytes and a line.
#include "image/image_io.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <new>
#include <set>

#include "base/files.h"
#include "base/named.h"
#include "base/plural.h"
#include "base/system.h"
#include "base/text.h"
#include "frf/error.h"
#include "image/codec.h"
#include "image/out_of_memory.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

// What bounds a bomb is ImageLimits: pixels, and bytes held at once. How densely it is packed says nothing,
// since a mask of one class is as dense as its format allows. Only where the format sets no bound at all
// (arithmetic JPEG) must a picture above kBombPixels bring a byte for every kBombRatio pixels.
constexpr std::int64_t kBombPixels = std::int64_t{1} << 26;
constexpr std::uint64_t kBombRatio = 256;
constexpr std::size_t kSniffBytes = 64;

struct Magic {
  std::size_t offset;
  std::string_view bytes;
  const char* name;
};

using namespace std::string_view_literals;

constexpr Magic kOthers[] = {
    {0, "GIF8"sv, "a GIF"},
    {8, "WEBP"sv, "a WebP"},
    {0, "II*\0"sv, "a TIFF"},
    {0, "MM\0*"sv, "a TIFF"},
    {0, "II+\0"sv, "a BigTIFF"},
    {0, "MM\0+"sv, "a BigTIFF"},
    {4, "ftypavif"sv, "an AVIF"},
    {4, "ftypheic"sv, "a HEIC"},
    {4, "ftypheix"sv, "a HEIC"},
    {4, "ftyphevc"sv, "a HEIC"},
    {4, "ftypmif1"sv, "a HEIF"},
    {4, "ftypmsf1"sv, "a HEIF"},
    {4, "ftyp"sv, "an MP4 video"},
    {8, "AVI "sv, "an AVI video"},
    {0, "\x1a\x45\xdf\xa3"sv, "a Matroska video"},
    {0, "\0\0\0\x0cjP  "sv, "a JPEG 2000"},
    {0, "\xff\x4f\xff\x51"sv, "a JPEG 2000"},
    {0, "\0\0\0\x0cJXL "sv, "a JPEG XL"},
    {0, "\xff\x0a"sv, "a JPEG XL"},
    {0, "\0\0\1\0"sv, "an ICO"},
    {0, "8BPS"sv, "a Photoshop file"},
    {0, "%PDF"sv, "a PDF"},
    {0, "%!PS"sv, "a PostScript file"},
    {0, "<svg"sv, "an SVG"},
    {0, "<?xml"sv, "an XML or SVG file"},
    {0, "<!DOCTYPE"sv, "a web page"},
    {0, "<html"sv, "a web page"},
    {0, "\x76\x2f\x31\x01"sv, "an OpenEXR"},
    {0, "#?RADIANCE"sv, "a Radiance HDR"},
    {0, "\x93NUMPY"sv, "a NumPy array"},
    {0, "\x8aMNG"sv, "an MNG"},
    {0, "\x8bJNG"sv, "a JNG"},
    {0, "DDS "sv, "a DDS texture"},
    {0, "qoif"sv, "a QOI"},
    {0, "PK\3\4"sv, "a ZIP archive"},
    {0, "\x1f\x8b"sv, "a gzip archive"},
    {0,
     "\x7f"
     "ELF"sv,
     "a program"},
    {0, "BM"sv, "a BMP"},
};

bool IsPng(std::string_view head) { return head.starts_with("\x89PNG"sv); }
bool IsJpeg(std::string_view head) { return head.starts_with("\xff\xd8\xff"sv); }

std::string FirstBytes(std::string_view head) {
  const std::string_view few = head.substr(0, 4);
  if (std::all_of(few.begin(), few.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f; })) {
    return fmt::format("it starts with \"{}\"", few);
  }
  std::string text = "it starts with bytes";
  for (const unsigned char c : few) text += fmt::format(" {:02x}", c);
  return text;
}

[[noreturn]] void ThrowOtherFormat(std::string_view head, const std::string& name) {
  if (head.empty()) throw Error(ErrorCode::kCorruptFile, name + ": the file is empty");
  if (head.starts_with("version https://git-lfs")) {
    throw Error(ErrorCode::kUnsupported,
                name + ": is a Git LFS pointer, not the picture; fetch it with `git lfs pull`");
  }
  for (const Magic& magic : kOthers) {
    if (head.size() >= magic.offset && head.substr(magic.offset).starts_with(magic.bytes)) {
      if (std::string_view(magic.name).ends_with(" video")) {
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("{}: is {}, a PNG or JPEG file is wanted; frf segment takes videos, which it "
                                "knows by their ending: mp4, mov, mkv, webm, avi",
                                name, magic.name));
      }
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{}: is {}; frf reads PNG and JPEG, convert it first", name, magic.name));
    }
  }
  if (head.size() > 2 && head[0] == 'P' &&
      ((head[1] >= '1' && head[1] <= '7') || head[1] == 'F' || head[1] == 'f') &&
      std::isspace(static_cast<unsigned char>(head[2])) != 0) {
    throw Error(ErrorCode::kUnsupported,
                name + ": is a PNM (PBM, PGM, PPM); frf reads PNG and JPEG, convert it first");
  }
  if (std::string_view("\x89PNG").starts_with(head) || "\xff\xd8\xff"sv.starts_with(head)) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: ends after {} bytes, inside its signature; was the copy cut short?", name,
                            head.size()));
  }
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}: is neither PNG nor JPEG ({})", name, FirstBytes(head)));
}

// Only regular files: a pipe may never end and a device such as /dev/zero has no end.
void CheckRegular(const std::string& path) {
  std::error_code code;
  const fs::file_status status = fs::status(path, code);
  const std::string name = PrintableName(path);
  switch (status.type()) {
    case fs::file_type::regular:
      return;
    case fs::file_type::not_found:
      if (path == "-")
        throw Error(ErrorCode::kUnsupported,
                    "-: reading from a pipe is not supported; name a PNG or JPEG file");
      throw Error(ErrorCode::kNotFound, name + (fs::is_symlink(fs::symlink_status(path, code))
                                                    ? ": is a link to a file that does not exist"
                                                    : ": no such file"));
    case fs::file_type::directory:
      throw Error(ErrorCode::kInvalidArgument, name + ": is a folder, a PNG or JPEG file is wanted");
    case fs::file_type::none:
    case fs::file_type::unknown:
      throw Error(ErrorCode::kIo, fmt::format("{}: cannot look at it: {}", name, code.message()));
    default:
      throw Error(ErrorCode::kUnsupported, name + ": is a device or pipe, a PNG or JPEG file is wanted");
  }
}

std::string ReadHead(const std::string& path, std::size_t count) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::kIo, PrintableName(path) + ": cannot open it; is it yours to read?");
  std::string head(count, '\0');
  file.read(head.data(), static_cast<std::streamsize>(count));
  head.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return head;
}

std::string ReadImageFile(const std::string& path, const ImageLimits& limits) {
  CheckRegular(path);
  const std::string head = ReadHead(path, kSniffBytes);
  if (!IsPng(head) && !IsJpeg(head)) ThrowOtherFormat(head, PrintableName(path));
  return ReadFile(path, limits.max_decode_bytes);
}

std::string Ending(const std::string& path) { return Lower(fs::path(path).extension().string()); }

}  // namespace

void CheckDecodeCost(const DecodeCost& cost, const char* format, const std::string& name,
                     const ImageLimits& limits) {
  const std::string size = fmt::format("{} of {}x{} pixels", format, cost.height, cost.width);
  if (cost.width > limits.max_side || cost.height > limits.max_side) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: {}, at most {} a side are read", name, size, limits.max_side));
  }
  const std::int64_t pixels = cost.height * cost.width;  // behind the check of sides, so it fits
  if (pixels > limits.max_pixels) {
    throw Error(ErrorCode::kOutOfMemory, fmt::format("{}: {}, at most {} million in all are read", name, size,
                                                     limits.max_pixels / 1'000'000));
  }
  const std::uint64_t count = static_cast<std::uint64_t>(pixels);
  if (cost.pixels_per_byte > 0 && count / cost.pixels_per_byte > cost.compressed) {
    throw Error(
        ErrorCode::kCorruptFile,
        fmt::format("{}: {} cannot fit into {} bytes; is the header damaged?", name, size, cost.compressed));
  }
  if (cost.pixels_per_byte == 0 && pixels > kBombPixels && cost.compressed > 0 &&
      count / kBombRatio > cost.compressed) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: {} from {} bytes, over {} a byte: looks like a decompression bomb", name,
                            size, cost.compressed, kBombRatio));
  }
  if (cost.bytes > limits.max_decode_bytes) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: {} needs {} to decode, at most {} are taken", name, size,
                            FormatBytes(cost.bytes), FormatBytes(limits.max_decode_bytes)));
  }
}

void AllocatePixels(std::vector<std::uint8_t>& pixels, std::uint64_t count, const std::string& name) {
  try {
    pixels.resize(count);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: no memory for {} of pixels", name, FormatBytes(count)));
  }
}

Image DecodeImage(std::string_view bytes, const std::string& name, const ImageLimits& limits) {
  const std::string label = PrintableName(name);
  if (IsPng(bytes)) return DecodePng(bytes, label, limits);
  if (IsJpeg(bytes)) return DecodeJpeg(bytes, label, limits);
  ThrowOtherFormat(bytes.substr(0, kSniffBytes), label);
}

Image ReadImage(const std::string& path, const ImageLimits& limits) {
  return DecodeImage(ReadImageFile(path, limits), path, limits);
}

LabelImage DecodeLabels(const std::string& bytes, const std::string& name, const ImageLimits& limits) {
  const std::string label = PrintableName(name);
  if (IsPng(bytes)) return DecodePngLabels(bytes, label, limits);
  if (IsJpeg(bytes)) {
    throw Error(ErrorCode::kUnsupported, label + ": labels must be PNG: JPEG changes the ids it stores");
  }
  ThrowOtherFormat(std::string_view(bytes).substr(0, kSniffBytes), label);
}

LabelImage ReadLabels(const std::string& path, const ImageLimits& limits) {
  return DecodeLabels(ReadImageFile(path, limits), path, limits);
}

namespace {

PictureHeader ReadPictureHeader(const std::string& path) {
  CheckRegular(path);
  const std::string name = PrintableName(path);
  // JPEG headers carry thumbnails and colour profiles of any size, PNG may name its orientation behind its
  // pixels: more is read until the size is known.
  for (std::size_t count = std::size_t{1} << 16;; count *= 8) {
    const std::string head = ReadHead(path, count);
    const bool whole = head.size() < count || count > (std::size_t{1} << 28);
    const bool png = IsPng(head);
    if (!png && !IsJpeg(head)) ThrowOtherFormat(std::string_view(head).substr(0, kSniffBytes), name);
    if (const auto header = png ? PngPictureHeader(head, whole, name) : JpegPictureHeader(head, name))
      return *header;
    if (whole) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: JPEG ends after {} bytes, inside its header; was the copy cut short?",
                              name, head.size()));
    }
  }
}

}  // namespace

std::pair<int, int> ReadImageSize(const std::string& path) {
  const PictureHeader header = ReadPictureHeader(path);
  return {header.height, header.width};
}

int ReadOrientation(const std::string& path) { return ReadPictureHeader(path).orientation; }

void WritePng(const std::string& path, const Image& image) {
  OrOutOfMemory([&] { WriteFileAtomically(path, Named(path, [&] { return EncodePng(image); })); }, path);
}

void WriteJpeg(const std::string& path, const Image& image, int quality) {
  WriteFileAtomically(path, Named(path, [&] { return EncodeJpeg(image, quality); }));
}

void WriteLabels(const std::string& path, const LabelImage& labels, const std::vector<Color>* palette) {
  WriteFileAtomically(path, Named(path, [&] { return EncodeLabels(labels, palette); }));
}

void WriteImage(const std::string& path, const Image& image) {
  const std::string ending = Ending(path);
  if (ending == ".png") return WritePng(path, image);
  if (ending == ".jpg" || ending == ".jpeg") return WriteJpeg(path, image);
  throw Error(ErrorCode::kInvalidArgument,
              PrintableName(path) +
                  ": pictures are written as .png, .jpg or .jpeg; which one is told by the name's ending");
}

bool LooksLikeImageFile(const std::string& path) {
  const std::string ending = Ending(path);
  return ending == ".png" || ending == ".jpg" || ending == ".jpeg";
}

const std::vector<std::string>& OtherPictureEndings() {
  static const std::vector<std::string> endings{".avif", ".bmp", ".exr", ".gif", ".heic", ".heif", ".jp2",
                                                ".jxl",  ".pgm", ".ppm", ".tga", ".tif",  ".tiff", ".webp"};
  return endings;
}

bool LooksLikeOtherPicture(const std::string& path) {
  const std::vector<std::string>& others = OtherPictureEndings();
  return std::find(others.begin(), others.end(), Ending(path)) != others.end();
}

std::string OtherFormatsLeftOut(const std::vector<std::string>& files) {
  if (files.empty()) return "";
  std::set<std::string> formats;
  for (const std::string& file : files) formats.insert(Ending(file).substr(1));
  return fmt::format("{} of other formats left out ({}): frf reads PNG and JPEG",
                     Counted(files.size(), "file"), fmt::join(formats, ", "));
}

}  // namespace frf
