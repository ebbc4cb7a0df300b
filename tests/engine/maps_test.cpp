// SPDX-License-Identifier: Apache-2.0
// One test over every instruction set: pools against a loop, and pictures computed against pictures looked
// up.
#include "engine/kernels/maps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/own_map.h"

namespace frf::test {
namespace {

using namespace frf::kernels;

class MapsOnEveryIsa : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& k_ = *GetParam();
};

struct PoolShape {
  int height, width, channels;
  int kernel_h, kernel_w, stride_h, stride_w, dilation, top, left, bottom, right;
};

TEST_P(MapsOnEveryIsa, PoolsEqualALoop) {
  const PoolShape shapes[] = {{8, 12, 48, 2, 2, 2, 2, 1, 0, 0, 0, 0},  {7, 9, 33, 2, 2, 2, 2, 1, 0, 0, 1, 1},
                              {7, 6, 20, 3, 3, 2, 2, 1, 1, 1, 1, 1},   {5, 11, 16, 3, 2, 1, 3, 2, 2, 1, 1, 0},
                              {20, 21, 17, 9, 9, 4, 5, 1, 4, 4, 4, 4},  // more taps than are kept
                              {6, 3, 16, 1, 5, 1, 1, 1, 0, 2, 0, 2},    // no window inside
                              {4, 40, 64, 2, 2, 1, 1, 3, 0, 0, 0, 0},  {1, 1, 3, 2, 2, 1, 1, 1, 1, 1, 0, 0}};
  for (const PoolShape& s : shapes) {
    const OwnMap src(s.height, s.width, s.channels, 16, 1);
    const int reach_h = (s.kernel_h - 1) * s.dilation + 1, reach_w = (s.kernel_w - 1) * s.dilation + 1;
    const int out_h = (s.height + s.top + s.bottom - reach_h) / s.stride_h + 1,
              out_w = (s.width + s.left + s.right - reach_w) / s.stride_w + 1;
    for (const bool average : {false, true}) {
      for (const bool count_padding : {false, true}) {
        if (count_padding && !average) continue;
        SCOPED_TRACE(testing::Message() << s.height << "x" << s.width << " " << average << count_padding);
        OwnMap dst(out_h, out_w, s.channels, 32, 2);
        const std::vector<float> untouched = dst.values;
        const Pool pool{.src = src.view,
                        .dst = dst.view,
                        .kernel_h = s.kernel_h,
                        .kernel_w = s.kernel_w,
                        .stride_h = s.stride_h,
                        .stride_w = s.stride_w,
                        .dilation_h = s.dilation,
                        .dilation_w = s.dilation,
                        .pad_top = s.top,
                        .pad_left = s.left,
                        .average = average,
                        .count_padding = count_padding,
                        .pad_bottom = s.bottom,
                        .pad_right = s.right,
                        .rows_per_item = 2,
                        .items = (out_h + 1) / 2};
        for (std::int64_t item = 0; item < pool.items; ++item) k_.pool(pool, item);
        for (int y = 0; y < out_h; ++y) {
          for (int x = 0; x < out_w; ++x) {
            for (int c = 0; c < s.channels; ++c) {
              double most = -std::numeric_limits<double>::infinity(), sum = 0;
              int inside = 0, padded = 0;
              for (int i = 0; i < s.kernel_h; ++i) {
                for (int j = 0; j < s.kernel_w; ++j) {
                  const int sy = y * s.stride_h - s.top + i * s.dilation,
                            sx = x * s.stride_w - s.left + j * s.dilation;
                  padded += sy < s.height + s.bottom && sx < s.width + s.right;
                  if (sy < 0 || sy >= s.height || sx < 0 || sx >= s.width) continue;
                  ++inside;
                  sum += src.at(sy, sx, c);
                  most = std::max(most, static_cast<double>(src.at(sy, sx, c)));
                }
              }
              const double mean = inside ? sum / (count_padding ? padded : inside) : 0;
              ASSERT_NEAR(dst.at(y, x, c), average ? mean : most, 1e-6) << y << " " << x << " " << c;
            }
            for (int c = dst.padded; c < dst.view.pixel; ++c)  // the neighbour in the concatenation
              ASSERT_EQ(dst.at(y, x, c), untouched[y * dst.view.row + x * dst.view.pixel + c]);
          }
        }
      }
    }
  }
}

// A camera's buffer, whose last row ends where its memory ends.
TEST_P(MapsOnEveryIsa, PicturesAreComputedToTheBitsOfTheTable) {
  const float means[] = {123.675f, 116.28f, 103.53f}, deviations[] = {58.395f, 57.12f, 57.375f};
  PictureTable table{};
  for (int c = 0; c < 3; ++c) {
    table.minus[c] = means[c], table.over[c] = deviations[c];
    for (int v = 0; v < 256; ++v) table.values[c][v] = (static_cast<float>(v) - means[c]) / deviations[c];
  }
  const Coding coding{0.019f, 112};
  std::vector<std::uint8_t> byte_table(3 * 256);
  for (int i = 0; i < 3 * 256; ++i) {
    const float rounded = std::nearbyint(table.values[i / 256][i % 256] / coding.step) + 112;
    byte_table[i] = static_cast<std::uint8_t>(std::clamp(rounded, 0.0f, 255.0f));
  }
  constexpr int kHeight = 2;
  for (int width = 1; width < 40; ++width) {
    for (const bool bgr : {false, true}) {
      for (const int gap : {0, 7}) {
        SCOPED_TRACE(testing::Message() << width << " " << bgr << " " << gap);
        const std::ptrdiff_t stride = 3 * width + gap, row = 3 * width + 5;
        std::vector<std::uint8_t> pixels(stride + 3 * width);
        for (std::size_t i = 0; i < pixels.size(); ++i)
          pixels[i] = static_cast<std::uint8_t>((i + width) * 2654435761U >> 13);
        std::vector<float> floats[2];
        std::vector<std::uint8_t> bytes[2];
        for (const bool computed : {false, true}) {
          table.affine = computed;
          std::vector<float>& to = floats[computed];
          std::vector<std::uint8_t>& to_bytes = bytes[computed];
          to.assign(kHeight * row, 77.0f);
          to_bytes.assign(kHeight * row, 77);
          PictureIn in{.pixels = pixels.data(), .stride = stride, .bgr = bgr, .table = &table};
          in.dst = {to.data(), kHeight, width, 3, 3, row};
          for (int y = 0; y < kHeight; ++y) k_.picture_in(in, y);
          in.byte_table = byte_table.data();
          in.bytes.data = to_bytes.data(), in.bytes.height = kHeight, in.bytes.width = width;
          in.bytes.channels = 3, in.bytes.pixel = 3, in.bytes.row = row, in.bytes.coding = coding;
          for (int y = 0; y < kHeight; ++y) k_.picture_in(in, y);
        }
        ASSERT_EQ(floats[0], floats[1]);  // what lies between rows too
        ASSERT_EQ(bytes[0], bytes[1]);
        for (int c = 0; c < 3; ++c)
          ASSERT_EQ(floats[0][row + c], table.values[c][pixels[stride + (bgr ? 2 - c : c)]]);
        ASSERT_EQ(floats[0][row - 1], 77.0f);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Maps, MapsOnEveryIsa, testing::ValuesIn(AllKernels()),
                         [](const auto& info) { return info.param->isa; });

}  // namespace
}  // namespace frf::test
