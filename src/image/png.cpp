// SPDX-License-Identifier: Apache-2.0
// PNG through libpng: every colour type and bit depth, interlaced or not, to 8-bit RGB or to label ids;
// png_write.cpp writes. Subtle: ancillary chunks (text, colour profiles, gamma) are never parsed, so they can
// neither change a value nor serve as decompression bombs, except eXIf, whose orientation is looked up here,
// apart from libpng; and setjmp is used as codec.h says.
#include <fmt/format.h>
#include <png.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "frf/error.h"
#include "image/codec.h"

namespace frf {
namespace {

constexpr unsigned char kSignature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
constexpr std::size_t kHeaderBytes = 8 + 4 + 4 + 13;  // signature, length, "IHDR", its body
// Deflate's best is 1032:1 (a match of 258 bytes in two bits).
constexpr std::uint64_t kDeflateRatio = 1032;

struct PngHeader {
  std::uint32_t width = 0, height = 0;
  int depth = 0, color = 0;
  bool interlaced = false;

  int bits_per_pixel() const {
    const int channels = color == PNG_COLOR_TYPE_RGB          ? 3
                         : color == PNG_COLOR_TYPE_RGB_ALPHA  ? 4
                         : color == PNG_COLOR_TYPE_GRAY_ALPHA ? 2
                                                              : 1;
    return channels * depth;
  }
};

std::uint32_t BigEndian32(const char* p) {
  const auto* u = reinterpret_cast<const unsigned char*>(p);
  return std::uint32_t{u[0]} << 24 | std::uint32_t{u[1]} << 16 | std::uint32_t{u[2]} << 8 | u[3];
}

[[noreturn]] void Corrupt(const std::string& name, const std::string& what) {
  throw Error(ErrorCode::kCorruptFile, name + ": " + what);
}

PngHeader ParseHeader(std::string_view bytes, const std::string& name) {
  if (bytes.size() < sizeof(kSignature) || std::memcmp(bytes.data(), kSignature, sizeof(kSignature)) != 0) {
    if (bytes.size() < sizeof(kSignature)) {
      Corrupt(name, fmt::format("PNG ends after {} bytes, inside its signature; was the copy cut short?",
                                bytes.size()));
    }
    Corrupt(name, "PNG signature is damaged; was the file copied in text mode?");
  }
  if (bytes.size() < kHeaderBytes) {
    Corrupt(name,
            fmt::format("PNG ends after {} bytes, inside its header; was the copy cut short?", bytes.size()));
  }
  if (bytes.compare(12, 4, "IHDR") != 0 || BigEndian32(bytes.data() + 8) != 13) {
    Corrupt(name, "PNG does not begin with an IHDR chunk of 13 bytes");
  }
  PngHeader header;
  header.width = BigEndian32(bytes.data() + 16);
  header.height = BigEndian32(bytes.data() + 20);
  header.depth = static_cast<unsigned char>(bytes[24]);
  header.color = static_cast<unsigned char>(bytes[25]);
  header.interlaced = bytes[28] != 0;
  const bool depth_fits = header.color == PNG_COLOR_TYPE_GRAY      ? header.depth <= 16
                          : header.color == PNG_COLOR_TYPE_PALETTE ? header.depth <= 8
                                                                   : header.depth == 8 || header.depth == 16;
  const bool known_color =
      header.color == 0 || header.color == 2 || header.color == 3 || header.color == 4 || header.color == 6;
  const bool power_of_two = header.depth >= 1 && (header.depth & (header.depth - 1)) == 0;
  if (!known_color || !power_of_two || !depth_fits) {
    Corrupt(name, fmt::format("PNG header names colour type {} with {} bits, which does not exist",
                              header.color, header.depth));
  }
  if (bytes[26] != 0 || bytes[27] != 0 || static_cast<unsigned char>(bytes[28]) > 1) {
    Corrupt(name, "PNG header names an unknown compression, filter or interlace method");
  }
  if (header.width == 0 || header.height == 0) {
    Corrupt(name, fmt::format("PNG header says {}x{} pixels", header.height, header.width));
  }
  return header;
}

struct PngReader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  const char* data = nullptr;
  std::size_t size = 0, offset = 0;
  bool truncated = false;
  png_uint_32 row = 0;
  int pass = 0, passes = 1;
  char message[160] = {};

