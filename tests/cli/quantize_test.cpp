// SPDX-License-Identifier: Apache-2.0
// `frf quantize` as a user runs it, with the shipped weights on drawn scenes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "base/files.h"
#include "base/json.h"
#include "cli/qat.h"
#include "data/dataset.h"
#include "engine/quantize/insert.h"
#include "graph/builder.h"
#include "graph/weights.h"
#include "onnx/onnx_file.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::RunFrf;

std::vector<std::string> Quantize(const std::string& output, std::vector<std::string> more = {}) {
  std::vector<std::string> words{"quantize", "frfnet-slim-synth", "--data", "synth:9", "--seed",
                                 "4000000",  "--select-images",   "3",      "-o",      output};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// The shipped network with a scale and a bias of its first batch norm's first channel.
std::string Altered(const std::string& file, float scale, float bias) {
  Model model = ReadOnnx(FRF_SOURCE_DIR "/weights/frfnet-slim-synth.onnx");
  for (const auto& [name, value] : {std::pair{"weight", scale}, std::pair{"bias", bias}}) {
    Initializer& initializer = *model.graph.FindInitializer(std::string("stem.conv1.bn.") + name);
    initializer.value = initializer.value.Clone();
    initializer.value.data<float>()[0] = value;
  }
  WriteOnnx(model, file);
  return file;
}

TEST(QuantizeVerb, WritesWhatItMeasured) {
  const test::TempFolder folder;
  const std::string file = folder / "q.onnx";
  const Finished finished = RunFrf(Quantize(file, {"--json"}));
  ASSERT_EQ(finished.code, 0) << finished.err;
  const Json result = ParseJson(finished.out, "standard output");
  EXPECT_EQ(result["calibration"]["images"], 3);
  EXPECT_EQ(result["tried"].size(), 6U) << "four kinds of ranges, corrected biases, equalised layers";
  EXPECT_LT(result["scoring"]["labels_changed"].get<double>(), 0.02);
  EXPECT_LT(result["scoring"]["drop"].get<double>(), 1.5);
  const Model model = ReadOnnx(file);
  EXPECT_EQ(model.info.weights, "int8");
  EXPECT_FALSE(ReadOnnx(FRF_SOURCE_DIR "/weights/frfnet-slim-synth.onnx").info.eval.empty());
  EXPECT_TRUE(model.info.eval.empty()) << "what the float network scored is not what this one scores";
  EXPECT_EQ(model.info.quant["method"], result["method"]);
  EXPECT_LT(std::filesystem::file_size(file), 3600000U);

  // The engine, with integers and with floats that stand for them, means what the plain executor reads in the
  // file.
  const auto score = [&](const std::string& backend, const std::string& isa) {
    const Finished eval = RunFrf({"eval", file, "--data", "synth:3", "--split", "test", "--seed", "20000500",
                                  "--backend", backend, "--json"},
                                 isa.empty() ? "" : "FRF_FORCE_ISA=" + isa);
    EXPECT_EQ(eval.code, 0) << eval.err;
    return ParseJson(eval.out, "standard output")["miou"].get<double>();
  };
  const double wanted = score("plain", "");
  EXPECT_NEAR(score("engine", ""), wanted, 0.004);
  EXPECT_NEAR(score("engine", "baseline"), wanted, 0.004);

  const Finished plan = RunFrf({"info", file, "--plan", "--size", "360x480", "--json"});
  ASSERT_EQ(plan.code, 0) << plan.err;
  const Json steps = ParseJson(plan.out, "standard output");
  if (steps["peaks"]["int8_gops"] >
      3 * steps["peaks"]["f32_gflops"].get<double>()) {  // there is a dot product
    EXPECT_GT(steps["integer_share"].get<double>(), 0.99);
  }
}

TEST(QuantizeVerb, BudgetsAndLayersThatStayFloat) {
  const test::TempFolder folder;
  const Finished finished = RunFrf(
      Quantize(folder / "q.onnx", {"--method", "minmax", "--keep-float", "stem.conv1", "--sensitivity"}));
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.out.find("this one alone in int8"), std::string::npos);
  const Model model = ReadOnnx(folder / "q.onnx");
  EXPECT_EQ(model.info.quant["float_nodes"], Json::array({"stem.conv1"}));
  EXPECT_EQ(model.graph.FindInitializer("stem.conv1.weight")->value.dtype(), DType::kFloat32);
  EXPECT_FALSE(model.info.quant["sensitivity"].empty());
}

TEST(QuantizeVerb, ADropAboveTheBudgetIsWarnedOf) {
  const test::TempFolder folder;
  std::vector<std::string> words =
      Quantize(folder / "q.onnx", {"--method", "percentile", "--size", "64x96", "--max-drop", "0", "--json"});
  std::replace(words.begin(), words.end(), std::string("4000000"), std::string("4000100"));
  const Finished finished = RunFrf(words);
  const double drop = test::ParsedOutput(finished)["scoring"]["drop"].get<double>();
  EXPECT_EQ(finished.err.find("more than --max-drop 0") != std::string::npos, drop > 0)
      << drop << finished.err;
}

