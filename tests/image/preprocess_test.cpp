// SPDX-License-Identifier: Apache-2.0
// The only copy of pre-processing: sizes, values, channel order, padding.
#include "image/transform.h"
#include "support/support.h"

namespace frf {
namespace {

Image Noise(int height, int width) {
  Image image{.height = height, .width = width, .channels = 3};
  for (int i = 0; i < height * width * 3; ++i)
    image.pixels.push_back(static_cast<std::uint8_t>(static_cast<unsigned>(i) * 2654435761u >> 24));
  return image;
}

std::vector<float> Values(const ImageView& view, const InputSpec& input, const NetworkSize& size) {
  std::vector<float> out(static_cast<std::size_t>(3 * size.height * size.width), -99.0f);
  Preprocess(view, input, size, out.data());
  return out;
}

void ExpectSize(const NetworkSize& size, const std::array<int, 4>& wanted) {
  EXPECT_EQ((std::array{size.height, size.width, size.content_height, size.content_width}), wanted);
}

TEST(ChooseNetworkSize, FitMultipleAndFixed) {
  InputSpec input{.height = 360, .width = 480};
  ExpectSize(ChooseNetworkSize(input, 720, 960), {360, 480, 360, 480});
  input.fit = Fit::kNative;
  ExpectSize(ChooseNetworkSize(input, 721, 33), {721, 33, 721, 33});
  input.multiple = 32;
  ExpectSize(ChooseNetworkSize(input, 180, 240), {192, 256, 180, 240});
  ExpectSize(ChooseNetworkSize(input, 192, 256), {192, 256, 192, 256});
  ExpectSize(ChooseNetworkSize(input, 180, 240, 100, 50), {100, 50, 100, 50});  // a fixed file always resizes
  input.fit = Fit::kResize;
  ExpectSize(ChooseNetworkSize(input, 100, 100), {384, 480, 360, 480});
  ExpectSize(ChooseNetworkSize({}, 100, 90), {100, 90, 100, 90});  // resize, but no size was recorded
  EXPECT_FRF_ERROR(ChooseNetworkSize(input, 0, 5), ErrorCode::kInvalidArgument, "0x5");
}

TEST(Preprocess, NormalisesPlanesAtVectorTails) {
  const InputSpec input{.mean = {10, 20, 30}, .std = {2, 4, 8}};
  for (const int width : {1, 13, 127}) {
    const Image image = Noise(3, width);
    const std::vector<float> out = Values(image.view(), input, {3, width, 3, width});
    for (int c = 0; c < 3; ++c) {
      for (int i = 0; i < 3 * width; ++i) {
        const auto channel = static_cast<std::size_t>(c);
        const float wanted =
            (static_cast<float>(image.pixels[static_cast<std::size_t>(i * 3 + c)]) - input.mean[channel]) /
            input.std[channel];
        ASSERT_EQ(out[static_cast<std::size_t>(c * 3 * width + i)], wanted);
      }
    }
  }
}

TEST(Preprocess, BgrGivesWhatRgbGives) {
  const Image rgb = Noise(5, 7);
  Image bgr = rgb;
  for (std::size_t i = 0; i < bgr.pixels.size(); i += 3) std::swap(bgr.pixels[i], bgr.pixels[i + 2]);
  ImageView view = bgr.view();
  view.order = PixelOrder::kBgr;
  for (const NetworkSize& size :
       {NetworkSize{5, 7, 5, 7}, NetworkSize{9, 4, 9, 4}, NetworkSize{3, 8, 2, 5}}) {
    EXPECT_EQ(Values(view, {}, size), Values(rgb.view(), {}, size));
  }
}

TEST(Preprocess, ResizedHereEqualsResizedBefore) {
  const Image image = Noise(600, 700);  // large enough for several threads
  const Image before = ResizeBilinear(image.view(), 123, 457);
  EXPECT_EQ(Values(image.view(), {}, {123, 457, 123, 457}), Values(before.view(), {}, {123, 457, 123, 457}));
}

TEST(Preprocess, PaddingIsTheMeanRightAndBelow) {
  const Image image = Noise(2, 3);
  const NetworkSize size{.height = 4, .width = 5, .content_height = 2, .content_width = 3};
  const std::vector<float> out = Values(image.view(), {}, size),
                           whole = Values(image.view(), {}, {2, 3, 2, 3});
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 4; ++y) {
      for (int x = 0; x < 5; ++x) {
        const float wanted = y < 2 && x < 3 ? whole[static_cast<std::size_t>(c * 6 + y * 3 + x)] : 0.0f;
        EXPECT_EQ(out[static_cast<std::size_t>(c * 20 + y * 5 + x)], wanted);
      }
    }
  }
}

// Four channels and one are copied as RGB first; RGB and BGR stay where they are.
TEST(ThreeChannels, CopiesOnlyWhatHasAnotherNumber) {
  const std::vector<std::uint8_t> bytes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
  std::vector<std::uint8_t> room;
  const auto seen = [&](PixelOrder order, std::ptrdiff_t stride) {  // 2 rows of 2 pixels
    const ImageView view = ThreeChannels({bytes.data(), 2, 2, stride, order}, room);
    EXPECT_EQ(view.data == bytes.data(), BytesPerPixel(order) == 3);
    EXPECT_EQ(view.row_stride, BytesPerPixel(order) == 3 ? stride : 6);
    return room;
  };
  using Bytes = std::vector<std::uint8_t>;
  EXPECT_EQ(seen(PixelOrder::kRgb, 7), Bytes());
  EXPECT_EQ(seen(PixelOrder::kBgr, 7), Bytes());
  EXPECT_EQ(seen(PixelOrder::kRgba, 9), (Bytes{1, 2, 3, 5, 6, 7, 10, 11, 12, 14, 15, 16}));
  EXPECT_EQ(seen(PixelOrder::kBgra, 9), (Bytes{3, 2, 1, 7, 6, 5, 12, 11, 10, 16, 15, 14}));
  EXPECT_EQ(seen(PixelOrder::kGray, 3), (Bytes{1, 1, 1, 2, 2, 2, 4, 4, 4, 5, 5, 5}));
  EXPECT_FRF_ERROR(ResizeBilinear({bytes.data(), 2, 2, 8, PixelOrder::kRgba}, 1, 1),
                   ErrorCode::kInvalidArgument, "neither RGB nor BGR");
}

TEST(Preprocess, RefusesWhatCannotBe) {
  const Image image = Noise(2, 2);
  float out[64];
  EXPECT_FRF_ERROR(Preprocess(image.view(), {}, {2, 2, 3, 2}, out), ErrorCode::kInvalidArgument,
                   "does not fit into 2x2");
  EXPECT_FRF_ERROR(Preprocess(image.view(), {.std = {1, 0, 1}}, {2, 2, 2, 2}, out),
                   ErrorCode::kInvalidArgument, "std 0");
  EXPECT_FRF_ERROR(Preprocess({}, {}, {2, 2, 2, 2}, out), ErrorCode::kInvalidArgument,
                   "Preprocess: the source");
}

}  // namespace
}  // namespace frf
