// SPDX-License-Identifier: Apache-2.0
// Augmentation, worked out by hand: where pixels go, that labels follow them, and that no id is invented.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>

#include "data/loader.h"
#include "data/paste.h"
#include "data/photometric.h"
#include "data/trees.h"
#include "image/transform.h"
#include "support/support.h"

namespace frf::test {
namespace {

AugmentSpec Plain(int height, int width) {
  AugmentSpec spec;
  spec.crop_height = height;
  spec.crop_width = width;
  spec.flip = 0;
  return spec;
}

Sample Drawn(int height, int width, int classes = 5) {
  return {.name = "drawn", .image = Picture(height, width), .labels = Stripes(height, width, classes)};
}

TEST(Augment, NothingAskedForIsTheIdentity) {
  for (const auto& [height, width] : {std::pair{1, 1}, {13, 127}, {127, 13}, {360, 480}}) {
    const Sample sample = Drawn(height, width);
    const Sample result = Augment(sample, Plain(height, width), {}, 1, 2, 3);
    EXPECT_EQ(result.image.pixels, sample.image.pixels);
    EXPECT_EQ(result.labels.ids, sample.labels.ids);
    EXPECT_EQ(result.name, "drawn");
  }
}

TEST(Augment, FlipMirrorsImageAndLabelsAlike) {
  const Sample sample = Drawn(9, 13);
  AugmentSpec spec = Plain(9, 13);
  spec.flip = 1;
  const Sample result = Augment(sample, spec, {}, 1, 2, 3);
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 13; ++x) {
      EXPECT_EQ(result.labels.at(y, x), sample.labels.at(y, 12 - x));
      for (int c = 0; c < 3; ++c) EXPECT_EQ(result.image.at(y, x)[c], sample.image.at(y, 12 - x)[c]);
    }
  }
}

TEST(Augment, FlipHappensAsOftenAsAsked) {
  const Sample sample = Drawn(2, 5);
  AugmentSpec spec = Plain(2, 5);
  spec.flip = 0.3;
  int flipped = 0;
  for (int i = 0; i < 1000; ++i)
    flipped += Augment(sample, spec, {}, 7, 0, i).labels.ids != sample.labels.ids;
  EXPECT_NEAR(flipped, 300, 60);  // four standard deviations
}

TEST(Augment, CropIsAWindowOfTheSourceAndReachesBothEnds) {
  const Sample sample = Drawn(10, 12);
  std::set<std::pair<int, int>> seen;
  for (int i = 0; i < 400; ++i) {
    const Sample result = Augment(sample, Plain(8, 9), {}, 3, 0, i);
    // Red is 7 y and green 5 x: the first pixel tells where the window lies.
    const int y0 = result.image.at(0, 0)[0] / 7, x0 = result.image.at(0, 0)[1] / 5;
    seen.insert({y0, x0});
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 9; ++x) {
        ASSERT_EQ(result.labels.at(y, x), sample.labels.at(y0 + y, x0 + x));
        ASSERT_EQ(result.image.at(y, x)[2], sample.image.at(y0 + y, x0 + x)[2]);
      }
    }
  }
  EXPECT_EQ(seen.size(), 12u);  // offsets 0..2 by 0..3
}

TEST(Augment, ASmallImageIsPaddedWithMeanAndVoid) {
  const Sample sample = Drawn(3, 4);
  InputSpec input;
  input.mean = {10.4f, 20.6f, 300.0f};
  for (int i = 0; i < 50; ++i) {
    const Sample result = Augment(sample, Plain(5, 9), input, 3, 0, i);
    int padded = 0;
    for (int y = 0; y < 5; ++y) {
      for (int x = 0; x < 9; ++x) {
        const std::uint8_t* p = result.image.at(y, x);
        const bool mean = p[0] == 10 && p[1] == 21 && p[2] == 255;
        padded += mean;
        EXPECT_TRUE(!mean || result.labels.at(y, x) == kVoidLabel);
      }
    }
    EXPECT_EQ(padded, 5 * 9 - 3 * 4);
  }
}

