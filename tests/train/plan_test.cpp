// SPDX-License-Identifier: Apache-2.0
#include "train/plan.h"

#include <gtest/gtest.h>

#include "data/dataset.h"
#include "graph/weights.h"
#include "nets/nets.h"
#include "support/support.h"
#include "train/trainer.h"

namespace frf {
namespace {

// Drawn scenes whose first class is called as given.
class Renamed : public Dataset {
 public:
  Renamed(const std::string& variant, const std::string& first)
      : scenes_(OpenDataset(
            {.spec = "synth:2", .split = "train", .height = 32, .width = 48, .variant = variant})),
        classes_(scenes_->classes()) {
    if (!first.empty()) classes_.names[0] = first;
  }
  std::string description() const override { return scenes_->description(); }
  int size() const override { return scenes_->size(); }
  const Classes& classes() const override { return classes_; }
  std::string name(int index) const override { return scenes_->name(index); }
  std::string image_path(int) const override { return {}; }
  std::string label_path(int) const override { return {}; }
  Sample Get(int index) const override { return scenes_->Get(index); }

 private:
  std::unique_ptr<Dataset> scenes_;
  Classes classes_;
};

AugmentSpec Planned(double sky, int given, const std::string& variant, const std::string& first) {
  TrainOptions options;
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  options.recipe.augment.sky = sky;
  options.recipe.augment.sky_class = given;
  return MakePlan(options, Renamed(variant, first)).recipe.augment;
}

TEST(Plan, FindsTheSkyByItsName) {
  EXPECT_EQ(Planned(0.4, -1, "camvid", "").sky_class, 0);
  EXPECT_EQ(Planned(0.4, -1, "camvid", "Sky").sky_class, 0);
  EXPECT_EQ(Planned(0.4, -1, "cityscapes", "").sky_class, 10);
  EXPECT_EQ(Planned(0.4, 3, "camvid", "").sky_class, 3);           // the person's word
  EXPECT_EQ(Planned(0.4, -1, "camvid", "ceiling").sky_class, -1);  // nothing is drawn
  EXPECT_EQ(Planned(0, -1, "camvid", "").sky_class, -1);
}

TEST(Plan, WhatIsSaidByClassFitsTheClasses) {
  const Renamed scenes("camvid", "");
  TrainOptions options;
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  options.recipe.loss.class_weights.assign(19, 1.0f);
  EXPECT_FRF_ERROR(MakePlan(options, scenes), ErrorCode::kUsage, "loss.class_weights are 19");
  options.recipe.loss.class_weights.assign(11, 1.0f);
  EXPECT_EQ(MakePlan(options, scenes).recipe.loss.class_weights, options.recipe.loss.class_weights);
  options.recipe.augment.sky_class = 11;
  EXPECT_FRF_ERROR(MakePlan(options, scenes), ErrorCode::kUsage, "augment.sky_class is 11");
  options.recipe.augment.sky_class = -1;
  options.recipe.augment.rare_classes = {3, 11};
  EXPECT_FRF_ERROR(MakePlan(options, scenes), ErrorCode::kUsage, "rare_classes holds 11");
}

TEST(Plan, WhereNoNetworkIsNamedItIsThatOfInit) {
  const Renamed scenes("camvid", "");
  const test::TempFolder folder;
  TrainOptions options;
  options.recipe = LoadRecipe("best");
  EXPECT_EQ(MakePlan(options, scenes).model.net, "frfnet");
  ModelInfo info;
  info.net = "frfnet-slim";
  info.net_options = {{"classes", 19}, {"width", 0.5}, {"dropout", 0.7}, {"aux", false}};
  info.classes = CityscapesClasses();
  SaveWeights(folder / "w.ckpt", BuildNet("frfnet-slim", {{"width", 0.5}}), ToJson(info));
  options.init = folder / "w.ckpt";
  const ModelInfo model = MakePlan(options, scenes).model;
  EXPECT_EQ(model.net, "frfnet-slim");
  EXPECT_EQ(model.net_options["width"], 0.5);
  EXPECT_EQ(model.net_options["classes"], 11) << "the data's";
  EXPECT_EQ(model.net_options["dropout"], options.recipe.dropout) << "the recipe's";
  EXPECT_EQ(model.net_options["aux"], true);
  options.net = "frfnet";  // named: as it is by itself
  EXPECT_EQ(MakePlan(options, scenes).model.net_options["width"], 1.0);
}

TEST(Plan, SaysOfTheRunWhatIsUsed) {
  const Renamed scenes("camvid", "");
  TrainOptions options;
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  EXPECT_EQ(MakePlan(options, scenes).recipe.batch, 2) << "of 8 that were asked for";
  options.recipe.batch = 1;
  EXPECT_EQ(MakePlan(options, scenes).recipe.batch, 1);
  EXPECT_EQ(MakePlan(options, scenes).model.train["list"], "train");
  options.train.list = "lists/v4.txt";
  EXPECT_EQ(MakePlan(options, scenes).model.train["list"], "v4.txt") << "as frf eval has it";
}

TEST(Plan, ValidationIsReadAsTrainingIs) {
  const Renamed scenes("cityscapes", "");
  TrainOptions options;
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  options.train = {.spec = "synth:4", .split = "train", .height = 64, .width = 96, .variant = "cityscapes"};
  for (const char* spec : {"", "synth:2"}) {
    options.validation.spec = spec;
    const DatasetSpec validation = MakePlan(options, scenes).validation;
    EXPECT_EQ(validation.spec, *spec == 0 ? "synth:4" : spec);
    EXPECT_EQ(validation.variant, "cityscapes");
    EXPECT_EQ(validation.height, 64);
    EXPECT_EQ(validation.width, 96);
  }
  options.validation.spec = "folder:x";  // another kind has no variants or scene sizes of that kind
  EXPECT_EQ(MakePlan(options, scenes).validation.variant, "");
}

}  // namespace
}  // namespace frf
