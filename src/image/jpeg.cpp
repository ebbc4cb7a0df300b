// SPDX-License-Identifier: Apache-2.0
// JPEG through libjpeg-turbo: grey, YCbCr, RGB, CMYK and YCCK, baseline and progressive, to 8-bit RGB.
// Subtle: libjpeg fills what is missing with grey and calls that a warning; here a cut or damaged picture is
// an error. Progressive files keep all coefficients in memory and may repeat scans at will, so both are
// bounded beforehand.
#include <fmt/format.h>

#include <array>
#include <csetjmp>
#include <cstdio>

#include "frf/error.h"
#include "image/codec.h"

extern "C" {
#include <jerror.h>
#include <jpeglib.h>
}

namespace frf {
namespace {

constexpr int kMaxScans = 100;  // usual progressive files have 10
// A block of 64 pixels takes at least one bit (arithmetic coding, where there is no such bound, apart).
constexpr std::uint64_t kMaxPixelsPerByte = 64 * 8;
constexpr int kMaxAppMarkers = 64;

struct JpegReader {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  jpeg_source_mgr source;
  jpeg_progress_mgr progress;
  std::jmp_buf jump;
  std::size_t size = 0;
  bool created = false, truncated = false, too_many_scans = false;
  char message[JMSG_LENGTH_MAX] = {};

  ~JpegReader() {
    if (created) jpeg_destroy_decompress(&info);
  }
};

JpegReader& ReaderOf(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }

void OnError(j_common_ptr info) {
  JpegReader& reader = ReaderOf(info);
  info->err->format_message(info, reader.message);
  std::longjmp(reader.jump, 1);
}

// Harmless oddities pass; whatever makes libjpeg invent pixels is an error.
void OnMessage(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_ADOBE_XFORM:
    case JWRN_JFIF_MAJOR:
    case JWRN_BOGUS_PROGRESSION:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_TOO_MUCH_DATA:
      return;
    default:
      OnError(info);
  }
}

void OnOutput(j_common_ptr) {}
void OnSource(j_decompress_ptr) {}

boolean OnEmpty(j_decompress_ptr info) {
  ReaderOf(reinterpret_cast<j_common_ptr>(info)).truncated = true;
  ERREXIT(info, JERR_INPUT_EOF);
  return FALSE;
}

void OnSkip(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<std::size_t>(count) > info->src->bytes_in_buffer) OnEmpty(info);
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
}

void OnProgress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    ReaderOf(info).too_many_scans = true;
    OnError(info);
  }
}

bool ReadHeader(JpegReader& reader, std::string_view bytes) {
  reader.size = bytes.size();
  reader.info.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = OnError;
  reader.errors.emit_message = OnMessage;
  reader.errors.output_message = OnOutput;
  reader.info.client_data = &reader;
  if (setjmp(reader.jump) != 0) return false;
  jpeg_create_decompress(&reader.info);  // keeps err and client_data
  reader.created = true;
  reader.source = {};
  reader.source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
  reader.source.bytes_in_buffer = bytes.size();
  reader.source.init_source = OnSource;
  reader.source.term_source = OnSource;
  reader.source.fill_input_buffer = OnEmpty;
  reader.source.skip_input_data = OnSkip;
  reader.source.resync_to_restart = jpeg_resync_to_restart;
  reader.info.src = &reader.source;
  reader.progress = {};
  reader.progress.progress_monitor = OnProgress;
  reader.info.progress = &reader.progress;
  jpeg_save_markers(&reader.info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&reader.info, TRUE);
  return true;
}

bool Start(JpegReader& reader) {
  if (setjmp(reader.jump) != 0) return false;
  const bool inks = reader.info.jpeg_color_space == JCS_CMYK || reader.info.jpeg_color_space == JCS_YCCK;
  reader.info.out_color_space = inks ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&reader.info);
  return true;
}

bool ReadRow(JpegReader& reader, JSAMPLE* row) {
  if (setjmp(reader.jump) != 0) return false;
  jpeg_read_scanlines(&reader.info, &row, 1);
  return true;
}

bool Finish(JpegReader& reader) {
  if (setjmp(reader.jump) != 0) return false;
  jpeg_finish_decompress(&reader.info);
  return true;
}

bool NotSupported(int code) {
  switch (code) {
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_CCIR601_NOTIMPL:
    case JERR_ARITH_NOTIMPL:
    case JERR_NOTIMPL:
    case JERR_NOT_COMPILED:
      return true;
    default:
      return false;
  }
}