TEST(Augment, ScaledImageIsBilinearAndLabelsNearest) {
  // 1x2 pixels to 1x4: half-pixel centres give 0, 1/4, 3/4, 1 of the way; nearest gives 0 0 1 1.
  Sample sample{.name = "two",
                .image = {.height = 1, .width = 2, .channels = 3, .pixels = {0, 0, 0, 200, 100, 40}},
                .labels = {.height = 1, .width = 2, .ids = {3, 8}}};
  AugmentSpec spec = Plain(2, 4);
  spec.scale_min = spec.scale_max = 2;
  const Sample result = Augment(sample, spec, {}, 1, 1, 1);
  const int reds[] = {0, 50, 150, 200}, ids[] = {3, 3, 8, 8};
  for (int y = 0; y < 2; ++y) {
    for (int x = 0; x < 4; ++x) {
      EXPECT_EQ(result.image.at(y, x)[0], reds[x]);
      EXPECT_EQ(result.labels.at(y, x), ids[x]);
    }
  }
}

TEST(Augment, ScalingAgreesWithTheImageRoom) {
  const Sample sample = Drawn(37, 53);
  for (const double scale : {0.5, 0.75, 1.3, 2.0}) {
    const int height = static_cast<int>(std::lround(37 * scale)),
              width = static_cast<int>(std::lround(53 * scale));
    AugmentSpec spec = Plain(height, width);
    spec.scale_min = spec.scale_max = scale;
    const Sample result = Augment(sample, spec, {}, 1, 1, 1);
    const Image image = ResizeBilinear(sample.image.view(), height, width, /*antialias=*/false);
    const LabelImage labels = ResizeNearest(sample.labels, height, width);
    EXPECT_EQ(result.labels.ids, labels.ids) << scale;
    int worst = 0;
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
      worst = std::max(worst, std::abs(image.pixels[i] - result.image.pixels[i]));
    }
    EXPECT_LE(worst, 1) << scale;  // rounding of a half
  }
}

TEST(Augment, NearestNeverInventsAnId) {
  Sample sample = Drawn(31, 47);
  for (auto& id : sample.labels.ids) id = id == kVoidLabel ? id : static_cast<std::uint8_t>(id * 50);
  AugmentSpec spec = Plain(24, 24);
  spec.scale_min = 0.3, spec.scale_max = 3, spec.flip = 0.5, spec.color = 1;
  for (int i = 0; i < 200; ++i) {
    for (const std::uint8_t id : Augment(sample, spec, {}, 5, 0, i).labels.ids) {
      ASSERT_TRUE(id == kVoidLabel || id % 50 == 0) << int(id);
    }
  }
}

TEST(Augment, BaseScaleIsAreaForTheImage) {
  // Two by two boxes: the mean of 0, 10, 20, 50 is 20; the label is nearest at (1, 1) of each box.
  Sample sample{.name = "box",
                .image = {.height = 2,
                          .width = 2,
                          .channels = 3,
                          .pixels = {0, 0, 0, 10, 10, 10, 20, 20, 20, 50, 50, 50}},
                .labels = {.height = 2, .width = 2, .ids = {1, 2, 3, 4}}};
  AugmentSpec spec = Plain(1, 1);
  spec.base_scale = 0.5;
  const Sample result = Augment(sample, spec, {}, 1, 1, 1);
  EXPECT_EQ(result.image.pixels, (std::vector<std::uint8_t>{20, 20, 20}));
  EXPECT_EQ(result.labels.ids, (std::vector<std::uint8_t>{4}));
}

TEST(Augment, ColorsByHand) {
  Sample sample{.name = "one",
                .image = {.height = 1, .width = 1, .channels = 3, .pixels = {100, 50, 200}},
                .labels = {.height = 1, .width = 1, .ids = {0}}};
  AugmentSpec spec = Plain(1, 1);
  spec.color = 1, spec.shift = 0;
  spec.saturation_min = spec.saturation_max = 1;
  spec.gain_min = spec.gain_max = 1.5;
  EXPECT_EQ(Augment(sample, spec, {}, 1, 1, 1).image.pixels, (std::vector<std::uint8_t>{150, 75, 255}));
  spec.gain_min = spec.gain_max = 1;
  spec.saturation_min = spec.saturation_max = 0;  // grey: 0.299 * 100 + 0.587 * 50 + 0.114 * 200 = 82.05
  EXPECT_EQ(Augment(sample, spec, {}, 1, 1, 1).image.pixels, (std::vector<std::uint8_t>{82, 82, 82}));
  spec.saturation_min = spec.saturation_max = 1;
  spec.gamma_min = spec.gamma_max = 2;  // 100^2 / 255 = 39.2, 9.8, 156.9
  EXPECT_EQ(Augment(sample, spec, {}, 1, 1, 1).image.pixels, (std::vector<std::uint8_t>{39, 10, 157}));
}

