// SPDX-License-Identifier: Apache-2.0
// See make_image.h.
#include "support/make_image.h"

#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

extern "C" {
#include <jpeglib.h>
}

namespace frf::test {
namespace {

int ChannelsOf(int color) {
  return color == kPngRgb ? 3 : color == kPngRgba ? 4 : color == kPngGreyAlpha ? 2 : 1;
}

// One filtered row of samples from column x0 on, in steps of dx.
void AppendRow(const PngSpec& spec, const Sample& sample, int y, int x0, int dx, std::string& raw) {
  raw += static_cast<char>(spec.filter);
  unsigned buffer = 0;
  int bits = 0;
  for (int x = x0; x < spec.width; x += dx) {
    for (int c = 0; c < ChannelsOf(spec.color); ++c) {
      buffer = buffer << spec.depth | static_cast<unsigned>(sample(y, x, c));
      for (bits += spec.depth; bits >= 8; bits -= 8) raw += static_cast<char>(buffer >> (bits - 8) & 0xff);
    }
  }
  if (bits > 0) raw += static_cast<char>(buffer << (8 - bits) & 0xff);
}

std::string RawRows(const PngSpec& spec, const Sample& sample) {
  std::string raw;
  if (!spec.interlaced) {
    for (int y = 0; y < spec.height; ++y) AppendRow(spec, sample, y, 0, 1, raw);
    return raw;
  }
  constexpr int kAdam7[7][4] = {{0, 0, 8, 8}, {0, 4, 8, 8}, {4, 0, 8, 4}, {0, 2, 4, 4},
                                {2, 0, 4, 2}, {0, 1, 2, 2}, {1, 0, 2, 1}};  // y0, x0, dy, dx
  for (const auto& pass : kAdam7) {
    if (pass[1] >= spec.width) continue;
    for (int y = pass[0]; y < spec.height; y += pass[2]) AppendRow(spec, sample, y, pass[1], pass[3], raw);
  }
  return raw;
}

std::string RawDeflate(std::string_view bytes, int flush) {
  z_stream stream{};
  if (deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, flush);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

void PutBigEndian(std::string& out, std::uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

std::string PngSignature() { return "\x89PNG\r\n\x1a\n"; }

std::string PngChunk(const std::string& type, std::string_view body) {
  std::string chunk;
  PutBigEndian(chunk, body.size(), 4);
  chunk += type;
  chunk += body;
  PutBigEndian(
      chunk, crc32(0, reinterpret_cast<const Bytef*>(chunk.data()) + 4, static_cast<uInt>(chunk.size() - 4)),
      4);
  return chunk;
}

std::string PngHeader(std::uint32_t width, std::uint32_t height, int depth, int color, int interlace) {
  std::string body;
  PutBigEndian(body, width, 4);
  PutBigEndian(body, height, 4);
  body += static_cast<char>(depth);
  body += static_cast<char>(color);
  body += std::string(2, '\0');
  body += static_cast<char>(interlace);
  return PngChunk("IHDR", body);
}

std::string Deflate(std::string_view bytes) {
  std::string out = "\x78\xda" + RawDeflate(bytes, Z_FINISH);
  PutBigEndian(out, adler32(1, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())),
               4);
  return out;
}

std::string DeflateZeros(std::uint64_t count) {
  constexpr std::uint64_t kPiece = 1 << 20;
  const std::string zeros(kPiece, '\0');
  const std::string piece =
      RawDeflate(zeros, Z_FULL_FLUSH);  // may be repeated: it refers to nothing before it
  std::string out = "\x78\xda";
  for (std::uint64_t i = 0; i < count / kPiece; ++i) out += piece;
  out += RawDeflate(std::string_view(zeros).substr(0, count % kPiece), Z_FINISH);
  PutBigEndian(out, count % 65521 << 16 | 1, 4);  // Adler-32 of zeros: a = 1, b = count
  return out;
}

std::string MakePng(const PngSpec& spec, const Sample& sample) {
  std::string png = PngSignature() + PngHeader(static_cast<std::uint32_t>(spec.width),
                                               static_cast<std::uint32_t>(spec.height), spec.depth,
                                               spec.color, spec.interlaced ? 1 : 0);
  if (!spec.palette.empty()) {
    std::string body;
    for (const Color& color : spec.palette) body.append(color.begin(), color.end());
    png += PngChunk("PLTE", body);
  }
  if (!spec.transparent.empty()) png += PngChunk("tRNS", spec.transparent);
  png += spec.extra_chunks;
  return png + PngChunk("IDAT", Deflate(RawRows(spec, sample))) + PngChunk("IEND", "");
}

std::string MakeJpeg(const JpegSpec& spec, const Sample& sample) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  const bool inks = spec.space == JpegSpace::kCmyk || spec.space == JpegSpace::kYcck;
  info.image_width = static_cast<JDIMENSION>(spec.width);
  info.image_height = static_cast<JDIMENSION>(spec.height);
  info.input_components = inks ? 4 : spec.space == JpegSpace::kGrey ? 1 : 3;
  info.in_color_space = inks ? JCS_CMYK : spec.space == JpegSpace::kGrey ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  const J_COLOR_SPACE stored[] = {JCS_GRAYSCALE, JCS_YCbCr, JCS_RGB, JCS_CMYK, JCS_YCCK};
  jpeg_set_colorspace(&info, stored[static_cast<int>(spec.space)]);
  jpeg_set_quality(&info, spec.quality, TRUE);
  for (int i = 0; i < info.num_components; ++i)
    info.comp_info[i].h_samp_factor = info.comp_info[i].v_samp_factor = 1;
  info.restart_in_rows = spec.restart_rows;
  info.arith_code = spec.arithmetic ? TRUE : FALSE;
  if (spec.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  if (!spec.app1.empty()) {
    jpeg_write_marker(&info, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(spec.app1.data()),
                      static_cast<unsigned>(spec.app1.size()));
  }
  std::vector<JSAMPLE> row(static_cast<std::size_t>(spec.width) *
                           static_cast<std::size_t>(info.input_components));
  for (int y = 0; y < spec.height; ++y) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const int channels = info.input_components;
      row[i] =
          static_cast<JSAMPLE>(sample(y, static_cast<int>(i) / channels, static_cast<int>(i) % channels));
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&info, &pointer, 1);
  }
  jpeg_finish_compress(&info);
  std::string jpeg(reinterpret_cast<const char*>(buffer), size);
  jpeg_destroy_compress(&info);
  std::free(buffer);
  return jpeg;
}

std::string ExifBody(int orientation, bool big_endian) {
  std::string body("Exif\0\0", 6);
  const auto put = [&](unsigned value, int bytes) {
    for (int i = 0; i < bytes; ++i)
      body += static_cast<char>(value >> 8 * (big_endian ? bytes - 1 - i : i) & 0xff);
  };
  body += big_endian ? "MM" : "II";
  put(42, 2), put(8, 4);                              // first directory at 8
  put(2, 2);                                          // two entries
  put(0x0100, 2), put(4, 2), put(1, 4), put(640, 4);  // ImageWidth, to be passed over
  put(0x0112, 2), put(3, 2), put(1, 4), put(static_cast<unsigned>(orientation), 2), put(0, 2);
  put(0, 4);
  return body;
}

std::size_t FindMarker(const std::string& jpeg, int code, std::size_t from) {
  for (std::size_t i = from; i + 1 < jpeg.size(); ++i) {
    if (static_cast<unsigned char>(jpeg[i]) == 0xff && static_cast<unsigned char>(jpeg[i + 1]) == code)
      return i;
  }
  return std::string::npos;
}

}  // namespace frf::test
