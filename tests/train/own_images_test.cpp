// SPDX-License-Identifier: Apache-2.0
// A run on one's own folder of images, as they change under it: images taken away or added, classes renamed,
// no images set apart for validation; and what TensorBoard keeps of a run that was stopped.
#include <algorithm>
#include <cstring>

#include "base/checkpoint.h"
#include "base/files.h"
#include "data/trees.h"
#include "support/support.h"
#include "train/plan.h"
#include "train/recipe.h"
#include "train/run_folder.h"
#include "train/schedule.h"
#include "train/trainer.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

void PutPair(const std::string& root, const std::string& name) {
  test::PutImage(root + "/images/" + name + ".png", test::Picture(64, 64, static_cast<int>(name.size())));
  test::PutLabels(root + "/masks/" + name + ".png", test::Stripes(64, 64, 2));
}

// Eight images of train and one of val.
void MakeOwn(const std::string& root) {
  test::PutText(root + "/classes.json", R"({"names": ["shelf", "floor"]})");
  for (const char name : std::string("abcdefgh")) PutPair(root, std::string("train/") + name);
  PutPair(root, "val/v");
}

// Not a pixel is labelled.
LabelImage Nothing() {
  LabelImage labels{.height = 64, .width = 64};
  labels.ids.assign(64 * 64, kVoidLabel);
  return labels;
}

TrainOptions OwnRun(const std::string& root, const std::string& run) {
  TrainOptions options;
  options.train = {.spec = "folder:" + root, .split = "train"};
  options.validation.split = "val";
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  options.recipe.batch = 2;
  options.recipe.crop_height = options.recipe.crop_width = 32;
  options.recipe.validate_every = 1;
  options.recipe.batch_norm_batches = 0;
  options.recipe.phases = {{.name = "all", .epochs = 2}};
  options.run = run;
  options.device = "cpu";
  options.threads = 2;
  return options;
}

TEST(OwnImages, AResumedRunSaysThatImagesWereRemoved) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  options.stop_after_steps = 3;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "after step 3 of 8");
  const Json state = Checkpoint::Load(folder / "run/last.ckpt").meta()["state"];
  for (const char* name : {"g", "h", "f", "e"}) {  // two steps an epoch are left
    fs::remove(folder / ("own/images/train/" + std::string(name) + ".png"));
    fs::remove(folder / ("own/masks/train/" + std::string(name) + ".png"));
  }
  options.resume = true;
  options.stop_after_steps = 0;
  ::testing::internal::CaptureStderr();
  Train(options);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("4 images, where the run had 8"), std::string::npos) << said;
  // The loss of the epoch under way is the mean of the three steps that it had, not of the two that one has.
  std::vector<double> losses;
  for (const Json& line : RunFolder::Open(folder / "run").ReadLog())
    if (line["type"] == "epoch") losses.push_back(line["loss"]);
  ASSERT_EQ(losses.size(), 2u);
  EXPECT_DOUBLE_EQ(losses[0], state["loss_sum"].get<double>() / 3);
}

// Epochs grow or shrink with the images, and the schedule with them: it is to end where the run ends.
TEST(OwnImages, RatesEndWithTheRunHoweverManyImages) {
  for (const bool added : {true, false}) {
    SCOPED_TRACE(added ? "added" : "removed");
    const test::TempFolder folder;
    MakeOwn(folder / "own");
    const auto away = [&](bool back) {  // four of the eight images
      for (const std::string name : {"e", "f", "g", "h"}) {
        for (const std::string kind : {"images", "masks"}) {
          const std::string here = folder / ("own/" + kind + "/train/" + name + ".png"),
                            there = folder / (kind + name);
          fs::rename(back ? there : here, back ? here : there);
        }
      }
    };
    if (added) away(false);
    TrainOptions options = OwnRun(folder / "own", folder / "run");
    options.validate = false;
    options.recipe.warmup_epochs = 0;
    options.recipe.decay_share = 0.5;
    options.recipe.schedule.warmup_steps = 0;
    SetEpochs(options.recipe, 4);
    options.stop_after_steps = 5;
    EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted,
                     added ? "after step 5 of 8" : "after step 5 of 16");
    away(added);
    options.resume = true;
    options.stop_after_steps = 0;
    Train(options);
    const ScheduleSpec schedule = ScheduleOf(options.recipe, added ? 4 : 2);
    std::vector<double> rates;
    for (const Json& line : RunFolder::Open(folder / "run").ReadLog())
      if (line["type"] == "epoch") rates.push_back(line["rate"]);
    ASSERT_EQ(rates.size(), 4u);
    for (const int epoch : {3, 4})
      EXPECT_DOUBLE_EQ(rates[epoch - 1], RatesAt(schedule, epoch * (added ? 4 : 2) - 1).rate) << epoch;
    EXPECT_LT(rates[3], 0.3 * rates[1]);
  }
}