TEST(Augment, ChannelsAreScaledApart) {
  Sample sample = Drawn(1, 1);
  sample.image.pixels = {100, 100, 100};
  AugmentSpec spec = Plain(1, 1);
  spec.color = 1, spec.shift = 0, spec.channel_gain = 0.5;
  spec.gain_min = spec.gain_max = spec.saturation_min = spec.saturation_max = 1;
  int low = 255, high = 0, apart = 0;
  for (int i = 0; i < 300; ++i) {
    const auto pixels = Augment(sample, spec, {}, 1, 1, i).image.pixels;
    for (const int value : pixels) low = std::min(low, value), high = std::max(high, value);
    apart += pixels[0] != pixels[1] && pixels[1] != pixels[2];
  }
  EXPECT_GE(low, 50);
  EXPECT_LE(low, 53);
  EXPECT_GE(high, 147);
  EXPECT_LE(high, 150);
  EXPECT_GT(apart, 280);
}

// A white dot spreads as the Gaussian says, keeps its light, and labels stay sharp.
TEST(Augment, BlurSpreadsAGaussian) {
  Sample sample = Drawn(21, 21);
  std::fill(sample.image.pixels.begin(), sample.image.pixels.end(), std::uint8_t{20});
  for (int c = 0; c < 3; ++c) sample.image.at(10, 10)[c] = 220;
  Photometric change{.apply = true, .blur = 1.2};
  ChangePhotometry(sample.image, change, {.top = 0, .bottom = 21, .left = 0, .right = 21});
  double sum = 0, moment = 0;
  for (int y = 0; y < 21; ++y) {
    for (int x = 0; x < 21; ++x) {
      const double light = sample.image.at(y, x)[1] - 20;
      sum += light, moment += light * (x - 10) * (x - 10);
    }
  }
  EXPECT_NEAR(sum, 200, 12);  // every value is rounded
  EXPECT_NEAR(moment / sum, 1.2 * 1.2, 0.15);
  EXPECT_NEAR(sample.image.at(10, 10)[0] - 20, 200 / (2 * std::numbers::pi * 1.44), 1);
  EXPECT_EQ(sample.image.at(10, 13)[2], sample.image.at(13, 10)[2]);
}

TEST(Augment, BlurStopsAtTheWindow) {
  Sample sample = Drawn(8, 12);
  Image before = sample.image;
  for (int y = 2; y < 5; ++y) {
    for (int k = 3 * 3; k < 3 * 7; ++k) sample.image.at(y, 0)[k] = before.at(y, 0)[k] = 90;
  }
  ChangePhotometry(sample.image, {.apply = true, .blur = 3}, {.top = 2, .bottom = 5, .left = 3, .right = 7});
  EXPECT_EQ(sample.image.pixels,
            before.pixels);  // flat inside: nothing from outside came in, nothing went out
}

TEST(Augment, NoiseHasItsDeviation) {
  Sample sample = Drawn(200, 200);
  std::fill(sample.image.pixels.begin(), sample.image.pixels.end(), std::uint8_t{128});
  ChangePhotometry(sample.image, {.apply = true, .noise = 6, .noise_seed = 5},
                   {.top = 0, .bottom = 200, .left = 0, .right = 200});
  double sum = 0, squares = 0;
  for (const int value : sample.image.pixels) sum += value - 128, squares += (value - 128) * (value - 128);
  const double count = static_cast<double>(sample.image.pixels.size());
  EXPECT_NEAR(sum / count, 0, 0.1);
  EXPECT_NEAR(std::sqrt(squares / count), 6, 0.1);
}

TEST(Augment, AspectStretchesImageAndLabelsTogether) {
  Sample sample = Drawn(60, 60);
  std::fill(sample.labels.ids.begin(), sample.labels.ids.end(), std::uint8_t{2});
  AugmentSpec spec = Plain(120, 120);
  spec.aspect = 1.5, spec.flip = 0;
  double widest = 0, narrowest = 9;
  for (int i = 0; i < 200; ++i) {
    const Sample result = Augment(sample, spec, {}, 3, 0, i);
    int rows = 0, columns = 0;
    for (int y = 0; y < 120; ++y) {
      int count = 0;
      for (int x = 0; x < 120; ++x) count += result.labels.ids[y * 120 + x] == 2;
      rows += count > 0, columns = std::max(columns, count);
    }
    EXPECT_NEAR(rows * columns, 3600, 130);  // the area stays
    const double aspect = static_cast<double>(columns) / rows;
    widest = std::max(widest, aspect), narrowest = std::min(narrowest, aspect);
  }
  EXPECT_NEAR(widest, 1.5, 0.06);
  EXPECT_NEAR(narrowest, 1 / 1.5, 0.03);
}