TEST(QuantizeVerb, WhereAllStaysFloatTheFileIsTheFloatNetwork) {
  const test::TempFolder folder;
  const std::string file = folder / "q.onnx";
  const std::vector<std::string> nodes = engine::QuantizableNodes(engine::ReadyForQuantization(
      ReadOnnx(FRF_SOURCE_DIR "/weights/frfnet-slim-synth.onnx").graph, {1, 3, 64, 96}));
  const Finished finished =
      RunFrf(Quantize(file, {"--method", "minmax", "--size", "64x96", "--json", "--keep-float",
                             fmt::format("{}", fmt::join(nodes, ","))}));
  EXPECT_LT(test::ParsedOutput(finished)["scoring"]["labels_changed"].get<double>(), 1e-4);
  EXPECT_NE(finished.err.find("all convolutions stay float32"), std::string::npos) << finished.err;
  const Model model = ReadOnnx(file);
  EXPECT_EQ(model.info.weights, "f32");
  EXPECT_TRUE(std::none_of(model.graph.nodes.begin(), model.graph.nodes.end(),
                           [](const Node& node) { return node.Is("QuantizeLinear"); }));
}

TEST(QuantizeVerb, TrainingUnderRoundingKnowsAChannelOfVanishingWeights) {
  const test::TempFolder folder;
  const std::string floats = Altered(folder / "floats.onnx", 1e-9f, 2), file = folder / "q.onnx";
  std::vector<std::string> words = Quantize(file, {"--method", "minmax", "--size", "64x96", "--json"});
  words[1] = floats;
  test::ParsedOutput(RunFrf(words));
  const cli::QatStart start = cli::ReadQatStart(file, floats);
  const float* const weight = start.graph.FindInitializer("stem.conv1.weight")->value.data<float>();
  EXPECT_NE(weight[0], 0) << "the float model's, which the file's integers are too coarse for";
  EXPECT_LT(std::abs(weight[0]), 1e-7f);
  EXPECT_NEAR(start.graph.FindInitializer("stem.conv1.bias")->value.data<float>()[0], 2, 1e-4);
}

// Per-channel DequantizeLinear is of opset 13, which onnx.checker and other runtimes insist on.
TEST(QuantizeVerb, WarnsOfFilesThatOtherRuntimesRefuse) {
  const test::TempFolder folder;
  for (const int opset : {12, 13}) {
    SCOPED_TRACE(opset);
    Builder g("two");
    const Value x = g.Relu(g.Conv(g.Input("image", 3), {.name = "first", .out = 8, .kernel = 3}));
    g.Output(g.Conv(x, {.name = "second", .out = 11}), "scores", OutputRole::kScores);
    Model model;
    model.graph = std::move(g).Build();
    InitializeWeights(model.graph, 3);
    model.graph.opset = opset;
    model.info.classes = CamVidClasses();
    const std::string floats = folder / fmt::format("{}.onnx", opset);
    WriteOnnx(model, floats);
    std::vector<std::string> words = Quantize(folder / "q.onnx", {"--method", "minmax", "--size", "64x96"});
    words[1] = floats;
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, 0) << finished.err;
    EXPECT_EQ(finished.err.find("is of opset 12") != std::string::npos, opset == 12) << finished.err;
    EXPECT_EQ(ReadOnnx(folder / "q.onnx").graph.opset, opset);
  }
}

TEST(QuantizeVerb, WhatCannotBeDoneIsSaidAndNothingIsWritten) {
  const test::TempFolder folder;
  const std::string file = folder / "q.onnx";
  const auto fails = [&](const std::vector<std::string>& words, int code, const std::string& says) {
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, code);
    EXPECT_NE(finished.err.find(says), std::string::npos) << finished.err;
    EXPECT_FALSE(std::filesystem::exists(file));
  };
  fails(Quantize(file, {"--keep-float", "no.such.layer"}), 2, "no.such.layer");
  fails({"quantize", "frfnet-slim-synth", "--data", "synth:2", "-o", file}, 1, "at least 3 images");
  fails({"quantize", "frfnet-slim-synth", "--data", "synth:9", "--variant", "cityscapes", "-o", file}, 1,
        "19");
  fails({"quantize", "no-such-model", "--data", "synth:9", "-o", file}, 1, "no-such-model");
  fails({"quantize", "frfnet-slim-synth", "-o", file}, 2, "--data");
  fails(Quantize(file, {"--max-drop", "-1"}), 2, "--max-drop -1: points of mean IoU are wanted");
  fails(Quantize(file, {"--max-drop", "nan"}), 2, "--max-drop nan");
  const std::string broken = Altered(folder / "broken.onnx", 1, std::numeric_limits<float>::quiet_NaN());
  fails({"quantize", broken, "--data", "synth:9", "-o", file}, 1, "node 'stem.conv1' (Conv) holds NaN");
  const std::string once = folder / "once.onnx";
  ASSERT_EQ(RunFrf(Quantize(once, {"--method", "minmax"})).code, 0);
  fails({"quantize", once, "--data", "synth:9", "-o", file}, 1, "quantised already");
}

TEST(QuantizeVerb, ImagesThatWereUsedAreNotHeldOut) {
  const test::TempFolder work;
  const std::vector<std::string> small{"--size", "64x96", "--method", "minmax"};
  std::vector<std::string> apart = small, same = small;
  same.insert(same.end(), {"--score-data", "synth:9", "--score-split", "train"});
  const Finished held_out = RunFrf(Quantize(work / "a.onnx", apart)),
                 used = RunFrf(Quantize(work / "b.onnx", same));
  EXPECT_NE(held_out.out.find("held-out images"), std::string::npos) << held_out.out;
  EXPECT_EQ(held_out.err.find("were used for ranges"), std::string::npos) << held_out.err;
  EXPECT_EQ(used.out.find("held-out"), std::string::npos) << used.out;
  EXPECT_NE(used.err.find("were used for ranges or for choosing"), std::string::npos) << used.err;
  EXPECT_EQ(ReadOnnx(work / "a.onnx").info.quant["scoring"]["used_before"], 0);
  EXPECT_GT(ReadOnnx(work / "b.onnx").info.quant["scoring"]["used_before"], 0);
}

}  // namespace
}  // namespace frf
