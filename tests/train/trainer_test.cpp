// SPDX-License-Identifier: Apache-2.0
// Whole runs on drawn scenes, a few steps long: what a run folder holds, that stopping and resuming changes
// no bit, and how training ends when something goes wrong.
#include "train/trainer.h"

#include <sys/resource.h>

#include <csignal>

#include "base/checkpoint.h"
#include "base/files.h"
#include "data/trees.h"
#include "graph/weights.h"
#include "support/support.h"
#include "train/mean_weights.h"
#include "train/run_folder.h"
#include "train/train_state.h"

namespace frf {
namespace {

// Two phases, averages, auxiliary heads, Lovasz, sharpness-aware steps, re-estimated batch norm: everything
// that has a state or might leave one.
Recipe SmallRecipe(int epochs = 4) {
  Recipe recipe = LoadRecipe("best");
  recipe.batch = 2;
  recipe.crop_height = 64;
  recipe.crop_width = 64;
  recipe.validate_every = 1;
  recipe.batch_norm_batches = 2;
  recipe.phases = {{.name = "a", .epochs = 1, .crop_share = 0.5, .base_scale = 0.5},
                   {.name = "b", .epochs = 1, .rate_share = 0.5, .loss = "ce+lovasz", .sharpness = 0.2}};
  SetEpochs(recipe, epochs);
  return recipe;
}

TrainOptions SmallRun(const std::string& run) {
  TrainOptions options;
  options.train = {.spec = "synth:6", .split = "train", .height = 64, .width = 96};
  options.validation.split = "val";
  options.net = "frfnet-slim";
  options.recipe = SmallRecipe();
  options.run = run;
  options.device = "cpu";
  options.threads = 2;
  return options;
}

TEST(Trainer, StoppingAndResumingChangesNoBit) {
  test::TempFolder folder;
  const TrainResult whole = Train(SmallRun(folder / "whole"));
  EXPECT_EQ(whole.steps, 12);
  EXPECT_TRUE(whole.best_miou.has_value());

  // Mid-epoch, at an epoch's last step, and in the other phase; with other workers every time.
  TrainOptions options = SmallRun(folder / "parts");
  const int stops[] = {2, 3, 7, 12};
  for (int i = 0; i < 4; ++i) {
    options.resume = i > 0;
    options.workers = i % 2 == 0 ? 4 : 1;
    options.stop_after_steps = stops[i];
    EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
    options.train = {};  // from config.json
    options.recipe = {};
  }
  options.resume = true;
  options.stop_after_steps = 0;
  options.workers = 0;
  const TrainResult parts = Train(options);
  EXPECT_EQ(parts.weights_hash, whole.weights_hash);
  EXPECT_EQ(parts.best_miou, whole.best_miou);
  EXPECT_EQ(parts.last_miou, whole.last_miou);
  EXPECT_EQ(parts.loss, whole.loss);

  // The log tells one story: every epoch and validation once, in order.
  for (const std::string name : {"whole", "parts"}) {
    std::vector<int> epochs, validations, sharp;
    RunFolder run = RunFolder::Open(folder / name);
    for (const Json& line : run.ReadLog()) {
      if (line["type"] == "epoch") epochs.push_back(line["epoch"]);
      if (line["type"] == "epoch" && line.value("sharpness", 0.0) != 0) sharp.push_back(line["epoch"]);
      if (line["type"] == "validation") validations.push_back(line["epoch"]);
    }
    EXPECT_EQ(epochs, (std::vector<int>{1, 2, 3, 4})) << name;
    EXPECT_EQ(validations, (std::vector<int>{1, 2, 3, 4, 4})) << name;
    EXPECT_EQ(sharp, name == "whole" ? (std::vector<int>{3, 4}) : (std::vector<int>{3})) << name;
  }
  // A finished run stays as it is.
  const TrainResult again = Train(options);
  EXPECT_EQ(again.weights_hash, whole.weights_hash);
}

TEST(Trainer, ACheckpointKeepsTheWholeLossScale) {
  TrainState state;
  state.loss_scale = {.scale = 1024, .good_steps = 1500};
  Json json = ToJson(state);
  const TrainState back = TrainStateFromJson(json, "last.ckpt");
  EXPECT_EQ(back.loss_scale.scale, 1024);
  EXPECT_EQ(back.loss_scale.good_steps, 1500);
  json.erase("loss_good_steps");  // as files were before
  EXPECT_EQ(TrainStateFromJson(json, "last.ckpt").loss_scale.good_steps, 0);
}

TEST(Trainer, FillsARunFolder) {
  test::TempFolder folder;
  TrainOptions options = SmallRun(folder / "run");
  SetEpochs(options.recipe, 2);
  const TrainResult result = Train(options);
  const RunFolder run = RunFolder::Open(folder / "run");
  for (const char* name : {"config.json", "last.ckpt", "best.ckpt", "log.jsonl", "report.html"})
    EXPECT_TRUE(run.Has(name)) << name;

  const Json config = Json::parse(ReadFile(run / "config.json"));
  const ModelInfo info = ModelInfoFromJson(config["model"], "config.json");
  EXPECT_EQ(info.net, "frfnet-slim");
  EXPECT_EQ(info.classes.count(), 11);
  EXPECT_EQ(info.input.height, 64);
  EXPECT_EQ(info.input.width, 96);
  EXPECT_EQ(info.eval.at(0)["miou"].get<double>(), *result.best_miou);
  EXPECT_EQ(config["recipe"]["loss"]["class_weights"].size(), 11u);

  const Checkpoint best = Checkpoint::Load(run / "best.ckpt");
  ModelInfo loaded;
  const Graph graph = LoadRunGraph(folder / "run", false, false, loaded);
  for (const Initializer& initializer : graph.initializers) {
    if (initializer.role == Role::kConstant) continue;
    EXPECT_EQ(best.At(kAveragePrefix + initializer.name).shape, initializer.value.shape());
  }
  EXPECT_EQ(loaded.eval.at(0)["miou"].get<double>(), *result.best_miou);
  EXPECT_EQ(loaded.weights_from, "ema");
  for (const auto& [raw, last] : {std::pair(true, false), {false, true}}) {  // nobody scored these
    LoadRunGraph(folder / "run", raw, last, loaded);
    EXPECT_TRUE(loaded.eval.empty());
    EXPECT_EQ(loaded.weights_from, raw ? "raw" : "ema");
  }
  EXPECT_EQ(best.Find("optimizer/" + graph.initializers[0].name + "/m"), nullptr);
  const std::string html = ReadFile(run / "report.html");
  EXPECT_NE(html.find("<svg"), std::string::npos);
  EXPECT_NE(html.find("data:image/"), std::string::npos);
  EXPECT_FRF_ERROR(Train(SmallRun(folder / "run")), ErrorCode::kUsage,
                   "another frf-train");  // `run` holds the lock
}

TEST(Trainer, InitKeepsWhatFitsAndRedrawsTheClassifier) {
  test::TempFolder folder;
  TrainOptions options = SmallRun(folder / "first");
  SetEpochs(options.recipe, 1);
  options.validate = false;
  Train(options);
  const Checkpoint first = Checkpoint::Load(folder / "first/last.ckpt");

  // 19 classes: the classifier cannot be kept. Nothing is trained, so the weights are seen as they were
  // loaded.
  Plan plan;
  plan.model.net = "frfnet-slim";
  plan.model.net_options = {{"classes", 19}};
  plan.model.classes = CityscapesClasses();
  plan.seed = 5;
  plan.init = folder / "first";
  const Graph graph = MakeGraph(plan);
  int same = 0, other = 0;
  for (const Initializer& initializer : graph.initializers) {
    if (initializer.role == Role::kConstant) continue;
    const CheckpointTensor* tensor = first.Find(kAveragePrefix + initializer.name);
    const bool equal = tensor != nullptr && tensor->shape == initializer.value.shape() &&
                       std::memcmp(tensor->data, initializer.value.raw(), tensor->bytes) == 0;
    EXPECT_EQ(equal, !initializer.classifier) << initializer.name;
    ++(equal ? same : other);
  }
  EXPECT_GT(same, 100);
  EXPECT_EQ(other, 2);

  options.run = folder / "second";
  options.init = folder / "missing.ckpt";
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kNotFound, "missing.ckpt");
  options.run = folder / "third";
  options.init = "model.onnx";
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "model.onnx");
}