TEST(Augment, CutMixTakesARectangleOfTheDonor) {
  Sample sample = Drawn(60, 80), donor = Drawn(60, 80);
  std::fill(sample.labels.ids.begin(), sample.labels.ids.end(), std::uint8_t{2});
  std::fill(donor.labels.ids.begin(), donor.labels.ids.end(), std::uint8_t{5});
  std::fill(donor.image.pixels.begin(), donor.image.pixels.end(), std::uint8_t{77});
  AugmentSpec spec = Plain(48, 64), none = spec;
  spec.cutmix = 1;
  double least = 1, most = 0;
  for (int i = 0; i < 100; ++i) {
    const Sample result = Augment(sample, spec, {}, 3, 0, i, &donor),
                 before = Augment(sample, none, {}, 3, 0, i, &donor);
    int top = 48, bottom = 0, left = 64, right = 0, count = 0;
    for (int y = 0; y < 48; ++y) {
      for (int x = 0; x < 64; ++x) {
        const bool mixed = result.labels.ids[y * 64 + x] == 5;
        const std::uint8_t *now = result.image.at(y, x), *was = before.image.at(y, x);
        if (mixed) {
          ++count, top = std::min(top, y), bottom = std::max(bottom, y + 1), left = std::min(left, x),
                   right = std::max(right, x + 1);
          ASSERT_TRUE(now[0] == 77 && now[1] == 77 && now[2] == 77);
        } else {
          ASSERT_EQ(result.labels.ids[y * 64 + x], before.labels.ids[y * 64 + x]);
          ASSERT_TRUE(std::equal(now, now + 3, was));
        }
      }
    }
    EXPECT_EQ(count, (bottom - top) * (right - left));  // a rectangle
    const double share = count / (48.0 * 64.0);
    least = std::min(least, share), most = std::max(most, share);
  }
  EXPECT_NEAR(least, 0.1, 0.03);
  EXPECT_NEAR(most, 0.5, 0.03);
  EXPECT_EQ(Augment(sample, spec, {}, 3, 0, 0).image.pixels,
            Augment(sample, none, {}, 3, 0, 0).image.pixels);  // no donor
}

TEST(Augment, PaddingKeepsTheMeanUnderColorChange) {
  const Sample sample = Drawn(3, 3);
  AugmentSpec spec = Plain(3, 6);
  spec.color = 1, spec.gain_min = spec.gain_max = 1.4;
  int padded = 0;
  const Sample result = Augment(sample, spec, {}, 1, 1, 1);
  for (int y = 0; y < 3; ++y) {
    for (int x = 0; x < 6; ++x) {
      const std::uint8_t* p = result.image.at(y, x);
      padded += p[0] == 124 && p[1] == 116 && p[2] == 104;  // the default mean, rounded
    }
  }
  EXPECT_EQ(padded, 9);
}

TEST(Augment, SameKeysSameSampleOtherKeysAnother) {
  const Sample sample = Drawn(40, 50);
  AugmentSpec spec = Plain(24, 24);
  spec.scale_min = 0.5, spec.scale_max = 2, spec.color = 0.8, spec.flip = 0.5;
  const auto make = [&](int seed, int epoch, int position) {
    return Augment(sample, spec, {}, seed, epoch, position).image.pixels;
  };
  EXPECT_EQ(make(1, 2, 3), make(1, 2, 3));
  EXPECT_NE(make(1, 2, 3), make(2, 2, 3));
  EXPECT_NE(make(1, 2, 3), make(1, 3, 3));
  EXPECT_NE(make(1, 2, 3), make(1, 2, 4));
}

