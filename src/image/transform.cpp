// SPDX-License-Identifier: Apache-2.0
// Resizing and pre-processing. Subtle: Preprocess normalises the *rounded* pixels of the resized image, so a
// picture resized beforehand (as training does) and one resized here give the network the same values to the
// bit.
#include "image/transform.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "frf/error.h"
#include "image/resample.h"

namespace frf {
namespace {

// Below this many pixels waking a team of threads costs more than it saves.
constexpr std::int64_t kParallelPixels = 1 << 18;

// Runs body(y, floats, bytes) for every row, each thread with scratch of its own.
template <typename Body>
void ForRows(int rows, std::int64_t pixels, std::size_t floats, std::size_t bytes, const Body& body) {
  const int threads = pixels < kParallelPixels ? 1 : std::max(1, std::min(omp_get_max_threads(), rows));
  std::vector<float> scratch(floats * static_cast<std::size_t>(threads));
  std::vector<std::uint8_t> row(bytes * static_cast<std::size_t>(threads));
  if (threads == 1) {  // a team of one is allocated anew each time
    for (int y = 0; y < rows; ++y) body(y, scratch.data(), row.data());
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int y = 0; y < rows; ++y) {
    const auto me = static_cast<std::size_t>(omp_get_thread_num());
    body(y, scratch.data() + me * floats, row.data() + me * bytes);
  }
}

Image Resample(const ImageView& src, const Resampler& resampler) {
  Image out{.height = resampler.height(), .width = resampler.width(), .channels = 3};
  out.pixels.resize(out.bytes());
  const std::int64_t pixels =
      std::max<std::int64_t>(std::int64_t{src.height} * src.width, std::int64_t{out.height} * out.width);
  ForRows(out.height, pixels, resampler.scratch_floats(), 0,
          [&](int y, float* scratch, std::uint8_t*) { resampler.Row(y, scratch, out.at(y, 0)); });
  if (src.order == PixelOrder::kBgr) {  // an Image is RGB
    for (std::size_t i = 0; i < out.pixels.size(); i += 3) std::swap(out.pixels[i], out.pixels[i + 2]);
  }
  return out;
}

// Bytes kRed, kGreen and kBlue of every kBytes.
template <int kBytes, int kRed, int kGreen, int kBlue>
void RowToRgb(const std::uint8_t* src, int width, std::uint8_t* dst) {
  for (int x = 0; x < width; ++x, src += kBytes, dst += 3)
    dst[0] = src[kRed], dst[1] = src[kGreen], dst[2] = src[kBlue];
}

using Table = std::array<std::array<float, 256>, 3>;  // [channel R, G, B][pixel value]

Table NormaliseTable(const InputSpec& input) {
  Table table;
  for (std::size_t c = 0; c < 3; ++c) {
    if (!(input.std[c] > 0)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("Preprocess: std {} of channel {} must be above 0", input.std[c], c));
    }
    for (std::size_t v = 0; v < 256; ++v)
      table[c][v] = (static_cast<float>(v) - input.mean[c]) / input.std[c];
  }
  return table;
}

// One row of interleaved pixels into the three planes; what is right of the content becomes 0, the mean.
void SpreadRow(const std::uint8_t* src, bool bgr, int width, int padded, const Table& table,
               float* const planes[3]) {
  const std::size_t red = bgr ? 2 : 0, blue = bgr ? 0 : 2;
  for (int x = 0; x < width; ++x, src += 3) {
    planes[0][x] = table[0][src[red]];
    planes[1][x] = table[1][src[1]];
    planes[2][x] = table[2][src[blue]];
  }
  for (int c = 0; c < 3; ++c) std::fill(planes[c] + width, planes[c] + padded, 0.0f);
}

}  // namespace

ImageView ThreeChannels(const ImageView& src, std::vector<std::uint8_t>& room) {
  if (src.order == PixelOrder::kRgb || src.order == PixelOrder::kBgr) return src;
  const auto to_rgb = src.order == PixelOrder::kRgba   ? RowToRgb<4, 0, 1, 2>
                      : src.order == PixelOrder::kBgra ? RowToRgb<4, 2, 1, 0>
                                                       : RowToRgb<1, 0, 0, 0>;
  const ImageView dst{nullptr, src.height, src.width, std::ptrdiff_t{3} * src.width, PixelOrder::kRgb};
  room.resize(static_cast<std::size_t>(dst.row_stride) * src.height);
  ForRows(src.height, std::int64_t{src.height} * src.width, 0, 0, [&](int y, float*, std::uint8_t*) {
    to_rgb(src.data + y * src.row_stride, src.width, room.data() + y * dst.row_stride);
  });
  return {room.data(), dst.height, dst.width, dst.row_stride, dst.order};
}

