// SPDX-License-Identifier: Apache-2.0
// Recipes: the reference is what its curve was measured with, every field comes back from JSON, wrong fields
// are named.
#include "train/recipe.h"

#include "base/files.h"
#include "support/support.h"

namespace frf {
namespace {

TEST(Recipe, EveryNamedOneSurvivesJson) {
  for (const std::string& name : RecipeNames()) {
    const Recipe recipe = LoadRecipe(name);
    const Json json = ToJson(recipe);
    EXPECT_EQ(ToJson(RecipeFromJson(json, name)).dump(), json.dump()) << name;
    EXPECT_EQ(ToJson(RecipeFromJson(Json::parse(json.dump()), name)).dump(), json.dump()) << name;
  }
}

TEST(Recipe, ReferenceIsTheCurvesSetting) {
  const Recipe recipe = LoadRecipe("reference");
  EXPECT_EQ(Epochs(recipe), 60);
  EXPECT_EQ(recipe.batch, 8);
  const AugmentSpec augment = AugmentOf(recipe, PhaseAt(recipe, 59));
  EXPECT_EQ(augment.crop_height, 180);
  EXPECT_EQ(augment.crop_width, 240);
  EXPECT_EQ(augment.base_scale, 0.5);
  const ScheduleSpec schedule = ScheduleOf(recipe, 45);
  EXPECT_EQ(schedule.steps, 2700);
  EXPECT_EQ(schedule.kind, ScheduleKind::kOneCycle);
  // Rises over 10 % of the steps: torch's OneCycleLR puts the top at step 0.1 * 2700 - 1.
  EXPECT_NEAR(RatesAt(schedule, 0).rate, 2e-3 / 25, 1e-12);
  EXPECT_NEAR(RatesAt(schedule, 269).rate, 2e-3, 1e-12);
  EXPECT_NEAR(RatesAt(schedule, 2699).rate, 2e-3 / 25 / 1e4, 1e-12);
  EXPECT_TRUE(recipe.optimizer.decay_all);
  EXPECT_EQ(recipe.average, 0);
}

TEST(Recipe, EpochsShrinkByLargestRemainder) {
  Recipe recipe = LoadRecipe("best");
  ASSERT_EQ(recipe.phases.size(), 4u);
  const int all = Epochs(recipe);
  EXPECT_EQ(recipe.phases[3].epochs, all / 5);  // Lovasz in the last fifth
  SetEpochs(recipe, 47);
  EXPECT_EQ(Epochs(recipe), 47);
  EXPECT_EQ(recipe.phases[0].epochs, 12);
  EXPECT_EQ(recipe.phases[1].epochs, 20);
  SetEpochs(recipe, 1);
  EXPECT_EQ(Epochs(recipe), 1);
  EXPECT_EQ(recipe.phases.size(), 1u);
  EXPECT_FRF_ERROR(SetEpochs(recipe, 0), ErrorCode::kUsage, "--epochs 0");
}

TEST(Recipe, PhasesFollowOneAnother) {
  Recipe recipe = LoadRecipe("best");
  recipe.crop_height = 360;
  recipe.crop_width = 480;
  EXPECT_EQ(PhaseAt(recipe, 0).name, "half");
  EXPECT_EQ(PhaseAt(recipe, 119).name, "half");
  EXPECT_EQ(PhaseAt(recipe, 120).name, "crops");
  EXPECT_EQ(PhaseAt(recipe, 100000).name, "metric");
  EXPECT_EQ(AugmentOf(recipe, recipe.phases[0]).crop_height, 180);
  EXPECT_EQ(AugmentOf(recipe, recipe.phases[0]).base_scale, 0.5);
  EXPECT_EQ(AugmentOf(recipe, recipe.phases[1]).crop_height, 240);
  EXPECT_EQ(AugmentOf(recipe, recipe.phases[1]).crop_width, 320);
  EXPECT_EQ(AugmentOf(recipe, recipe.phases[2]).crop_width, 480);
  EXPECT_EQ(SharpnessOf(recipe, recipe.phases[2]), 0);
  recipe.sharpness = 0.5;
  recipe.phases[2].sharpness = 2;
  EXPECT_EQ(SharpnessOf(recipe, recipe.phases[1]), 0.5);
  EXPECT_EQ(SharpnessOf(recipe, recipe.phases[2]), 2);
}

TEST(Recipe, WarmUpNeverEatsAShortRun) {
  Recipe recipe = LoadRecipe("best");  // 300 steps of warm-up
  SetEpochs(recipe, 10);
  const ScheduleSpec schedule = ScheduleOf(recipe, 4);
  EXPECT_EQ(schedule.steps, 40);
  EXPECT_EQ(schedule.warmup_steps, 8);
  EXPECT_EQ(WarmupWanted(recipe, 4), 300);
  EXPECT_EQ(schedule.decay_steps, 8);
}

TEST(Recipe, OneCycleHasAWarmUpOfItsOwn) {
  Recipe recipe = LoadRecipe("best");  // 300 steps of warm-up
  SetEpochs(recipe, 60);
  recipe = Override(recipe, {"schedule.kind=onecycle"});
  EXPECT_EQ(ScheduleOf(recipe, 1).warmup_steps, 0);
  EXPECT_EQ(WarmupWanted(recipe, 1), 0);
  for (const char* wrong : {"schedule.momentum_high=2", "schedule.momentum_low=1.5", "schedule.power=-1"})
    EXPECT_FRF_ERROR(Override(recipe, {wrong}), ErrorCode::kUsage, "wanted 0");
}

TEST(Recipe, ADecayThatLeavesNoRoomForWarmUpBeginsBehindIt) {
  Recipe recipe = LoadRecipe("best");
  recipe.decay_share = 1;
  Check(recipe);
  SetEpochs(recipe, 10);
  const ScheduleSpec schedule = ScheduleOf(recipe, 4);
  EXPECT_EQ(schedule.warmup_steps, 8);
  EXPECT_EQ(schedule.decay_steps, 32);
  Check(schedule);
  EXPECT_EQ(RatesAt(schedule, 39).rate, recipe.schedule.final_rate);
}

TEST(Recipe, OverridesByPath) {
  Recipe recipe = LoadRecipe("best");
  recipe = Override(recipe, {"optimizer.weight_decay=0.05"});
  recipe = Override(recipe, {"phases.0.epochs=3"});
  recipe = Override(recipe, {"phases.1.crop=100x120"});
  recipe = Override(recipe, {"loss.kind=ohem"});
  recipe = Override(recipe, {"name=mine"});
  EXPECT_EQ(recipe.optimizer.weight_decay, 0.05);
  EXPECT_EQ(recipe.phases[0].epochs, 3);
  EXPECT_EQ(recipe.phases[1].crop_width, 120);
  EXPECT_EQ(recipe.loss.kind, LossKind::kOhem);
  EXPECT_EQ(recipe.name, "mine");
  recipe = Override(recipe, {R"(augment={"sky": 0.4})"});  // other fields stay, as in a file
  EXPECT_EQ(recipe.augment.sky, 0.4);
  EXPECT_EQ(recipe.augment.scale_min, 0.75);
  EXPECT_FRF_ERROR(Override(recipe, {"optimizer.decay=1"}), ErrorCode::kUsage,
                   "no field 'decay'; there are kind");
  EXPECT_FRF_ERROR(Override(recipe, {"phases.9.epochs=1"}), ErrorCode::kUsage, "'9' is no position");
  EXPECT_FRF_ERROR(Override(recipe, {"batch"}), ErrorCode::kUsage, "KEY=VALUE");
  EXPECT_FRF_ERROR(Override(recipe, {"batch=2.5"}), ErrorCode::kUsage, "'batch' is 2.5");
  EXPECT_FRF_ERROR(Override(recipe, {"auxiliary=1"}), ErrorCode::kUsage, "'auxiliary'");
  EXPECT_FRF_ERROR(Override(recipe, {"batch=0"}), ErrorCode::kUsage, "batch is 0");
  EXPECT_FRF_ERROR(Override(recipe, {"input=gray"}), ErrorCode::kUsage, "imagenet, mean, mean-std");
  EXPECT_FRF_ERROR(Override(recipe, {"class_weights=1"}), ErrorCode::kUsage, "class_weights");
  EXPECT_FRF_ERROR(Override(recipe, {"loss.logit_adjustment=-1"}), ErrorCode::kUsage, "logit_adjustment");
  EXPECT_FRF_ERROR(Override(recipe, {"loss.distillation=0"}), ErrorCode::kUsage, "distillation");
  EXPECT_FRF_ERROR(Override(recipe, {"sharpness=-1"}), ErrorCode::kUsage, "sharpness is not in [0, 100]");
  EXPECT_FRF_ERROR(Override(recipe, {"phases.1.sharpness=1e40"}), ErrorCode::kUsage,
                   "phase 'crops': sharpness");
  EXPECT_FRF_ERROR(Override(recipe, {"phases=[]"}), ErrorCode::kUsage, "phases");
}

TEST(Recipe, WhatGoesTogetherMayComeInAnyOrder) {
  const Recipe best = LoadRecipe("best");  // sizes of 0.75 to 2
  const std::vector<std::string> larger{"augment.scale_min=3", "augment.scale_max=4"};
  for (const auto& set : {larger, {larger[1], larger[0]}})
    EXPECT_EQ(Override(best, set).augment.scale_max, 4);
  // A phase that is given in part has its other fields too.
  const Recipe phase =
      Override(best, {R"(phases=[{"name": "a"}])", "phases.0.epochs=7", "phases.0.crop=64x96"});
  EXPECT_EQ(phase.phases.at(0).epochs, 7);
  EXPECT_EQ(phase.phases.at(0).crop_width, 96);
}

TEST(Recipe, BlamedIsWhatIsWrong) {
  Recipe recipe = LoadRecipe("best");
  const auto said = [&](const std::vector<std::string>& set) -> std::string {
    try {
      Override(recipe, set);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::string small = "augment.scale_min=3", large = "augment.scale_max=2.5";
  EXPECT_TRUE(
      said({small, "dropout=0.2"}).starts_with("--set augment.scale_min=3: recipe: augment.scale_min"));
  EXPECT_TRUE(
      said({"dropout=0.2", small}).starts_with("--set augment.scale_min=3: recipe: augment.scale_min"));
  EXPECT_TRUE(said({small, "batch=4", large})
                  .starts_with("--set augment.scale_min=3, --set augment.scale_max=2.5: recipe: "))
      << said({small, "batch=4", large});
  EXPECT_TRUE(said({"batch=0", "batch=0"}).starts_with("--set batch=0, --set batch=0: recipe: batch is 0"));
  recipe.schedule.rate = -1;  // --lr -1
  EXPECT_TRUE(said({"batch=4"}).starts_with("schedule: rate = -1")) << said({"batch=4"});
  EXPECT_EQ(said({"schedule.rate=0.1"}), "");
}

TEST(Recipe, FilesBuildOnANamedOne) {
  test::TempFolder folder;
  const std::string path = folder / "mine.json";
  WriteFileAtomically(path, R"({"base": "paper", "batch": 4, "schedule": {"rate": 0.002}})");
  const Recipe recipe = LoadRecipe(path);
  EXPECT_EQ(recipe.name, "mine");
  EXPECT_EQ(recipe.batch, 4);
  EXPECT_EQ(recipe.schedule.rate, 0.002);
  EXPECT_EQ(recipe.schedule.kind, ScheduleKind::kCosine);  // the paper's
  WriteFileAtomically(path, R"({"base": "paper", "bach": 4})");
  EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kUsage, "no field 'bach'");
  WriteFileAtomically(path, R"({"base": "other.json"})");
  EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kUsage,
                   "mine.json: 'base' is \"other.json\", one of best, paper");
  WriteFileAtomically(path, R"([1])");
  EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kUsage, "mine.json");
  WriteFileAtomically(path, R"({"batch": )");
  EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kCorruptFile, "mine.json");
  WriteFileAtomically(path, R"({"schedule": {"steps": 99}})");
  EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kUsage, "schedule.steps follows from");
  WriteFileAtomically(path, R"({"schedule": {"decay_steps": 3}})");
  EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kUsage, "decay_share");
  EXPECT_FRF_ERROR(LoadRecipe("worst"), ErrorCode::kUsage, "best, paper, reference");
}

