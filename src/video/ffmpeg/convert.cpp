// SPDX-License-Identifier: Apache-2.0
// YUV to RGB, and a container's matrix as an EXIF orientation.
#include <fmt/format.h>

#include <array>

#include "video/ffmpeg/decoder.h"

namespace frf::video {
namespace {

// The older names for full-range formats; swscale takes the range by its own call.
struct Range {
  AVPixelFormat format;
  bool full;
};

Range RangeOf(const AVFrame& frame) {
  const auto format = static_cast<AVPixelFormat>(frame.format);
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
      return {AV_PIX_FMT_YUV420P, true};
    case AV_PIX_FMT_YUVJ422P:
      return {AV_PIX_FMT_YUV422P, true};
    case AV_PIX_FMT_YUVJ444P:
      return {AV_PIX_FMT_YUV444P, true};
    case AV_PIX_FMT_YUVJ440P:
      return {AV_PIX_FMT_YUV440P, true};
    case AV_PIX_FMT_YUVJ411P:
      return {AV_PIX_FMT_YUV411P, true};
    default:
      return {format, frame.color_range == AVCOL_RANGE_JPEG};
  }
}

}  // namespace

int OrientationOf(const std::int32_t* matrix) {
  // [a b u; c d v; x y w] maps (x, y) to (a x + c y, b x + d y); of the sizes only the signs matter.
  const auto sign = [&](int i) { return matrix[i] > 0 ? 1 : matrix[i] < 0 ? -1 : 0; };
  const std::array<int, 4> turn{sign(0), sign(1), sign(3), sign(4)};
  constexpr std::array<std::array<int, 4>, 8> kOrientations{{{1, 0, 0, 1},
                                                             {-1, 0, 0, 1},
                                                             {-1, 0, 0, -1},
                                                             {1, 0, 0, -1},
                                                             {0, 1, 1, 0},
                                                             {0, 1, -1, 0},
                                                             {0, -1, -1, 0},
                                                             {0, -1, 1, 0}}};
  for (std::size_t i = 0; i < kOrientations.size(); ++i) {
    if (kOrientations[i] == turn) return static_cast<int>(i) + 1;
  }
  return 1;
}

void RgbConverter::Convert(const AVFrame& frame, Image& image, const std::string& name) {
  const auto [format, full] = RangeOf(frame);
  const AVColorSpace space = ColorSpaceOf(frame.colorspace, frame.height);
  if (!scaler_ || format_ != format || space_ != space || range_ != static_cast<int>(full)) {
    // Accurate rounding: the short cuts for unscaled pictures are off by up to three levels and leave out odd
    // last rows.
    scaler_.reset(sws_getContext(frame.width, frame.height, format, frame.width, frame.height,
                                 AV_PIX_FMT_RGB24, SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT,
                                 nullptr, nullptr, nullptr));
    if (!scaler_) {
      const char* known = av_get_pix_fmt_name(format);
      throw Error(ErrorCode::kUnsupported, fmt::format("{}: libswscale cannot turn {} into RGB", name,
                                                       known != nullptr ? known : "its pixels"));
    }
    // Fails for RGB alone, which needs it not.
    sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(space), full,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    format_ = format, space_ = space, range_ = full;
  }
  image.height = frame.height, image.width = frame.width, image.channels = 3;
  image.pixels.resize(image.bytes());
  std::uint8_t* rows[4] = {image.pixels.data()};
  const int strides[4] = {3 * frame.width};
  const int done = sws_scale(scaler_.get(), frame.data, frame.linesize, 0, frame.height, rows, strides);
  if (done != frame.height)
    throw Error(ErrorCode::kInternal,
                fmt::format("{}: libswscale converted {} of {} rows", name, done, frame.height));
}

}  // namespace frf::video