TEST(Trainer, ALossThatIsNotFiniteNamesStepFilesAndCheckpoint) {
  test::TempFolder folder;
  TrainOptions options = SmallRun(folder / "run");
  options.recipe.schedule.rate = 1e30;
  options.recipe.schedule.warmup_steps = 0;
  options.validate = false;
  options.checkpoint_seconds = 1e9;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInvalidArgument,
                   "the loss is not a number at step 1 (epoch 1, batch 1) on synth/0000000");
  EXPECT_FRF_ERROR(Train(SmallRun(folder / "run")), ErrorCode::kUsage, "holds a run already");

  options = SmallRun(folder / "later");
  options.validate = false;
  options.stop_after_steps = 2;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  const std::string file = folder / "later/config.json";
  Json config = ParseJson(ReadFile(file), file);
  config["recipe"]["schedule"]["rate"] = 1e30;
  WriteFileAtomically(file, config.dump());
  options.stop_after_steps = 0;
  options.resume = true;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInvalidArgument, "last.ckpt of step 3");  // the epoch's
}

// With files of at most a megabyte.
template <typename Run>
void OnAFullDisk(const Run& run) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  const rlimit small{1 << 20, limit.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  run();
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::signal(SIGXFSZ, old_handler);
}

TEST(Trainer, ABestThatCannotBeKeptIsNotTheBest) {
  test::TempFolder folder;
  TrainOptions options = SmallRun(folder / "run");
  options.stop_after_steps = 5;  // after the first epoch's validation
  OnAFullDisk([&] { EXPECT_FRF_ERROR(Train(options), ErrorCode::kIo, "last.ckpt"); });
  const std::string file = folder / "run/config.json";
  EXPECT_TRUE(ModelInfoFromJson(ParseJson(ReadFile(file), file)["model"], file).eval.empty());
  int validations = 0;
  for (const Json& line : RunFolder::Open(folder / "run").ReadLog()) {
    if (line["type"] != "validation") continue;
    EXPECT_FALSE(line["best"].get<bool>());
    ++validations;
  }
  EXPECT_EQ(validations, 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "run/best.ckpt"));
  options.stop_after_steps = 0;
  options.resume = true;
  const TrainResult result = Train(options);
  ModelInfo info;
  LoadRunGraph(folder / "run", false, false, info);
  EXPECT_EQ(info.eval.at(0)["miou"].get<double>(), *result.best_miou);
}