TEST(Recipe, FilesThatNameNoBaseBuildOnBest) {
  test::TempFolder folder;
  const std::string path = folder / "mine.json";
  WriteFileAtomically(path, R"({"batch": 16, "loss": {"kind": "ohem"}})");
  Recipe wanted = LoadRecipe("best");
  wanted.name = "mine";
  wanted.batch = 16;
  wanted.loss.kind = LossKind::kOhem;
  EXPECT_EQ(ToJson(LoadRecipe(path)).dump(), ToJson(wanted).dump());
  // A whole one, as --print-recipe writes it, is what it says.
  WriteFileAtomically(path, ToJson(LoadRecipe("paper")).dump());
  EXPECT_EQ(ToJson(LoadRecipe(path)).dump(), ToJson(LoadRecipe("paper")).dump());
}

TEST(Recipe, OfARunWithoutWhatItMeasured) {
  test::TempFolder folder;
  const std::string path = folder / "config.json";
  Recipe run = LoadRecipe("best");
  run.loss.class_weights = {0.5f, 1.5f};
  run.augment.rare_classes = {1};
  run.augment.sky = 0.4;
  run.augment.sky_class = 0;
  WriteFileAtomically(path, Json{{"recipe", ToJson(run)}, {"seed", 0}}.dump());
  const Recipe recipe = LoadRecipe(path);
  EXPECT_TRUE(recipe.loss.class_weights.empty());
  EXPECT_TRUE(recipe.augment.rare_classes.empty());
  EXPECT_EQ(recipe.augment.sky_class, -1);
  EXPECT_EQ(recipe.augment.sky, 0.4);
  run.class_weights = 0;  // so the weights are a person's
  WriteFileAtomically(path, Json{{"recipe", ToJson(run)}}.dump());
  EXPECT_EQ(LoadRecipe(path).loss.class_weights, run.loss.class_weights);
}

