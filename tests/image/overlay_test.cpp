// SPDX-License-Identifier: Apache-2.0
// Palettes, colouring, overlays with their legend, and text.
#include <set>

#include "image/transform.h"
#include "support/support.h"

namespace frf {
namespace {

Image Plain(int height, int width, std::uint8_t value) {
  Image image{.height = height, .width = width, .channels = 3};
  image.pixels.assign(image.bytes(), value);
  return image;
}

Classes TwoClasses() { return {.names = {"road", "sky"}, .palette = {{100, 0, 0}, {0, 0, 200}}}; }

TEST(Palette, ColoursAreDistinctForAnyNumberOfClasses) {
  for (const int classes : {0, 1, 11, 19, 255}) {
    const std::vector<Color> palette = DefaultPalette(classes);
    ASSERT_EQ(static_cast<int>(palette.size()), classes);
    EXPECT_EQ(static_cast<int>(std::set<Color>(palette.begin(), palette.end()).size()), classes);
    EXPECT_EQ(std::count(palette.begin(), palette.end(), Color{0, 0, 0}), 0);
  }
  // The usual sizes: no two colours closer than 30 levels in every channel, and none near black.
  const std::vector<Color> palette = DefaultPalette(20);
  for (std::size_t i = 0; i < palette.size(); ++i) {
    EXPECT_GT(palette[i][0] + palette[i][1] + palette[i][2], 90) << i;
    for (std::size_t j = 0; j < i; ++j) {
      int largest = 0;
      for (std::size_t c = 0; c < 3; ++c)
        largest = std::max(largest, std::abs(palette[i][c] - palette[j][c]));
      EXPECT_GE(largest, 30) << i << " and " << j;
    }
  }
  const std::vector<Color> more = DefaultPalette(40);
  EXPECT_TRUE(std::equal(palette.begin(), palette.end(), more.begin()))
      << "a class keeps its colour when classes are added";
  EXPECT_FRF_ERROR(DefaultPalette(256), ErrorCode::kInvalidArgument, "256 classes");
}

TEST(Colorize, VoidIsBlackAndUnknownIdsAreErrors) {
  const LabelImage labels{.height = 1, .width = 3, .ids = {1, 255, 0}};
  EXPECT_EQ(Colorize(labels, {{1, 2, 3}, {4, 5, 6}}).pixels,
            (std::vector<std::uint8_t>{4, 5, 6, 0, 0, 0, 1, 2, 3}));
  EXPECT_FRF_ERROR(Colorize(labels, {{1, 2, 3}}), ErrorCode::kInvalidArgument, "label 1 at row 0, column 0");
}

TEST(Overlay, BlendsByOpacityAndLeavesVoidAlone) {
  const Image image = Plain(1, 3, 200);
  const LabelImage labels{.height = 1, .width = 3, .ids = {0, 1, 255}};
  OverlayOptions options{.opacity = 0.5, .legend = false, .outlines = false};
  EXPECT_EQ(Overlay(image, labels, TwoClasses(), options).pixels,
            (std::vector<std::uint8_t>{150, 100, 100, 100, 100, 200, 200, 200, 200}));
  options.opacity = 0;
  EXPECT_EQ(Overlay(image, labels, TwoClasses(), options).pixels, image.pixels);
  options.opacity = 1;
  EXPECT_EQ(Overlay(image, labels, TwoClasses(), options).pixels[5], 200);
}

TEST(Overlay, OutlinesDarkenTheBorderOnly) {
  const Image image = Plain(1, 4, 100);
  const LabelImage labels{.height = 1, .width = 4, .ids = {1, 1, 0, 0}};
  const Image out = Overlay(image, labels, TwoClasses(), {.opacity = 0, .legend = false});
  EXPECT_EQ(out.at(0, 0)[0], 100);
  EXPECT_EQ(out.at(0, 1)[0], 40);
  EXPECT_EQ(out.at(0, 2)[0], 100);
}

TEST(Overlay, LegendGrowsBelowAndShowsTheSwatch) {
  const Image image = Plain(200, 480, 90);
  LabelImage labels{.height = 200, .width = 480, .ids = std::vector<std::uint8_t>(200 * 480, 1)};
  const Image out = Overlay(image, labels, TwoClasses());
  EXPECT_EQ(out.width, 480);
  EXPECT_GT(out.height, 200);
  EXPECT_LT(out.height, 240);
  const std::set<Color> colours = [&] {
    std::set<Color> seen;
    for (int y = 200; y < out.height; ++y) {
      for (int x = 0; x < out.width; ++x) seen.insert({out.at(y, x)[0], out.at(y, x)[1], out.at(y, x)[2]});
    }
    return seen;
  }();
  EXPECT_EQ(colours.count({0, 0, 200}), 1u);  // sky is there
  EXPECT_EQ(colours.count({100, 0, 0}), 0u);  // road is not in this picture
}

TEST(Overlay, AnyPictureTakesALegendOfTheLabelsClasses) {
  const Image sheet = Plain(90, 1400, 40);  // a sheet of several pictures is not of the labels' size
  const Image out = WithLegend(sheet, {.height = 1, .width = 2, .ids = {0, 0}}, TwoClasses());
  EXPECT_EQ(out.width, 1400);
  EXPECT_GT(out.height, 90);
  EXPECT_TRUE(std::equal(sheet.pixels.begin(), sheet.pixels.end(), out.pixels.begin()));
  int road = 0;
  for (int y = 90; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) road += out.at(y, x)[0] == 100 && out.at(y, x)[1] == 0;
  }
  EXPECT_GT(road, 200);  // the swatch is large enough to tell colours apart
}

TEST(Overlay, InPlaceKeepsTheSizeAndEachClassItsPlace) {
  const auto drawn = [](int height, std::uint8_t id) {
    Image image = Plain(height, 480, 90);
    OverlayInPlace(image,
                   {.height = height,
                    .width = 480,
                    .ids = std::vector<std::uint8_t>(static_cast<std::size_t>(height) * 480, id)},
                   TwoClasses());
    return image;
  };
  const auto without = [](int height, std::uint8_t id) {
    return Overlay(Plain(height, 480, 90),
                   {.height = height,
                    .width = 480,
                    .ids = std::vector<std::uint8_t>(static_cast<std::size_t>(height) * 480, id)},
                   TwoClasses(), {.legend = false});
  };
  const Image road = drawn(200, 0), sky = drawn(200, 1);
  EXPECT_EQ(road.pixels.size(), 200u * 480 * 3);
  EXPECT_TRUE(std::equal(road.pixels.begin(), road.pixels.begin() + 150 * 480 * 3,
                         without(200, 0).pixels.begin()));  // a quarter at most is legend
  EXPECT_NE(road.pixels, without(200, 0).pixels);
  int places = 0;  // road's swatch: bright where there is road, a third as bright at the same place where
                   // there is none
  for (int y = 150; y < 200; ++y) {
    for (int x = 0; x < 480; ++x) {
      if (road.at(y, x)[0] != 100 || road.at(y, x)[1] != 0) continue;
      ++places;
      EXPECT_EQ(sky.at(y, x)[0], 33);
    }
  }
  EXPECT_GT(places, 50);
  EXPECT_EQ(drawn(40, 0).pixels, without(40, 0).pixels);  // too low for a legend
}

TEST(Overlay, AnySizeAndManyClassesFit) {
  Classes many{.palette = DefaultPalette(255)};
  for (int i = 0; i < 255; ++i) many.names.push_back("a class with quite a long name " + std::to_string(i));
  for (const auto& [height, width] : {std::pair{1, 1}, {3, 700}, {700, 3}, {64, 2000}}) {
    LabelImage labels{.height = height, .width = width};
    for (int i = 0; i < height * width; ++i) labels.ids.push_back(static_cast<std::uint8_t>(i % 256));
    const Image out = Overlay(Plain(height, width, 120), labels, many);
    EXPECT_GE(out.width, width);
    EXPECT_GT(out.height, height);
    EXPECT_EQ(out.pixels.size(), out.bytes());
  }
}

TEST(Overlay, RefusesWhatDoesNotFit) {
  const Image image = Plain(2, 2, 0);
  const LabelImage labels{.height = 2, .width = 2, .ids = {0, 1, 2, 0}};
  EXPECT_FRF_ERROR(Overlay(image, labels, TwoClasses()), ErrorCode::kInvalidArgument,
                   "label 2, but there are 2 classes");
  EXPECT_FRF_ERROR(Overlay(Plain(2, 3, 0), labels, TwoClasses()), ErrorCode::kInvalidArgument, "of one size");
  EXPECT_FRF_ERROR(
      Overlay(image, {.height = 2, .width = 2, .ids = {0, 0, 0, 0}}, TwoClasses(), {.opacity = 2}),
      ErrorCode::kInvalidArgument, "opacity 2");
}

TEST(Text, WidthIsWhatIsDrawnAtEveryScale) {
  for (const int scale : {1, 2, 3}) {
    for (const std::string text : {"A", "road 12.5 %", "ijl|", "~!@#$%^&*()_+{}", "gypq"}) {
      Image image = Plain(40, 600, 0);
      DrawText(image, 5, 6, text, {255, 255, 255}, scale);
      int left = 600, right = -1, top = 40, bottom = -1;
      for (int y = 0; y < 40; ++y) {
        for (int x = 0; x < 600; ++x) {
          if (image.at(y, x)[0] < 128) continue;
          left = std::min(left, x), right = std::max(right, x), top = std::min(top, y),
          bottom = std::max(bottom, y);
        }
      }
      EXPECT_GE(left, 5) << text;
      EXPECT_GE(top, 6) << text;
      EXPECT_LT(right, 5 + TextWidth(text, scale)) << text;
      EXPECT_GE(right, 5 + TextWidth(text, scale) - 2 * scale) << text;
      EXPECT_LT(bottom, 6 + kTextHeight * scale) << text;
    }
  }
  EXPECT_EQ(TextWidth(""), 0);
  EXPECT_EQ(TextWidth("00"), 11);               // digits are 5 wide, 1 between
  EXPECT_EQ(TextWidth("11"), TextWidth("88"));  // and stand in columns
}

TEST(Text, LatinLettersAreDrawnWithoutTheirMarks) {
  const auto drawn = [](const std::string& text) {
    Image image = Plain(10, 200, 0);
    DrawText(image, 0, 0, text, {255, 255, 255});
    return image.pixels;
  };
  for (const auto& [text, ascii] :
       {std::pair<std::string, std::string>{"Straße", "Strasse"},
        {"Fußgänger", "Fussgaenger"},
        {"ÀÿÅÖØÆþ", "AyAOeOAEth"},
        {"café čĎİłœŽſ", "cafe cDIloeZs"},
        {"cafe\xcc\x81", "cafe"},  // e and a mark, as macOS writes é
        {"a\xc2\xa0z", "a z"},
        {"道路 x", "?? x"},  // one question mark for one letter that the font lacks
        {"😀", "?"},
        {"\xe4z", "?z"},  // no UTF-8
        {"z\xc3", "z?"}}) {
    EXPECT_EQ(drawn(text), drawn(ascii)) << text;
    EXPECT_EQ(TextWidth(text), TextWidth(ascii)) << text;
  }
}

TEST(Text, IsClippedAtEveryEdge) {
  for (const int x : {-20, -3, 7}) {
    for (const int y : {-20, -3, 7}) {
      Image image = Plain(9, 9, 0);
      DrawText(image, x, y, "Wg%", {255, 255, 255}, 2);
      EXPECT_EQ(image.pixels.size(), image.bytes());
    }
  }
  Image image = Plain(9, 9, 0);
  EXPECT_FRF_ERROR(DrawText(image, 0, 0, "a", {1, 2, 3}, 0), ErrorCode::kInvalidArgument, "scale");
}

TEST(Text, AllGlyphsDiffer) {
  std::set<std::vector<std::uint8_t>> seen;
  for (char c = 32; c < 127; ++c) {
    Image image = Plain(8, 8, 0);
    DrawText(image, 0, 0, std::string(1, c), {255, 255, 255});
    EXPECT_TRUE(seen.insert(image.pixels).second) << "'" << c << "' looks like another character";
  }
}

}  // namespace
}  // namespace frf