TEST(Trainer, AFullDiskKeepsTheOldCheckpoint) {
  test::TempFolder folder;
  TrainOptions options = SmallRun(folder / "run");
  options.validate = false;
  options.stop_after_steps = 2;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  const std::string before = ReadFile(folder / "run/last.ckpt");
  options.resume = true;
  options.stop_after_steps = 7;  // saves at epochs' ends fail with a warning; the one at the stop is an error
  OnAFullDisk([&] { EXPECT_FRF_ERROR(Train(options), ErrorCode::kIo, "last.ckpt"); });
  EXPECT_TRUE(ReadFile(folder / "run/last.ckpt") == before);
  options.stop_after_steps = 0;
  Train(options);
}

TEST(Trainer, DataThatMovedAreFoundByValidationToo) {
  test::TempFolder folder;
  for (const char* name : {"train/a.png", "train/b.png", "val/c.png"}) {
    const std::string path = folder / ("old/" + std::string(name));
    test::PutImage(path, test::Picture(64, 96));
    test::PutLabels(path.substr(0, path.rfind('/')) + "annot/" + path.substr(path.rfind('/') + 1),
                    test::Stripes(64, 96, 11, 11));
  }
  TrainOptions options = SmallRun(folder / "run");
  options.train = {.spec = "camvid:" + folder / "old", .split = "train"};
  options.stop_after_steps = 2;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  std::filesystem::rename(folder / "old", folder / "new");
  options.resume = true;
  options.stop_after_steps = 0;
  options.train = {};
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kNotFound, "old");
  options.train.spec = "camvid:" + folder / "new";
  EXPECT_TRUE(Train(options).best_miou.has_value());
}