TEST(Recipe, ErrorsNameTheFile) {
  test::TempFolder folder;
  const std::string path = folder / "mine.json";
  const std::pair<const char*, const char*> wrong[] = {
      {R"({"batch": 0})", "batch is 0"},
      {R"({"batch": 4294967304})", "'batch' is 4294967304, a smaller number"},
      {R"({"schedule": {"warmup_steps": 2.7}})", "schedule: 'warmup_steps' is 2.7, a whole number"},
      {R"({"optimizer": {"weight_decay": "abc"}})", R"(optimizer: 'weight_decay' is "abc", a number)"},
      {R"({"augment": {"rare_classes": 3}})", "augment: 'rare_classes' is 3, a list"},
      {R"({"loss": {"kind": "foo"}})", "no loss is called 'foo'"},
      {R"({"loss": {"ohem_threshold": -1}})", "loss.ohem_threshold is -1"},
      {R"({"loss": {"class_weights": [1, 0]}})", "loss.class_weights is 0"},
      {R"({"phases": [{"name": "a"}, {"name": "b", "scale_max": 0.5}]})",
       "phase 'b': augmentation: scale 0.75 to 0.5"},
      {R"({"augment": {"gamma_max": 0.1}})", "gamma"}};
  for (const auto& [text, message] : wrong) {
    WriteFileAtomically(path, text);
    EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kUsage, message);
    EXPECT_FRF_ERROR(LoadRecipe(path), ErrorCode::kUsage, path);
  }
  // 0 means the recipe's: one bound alone may be given.
  WriteFileAtomically(path, R"({"phases": [{"name": "a", "scale_min": 0.5}]})");
  const Recipe recipe = LoadRecipe(path);
  EXPECT_EQ(AugmentOf(recipe, recipe.phases[0]).scale_min, 0.5);
  EXPECT_EQ(AugmentOf(recipe, recipe.phases[0]).scale_max, 2.0);
}

}  // namespace
}  // namespace frf