TEST(OwnImages, ARunWhoseImagesStayedIsResumedInSilence) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  options.stop_after_steps = 3;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  options.resume = true;
  options.stop_after_steps = 0;
  ::testing::internal::CaptureStderr();
  Train(options);
  EXPECT_EQ(::testing::internal::GetCapturedStderr().find("warning"), std::string::npos);
}

TEST(OwnImages, OtherClassesAreNamedOnResume) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  options.stop_after_steps = 1;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  options.resume = true;
  test::PutText(folder / "own/classes.json", R"({"names": ["shelf", "ground"]})");
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "calls class 1 'ground', the run 'floor'");
  test::PutText(folder / "own/classes.json", R"({"names": ["shelf", "floor", "lamp"]})");
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "has 3 classes, the run was started with 2");
  test::PutText(folder / "own/classes.json",
                R"({"names": ["shelf", "floor"], "palette": [[1, 2, 3], [4, 5, 6]]})");
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "other colours or label ids");
}

TEST(OwnImages, WithoutImagesToValidateOnTheWayOnIsNamed) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  fs::remove_all(folder / "own/images/val");
  EXPECT_FRF_ERROR(Train(OwnRun(folder / "own", folder / "run")), ErrorCode::kNotFound,
                   "--no-val trains without");
  fs::create_directories(folder / "own/images/val");  // masks/val is there: refused too, not after an epoch
  EXPECT_FRF_ERROR(Train(OwnRun(folder / "own", folder / "run")), ErrorCode::kNotFound,
                   "no images for split 'val'");
  EXPECT_FALSE(fs::exists(folder / "run"));
}

TEST(OwnImages, ANameThatConfigCannotHoldIsRefusedAtOnce) {
  const test::TempFolder folder;
  const std::string own = folder / "caf\xe9";
  MakeOwn(own);
  EXPECT_FRF_ERROR(Train(OwnRun(own, folder / "run")), ErrorCode::kUsage, "caf?: the name is not UTF-8");
  EXPECT_FALSE(fs::exists(folder / "run"));
  fs::rename(own, folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "caf\xe9");  // the run itself may be called so
  options.stop_after_steps = 1;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
}

std::string SaidBy(const TrainOptions& options) {
  ::testing::internal::CaptureStderr();
  Train(options);
  return ::testing::internal::GetCapturedStderr();
}

TEST(OwnImages, ValidatingOnTrainingImagesIsSaidAndRecorded) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  fs::create_symlink(folder / "own/images/train/a.png", folder / "own/images/val/a.png");
  fs::create_symlink(folder / "own/masks/train/a.png", folder / "own/masks/val/a.png");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  SetEpochs(options.recipe, 1);
  const std::string said = SaidBy(options);
  EXPECT_NE(said.find("1 of the 2 validation images are trained on"), std::string::npos) << said;
  const std::string file = folder / "run/config.json";
  const ModelInfo info = ModelInfoFromJson(ParseJson(ReadFile(file), file)["model"], file);
  EXPECT_EQ(info.eval.at(0)["trained_on"], 1);
  MakeOwn(folder / "other");
  options.train.spec = "folder:" + folder / "other";
  options.run = folder / "run2";
  EXPECT_EQ(SaidBy(options).find("trained on"), std::string::npos);
}

TEST(OwnImages, WithoutALabelledPixelThereIsNoScore) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  test::PutLabels(folder / "own/masks/val/v.png", Nothing());
  const TrainOptions options = OwnRun(folder / "own", folder / "run");
  const std::string said = SaidBy(options);
  EXPECT_NE(said.find("no pixel is labelled"), std::string::npos) << said;
  EXPECT_EQ(said.find("0.0000"), std::string::npos) << said;
  EXPECT_FALSE(fs::exists(folder / "run/best.ckpt"));
  ModelInfo info;
  LoadRunGraph(folder / "run", false, false, info);  // last.ckpt
  EXPECT_TRUE(info.eval.empty());
}