TEST(Augment, ClassCropHoldsTheRareClass) {
  Sample sample{.name = "rare",
                .image = Picture(100, 100),
                .labels = {.height = 100, .width = 100, .ids = std::vector<std::uint8_t>(10000, 0)}};
  sample.labels.at(3, 96) = 4;
  AugmentSpec spec = Plain(20, 20);
  spec.class_crop = 1, spec.flip = 0.5, spec.scale_min = 1, spec.scale_max = 2;
  for (int i = 0; i < 100; ++i) {
    const Sample result = Augment(sample, spec, {}, 9, 0, i);
    EXPECT_GE(std::count(result.labels.ids.begin(), result.labels.ids.end(), 4), 1) << i;
  }
  spec.rare_classes = {7};  // not there: an ordinary crop, which can miss the pixel
  int held = 0;
  for (int i = 0; i < 100; ++i) {
    const Sample result = Augment(sample, spec, {}, 9, 0, i);
    held += std::count(result.labels.ids.begin(), result.labels.ids.end(), 4) > 0;
  }
  EXPECT_LT(held, 50);
}

TEST(Augment, PasteBringsTheWholeObjectAndKeepsTheRest) {
  Sample sample{.name = "a",
                .image = Picture(60, 80),
                .labels = {.height = 60, .width = 80, .ids = std::vector<std::uint8_t>(4800, 0)}};
  Sample donor = sample;
  for (int y = 10; y < 15; ++y) {
    for (int x = 30; x < 34; ++x) donor.labels.at(y, x) = 6;  // a sign
  }
  for (int y = 15; y < 40; ++y) donor.labels.at(y, 31) = 2;  // on its pole
  for (int i = 0; i < 20; ++i) {
    const Sample pasted = PasteRare(sample, donor, {2, 6}, i);
    const auto sign = std::count(pasted.labels.ids.begin(), pasted.labels.ids.end(), 6);
    EXPECT_GE(sign, 1) << i;  // cut only by the image's edge
    for (int y = 0; y < 60; ++y) {
      for (int x = 0; x < 80; ++x) {
        const int id = pasted.labels.at(y, x);
        EXPECT_TRUE(id != 6 || (y >= 10 && y < 15));  // its row is kept
        EXPECT_TRUE(id != 2 || (y >= 15 && y < 40));
        EXPECT_TRUE(id != 0 || pasted.image.at(y, x)[0] == sample.image.at(y, x)[0]);
      }
    }
  }
  EXPECT_EQ(PasteRare(sample, donor, {9}, 1).labels.ids, sample.labels.ids);  // no such class there
}

TEST(Augment, OptionsOutOfRangeAreNamed) {
  const auto refused = [](auto change, const char* part) {
    AugmentSpec spec;
    change(spec);
    EXPECT_FRF_ERROR(CheckAugment(spec), ErrorCode::kInvalidArgument, part);
  };
  refused([](AugmentSpec& s) { s.crop_height = 0; }, "crop 0x480");
  refused([](AugmentSpec& s) { s.base_height = 40; }, "base size 40x0");
  refused([](AugmentSpec& s) { s.base_height = s.base_width = 70000; }, "base size 70000x70000");
  refused([](AugmentSpec& s) { s.base_scale = 0; }, "base_scale 0");
  refused([](AugmentSpec& s) { s.base_scale = NAN; }, "base_scale nan");
  refused([](AugmentSpec& s) { s.scale_min = 2; }, "scale 2 to 1");
  refused([](AugmentSpec& s) { s.flip = 1.5; }, "flip 1.5");
  refused([](AugmentSpec& s) { s.gamma_min = 0; }, "gamma 0 to 1");
  refused([](AugmentSpec& s) { s.temperature = 1; }, "temperature 1");
  refused([](AugmentSpec& s) { s.shift = -1; }, "shift -1");
  refused([](AugmentSpec& s) { s.channel_gain = 1; }, "channel_gain 1");
  refused([](AugmentSpec& s) { s.blur = -1; }, "blur -1");
  refused([](AugmentSpec& s) { s.noise = 65; }, "noise 65");
  refused([](AugmentSpec& s) { s.aspect = 0.5; }, "aspect 0.5");
  refused([](AugmentSpec& s) { s.cutmix = 2; }, "cutmix 2");
  refused([](AugmentSpec& s) { s.sky = -0.5; }, "sky -0.5");
  refused([](AugmentSpec& s) { s.sky_class = -2; }, "sky class -2");
  refused([](AugmentSpec& s) { s.saturation_min = -1; }, "saturation -1");
  refused([](AugmentSpec& s) { s.rare_classes = {255}; }, "rare class 255");
  EXPECT_EQ(ToJson(AugmentSpec{}).size(), 27u);
}

}  // namespace
}  // namespace frf::test