  ~PngReader() {
    if (png != nullptr) png_destroy_read_struct(&png, &info, nullptr);
  }
};

void OnReadError(png_structp png, png_const_charp message) {
  auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
  std::snprintf(reader->message, sizeof(reader->message), "%s", message);
  png_longjmp(png, 1);
}

void OnWarning(png_structp, png_const_charp) {}  // an ancillary chunk out of order does not change a pixel

void OnRead(png_structp png, png_bytep out, png_size_t count) {
  auto* reader = static_cast<PngReader*>(png_get_io_ptr(png));
  if (count > reader->size - reader->offset) {
    reader->truncated = true;
    png_error(png, "ends too early");
  }
  std::memcpy(out, reader->data + reader->offset, count);
  reader->offset += count;
}

bool Open(PngReader& reader, std::string_view bytes) {
  reader.data = bytes.data();
  reader.size = bytes.size();
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, OnReadError, OnWarning);
  if (reader.png == nullptr) return false;
  reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) return false;
  png_set_read_fn(reader.png, &reader, OnRead);
  png_set_user_limits(reader.png, 0x7fffffff, 0x7fffffff);  // CheckDecodeCost has judged the size
  // In a small file smaller pieces are read, so that a cut one tells how many rows came before the cut.
  png_set_compression_buffer_size(reader.png, std::clamp<std::size_t>(bytes.size() / 32, 64, 8192));
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  return true;
}

// Reads up to the pixels and asks for 8-bit RGB, or for the stored values (`raw`: indices, 16 bits as they
// are).
bool Start(PngReader& reader, bool raw) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_info(reader.png, reader.info);
  if (raw) {
    png_set_packing(reader.png);
  } else {
    png_set_scale_16(reader.png);
    png_set_palette_to_rgb(reader.png);
    png_set_expand_gray_1_2_4_to_8(reader.png);
    png_set_gray_to_rgb(reader.png);
    png_set_strip_alpha(reader.png);
  }
  reader.passes = png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool ReadRows(PngReader& reader, png_bytep pixels, std::size_t row_bytes, png_uint_32 height) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  for (reader.pass = 0; reader.pass < reader.passes; ++reader.pass) {
    for (reader.row = 0; reader.row < height; ++reader.row) {
      png_read_row(reader.png, pixels + reader.row * row_bytes, nullptr);
    }
  }
  png_read_end(reader.png, nullptr);
  return true;
}

[[noreturn]] void ThrowReadError(const PngReader& reader, const PngHeader& header, const std::string& name) {
  if (reader.png == nullptr || reader.info == nullptr) {
    throw Error(ErrorCode::kOutOfMemory, name + ": no memory for libpng's tables");
  }
  if (reader.truncated) {
    const std::string there = reader.pass >= reader.passes ? "its end marker is missing"
                              : reader.passes > 1
                                  ? fmt::format("in pass {} of {}", reader.pass + 1, reader.passes)
                                  : fmt::format("{} of its {} rows are there", reader.row, header.height);
    Corrupt(name, fmt::format("PNG of {}x{} ends after {} bytes, {}; was the copy cut short?", header.height,
                              header.width, reader.size, there));
  }
  Corrupt(name, fmt::format("PNG of {}x{} is damaged: {}", header.height, header.width, reader.message));
}

// The orientation that a whole eXIf chunk names, before the pixels or behind them: 1 where there is none,
// empty where the bytes end before it is known. A chunk with a wrong checksum says nothing, as with libpng.
std::optional<int> PngOrientation(std::string_view bytes) {
  std::size_t at = sizeof(kSignature);
  while (bytes.size() - at >= 12) {
    const std::uint32_t length = BigEndian32(bytes.data() + at);
    const std::string_view type = bytes.substr(at + 4, 4);
    if (type == "IEND") return 1;
    if (length > bytes.size() - at - 12) return std::nullopt;
    if (type == "eXIf") {
      const auto* checked = reinterpret_cast<const Bytef*>(bytes.data() + at + 4);
      if (crc32(0, checked, length + 4) == BigEndian32(bytes.data() + at + 8 + length)) {
        return TiffOrientation(bytes.substr(at + 8, length));
      }
    }
    at += std::size_t{12} + length;
  }
  return std::nullopt;
}

std::uint64_t MaxPixelsPerByte(const PngHeader& header) {
  return kDeflateRatio * 8 / static_cast<std::uint64_t>(header.bits_per_pixel());
}

// Decodes into `pixels`, `pixel_bytes` bytes a pixel.
void Decode(std::string_view bytes, const PngHeader& header, const std::string& name, bool raw,
            int pixel_bytes, std::vector<std::uint8_t>& pixels) {
  PngReader reader;
  if (!Open(reader, bytes) || !Start(reader, raw)) ThrowReadError(reader, header, name);
  const std::size_t row_bytes = static_cast<std::size_t>(header.width) * pixel_bytes;
  if (png_get_rowbytes(reader.png, reader.info) != row_bytes) {
    throw Error(ErrorCode::kInternal, fmt::format("{}: libpng gives rows of {} bytes, {} are wanted", name,
                                                  png_get_rowbytes(reader.png, reader.info), row_bytes));
  }
  AllocatePixels(pixels, std::uint64_t{header.height} * row_bytes, name);
  if (!ReadRows(reader, pixels.data(), row_bytes, header.height)) ThrowReadError(reader, header, name);
}