TEST(OwnImages, ClassesWithoutAPixelAreNamed) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  test::PutText(folder / "own/classes.json", R"({"names": ["shelf", "floor", "lamp"]})");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  SetEpochs(options.recipe, 1);
  std::string said = SaidBy(options);
  EXPECT_NE(said.find("no pixel is labelled lamp"), std::string::npos) << said;
  test::PutText(folder / "own/classes.json", R"({"names": ["shelf", "floor"], "void": [1]})");
  for (const char name : std::string("abcdefgh")) {
    LabelImage shelf{.height = 64, .width = 64};
    shelf.ids.assign(64 * 64, 0);
    test::PutLabels(folder / ("own/masks/train/" + std::string(1, name) + ".png"), shelf);
  }
  test::PutText(folder / "own/classes.json", R"({"names": ["shelf", "floor"]})");
  options.run = folder / "run2";
  said = SaidBy(options);
  EXPECT_NE(said.find("every labelled pixel is shelf"), std::string::npos) << said;
  EXPECT_NE(said.find(R"("label_ids": [0, 255], "void": [])"), std::string::npos) << said;
}

TEST(OwnImages, AListThatMovedIsNamedOnResume) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  const std::string list = "train/a\ntrain/b\ntrain/c\ntrain/d\n";
  test::PutText(folder / "a.txt", list);
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  options.train.list = folder / "a.txt";
  options.stop_after_steps = 1;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "after step 1 of 4");
  fs::rename(folder / "a.txt", folder / "b.txt");
  options.resume = true;
  options.stop_after_steps = 0;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kNotFound, "a.txt");
  options.train.list = folder / "b.txt";
  EXPECT_EQ(Train(options).steps, 4);
  options.validation.list = folder / "b.txt";  // this run validated on a split
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "--val-list");
}

TEST(OwnImages, TheReportOfAFinishedRunIsOfItsBestWeights) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  options.stop_after_steps =
      5;  // the first epoch is scored; the second will not be, so the first is the best
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "after step 5 of 8");
  test::PutLabels(folder / "own/masks/val/v.png", Nothing());
  options.resume = true;
  options.stop_after_steps = 0;
  EXPECT_EQ(Train(options).best_epoch, 1);
  EXPECT_NE(ReadFile(folder / "run/report.html").find("the best weights, of epoch 1"), std::string::npos);
}

TEST(OwnImages, TheDataDecideHowManyClassesThereAre) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  options.net_options["classes"] = 7;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "--net-options classes=7: the data have 2 classes");
}

TEST(OwnImages, ATeacherOfOtherClassesLeavesNothing) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "teacher");
  options.stop_after_steps = 1;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  test::PutText(folder / "own/classes.json", R"({"names": ["shelf", "ground"]})");
  options.run = folder / "run";
  options.teachers = {folder / "teacher"};
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "the same ones are wanted");
  EXPECT_FALSE(fs::exists(folder / "run"));
}

// The steps from which on TensorBoard was told to forget what was written before, in order.
std::vector<int> Forgotten(const std::string& run) {
  std::vector<std::string> files;  // sittings within one second share a file
  for (const auto& entry : fs::directory_iterator(run))
    if (entry.path().filename().string().starts_with("events.out")) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  std::vector<int> steps;
  for (const std::string& file : files) {
    const std::string bytes = ReadFile(file);
    for (std::size_t at = 0; at < bytes.size();) {
      std::uint64_t length = 0;
      std::memcpy(&length, &bytes[at], 8);
      const std::string event = bytes.substr(at + 12, length);  // 9 bytes of time, the step's tag, the step
      if (event.size() == 15 && event.ends_with("\x3a\x02\x08\x01")) steps.push_back(event[10]);
      at += 16 + length;
    }
  }
  return steps;
}

TEST(OwnImages, TensorBoardKeepsTheScoresOfAnEpochThatEndedASitting) {
  const test::TempFolder folder;
  MakeOwn(folder / "own");
  TrainOptions options = OwnRun(folder / "own", folder / "run");
  options.stop_after_steps = 4;  // before the epoch's end is written: that is done again
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  options.resume = true;
  options.stop_after_steps = 5;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  options.stop_after_steps = 0;
  Train(options);  // step 5's points stay
  Train(options);  // finished: nothing is forgotten
  EXPECT_EQ(Forgotten(folder / "run"), (std::vector<int>{4, 6}));
}

}  // namespace
}  // namespace frf