[[noreturn]] void ThrowReadError(const JpegReader& reader, const std::string& name) {
  const jpeg_decompress_struct& info = reader.info;
  const std::string size = reader.created && info.image_width > 0
                               ? fmt::format("JPEG of {}x{}", info.image_height, info.image_width)
                               : "JPEG";
  if (reader.truncated) {
    const bool decoding = reader.created && info.output_height > 0;
    const std::string there =
        !decoding                                    ? "inside its header"
        : info.output_scanline >= info.output_height ? "its end marker is missing"
        : info.output_scanline == 0 && info.buffered_image == FALSE && info.input_scan_number > 1
            ? fmt::format("in scan {}", info.input_scan_number)
            : fmt::format("{} of its {} rows are there", info.output_scanline, info.output_height);
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: {} ends after {} bytes, {}; was the copy cut short?", name, size,
                            reader.size, there));
  }
  if (reader.too_many_scans) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: {} has more than {} scans, usual are 10; it looks made to waste time", name,
                            size, kMaxScans));
  }
  const int code = reader.errors.msg_code;
  if (code == JERR_OUT_OF_MEMORY) {
    throw Error(ErrorCode::kOutOfMemory, fmt::format("{}: no memory to decode a {}", name, size));
  }
  const bool unsupported = NotSupported(code);
  throw Error(
      unsupported ? ErrorCode::kUnsupported : ErrorCode::kCorruptFile,
      fmt::format("{}: {} {}: {}", name, size,
                  unsupported ? "is of a kind that frf does not read" : "is damaged", reader.message));
}

int OrientationOf(const JpegReader& reader) {
  int seen = 0;
  for (jpeg_saved_marker_ptr marker = reader.info.marker_list; marker != nullptr && seen < kMaxAppMarkers;
       marker = marker->next, ++seen) {
    const std::string_view body(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (body.starts_with(std::string_view("Exif\0\0", 6))) return ExifOrientation(body);
  }
  return 1;
}

void CheckCost(const JpegReader& reader, int orientation, const std::string& name,
               const ImageLimits& limits) {
  const jpeg_decompress_struct& info = reader.info;
  std::uint64_t bytes =
      std::uint64_t{info.image_width} * info.image_height * (orientation == 1 ? 3 : 6) + reader.size;
  if (jpeg_has_multiple_scans(const_cast<jpeg_decompress_struct*>(&info)) != FALSE) {
    for (int i = 0; i < info.num_components; ++i) {
      bytes += std::uint64_t{info.comp_info[i].width_in_blocks} * info.comp_info[i].height_in_blocks *
               sizeof(JBLOCK);
    }
  }
  CheckDecodeCost({.height = info.image_height,
                   .width = info.image_width,
                   .bytes = bytes,
                   .compressed = reader.size,
                   .pixels_per_byte = info.arith_code != FALSE ? 0 : kMaxPixelsPerByte},
                  "JPEG", name, limits);
}

// Photoshop stores inks inverted and says so by its Adobe marker.
void InksToRgb(const std::uint8_t* src, std::uint8_t* dst, int width, bool inverted) {
  for (int x = 0; x < width; ++x, src += 4, dst += 3) {
    const int paper = inverted ? src[3] : 255 - src[3];
    for (int c = 0; c < 3; ++c) {
      const int light = inverted ? src[c] : 255 - src[c];
      dst[c] = static_cast<std::uint8_t>((light * paper + 127) / 255);
    }
  }
}

}  // namespace

std::optional<PictureHeader> JpegPictureHeader(std::string_view head, const std::string& name) {
  JpegReader reader;
  if (!ReadHeader(reader, head)) {
    if (reader.truncated) return std::nullopt;
    ThrowReadError(reader, name);
  }
  CheckDecodeCost({.height = reader.info.image_height, .width = reader.info.image_width}, "JPEG", name, {});
  const int height = static_cast<int>(reader.info.image_height),
            width = static_cast<int>(reader.info.image_width);
  return Held(height, width, OrientationOf(reader));
}

Image DecodeJpeg(std::string_view bytes, const std::string& name, const ImageLimits& limits) {
  JpegReader reader;
  if (!ReadHeader(reader, bytes)) ThrowReadError(reader, name);
  const int orientation = OrientationOf(reader);
  CheckCost(reader, orientation, name, limits);
  if (reader.info.jpeg_color_space == JCS_UNKNOWN) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: JPEG with {} components, wanted 1 (grey), 3 (colour) or 4 (CMYK)", name,
                            reader.info.num_components));
  }
  Image image{.height = static_cast<int>(reader.info.image_height),
              .width = static_cast<int>(reader.info.image_width),
              .channels = 3};
  std::vector<std::uint8_t> inks;
  if (!Start(reader)) ThrowReadError(reader, name);
  AllocatePixels(image.pixels, image.bytes(), name);
  const bool has_inks = reader.info.out_color_space == JCS_CMYK;
  if (has_inks) AllocatePixels(inks, static_cast<std::uint64_t>(image.width) * 4, name);
  for (int y = 0; y < image.height; ++y) {
    if (!ReadRow(reader, has_inks ? inks.data() : image.at(y, 0))) ThrowReadError(reader, name);
    if (has_inks) InksToRgb(inks.data(), image.at(y, 0), image.width, reader.info.saw_Adobe_marker != FALSE);
  }
  if (!Finish(reader)) ThrowReadError(reader, name);
  return ApplyOrientation(std::move(image), orientation);
}