// Ids that a tool stored as RGB or with alpha: the same value in all three channels.
LabelImage EqualChannels(const Image& image, const std::string& name) {
  LabelImage labels{.height = image.height, .width = image.width};
  AllocatePixels(labels.ids, image.bytes() / 3, name);
  for (std::size_t i = 0; i < labels.ids.size(); ++i) {
    const std::uint8_t* p = &image.pixels[3 * i];
    if (p[0] != p[1] || p[0] != p[2]) {
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("{}: labels must be class ids, and this PNG stores colours: ({}, {}, {}) at row {}, "
                      "column {}; give classes.json a \"palette\" to read them by, or make ids of them by "
                      "`frf data convert --from colors`",
                      name, p[0], p[1], p[2], i / static_cast<std::size_t>(image.width),
                      i % static_cast<std::size_t>(image.width)));
    }
    labels.ids[i] = p[0];
  }
  return labels;
}

}  // namespace

std::optional<PictureHeader> PngPictureHeader(std::string_view head, bool whole, const std::string& name) {
  const PngHeader header = ParseHeader(head, name);
  CheckDecodeCost({.height = header.height, .width = header.width}, "PNG", name, {});
  const int height = static_cast<int>(header.height), width = static_cast<int>(header.width);
  const std::optional<int> orientation = PngOrientation(head);
  if (!orientation && !whole) return std::nullopt;
  return Held(height, width, orientation.value_or(1));
}

Image DecodePng(std::string_view bytes, const std::string& name, const ImageLimits& limits) {
  const PngHeader header = ParseHeader(bytes, name);
  const int orientation = PngOrientation(bytes).value_or(1);
  CheckDecodeCost(
      {.height = header.height,
       .width = header.width,
       .bytes = std::uint64_t{header.height} * header.width * (orientation == 1 ? 3 : 6) + bytes.size(),
       .compressed = bytes.size(),
       .pixels_per_byte = MaxPixelsPerByte(header)},
      "PNG", name, limits);
  Image image{
      .height = static_cast<int>(header.height), .width = static_cast<int>(header.width), .channels = 3};
  Decode(bytes, header, name, /*raw=*/false, 3, image.pixels);
  return ApplyOrientation(std::move(image), orientation);
}

LabelImage DecodePngLabels(std::string_view bytes, const std::string& name, const ImageLimits& limits) {
  const PngHeader header = ParseHeader(bytes, name);
  const bool one_channel = header.color == PNG_COLOR_TYPE_GRAY || header.color == PNG_COLOR_TYPE_PALETTE;
  if (!one_channel && header.depth == 16) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("{}: labels must be class ids in a grey or palette PNG, this one stores {} of 16 bits; "
                    "save it as 8-bit grey",
                    name, header.color == PNG_COLOR_TYPE_GRAY_ALPHA ? "grey with alpha" : "RGB"));
  }
  if (const int orientation = PngOrientation(bytes).value_or(1); orientation != 1) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{}: labels are read as they are stored, and this PNG "
                                                     "says by EXIF orientation {} that it is to be "
                                                     "turned; store it upright without EXIF",
                                                     name, orientation));
  }
  if (!one_channel) return EqualChannels(DecodePng(bytes, name, limits), name);
  const int pixel_bytes = header.depth == 16 ? 2 : 1;
  const std::uint64_t pixels = std::uint64_t{header.height} * header.width;
  CheckDecodeCost({.height = header.height,
                   .width = header.width,
                   .bytes = pixels * (pixel_bytes == 2 ? 3 : 1) + bytes.size(),
                   .compressed = bytes.size(),
                   .pixels_per_byte = MaxPixelsPerByte(header)},
                  "PNG", name, limits);
  LabelImage labels{.height = static_cast<int>(header.height), .width = static_cast<int>(header.width)};
  if (pixel_bytes == 1) {
    Decode(bytes, header, name, /*raw=*/true, 1, labels.ids);
    return labels;
  }
  std::vector<std::uint8_t> wide;
  Decode(bytes, header, name, /*raw=*/true, 2, wide);
  AllocatePixels(labels.ids, pixels, name);
  for (std::size_t i = 0; i < labels.ids.size(); ++i) {
    if (wide[2 * i] != 0) {
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("{}: label {} at row {}, column {}: ids above 255 do not fit; is this an instance map?",
                      name, wide[2 * i] * 256 + wide[2 * i + 1], i / header.width, i % header.width));
    }
    labels.ids[i] = wide[2 * i + 1];
  }
  return labels;
}

}  // namespace frf
