// SPDX-License-Identifier: Apache-2.0
// Rounding in training: values by hand, gradients straight through inside the range and none outside, the
// same in every layout and program; and whole runs under rounding.
#include "train/fake_quantize.h"

#include <gtest/gtest.h>

#include "base/checkpoint.h"
#include "base/files.h"
#include "base/random.h"
#include "graph/weights.h"
#include "nets/nets.h"
#include "support/support.h"
#include "train/evaluate.h"
#include "train/run_folder.h"
#include "train/trainer.h"

namespace frf {
namespace {

torch::Tensor RandomTensor(std::vector<std::int64_t> shape, std::uint64_t seed, double scale = 1) {
  torch::Tensor tensor = torch::empty(shape);
  Random random(seed);
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    tensor.data_ptr<float>()[i] = static_cast<float>(random.Normal() * scale);
  return tensor;
}

TEST(FakeQuantize, ValuesAndGradientsByHand) {
  const std::vector<float> numbers{-1, -0.26f, -0.25f, 0, 0.25f, 0.75f, 63.6f, 900};
  const auto check = [&](int zero, const std::vector<float>& values, const std::vector<float>& passes) {
    for (const auto type : {torch::kFloat32, torch::kFloat64}) {  // kernel, and libtorch's operators
      torch::Tensor x = torch::tensor(numbers).to(type).set_requires_grad(true);
      const torch::Tensor y = FakeQuantize(x, 0.5, zero);
      EXPECT_TRUE(torch::equal(y.detach().to(torch::kFloat32), torch::tensor(values))) << y;
      (y * 3).sum().backward();
      EXPECT_TRUE(torch::equal(x.grad().to(torch::kFloat32), 3 * torch::tensor(passes))) << x.grad();
    }
  };
  check(0, {0, 0, 0, 0, 0, 1, 63.5f, 127.5f}, {0, 0, 1, 1, 1, 1, 1, 0});
  check(1, {-0.5f, -0.5f, 0, 0, 0, 1, 63.5f, 127}, {0, 1, 1, 1, 1, 1, 1, 0});

  torch::Tensor w =
      torch::tensor({127.0f, -63.4f, 0.5f, 0.0f, 0.0f, 0.0f}).reshape({2, 1, 1, 3}).set_requires_grad(true);
  const torch::Tensor rounded = FakeQuantizeWeight(w);
  EXPECT_TRUE(
      torch::equal(rounded.detach().flatten(), torch::tensor({127.0f, -63.0f, 0.0f, 0.0f, 0.0f, 0.0f})));
  (rounded * 2).sum().backward();
  EXPECT_TRUE(torch::equal(w.grad(), torch::full({2, 1, 1, 3}, 2.0f)));
}

TEST(FakeQuantize, KernelEqualsOperatorsInEveryLayout) {
  const torch::Tensor x = RandomTensor({2, 48, 13, 17}, 5, 40);
  const torch::Tensor direction = RandomTensor({2, 48, 13, 17}, 6);
  const auto run = [&](torch::Tensor leaf) {
    leaf.set_requires_grad(true);
    const torch::Tensor y = FakeQuantize(leaf, 0.37f, 9);
    (y * direction.to(leaf.scalar_type())).sum().backward();
    return std::pair(y.detach().to(torch::kFloat32), leaf.grad().to(torch::kFloat32));
  };
  const auto [y, dx] = run(x.clone());
  const auto [last, last_dx] = run(x.clone(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::equal(y, last));
  EXPECT_TRUE(torch::equal(dx, last_dx));
  const auto [wide, wide_dx] = run(x.to(torch::kFloat64));
  EXPECT_LT((y - wide).abs().gt(1e-4).to(torch::kFloat32).mean().item<double>(), 1e-4) << "but at ties";
  EXPECT_LT((dx - wide_dx).abs().gt(1e-4).to(torch::kFloat32).mean().item<double>(), 1e-4);
  const torch::Tensor part = FakeQuantize(x.narrow(1, 3, 7), 0.37f, 9);  // neither dense nor in order
  EXPECT_TRUE(torch::allclose(part, y.narrow(1, 3, 7), 0, 1e-4));
}

constexpr int kHeight = 64, kWidth = 96;

// As `frf train --qat` writes it, of a network with drawn weights: every convolution, one coding for all.
std::string WriteStart(const std::string& path) {
  const Graph net = BuildNet("frfnet-slim", {{"classes", 11}});
  ModelInfo info;
  info.net = "frfnet-slim";
  info.net_options = {{"classes", 11}};
  info.classes = CamVidClasses();
  info.input.height = kHeight;
  info.input.width = kWidth;
  info.weights = "int8";
  info.quant = {{"method", "minmax"}};
  info.train = {{"recipe", "best"}};
  QuantizationTable table;
  for (const Node& node : ReadyToTrain(net, {kHeight, kWidth}, {}, "start").nodes) {
    if (!node.Is("Conv")) continue;
    table.values[node.inputs[0]] =
        node.inputs[0] == "image" ? ValueCoding{0.02f, 114} : ValueCoding{0.03f, 0};
    table.convolutions.insert(node.name);
  }
  const Graph graph = ReadyToTrain(net, {kHeight, kWidth}, table, "start");
  SaveWeights(path, graph, ToJson(info), {{"quantization", ToJson(table)}});
  return path;
}

TrainOptions QatRun(const std::string& run, const std::string& start) {
  TrainOptions options;
  options.train = {.spec = "synth:6", .split = "train", .height = kHeight, .width = kWidth};
  options.validation.split = "val";
  options.recipe = LoadRecipe("qat");
  options.recipe.batch = 2;
  options.recipe.schedule.rate = 2e-3;
  SetEpochs(options.recipe, 3);
  options.qat = start;
  options.run = run;
  options.device = "cpu";
  options.threads = 2;
  return options;
}

// Own kernels, libtorch's in float32 and in double: roundings turn over at ties, the rest is the same.
TEST(FakeQuantize, EveryProgramRoundsTheSame) {
  test::TempFolder folder;
  Plan plan;
  const Checkpoint start = Checkpoint::Load(WriteStart(folder / "qat.ckpt"));
  plan.model = ModelInfoFromJson(start.meta()["model"], "start");
  plan.quantization = QuantizationTableFromJson(start.meta()["quantization"], "start");
  plan.init = folder / "qat.ckpt";
  const Graph graph = MakeGraph(plan);
  const torch::Tensor image = RandomTensor({1, 3, kHeight, kWidth}, 8);
  const auto scores = [&](Kernels kernels, torch::ScalarType type) {
    GraphModule module(graph);
    module.SetKernels(kernels);
    module.eval();
    module.To(type);
    const torch::NoGradGuard guard;
    return module.Forward(image.to(type)).at("scores").to(torch::kFloat64);
  };
  const torch::Tensor wanted = scores(Kernels::kPlain, torch::kFloat64);
  const double largest = wanted.abs().max().item<double>();
  for (const Kernels kernels : {Kernels::kPlain, Kernels::kDirect, Kernels::kWinograd}) {
    const torch::Tensor got = scores(kernels, torch::kFloat32);
    EXPECT_LT((got - wanted).abs().mean().item<double>(), 0.01 * largest) << static_cast<int>(kernels);
    EXPECT_GT(got.argmax(1).eq(wanted.argmax(1)).to(torch::kFloat64).mean().item<double>(), 0.98);
  }
}

TEST(Qat, LearnsAndSaysWhatItDid) {
  test::TempFolder folder;
  const std::string start = WriteStart(folder / "qat.ckpt");
  TrainOptions options = QatRun(folder / "run", start);
  SetEpochs(options.recipe, 6);
  const TrainResult result = Train(options);
  const RunFolder run = RunFolder::Open(folder / "run");
  std::vector<double> losses;
  std::vector<int> validations;
  for (const Json& line : run.ReadLog()) {
    if (line["type"] == "epoch") losses.push_back(line["loss"]);
    if (line["type"] == "validation") validations.push_back(line["epoch"]);
  }
  ASSERT_EQ(losses.size(), 6u);
  EXPECT_LT(losses.back(), 0.9 * losses.front());
  EXPECT_EQ(validations, (std::vector<int>{0, 1, 2, 3, 4, 5, 6})) << "0: as it came";
  const Json config = Json::parse(ReadFile(run / "config.json"));
  EXPECT_EQ(QuantizationTableFromJson(config["quantization"], "config.json"),
            QuantizationTableFromJson(Checkpoint::Load(start).meta()["quantization"], "start"));
  const ModelInfo info = ModelInfoFromJson(config["model"], "config.json");
  EXPECT_EQ(info.weights, "int8");
  EXPECT_EQ(info.quant["method"], "minmax");
  EXPECT_EQ(info.quant["qat"]["data"], "synth");
  EXPECT_EQ(info.quant["qat"]["epochs"], 6);
  EXPECT_EQ(info.quant["qat"]["eval"]["miou"].get<double>(), *result.best_miou);
  EXPECT_EQ(info.train["recipe"], "best") << "how the float network was trained";
  EXPECT_EQ(config["recipe"]["crop"], "64x96");

  // What is scored is the rounded network.
  ModelInfo loaded;
  GraphModule module(LoadRunGraph(folder / "run", false, false, loaded));
  const auto data = OpenDataset({.spec = "synth:6", .split = "val", .height = kHeight, .width = kWidth});
  EXPECT_EQ(Evaluate(module, *data, {.input = loaded.input, .progress = false}).matrix.MeanIou(),
            result.best_miou);
}

TEST(Qat, StoppingAndResumingChangesNoBit) {
  test::TempFolder folder;
  const std::string start = WriteStart(folder / "qat.ckpt");
  const TrainResult whole = Train(QatRun(folder / "whole", start));
  TrainOptions options = QatRun(folder / "parts", start);
  for (const int stop : {2, 6}) {
    options.resume = stop > 2;
    options.stop_after_steps = stop;
    EXPECT_FRF_ERROR(Train(options), ErrorCode::kInterrupted, "--resume");
    std::filesystem::remove(start);  // last.ckpt holds everything
    options.train = {};
    options.recipe = {};
    options.qat.clear();
  }
  options.resume = true;
  options.stop_after_steps = 0;
  const TrainResult parts = Train(options);
  EXPECT_EQ(parts.weights_hash, whole.weights_hash);
  EXPECT_EQ(parts.best_miou, whole.best_miou);
  EXPECT_EQ(parts.loss, whole.loss);
}

TEST(Qat, WhatDoesNotFitIsSaid) {
  test::TempFolder folder;
  const std::string start = WriteStart(folder / "qat.ckpt");
  const auto fails = [&](const std::function<void(TrainOptions&)>& change, ErrorCode code, const char* says) {
    TrainOptions options = QatRun(folder / "run", start);
    change(options);
    EXPECT_FRF_ERROR(Train(options), code, says);
    std::filesystem::remove_all(folder / "run");
  };
  fails([](TrainOptions& o) { o.train.variant = "cityscapes"; }, ErrorCode::kUsage,
        "the same ones are wanted");
  fails([](TrainOptions& o) { o.recipe.batch_norm_batches = 5; }, ErrorCode::kUsage, "batch_norm_batches");
  fails([](TrainOptions& o) { o.amp = "bf16"; }, ErrorCode::kUsage, "--amp bf16");
  fails([](TrainOptions& o) { o.qat = "q.onnx"; }, ErrorCode::kUsage, "reads no ONNX");
  // A float network's weights hold no codings; weights that were trained under rounding have no batch norm.
  Graph net = BuildNet("frfnet-slim", {{"classes", 11}});
  InitializeWeights(net, 1);
  ModelInfo info;
  info.classes = CamVidClasses();
  SaveWeights(folder / "float.ckpt", net, ToJson(info));
  fails([&](TrainOptions& o) { o.qat = folder / "float.ckpt"; }, ErrorCode::kUsage, "holds no codings");
  fails([&](TrainOptions& o) { o.qat.clear(), o.net = "frfnet-slim", o.init = start; }, ErrorCode::kUsage,
        "under rounding");
}

}  // namespace
}  // namespace frf