Image ResizeBilinear(const ImageView& src, int height, int width, bool antialias) {
  CheckView(src, height, width, "ResizeBilinear");
  return Resample(src, Resampler(src, BilinearWeights(src.height, height, antialias),
                                 BilinearWeights(src.width, width, antialias)));
}

Image ResizeArea(const ImageView& src, int height, int width) {
  CheckView(src, height, width, "ResizeArea");
  return Resample(src, Resampler(src, AreaWeights(src.height, height), AreaWeights(src.width, width)));
}

LabelImage ResizeNearest(const LabelImage& src, int height, int width) {
  if (src.height < 1 || src.width < 1 || height < 1 || width < 1) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("ResizeNearest: cannot resize {}x{} to {}x{}",
                                                         src.height, src.width, height, width));
  }
  LabelImage out{.height = height, .width = width};
  out.ids.resize(static_cast<std::size_t>(height) * width);
  ResizeNearest(src, src.height, src.width, out.view());
  return out;
}

void ResizeNearest(const LabelImage& src, double content_h, double content_w, const LabelView& dst) {
  if (!(content_h > 0 && content_w > 0 && content_h <= src.height && content_w <= src.width)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("ResizeNearest: {}x{} labels have no part of {}x{}",
                                                         src.height, src.width, content_h, content_w));
  }
  // floor((i + 0.5) * src / dst): for whole numbers exact, as the product is and the quotient is far enough
  // from the next whole number.
  const auto source = [](int i, double from, int to) {
    return static_cast<int>((2.0 * i + 1.0) * from / (2.0 * to));
  };
  std::vector<int> columns(static_cast<std::size_t>(dst.width));
  for (int x = 0; x < dst.width; ++x) columns[static_cast<std::size_t>(x)] = source(x, content_w, dst.width);
  for (int y = 0; y < dst.height; ++y) {
    const std::uint8_t* from =
        &src.ids[static_cast<std::size_t>(source(y, content_h, dst.height)) * src.width];
    std::uint8_t* to = dst.data + y * dst.row_stride;
    for (std::size_t x = 0; x < columns.size(); ++x) to[x] = from[columns[x]];
  }
}

NetworkSize ChooseNetworkSize(const InputSpec& input, int image_height, int image_width, int fixed_height,
                              int fixed_width) {
  if (image_height < 1 || image_width < 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("ChooseNetworkSize: an image of {}x{}", image_height, image_width));
  }
  const auto choose = [&](int image, int trained, int fixed) {
    if (fixed > 0) return fixed;
    return input.fit == Fit::kResize && trained > 0 ? trained : image;
  };
  NetworkSize size;
  size.content_height = choose(image_height, input.height, fixed_height);
  size.content_width = choose(image_width, input.width, fixed_width);
  const int multiple = std::max(1, input.multiple);
  size.height = fixed_height > 0 ? fixed_height : RoundUp(size.content_height, multiple);
  size.width = fixed_width > 0 ? fixed_width : RoundUp(size.content_width, multiple);
  return size;
}

void Preprocess(const ImageView& src, const InputSpec& input, const NetworkSize& size, float* dst) {
  CheckView(src, size.content_height, size.content_width, "Preprocess");
  if (size.height < size.content_height || size.width < size.content_width) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("Preprocess: content of {}x{} does not fit into {}x{}", size.content_height,
                            size.content_width, size.height, size.width));
  }
  const Table table = NormaliseTable(input);
  const bool bgr = src.order == PixelOrder::kBgr;
  const std::size_t plane = static_cast<std::size_t>(size.height) * size.width;
  const auto spread = [&](int y, const std::uint8_t* row) {
    float* const start = dst + static_cast<std::size_t>(y) * size.width;
    float* const planes[3] = {start, start + plane, start + 2 * plane};
    SpreadRow(row, bgr, size.content_width, size.width, table, planes);
  };
  const std::int64_t pixels = std::int64_t{src.height} * src.width;
  if (src.height == size.content_height && src.width == size.content_width) {
    ForRows(size.content_height, pixels, 0, 0,
            [&](int y, float*, std::uint8_t*) { spread(y, src.data + y * src.row_stride); });
  } else {
    const Resampler resampler(src, BilinearWeights(src.height, size.content_height, true),
                              BilinearWeights(src.width, size.content_width, true));
    ForRows(size.content_height, pixels, resampler.scratch_floats(),
            static_cast<std::size_t>(size.content_width) * 3, [&](int y, float* scratch, std::uint8_t* row) {
              resampler.Row(y, scratch, row);
              spread(y, row);
            });
  }
  for (std::size_t c = 0; c < 3; ++c) {  // padding below
    float* const start = dst + c * plane;
    std::fill(start + static_cast<std::size_t>(size.content_height) * size.width, start + plane, 0.0f);
  }
}

}  // namespace frf
