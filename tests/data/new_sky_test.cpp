// SPDX-License-Identifier: Apache-2.0
#include "data/new_sky.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "data/loader.h"
#include "support/support.h"

namespace frf::test {
namespace {

constexpr int kHeight = 40, kWidth = 60, kRoofs = 20;  // sky above that row
constexpr std::uint8_t kSkyId = 3, kHouseId = 5;

// White sky over dark houses; the row between them is half of each, labelled house.
Sample Street() {
  Sample sample{.name = "street",
                .image = {.height = kHeight, .width = kWidth, .channels = 3},
                .labels = {.height = kHeight, .width = kWidth}};
  for (int y = 0; y < kHeight; ++y) {
    const std::uint8_t grey = y < kRoofs ? 250 : y == kRoofs ? 150 : 50;
    sample.image.pixels.insert(sample.image.pixels.end(), 3 * kWidth, grey);
    sample.labels.ids.insert(sample.labels.ids.end(), kWidth, y < kRoofs ? kSkyId : kHouseId);
  }
  return sample;
}

constexpr Window kAll{.top = 0, .bottom = kHeight, .left = 0, .right = kWidth};

TEST(NewSky, ChangesSkyAndNothingElse) {
  const Sample old = Street();
  Sample now = old;
  DrawNewSky(now.image, now.labels, kSkyId, kAll, Random(1));
  EXPECT_EQ(now.labels.ids, old.labels.ids);
  EXPECT_NE(std::vector(now.image.at(0, 0), now.image.at(kRoofs, 0)),
            std::vector(old.image.at(0, 0), old.image.at(kRoofs, 0)));
  EXPECT_TRUE(std::equal(now.image.at(kRoofs + 1, 0), now.image.pixels.data() + now.image.pixels.size(),
                         old.image.at(kRoofs + 1, 0)));
}

TEST(NewSky, SkiesAreBlueGreyAndWarm) {
  int blue = 0, grey = 0, warm = 0;
  for (int i = 0; i < 100; ++i) {
    Sample sample = Street();
    DrawNewSky(sample.image, sample.labels, kSkyId, kAll, Random(2, i));
    const std::uint8_t* p = sample.image.at(kRoofs - 8, kWidth / 2);
    const int excess = p[2] - p[0];
    ++(excess > 30 ? blue : excess < -5 ? warm : grey);
  }
  EXPECT_GT(blue, 20);
  EXPECT_GT(grey, 20);
  EXPECT_GT(warm, 1);
}

TEST(NewSky, OutlinesTakeTheirShare) {
  // Where the roofs' row is half sky, half house, it becomes half of what a row of sky there becomes; one
  // column of it is sky, so that both skies end at the same row.
  Sample edge = Street(), open = edge;
  const auto open_up = [](Sample& sample, int columns) {
    std::fill_n(sample.labels.ids.begin() + kRoofs * kWidth, columns, kSkyId);
    std::fill_n(sample.image.at(kRoofs, 0), 3 * columns, std::uint8_t{250});
  };
  open_up(edge, 1);
  open_up(open, kWidth);
  for (int i = 0; i < 20; ++i) {
    Sample a = edge, b = open;
    DrawNewSky(a.image, a.labels, kSkyId, kAll, Random(3, i));
    DrawNewSky(b.image, b.labels, kSkyId, kAll, Random(3, i));
    for (int k = 3; k < 3 * kWidth; ++k) {
      ASSERT_NEAR(a.image.at(kRoofs, 0)[k], (b.image.at(kRoofs, 0)[k] + 50) / 2.0, 1) << "sky " << i;
    }
  }
}

TEST(NewSky, AsBrightAsTheOldOne) {
  Sample day = Street(), dusk = Street();
  for (std::uint8_t& value : dusk.image.pixels) value /= 2;
  DrawNewSky(day.image, day.labels, kSkyId, kAll, Random(4));
  DrawNewSky(dusk.image, dusk.labels, kSkyId, kAll, Random(4));
  for (int c = 0; c < 3; ++c) EXPECT_NEAR(dusk.image.at(3, 3)[c], day.image.at(3, 3)[c] / 2, 1);
}

TEST(NewSky, PaddingAndPicturesWithoutSkyStay) {
  const Sample old = Street();
  Sample now = old;
  DrawNewSky(now.image, now.labels, 9, kAll, Random(5));
  EXPECT_EQ(now.image.pixels, old.image.pixels);
  DrawNewSky(now.image, now.labels, kSkyId, {.top = 5, .bottom = kHeight, .left = 10, .right = 50},
             Random(5));
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      const bool inside = y >= 5 && x >= 10 && x < 50;
      if (!inside) {
        ASSERT_TRUE(std::equal(now.image.at(y, x), now.image.at(y, x) + 3, old.image.at(y, x)));
      }
    }
  }
  EXPECT_NE(now.image.pixels, old.image.pixels);
}

