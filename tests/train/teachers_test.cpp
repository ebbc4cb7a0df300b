// SPDX-License-Identifier: Apache-2.0
// Teachers: whose probabilities a student is given, and how a run keeps them.
#include "train/teachers.h"

#include <filesystem>

#include "base/checkpoint.h"
#include "base/files.h"
#include "graph/weights.h"
#include "nets/nets.h"
#include "support/support.h"
#include "train/plan.h"
#include "train/trainer.h"

namespace frf {
namespace {

Teacher Drawn(const std::string& net, std::uint64_t seed) {
  Teacher teacher{.name = net};
  teacher.info.net = net;
  teacher.info.net_options = {{"classes", 11}, {"aux", true}, {"dropout", 0.5}};
  teacher.info.classes = CamVidClasses();
  teacher.graph = BuildNet(net, teacher.info.net_options).ForInference();
  InitializeWeights(teacher.graph, seed);
  return teacher;
}

torch::Tensor Answer(const Teacher& teacher, const torch::Tensor& images) {
  const torch::NoGradGuard no_gradients;
  GraphModule module(teacher.graph);
  module.eval();
  return at::softmax(module.ForwardForLoss(images).at("scores"), 1);
}

double Largest(const torch::Tensor& difference) { return difference.abs().max().item<double>(); }

TEST(Teachers, GiveTheMeanOfTheirProbabilities) {
  const Teacher a = Drawn("frfnet-slim", 1), b = Drawn("frfnet", 2);
  const torch::Tensor images = torch::randn({2, 3, 64, 96});
  const torch::Tensor one = Teachers({a}, a.info, torch::kCPU).Probabilities(images, Precision::kFloat32);
  EXPECT_FALSE(one.requires_grad());
  EXPECT_EQ(Largest(one - Answer(a, images)), 0);
  EXPECT_LT(Largest(one.sum(1) - 1), 1e-5);
  const torch::Tensor both = Teachers({a, b}, a.info, torch::kCPU).Probabilities(images, Precision::kFloat32);
  EXPECT_LT(Largest(both - (Answer(a, images) + Answer(b, images)) / 2), 1e-6);
  EXPECT_GT(Largest(both - one), 1e-3);
}

// Pictures normalised for the student reach a teacher as its own.
TEST(Teachers, SeePicturesNormalisedAsTheyAreUsedTo) {
  Teacher teacher = Drawn("frfnet-slim", 1);
  teacher.info.input.mean = {100, 110, 120};
  teacher.info.input.std = {1, 2, 4};
  ModelInfo student = teacher.info;
  student.input.mean = {90, 120, 110};
  student.input.std = {50, 60, 70};
  const torch::Tensor pixels = torch::rand({1, 3, 64, 64}) * 255;
  const auto normalised = [&](const InputSpec& input) {
    const auto channel = [](const std::array<float, 3>& v) {
      return torch::tensor({v[0], v[1], v[2]}).reshape({1, 3, 1, 1});
    };
    return (pixels - channel(input.mean)) / channel(input.std);
  };
  const torch::Tensor seen =
      Teachers({teacher}, student, torch::kCPU).Probabilities(normalised(student.input), Precision::kFloat32);
  // The two ways to its numbers round differently, and an FFM mask at its threshold may fall the other way.
  const torch::Tensor wanted = Answer(teacher, normalised(teacher.info.input));
  EXPECT_LT(Largest(seen - wanted), 2e-3);
  EXPECT_GT(Largest(Answer(teacher, normalised(student.input)) - wanted), 0.5);
}

TEST(Teachers, AreReadFromCheckpointsAndRefusedByName) {
  const test::TempFolder folder;
  const Teacher wanted = Drawn("frfnet-slim", 3);
  SaveTeacher(folder / "t.ckpt", wanted);
  const Teacher read = ReadTeacher(folder / "t.ckpt");
  EXPECT_EQ(read.name, "frfnet-slim");  // not "t"
  const torch::Tensor images = torch::randn({1, 3, 64, 64});
  EXPECT_EQ(Largest(Answer(read, images) - Answer(wanted, images)), 0);

  ModelInfo other = wanted.info;
  other.classes = CityscapesClasses();
  EXPECT_FRF_ERROR(Teachers({wanted}, other, torch::kCPU), ErrorCode::kUsage, "the same ones");
  EXPECT_FRF_ERROR(ReadTeacher(folder / "none.ckpt"), ErrorCode::kNotFound, "none.ckpt");
  EXPECT_FRF_ERROR(ReadTeacher("model.onnx"), ErrorCode::kUsage, "model.onnx");
  Teacher rounded = wanted;
  rounded.info.weights = "int8";
  SaveTeacher(folder / "int8.ckpt", rounded);
  EXPECT_FRF_ERROR(ReadTeacher(folder / "int8.ckpt"), ErrorCode::kUsage, "8-bit");
  Teacher liar = wanted;
  liar.info.net = "frfnet";
  SaveTeacher(folder / "liar.ckpt", liar);
  EXPECT_FRF_ERROR(ReadTeacher(folder / "liar.ckpt"), ErrorCode::kCorruptFile, "do not fit");
  CheckpointWriter().Save(folder / "silent.ckpt");
  EXPECT_FRF_ERROR(ReadTeacher(folder / "silent.ckpt"), ErrorCode::kCorruptFile, "which network");
}

TrainOptions SmallRun(const std::string& run) {
  TrainOptions options;
  options.train = {.spec = "synth:6", .split = "train", .height = 64, .width = 96};
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  options.recipe.batch = 2;
  options.recipe.batch_norm_batches = 1;
  options.recipe.phases = {{.name = "all", .epochs = 2}};
  options.validate = false;
  options.run = run;
  options.device = "cpu";
  options.threads = 2;
  return options;
}

TEST(Teachers, StayWithTheRun) {
  const test::TempFolder folder;
  SaveTeacher(folder / "wise.ckpt", Drawn("frfnet", 5));
  TrainOptions options = SmallRun(folder / "whole");
  const std::string untaught = Train(SmallRun(folder / "untaught")).weights_hash;
  options.teachers = {folder / "wise.ckpt", folder / "untaught"};
  const TrainResult whole = Train(options);
  EXPECT_NE(whole.weights_hash, untaught);

  // One that is refused leaves nothing of the others.
  Teacher city = Drawn("frfnet-slim", 7);
  city.info.classes = CityscapesClasses();
  SaveTeacher(folder / "city.ckpt", city);
  TrainOptions refused = options;
  refused.run = folder / "refused";
  refused.teachers = {folder / "wise.ckpt", folder / "city.ckpt"};
  EXPECT_FRF_ERROR(Train(refused), ErrorCode::kUsage, "knows 19 classes");
  EXPECT_FALSE(std::filesystem::exists(folder / "refused"));

  // Stopped, moved away from its teachers' files, resumed: the same bits.
  options.run = folder / "parts";
  options.stop_after_steps = 3;
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
  std::filesystem::remove(folder / "wise.ckpt");
  std::filesystem::remove_all(folder / "untaught");
  options.stop_after_steps = 0;
  options.resume = true;
  EXPECT_EQ(Train(options).weights_hash, whole.weights_hash);

  const Json config = Json::parse(ReadFile(folder / "parts/config.json"));
  EXPECT_EQ(config["teachers"], (Json{"frfnet", "untaught"}));
  EXPECT_EQ(ModelInfoFromJson(config["model"], "config.json").train["teachers"], config["teachers"]);
}

}  // namespace
}  // namespace frf
