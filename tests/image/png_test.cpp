// SPDX-License-Identifier: Apache-2.0
// Every PNG colour type and depth against hand-made files, labels as stored values, and what is written read
// back.
#include <cmath>

#include "base/files.h"
#include "image/codec.h"
#include "image/image_io.h"
#include "support/make_image.h"
#include "support/support.h"

namespace frf {
namespace {

using test::MakePng;
using test::PngSpec;

int Hash(int y, int x, int c) {
  return static_cast<int>((static_cast<unsigned>(y * 131 + x * 31 + c * 17) * 2654435761u) >> 16);
}

int To8(int sample, int depth) { return static_cast<int>(std::lround(sample * 255.0 / ((1 << depth) - 1))); }

struct Kind {
  int color, depth;
};
constexpr Kind kKinds[] = {{test::kPngGrey, 1},    {test::kPngGrey, 2},      {test::kPngGrey, 4},
                           {test::kPngGrey, 8},    {test::kPngGrey, 16},     {test::kPngRgb, 8},
                           {test::kPngRgb, 16},    {test::kPngGreyAlpha, 8}, {test::kPngGreyAlpha, 16},
                           {test::kPngRgba, 8},    {test::kPngRgba, 16},     {test::kPngPalette, 1},
                           {test::kPngPalette, 2}, {test::kPngPalette, 4},   {test::kPngPalette, 8}};

std::vector<Color> SomePalette(int count) {
  std::vector<Color> palette;
  for (int i = 0; i < count; ++i) {
    palette.push_back({static_cast<std::uint8_t>(i * 7), static_cast<std::uint8_t>(255 - i),
                       static_cast<std::uint8_t>(i * i)});
  }
  return palette;
}

void CheckKind(const PngSpec& spec) {
  SCOPED_TRACE(testing::Message() << "colour " << spec.color << " depth " << spec.depth << " " << spec.height
                                  << "x" << spec.width << (spec.interlaced ? " interlaced" : ""));
  const auto sample = [&](int y, int x, int c) { return Hash(y, x, c) & ((1 << spec.depth) - 1); };
  const Image image = DecodeImage(MakePng(spec, sample), "kind.png");
  ASSERT_EQ(image.height, spec.height);
  ASSERT_EQ(image.width, spec.width);
  ASSERT_EQ(image.channels, 3);
  ASSERT_EQ(image.pixels.size(), image.bytes());
  for (int y = 0; y < spec.height; ++y) {
    for (int x = 0; x < spec.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const bool grey = spec.color == test::kPngGrey || spec.color == test::kPngGreyAlpha;
        const int wanted =
            spec.color == test::kPngPalette
                ? spec.palette[static_cast<std::size_t>(sample(y, x, 0))][static_cast<std::size_t>(c)]
                : To8(sample(y, x, grey ? 0 : c), spec.depth);
        ASSERT_EQ(image.at(y, x)[c], wanted) << "at " << y << ", " << x << ", " << c;
      }
    }
  }
}

TEST(Png, EveryColourTypeAndDepthBecomesEightBitRgb) {
  for (const Kind& kind : kKinds) {
    for (const bool interlaced : {false, true}) {
      for (const auto& [height, width] : {std::pair{1, 1}, {1, 13}, {13, 1}, {9, 127}, {5, 3}}) {
        PngSpec spec{.height = height,
                     .width = width,
                     .depth = kind.depth,
                     .color = kind.color,
                     .interlaced = interlaced};
        if (kind.color == test::kPngPalette) spec.palette = SomePalette(1 << kind.depth);
        CheckKind(spec);
      }
    }
  }
}

TEST(Png, TransparencyAndGammaChangeNoColour) {
  std::string gamma;
  test::PutBigEndian(gamma, 45455, 4);
  const std::string chunk = test::PngChunk("gAMA", gamma);
  CheckKind({.height = 3,
             .width = 7,
             .depth = 4,
             .color = test::kPngPalette,
             .palette = SomePalette(16),
             .transparent = std::string("\0\x80", 2),
             .extra_chunks = chunk});
  CheckKind({.height = 3,
             .width = 7,
             .depth = 8,
             .color = test::kPngGrey,
             .transparent = std::string("\0\x07", 2),
             .extra_chunks = chunk});
  CheckKind({.height = 3,
             .width = 7,
             .depth = 16,
             .color = test::kPngRgb,
             .transparent = std::string(6, '\0'),
             .extra_chunks = chunk});
}

TEST(Png, ExifTurnsThePictureBeforeOrBehindItsPixels) {
  const auto sample = [](int row, int column, int channel) { return row * 40 + column * 5 + channel; };
  const test::PngSpec spec{.height = 3, .width = 5, .depth = 8, .color = test::kPngRgb};
  const std::string upright = test::MakePng(spec, sample);
  const Image stored = DecodeImage(upright, "upright.png");
  const test::TempFolder folder;
  for (const bool behind : {false, true}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      SCOPED_TRACE(orientation);
      std::string png = upright;
      // Behind 100 KB that is no picture: the size then is not among the bytes that are read first.
      const std::string chunks = test::PngChunk("teSt", std::string(100'000, 'x')) +
                                 test::PngChunk("eXIf", test::ExifBody(orientation).substr(6));
      png.insert(png.find(behind ? "IEND" : "IDAT") - 4, chunks);
      const Image image = DecodeImage(png, "turned.png");
      const Image expected = ApplyOrientation(stored, orientation);
      EXPECT_EQ(image.height, orientation >= 5 ? 5 : 3);
      EXPECT_EQ(image.pixels, expected.pixels);
      WriteFileAtomically(folder / "turned.png", png);
      EXPECT_EQ(ReadImageSize(folder / "turned.png"), (std::pair{image.height, image.width}));
      EXPECT_EQ(ReadOrientation(folder / "turned.png"), orientation);
    }
  }
}

TEST(Png, ExifThatSaysNothingIsPassedOver) {
  const test::PngSpec spec{.height = 3, .width = 5, .depth = 8, .color = test::kPngGrey};
  const auto sample = [](int, int, int) { return 1; };
  const std::string upright = test::MakePng(spec, sample);
  const std::size_t pixels = upright.find("IDAT") - 4;
  const std::string body = test::ExifBody(6).substr(6);
  std::string damaged = test::PngChunk("eXIf", body);
  damaged.back() ^= 1;
  for (const std::string& chunk :
       {damaged, test::PngChunk("eXIf", ""), test::PngChunk("eXIf", body.substr(0, 20)),
        test::PngChunk("eXIf", test::ExifBody(9).substr(6))}) {
    std::string png = upright;
    png.insert(pixels, chunk);
    EXPECT_EQ(DecodeImage(png, "a.png").height, 3);
    EXPECT_EQ(DecodeLabels(png, "a.png").height, 3);
  }
  std::string turned = upright;
  turned.insert(pixels, test::PngChunk("eXIf", body));
  EXPECT_EQ(DecodeImage(turned, "a.png").height, 5);
  EXPECT_FRF_ERROR(DecodeLabels(turned, "mask.png"), ErrorCode::kUnsupported,
                   "mask.png: labels are read as they are stored");
}

TEST(Png, LabelsAreStoredValuesNotColours) {
  for (const int color : {test::kPngGrey, test::kPngPalette}) {
    for (const int depth : {1, 2, 4, 8}) {
      for (const bool interlaced : {false, true}) {
        PngSpec spec{.height = 5, .width = 13, .depth = depth, .color = color, .interlaced = interlaced};
        if (color == test::kPngPalette) {
          spec.palette = SomePalette(1 << depth);
          spec.transparent = "\x10";
        }
        const auto sample = [&](int y, int x, int c) { return Hash(y, x, c) & ((1 << depth) - 1); };
        const LabelImage labels = DecodeLabels(MakePng(spec, sample), "labels.png");
        ASSERT_EQ(labels.height, 5);
        ASSERT_EQ(labels.width, 13);
        for (int y = 0; y < 5; ++y) {
          for (int x = 0; x < 13; ++x)
            ASSERT_EQ(labels.at(y, x), sample(y, x, 0)) << color << " " << depth << " " << y << " " << x;
        }
      }
    }
  }
}

TEST(Png, SixteenBitLabelsAreTakenWhereTheyFit) {
  PngSpec spec{.height = 2, .width = 3, .depth = 16, .color = test::kPngGrey};
  const LabelImage labels =
      DecodeLabels(MakePng(spec, [](int y, int x, int) { return y * 200 + x; }), "wide.png");
  EXPECT_EQ(labels.at(1, 2), 202);
  EXPECT_FRF_ERROR(DecodeLabels(MakePng(spec, [](int y, int x, int) { return y * 256 + x; }), "wide.png"),
                   ErrorCode::kUnsupported, "wide.png: label 256 at row 1, column 0");
}

TEST(Png, ColoursAreRefusedAsLabels) {
  const auto sample = [](int y, int x, int c) { return y == 1 && x == 0 ? c : 1; };
  EXPECT_FRF_ERROR(DecodeLabels(MakePng({.height = 2, .width = 2}, sample), "colours.png"),
                   ErrorCode::kUnsupported,
                   "colours.png: labels must be class ids, and this PNG stores colours: "
                   "(0, 1, 2) at row 1, column 0; give classes.json a \"palette\"");
  EXPECT_FRF_ERROR(DecodeLabels(MakePng({.height = 2, .width = 2, .depth = 16}, sample), "wide.png"),
                   ErrorCode::kUnsupported, "stores RGB of 16 bits");
  EXPECT_FRF_ERROR(DecodeLabels(test::MakeJpeg({.height = 8, .width = 8}, sample), "labels.jpg"),
                   ErrorCode::kUnsupported, "labels.jpg: labels must be PNG");
}

// Tools that save every picture as RGB, or with alpha, save masks so too.
TEST(Png, IdsInThreeEqualChannelsOrBesideAlphaAreIds) {
  for (const int color : {test::kPngRgb, test::kPngRgba, test::kPngGreyAlpha}) {
    const int alpha = color == test::kPngRgb ? 3 : color == test::kPngRgba ? 3 : 1;
    const auto sample = [&](int y, int x, int c) { return c == alpha ? 77 : y * 100 + x; };
    const LabelImage labels =
        DecodeLabels(MakePng({.height = 2, .width = 3, .color = color}, sample), "ids.png");
    EXPECT_EQ(labels.ids, (std::vector<std::uint8_t>{0, 1, 2, 100, 101, 102})) << color;
  }
}

TEST(Png, LimitsAreHeldBeforeDecoding) {
  const std::string png = MakePng({.height = 30, .width = 40}, Hash);
  EXPECT_FRF_ERROR(DecodeImage(png, "a.png", {.max_pixels = 1199}), ErrorCode::kOutOfMemory,
                   "a.png: PNG of 30x40");
  EXPECT_FRF_ERROR(DecodeImage(png, "a.png", {.max_side = 39}), ErrorCode::kOutOfMemory, "at most 39 a side");
  EXPECT_FRF_ERROR(DecodeImage(png, "a.png", {.max_decode_bytes = 3600}), ErrorCode::kOutOfMemory,
                   "to decode");
  EXPECT_EQ(
      DecodeImage(MakePng({.height = 30, .width = 40}, Hash), "a.png", {.max_pixels = 1200, .max_side = 40})
          .width,
      40);
}

TEST(Png, EveryCutIsAnErrorThatNamesTheFile) {
  const std::string png = MakePng({.height = 5, .width = 7}, Hash);
  for (std::size_t bytes = 0; bytes < png.size(); ++bytes) {
    EXPECT_FRF_ERROR(DecodeImage(png.substr(0, bytes), "cut.png"), ErrorCode::kCorruptFile, "cut.png: ");
  }
}

TEST(Png, WhatIsWrittenReadsBackTheSame) {
  for (const int channels : {1, 3, 4}) {
    Image image{.height = 13, .width = 127, .channels = channels};
    for (std::size_t i = 0; i < image.bytes(); ++i)
      image.pixels.push_back(static_cast<std::uint8_t>(Hash(0, static_cast<int>(i), 0)));
    const Image back = DecodeImage(EncodePng(image), "back.png");
    ASSERT_EQ(back.height, 13);
    ASSERT_EQ(back.width, 127);
    for (int i = 0; i < 13 * 127; ++i) {
      for (int c = 0; c < 3; ++c)
        ASSERT_EQ(back.pixels[static_cast<std::size_t>(i * 3 + c)],
                  image.pixels[static_cast<std::size_t>(i * channels + (channels == 1 ? 0 : c))]);
    }
  }
  Image two{.height = 1, .width = 1, .channels = 2, .pixels = {1, 2}};
  EXPECT_FRF_ERROR(EncodePng(two), ErrorCode::kInvalidArgument, "1, 3 or 4 channels");
  Image short_of_bytes{.height = 2, .width = 1, .channels = 3, .pixels = {1, 2, 3}};
  EXPECT_FRF_ERROR(EncodePng(short_of_bytes), ErrorCode::kInvalidArgument, "3 bytes");
}

TEST(Png, LabelsReadBackWithAndWithoutPalette) {
  LabelImage labels{.height = 3, .width = 5, .ids = {0, 1, 2, 3, 4, 254, 255, 10, 11, 12, 0, 0, 255, 7, 7}};
  const std::vector<Color> palette{{10, 20, 30}, {40, 50, 60}};
  EXPECT_EQ(DecodeLabels(EncodeLabels(labels), "l.png").ids, labels.ids);
  const std::string coloured = EncodeLabels(labels, &palette);
  EXPECT_EQ(DecodeLabels(coloured, "l.png").ids, labels.ids);
  const Image image = DecodeImage(coloured, "l.png");
  EXPECT_EQ(image.at(0, 1)[2], 60);  // class 1 in its colour
  EXPECT_EQ(image.at(1, 1)[0], 0);   // void is black
}

}  // namespace
}  // namespace frf