TEST(NewSky, AugmentationsOtherNumbersStay) {
  AugmentSpec spec{.crop_height = 32, .crop_width = 48, .scale_min = 0.8, .scale_max = 1.5};
  spec.cutmix = spec.aspect = 1;
  AugmentSpec with = spec;
  with.sky = 0.5, with.sky_class = kSkyId;
  int drawn = 0;
  for (int i = 0; i < 200; ++i) {
    const Sample a = Augment(Street(), spec, {}, 7, 1, i), b = Augment(Street(), with, {}, 7, 1, i);
    ASSERT_EQ(a.labels.ids, b.labels.ids);
    const bool sky = std::find(a.labels.ids.begin(), a.labels.ids.end(), kSkyId) != a.labels.ids.end();
    if (!sky) {
      EXPECT_EQ(a.image.pixels, b.image.pixels);
    }
    drawn += a.image.pixels != b.image.pixels;
  }
  EXPECT_GT(drawn, 60);  // of about 190 crops that show sky, half
  EXPECT_LT(drawn, 125);
  with.sky_class = -1;
  EXPECT_EQ(Augment(Street(), spec, {}, 7, 1, 3).image.pixels,
            Augment(Street(), with, {}, 7, 1, 3).image.pixels);
}

TEST(NewSky, ADataSetUnderNewSkies) {
  DatasetSpec spec{.spec = "synth:4", .split = "train", .height = 64, .width = 96};
  const auto plain = OpenDataset(spec);
  spec.new_skies = true;
  const auto anew = OpenDataset(spec), again = OpenDataset(spec);
  EXPECT_EQ(anew->description(), plain->description() + ", new skies");
  EXPECT_EQ(anew->size(), 4);
  int changed = 0;
  for (int i = 0; i < 4; ++i) {
    const Sample a = plain->Get(i), b = anew->Get(i);
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.labels.ids, b.labels.ids);
    EXPECT_EQ(anew->GetLabels(i).ids, a.labels.ids);
    EXPECT_EQ(b.image.pixels, again->Get(i).image.pixels);
    changed += a.image.pixels != b.image.pixels;
  }
  EXPECT_GE(changed, 3);
  EXPECT_NE(WithNewSkies(OpenDataset({.spec = "synth:4", .split = "train", .height = 64, .width = 96}), 1)
                ->Get(0)
                .image.pixels,
            anew->Get(0).image.pixels);  // another seed
}

TEST(NewSky, TheClassIsFoundByItsName) {
  EXPECT_EQ(SkyClass({.names = {"road", "SKY"}}), 1);
  EXPECT_EQ(SkyClass({.names = {"road", "skyscraper"}}), -1);
  class Indoors : public Dataset {
   public:
    std::string description() const override { return "rooms"; }
    int size() const override { return 1; }
    const Classes& classes() const override { return classes_; }
    std::string name(int) const override { return "room"; }
    std::string image_path(int) const override { return {}; }
    std::string label_path(int) const override { return {}; }
    Sample Get(int) const override { return Street(); }

   private:
    Classes classes_{.names = {"wall", "floor"}};
  };
  EXPECT_FRF_ERROR(WithNewSkies(std::make_shared<Indoors>(), 0), ErrorCode::kUsage,
                   "no class of rooms is called sky");
}

}  // namespace
}  // namespace frf::test
