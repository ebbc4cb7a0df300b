// SPDX-License-Identifier: Apache-2.0
// Pictures and label images as plain values and views. All are row-major with the first row on top.
//
//   frf::Image image{.height = 360, .width = 480, .channels = 3};
//   image.pixels.resize(image.bytes());
//   frf::ImageView view = image.view();
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "frf/error.h"

namespace frf {

inline constexpr std::uint8_t kVoidLabel = 255;  // unlabelled pixel: never trained on, never scored
inline constexpr int kMaxClasses = 255;          // ids 0..254; 255 is void

// What the bytes of a pixel are, in memory. Alpha is passed over; grey (mono8) counts as R = G = B.
enum class PixelOrder { kRgb, kBgr, kRgba, kBgra, kGray };

// 3, 4 or 1; 0 for a number that is no order.
constexpr int BytesPerPixel(PixelOrder order) {
  switch (order) {
    case PixelOrder::kRgb:
    case PixelOrder::kBgr:
      return 3;
    case PixelOrder::kRgba:
    case PixelOrder::kBgra:
      return 4;
    case PixelOrder::kGray:
      return 1;
  }
  return 0;
}

struct ImageView {  // 8-bit, HWC, channels interleaved as `order` says; rows may be padded
  const std::uint8_t* data = nullptr;
  int height = 0, width = 0;
  std::ptrdiff_t row_stride = 0;  // bytes from one row to the next, >= BytesPerPixel(order) * width
  PixelOrder order = PixelOrder::kRgb;
};

struct Image {  // 8-bit, HWC, rows contiguous; channels is 3 (RGB) or 4 (RGBA) or 1 (grey)
  int height = 0, width = 0, channels = 3;
  std::vector<std::uint8_t> pixels;

  std::size_t bytes() const { return static_cast<std::size_t>(height) * width * channels; }
  std::uint8_t* at(int y, int x) { return &pixels[(static_cast<std::size_t>(y) * width + x) * channels]; }
  const std::uint8_t* at(int y, int x) const {
    return &pixels[(static_cast<std::size_t>(y) * width + x) * channels];
  }
  // In the order of its channels; kInvalidArgument for another number of them.
  ImageView view() const {
    if (channels != 1 && channels != 3 && channels != 4) {
      throw Error(ErrorCode::kInvalidArgument,
                  "an image of " + std::to_string(channels) +
                      " channels has no view; 1 (grey), 3 (RGB) or 4 (RGBA) are wanted");
    }
    return {pixels.data(), height, width, static_cast<std::ptrdiff_t>(width) * channels,
            channels == 3   ? PixelOrder::kRgb
            : channels == 4 ? PixelOrder::kRgba
                            : PixelOrder::kGray};
  }
};

struct LabelView {  // uint8 class ids, HW; rows may be padded; 255 = void
  std::uint8_t* data = nullptr;
  int height = 0, width = 0;
  std::ptrdiff_t row_stride = 0;  // bytes from one row to the next, >= width
};

struct LabelImage {  // uint8 class ids, HW, rows contiguous; 255 = void
  int height = 0, width = 0;
  std::vector<std::uint8_t> ids;

  std::uint8_t& at(int y, int x) { return ids[static_cast<std::size_t>(y) * width + x]; }
  std::uint8_t at(int y, int x) const { return ids[static_cast<std::size_t>(y) * width + x]; }
  LabelView view() { return {ids.data(), height, width, width}; }
};

}  // namespace frf
