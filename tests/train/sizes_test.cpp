// SPDX-License-Identifier: Apache-2.0
// Which sizes a run has: what the network sees in use is what it learns on.
#include <gtest/gtest.h>

#include <tuple>

#include "data/pack.h"
#include "data/trees.h"
#include "support/support.h"
#include "train/plan.h"
#include "train/plan_sizes.h"

namespace frf {
namespace {

// A folder data set with images of these sizes, all in train.
std::unique_ptr<Dataset> Images(const std::string& root, const std::vector<std::pair<int, int>>& sizes) {
  test::PutText(root + "/classes.json", R"({"names": ["shelf", "floor"]})");
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto [height, width] = sizes[i];
    const std::string name = "train/" + std::string(1, static_cast<char>('a' + i / 26)) +
                             std::string(1, static_cast<char>('a' + i % 26)) + ".png";
    test::PutImage(root + "/images/" + name, test::Picture(height, width, static_cast<int>(i)));
    test::PutLabels(root + "/masks/" + name, test::Stripes(height, width, 2));
  }
  return OpenDataset({.spec = "folder:" + root, .split = "train"});
}

Plan Planned(const Dataset& data, const std::vector<std::string>& set = {}, int height = 0, int width = 0,
             const std::string& recipe = "best") {
  TrainOptions options;
  options.net = "frfnet-slim";
  options.recipe = Override(LoadRecipe(recipe), set);
  options.height = height;
  options.width = width;
  return MakePlan(options, data);
}

std::pair<int, int> Crop(const Plan& plan) { return {plan.recipe.crop_height, plan.recipe.crop_width}; }
std::pair<int, int> Input(const Plan& plan) { return {plan.model.input.height, plan.model.input.width}; }
std::pair<int, int> Base(const Plan& plan) {
  return {plan.recipe.augment.base_height, plan.recipe.augment.base_width};
}
constexpr std::pair<int, int> kNone{0, 0};

TEST(Sizes, ASizeThatIsAskedForIsTrainedOn) {
  const test::TempFolder folder;
  const auto data = Images(folder.path().string(), {{128, 160}, {128, 160}});
  const Plan as_they_are = Planned(*data);
  EXPECT_EQ(Input(as_they_are), std::pair(128, 160));
  EXPECT_EQ(Crop(as_they_are), std::pair(128, 160));
  EXPECT_EQ(Base(as_they_are), kNone);

  const Plan half = Planned(*data, {}, 64, 80);
  EXPECT_EQ(Input(half), std::pair(64, 80));
  EXPECT_EQ(Crop(half), std::pair(64, 80));
  EXPECT_EQ(Base(half), std::pair(64, 80));
  // What the loader makes of it: the image's own scale, before random scales.
  const Sample sample = ScaleToBase(data->Get(0), BaseSizeOf(half.recipe.augment));
  EXPECT_EQ(std::pair(sample.image.height, sample.image.width), std::pair(64, 80));
  EXPECT_EQ(std::pair(sample.labels.height, sample.labels.width), std::pair(64, 80));

  // Other sides: squashed in use, and so in training.
  EXPECT_EQ(Base(Planned(*data, {}, 64, 64)), std::pair(64, 64));
}

TEST(Sizes, ScalesOfTheRecipeReachTheAskedSizeToo) {
  const test::TempFolder folder;
  const auto data = Images(folder.path().string(), {{128, 160}, {128, 160}});
  const Plan quarter = Planned(*data, {"augment.base_scale=0.25"});
  EXPECT_EQ(Input(quarter), std::pair(32, 40));
  EXPECT_EQ(Crop(quarter), std::pair(32, 40)) << "not the images' own size, which would be padding";
  EXPECT_EQ(Base(quarter), kNone);
  const Plan asked = Planned(*data, {"augment.base_scale=0.5"}, 32, 40);
  EXPECT_EQ(Input(asked), std::pair(32, 40));
  EXPECT_EQ(Base(asked), std::pair(64, 80)) << "which the recipe's scale halves";
  EXPECT_EQ(Crop(asked), std::pair(32, 40));
  const Plan own = Planned(*data, {"augment.base_size=96x96"});
  EXPECT_EQ(Input(own), std::pair(96, 96));
  EXPECT_EQ(Crop(own), std::pair(96, 96));
}

TEST(Sizes, TheMostFrequentOneStandsForAll) {
  const test::TempFolder folder;
  const auto data = Images(folder.path().string(), {{40, 40}, {64, 96}, {64, 96}, {96, 64}});
  ::testing::internal::CaptureStderr();
  const Plan plan = Planned(*data);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("2 of 4 are 64x96"), std::string::npos) << said;
  EXPECT_EQ(Input(plan), std::pair(64, 96));
  EXPECT_EQ(Crop(plan), std::pair(64, 96));
  EXPECT_EQ(plan.model.input.fit, Fit::kNative);
  const Plan asked = Planned(*data, {}, 48, 48);
  EXPECT_EQ(asked.model.input.fit, Fit::kResize);
  EXPECT_EQ(Base(asked), std::pair(48, 48));
}

