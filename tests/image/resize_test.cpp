// SPDX-License-Identifier: Apache-2.0
// Resizing, worked out by hand, at vector tails, and against PIL 13 and torch 1.13 (figures in the comments).
#include <numeric>

#include "image/transform.h"
#include "support/support.h"

namespace frf {
namespace {

Image Grey(int height, int width, const std::vector<int>& values) {
  Image image{.height = height, .width = width, .channels = 3};
  for (const int value : values) image.pixels.insert(image.pixels.end(), 3, static_cast<std::uint8_t>(value));
  return image;
}

std::vector<int> Reds(const Image& image) {
  std::vector<int> reds;
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) reds.push_back(image.pixels[i]);
  return reds;
}

using Values = std::vector<int>;

TEST(ResizeBilinear, EnlargingByTwoHasQuarterWeightsAndClampedEdges) {
  const Image two = Grey(1, 2, {0, 100});
  // centres -0.25, 0.25, 0.75, 1.25 of the source -> 0, 25, 75, 100
  EXPECT_EQ(Reds(ResizeBilinear(two.view(), 1, 4)), (Values{0, 25, 75, 100}));
  EXPECT_EQ(Reds(ResizeBilinear(Grey(2, 1, {0, 100}).view(), 4, 1)), (Values{0, 25, 75, 100}));
  // (0.25, 0.25) of {0, 100; 200, 40}: 0.75 * (0.75 * 0 + 0.25 * 100) + 0.25 * (0.75 * 200 + 0.25 * 40)
  // = 58.75
  EXPECT_EQ(Reds(ResizeBilinear(Grey(2, 2, {0, 100, 200, 40}).view(), 4, 4))[5], 59);
}

TEST(ResizeBilinear, ShrinkingAveragesWithTheTriangle) {
  // 4 -> 2: centre 1, reach 2; distances 0.5, 0.5, 1.5 of pixels 0, 1, 2 -> weights 0.75, 0.75, 0.25, of
  // sum 1.75
  const Image four = Grey(1, 4, {0, 70, 140, 255});
  EXPECT_EQ(Reds(ResizeBilinear(four.view(), 1, 2)),
            (Values{50, 179}));  // (52.5 + 35) / 1.75; (17.5 + 105 + 191.25) / 1.75 = 179.3
  // without antialiasing, half-pixel: source 0.5 and 2.5
  EXPECT_EQ(Reds(ResizeBilinear(four.view(), 1, 2, false)), (Values{35, 198}));  // 197.5 rounds up
}

TEST(ResizeBilinear, AgreesWithPilAndTorch) {
  // PIL: Image.fromarray((arange(63) * 41 % 256).reshape(7, 9)).resize((5, 4), BILINEAR); torch
  // antialias=True rounds alike.
  Values values(63);
  for (int i = 0; i < 63; ++i) values[static_cast<std::size_t>(i)] = i * 41 % 256;
  const Values pil{76,  134, 127, 151, 106, 120, 117, 138, 123, 89,
                   149, 115, 138, 121, 118, 141, 154, 111, 104, 162};
  const Values ours = Reds(ResizeBilinear(Grey(7, 9, values).view(), 4, 5));
  ASSERT_EQ(ours.size(), pil.size());
  for (std::size_t i = 0; i < pil.size(); ++i) EXPECT_NEAR(ours[i], pil[i], 1) << i;  // PIL rounds twice
}

TEST(ResizeBilinear, SameSizeIsTheSamePictureAtAnyWidth) {
  for (const int width : {1, 13, 127}) {
    Image image{.height = 3,
                .width = width,
                .channels = 3,
                .pixels = std::vector<std::uint8_t>(static_cast<std::size_t>(9 * width))};
    std::iota(image.pixels.begin(), image.pixels.end(), std::uint8_t{3});
    EXPECT_EQ(ResizeBilinear(image.view(), 3, width).pixels, image.pixels);
    EXPECT_EQ(ResizeArea(image.view(), 3, width).pixels, image.pixels);
  }
}

TEST(ResizeBilinear, UniformStaysUniformAndPaddedRowsAreHeeded) {
  for (const int value : {0, 1, 254, 255}) {
    std::vector<std::uint8_t> padded(static_cast<std::size_t>(5 * 64), 77);  // rows of 13 pixels in 64 bytes
    for (int y = 0; y < 5; ++y) std::fill_n(padded.begin() + y * 64, 39, static_cast<std::uint8_t>(value));
    const ImageView view{padded.data(), 5, 13, 64};
    for (const auto& [height, width] : {std::pair{1, 1}, {3, 127}, {50, 2}, {5, 12}}) {
      for (const Image& out : {ResizeBilinear(view, height, width), ResizeArea(view, height, width)}) {
        EXPECT_EQ(out.pixels, std::vector<std::uint8_t>(out.bytes(), static_cast<std::uint8_t>(value)));
      }
    }
  }
}

TEST(ResizeBilinear, BgrComesOutAsRgb) {
  const std::vector<std::uint8_t> bgr{1, 2, 3, 4, 5, 6};
  const Image out = ResizeBilinear({bgr.data(), 1, 2, 6, PixelOrder::kBgr}, 1, 2);
  EXPECT_EQ(out.pixels, (std::vector<std::uint8_t>{3, 2, 1, 6, 5, 4}));
}

TEST(ResizeArea, AveragesWholeAndFractionalBoxes) {
  EXPECT_EQ(Reds(ResizeArea(Grey(1, 4, {0, 10, 100, 200}).view(), 1, 2)), (Values{5, 150}));
  // 3 -> 2: boxes of 1.5 pixels: (0 + 0.5 * 60) / 1.5 = 20; (0.5 * 60 + 240) / 1.5 = 180
  EXPECT_EQ(Reds(ResizeArea(Grey(1, 3, {0, 60, 240}).view(), 1, 2)), (Values{20, 180}));
  EXPECT_EQ(Reds(ResizeArea(Grey(2, 2, {0, 100, 200, 40}).view(), 1, 1)), (Values{85}));
}

TEST(ResizeNearest, TakesTheCentresPixel) {
  const LabelImage row{.height = 1, .width = 5, .ids = {0, 1, 2, 3, 255}};
  // floor((i + 0.5) * 5 / 3): 0, 2, 4
  EXPECT_EQ(ResizeNearest(row, 1, 3).ids, (std::vector<std::uint8_t>{0, 2, 255}));
  EXPECT_EQ(ResizeNearest(row, 1, 10).ids, (std::vector<std::uint8_t>{0, 0, 1, 1, 2, 2, 3, 3, 255, 255}));
  const LabelImage square{.height = 2, .width = 2, .ids = {1, 2, 3, 4}};
  EXPECT_EQ(ResizeNearest(square, 1, 1).ids, (std::vector<std::uint8_t>{4}));  // floor(0.5 * 2) = 1
  EXPECT_EQ(ResizeNearest(square, 2, 2).ids, square.ids);
}

TEST(Resize, RefusesNothingAsSourceAndTarget) {
  const Image image = Grey(1, 1, {5});
  EXPECT_FRF_ERROR(ResizeBilinear(image.view(), 0, 5), ErrorCode::kInvalidArgument,
                   "ResizeBilinear: cannot resize to 0x5");
  EXPECT_FRF_ERROR(ResizeArea({}, 2, 2), ErrorCode::kInvalidArgument, "ResizeArea: the source is 0x0");
  EXPECT_FRF_ERROR(ResizeBilinear({image.pixels.data(), 1, 1, 2}, 1, 1), ErrorCode::kInvalidArgument,
                   "rows of 2 bytes");
  EXPECT_FRF_ERROR(ResizeNearest({}, 2, 2), ErrorCode::kInvalidArgument, "ResizeNearest");
}

}  // namespace
}  // namespace frf
