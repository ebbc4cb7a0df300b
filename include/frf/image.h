// SPDX-License-Identifier: Apache-2.0
// Pictures and label images as plain values and views. All are row-major with the first row on top.
//
//   frf::Image image{.height = 360, .width = 480, .channels = 3};
//   image.pixels.resize(image.bytes());
//   frf::ImageView view = image.view();
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace frf {

inline constexpr std::uint8_t kVoidLabel = 255;  // unlabelled pixel: never trained on, never scored
inline constexpr int kMaxClasses = 255;          // ids 0..254; 255 is void

enum class PixelOrder { kRgb, kBgr };

struct ImageView {  // 8-bit, HWC, 3 channels interleaved; rows may be padded
  const std::uint8_t* data = nullptr;
  int height = 0, width = 0;
  std::ptrdiff_t row_stride = 0;  // bytes from one row to the next, >= 3 * width
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
  // Valid for three-channel images only.
  ImageView view() const { return {pixels.data(), height, width, static_cast<std::ptrdiff_t>(width) * 3}; }
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