TEST(Sizes, OneOddImageAmongManyIsSeen) {
  const test::TempFolder folder;
  std::vector<std::pair<int, int>> sizes(90, {32, 40});
  sizes[1] = {40, 32};
  const auto data = Images(folder.path().string(), sizes);
  EXPECT_EQ(LookAtSizes(*data).common, 89);
  EXPECT_EQ(Planned(*data).model.input.fit, Fit::kNative);
}

TEST(Sizes, AScaleThatIsLearntAndNotUsedIsSaid) {
  const test::TempFolder folder;
  const auto data = Images(folder.path().string(), {{64, 96}, {64, 96}, {64, 80}});
  ::testing::internal::CaptureStderr();
  Planned(*data, {"augment.base_scale=0.25"});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("learns images scaled by 0.25"), std::string::npos) << said;
  ::testing::internal::CaptureStderr();
  Planned(*data, {"augment.base_scale=0.25"}, 16, 24);
  EXPECT_EQ(::testing::internal::GetCapturedStderr().find("scaled by"), std::string::npos);
}

TEST(Sizes, ASizeAndNativeDoNotGoTogether) {
  const test::TempFolder folder;
  const auto data = Images(folder.path().string(), {{64, 96}, {64, 80}});
  TrainOptions options;
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  std::tie(options.height, options.width) = std::pair(32, 48);
  options.fit = Fit::kNative;
  EXPECT_FRF_ERROR(MakePlan(options, *data), ErrorCode::kUsage, "--size 32x48 resizes all images");
}

TEST(Sizes, APacksIndexKnowsThem) {
  const test::TempFolder folder;
  Images(folder.path().string(), {{40, 48}, {40, 48}, {48, 40}});
  PackData({.spec = "folder:" + folder.path().string(), .split = "train"}, folder / "own.pack",
           {.splits = {"train"}});
  const ImageSizes sizes =
      LookAtSizes(*OpenDataset({.spec = "pack:" + (folder / "own.pack"), .split = "train"}));
  EXPECT_EQ(std::pair(sizes.height, sizes.width), std::pair(40, 48));
  EXPECT_EQ(sizes.common, 2);
}

TEST(Sizes, AnotherRunsSizesAreMeasuredAnew) {
  const test::TempFolder folder;
  const auto data = Images(folder / "a", {{64, 96}, {64, 96}});
  const std::string config = folder / "config.json";
  test::PutText(config, ToJson(Planned(*data, {}, 32, 48)).dump());
  const Recipe recipe = LoadRecipe(config);
  EXPECT_EQ(recipe.crop_height, 0);
  EXPECT_EQ(recipe.augment.base_height, 0);
  test::PutText(config, ToJson(Planned(*data, {"crop=40x40", "augment.base_size=80x80"})).dump());
  const Recipe asked = LoadRecipe(config);  // the person's word
  EXPECT_EQ(asked.crop_height, 40);
  EXPECT_EQ(asked.augment.base_width, 80);
}

}  // namespace
}  // namespace frf