namespace {

// Its own destination: the one of jpeg_mem_dest frees its first buffer when it grows and names the new one
// only at the end, so that after an error between the two nobody knows what to free.
struct JpegWriter {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  jpeg_destination_mgr destination;
  std::jmp_buf jump;
  std::array<JOCTET, 1 << 14> buffer;
  std::string out;
  bool created = false;
  char message[JMSG_LENGTH_MAX] = {};

  ~JpegWriter() {
    if (created) jpeg_destroy_compress(&info);
  }
};

void OnWriteError(j_common_ptr info) {
  auto* writer = static_cast<JpegWriter*>(info->client_data);
  info->err->format_message(info, writer->message);
  std::longjmp(writer->jump, 1);
}

void OnBuffer(j_compress_ptr info) {
  auto* writer = static_cast<JpegWriter*>(info->client_data);
  writer->destination.next_output_byte = writer->buffer.data();
  writer->destination.free_in_buffer = writer->buffer.size();
}

void Store(j_compress_ptr info, std::size_t count) {
  auto* writer = static_cast<JpegWriter*>(info->client_data);
  bool stored = true;
  try {
    writer->out.append(reinterpret_cast<const char*>(writer->buffer.data()), count);
  } catch (...) {  // no exception may cross libjpeg
    stored = false;
  }
  if (!stored) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
}

// The whole buffer counts, whatever free_in_buffer says.
boolean OnFull(j_compress_ptr info) {
  Store(info, static_cast<JpegWriter*>(info->client_data)->buffer.size());
  OnBuffer(info);
  return TRUE;
}

void OnEnd(j_compress_ptr info) {
  const auto* writer = static_cast<JpegWriter*>(info->client_data);
  Store(info, writer->buffer.size() - writer->destination.free_in_buffer);
}

bool Write(JpegWriter& writer, const Image& image, int quality) {
  writer.info.err = jpeg_std_error(&writer.errors);
  writer.errors.error_exit = OnWriteError;
  writer.errors.output_message = OnOutput;
  writer.info.client_data = &writer;
  if (setjmp(writer.jump) != 0) return false;
  jpeg_create_compress(&writer.info);
  writer.created = true;
  writer.destination = {};
  writer.destination.init_destination = OnBuffer;
  writer.destination.empty_output_buffer = OnFull;
  writer.destination.term_destination = OnEnd;
  writer.info.dest = &writer.destination;
  writer.info.image_width = static_cast<JDIMENSION>(image.width);
  writer.info.image_height = static_cast<JDIMENSION>(image.height);
  writer.info.input_components = image.channels;
  writer.info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&writer.info);
  jpeg_set_quality(&writer.info, quality, TRUE);
  if (image.channels == 3 && quality >= 90) {  // full-size chroma: coloured class borders stay sharp
    writer.info.comp_info[0].h_samp_factor = writer.info.comp_info[0].v_samp_factor = 1;
  }
  jpeg_start_compress(&writer.info, TRUE);
  while (writer.info.next_scanline < writer.info.image_height) {
    JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data()) +
                   static_cast<std::size_t>(writer.info.next_scanline) * image.width * image.channels;
    jpeg_write_scanlines(&writer.info, &row, 1);
  }
  jpeg_finish_compress(&writer.info);
  return true;
}

}  // namespace

std::string EncodeJpeg(const Image& image, int quality) {
  if (image.height < 1 || image.width < 1 || image.pixels.size() != image.bytes() ||
      (image.channels != 1 && image.channels != 3)) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "JPEG wants 1 or 3 channels and {}x{} x channels bytes; there are {} channels and {} bytes",
            image.height, image.width, image.channels, image.pixels.size()));
  }
  if (quality < 1 || quality > 100) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("JPEG quality must be 1..100, not {}", quality));
  }
  JpegWriter writer;
  if (!Write(writer, image, quality)) {
    const bool memory = writer.errors.msg_code == JERR_OUT_OF_MEMORY;
    throw Error(
        memory ? ErrorCode::kOutOfMemory : ErrorCode::kInvalidArgument,
        fmt::format(
            "cannot encode a JPEG of {}x{}: {}{}", image.height, image.width, writer.message,
            std::max(image.height, image.width) > JPEG_MAX_DIMENSION ? "; .png holds larger ones" : ""));
  }
  return std::move(writer.out);
}

}  // namespace frf