TEST(Trainer, WrongUseIsOneLine) {
  test::TempFolder folder;
  TrainOptions options = SmallRun("");
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "-o RUN");
  options.run = folder / "none";
  options.resume = true;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kNotFound, "config.json");
  options.resume = false;
  options.train.spec = "camvid:" + (folder / "nowhere");
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kNotFound, "nowhere");
  options = SmallRun(folder / "other");
  options.net = "frfnet-slm";
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kNotFound, "frfnet-slim");
  EXPECT_FALSE(std::filesystem::exists(folder / "other"));
  options.net = "frfnet-slim";
  options.validation.spec = "synth:2";
  options.validation.variant = "cityscapes";
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "other classes");
}

TEST(Trainer, MeanOfRunsIsTheMean) {
  test::TempFolder folder;
  const auto run = [&](const std::string& name, std::uint64_t seed, const std::string& net) {
    TrainOptions options = SmallRun(folder / name);
    options.net = net;
    options.seed = seed;
    options.validate = false;
    options.recipe.auxiliary = seed == 1;  // no matter to networks for inference
    options.recipe.dropout = seed == 1 ? 0.3 : 0;
    SetEpochs(options.recipe, 2);
    Train(options);
    return options.run;
  };
  const std::string a = run("a", 0, "frfnet-slim"), b = run("b", 1, "frfnet-slim"),
                    other = run("c", 0, "frfnet");
  ModelInfo info, one, two;
  const Graph mean = MeanOfRuns({a, b}, false, false, info);
  const Graph first = MeanOfRuns({a}, false, false, one), second = LoadRunGraph(b, false, false, two);
  EXPECT_EQ(info.train["mean_of"], 2);
  EXPECT_FALSE(one.train.contains("mean_of"));
  // The mean in a run's folder: what is exported of it says so, and has no score of that run's.
  std::filesystem::create_directory(folder / "m");
  std::filesystem::copy(a + "/config.json", folder / "m/config.json");
  SaveWeights(folder / "m/best.ckpt", mean, ToJson(info));
  ModelInfo put;
  LoadRunGraph(folder / "m", false, false, put);
  EXPECT_EQ(put.train["mean_of"], 2);
  EXPECT_TRUE(put.eval.empty());
  int compared = 0;
  for (const Initializer& initializer : mean.initializers) {
    if (initializer.role == Role::kConstant) continue;
    const auto wanted = first.FindInitializer(initializer.name)->value.ToVector<double>(),
               with = second.FindInitializer(initializer.name)->value.ToVector<double>(),
               found = initializer.value.ToVector<double>();
    ASSERT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], (wanted[i] + with[i]) / 2, 1e-6 * (1 + std::abs(found[i]))) << initializer.name;
      compared += wanted[i] != with[i];
    }
  }
  EXPECT_GT(compared, 100000);  // the runs differ
  EXPECT_FRF_ERROR(MeanOfRuns({a, other}, false, false, info), ErrorCode::kUsage, "differ in network");
  // The same network, but its pictures are normalised otherwise.
  std::filesystem::copy(b, folder / "d");
  Json config = ParseJson(ReadFile(folder / "d/config.json"), "config.json");
  config["model"]["input.std"] = {1, 1, 1};
  WriteFileAtomically(folder / "d/config.json", config.dump());
  EXPECT_FRF_ERROR(MeanOfRuns({a, folder / "d"}, false, false, info), ErrorCode::kUsage,
                   "mean and deviation of their input");
}

}  // namespace
}  // namespace frf
