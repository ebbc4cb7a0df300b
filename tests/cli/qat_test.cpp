// SPDX-License-Identifier: Apache-2.0
// Fine-tuning under rounding as a user runs it: frf quantize, frf train --qat, frf export, and the file on
// the engine's integers.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "onnx/onnx_file.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::HasTrain;
using test::ParsedOutput;
using test::RunFrf;

std::string Quantized(const std::string& file) {
  const Finished finished =
      RunFrf({"quantize", "frfnet-slim-synth", "--data", "synth:9", "--seed", "4000000", "--select-images",
              "3", "--method", "minmax", "--size", "96x128", "--keep-float", "stem.conv1", "-o", file});
  EXPECT_EQ(finished.code, 0) << finished.err;
  return file;
}

std::vector<std::string> TrainWords(const std::string& qat, const std::string& run,
                                    std::vector<std::string> more = {}) {
  std::vector<std::string> words{"train",    "--qat",    qat,      "--data",      "synth:8", "--scene-size",
                                 "96x128",   "--size",   "96x128", "--data-seed", "4000000", "-o",
                                 run,        "--epochs", "2",      "--batch",     "4",       "--no-val",
                                 "--device", "cpu",      "--json"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(QatVerb, TrainsExportsAndRunsOnIntegers) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const std::string file = Quantized(folder / "q.onnx"), run = folder / "run", result = folder / "q2.onnx";
  const Json trained = ParsedOutput(RunFrf(TrainWords(file, run, {"--init", "frfnet-slim-synth"})));
  EXPECT_EQ(trained["steps"], 4);
  EXPECT_TRUE(std::filesystem::exists(run + "/qat.ckpt"));
  ParsedOutput(RunFrf({"export", run, "-o", result, "--json"}));

  const Model before = ReadOnnx(file), after = ReadOnnx(result);
  EXPECT_EQ(after.info.weights, "int8");
  EXPECT_EQ(after.info.quant["method"], before.info.quant["method"]);
  EXPECT_EQ(after.info.quant["qat"]["epochs"], 2);
  EXPECT_EQ(after.info.quant["qat"]["data"], "synth");
  int integers = 0, changed = 0;
  for (const Initializer& initializer : before.graph.initializers) {
    const Initializer* own = after.graph.FindInitializer(initializer.name);
    ASSERT_NE(own, nullptr) << initializer.name;
    ASSERT_EQ(own->value.dtype(), initializer.value.dtype()) << initializer.name;
    ASSERT_EQ(own->value.shape(), initializer.value.shape()) << initializer.name;
    const bool weight = initializer.value.dtype() == DType::kInt8 && initializer.value.rank() == 4;
    const bool coding = initializer.value.rank() == 0 &&
                        (initializer.name.ends_with(".scale") || initializer.name.ends_with(".zero"));
    integers += weight;
    if (weight) changed += std::memcmp(own->value.raw(), initializer.value.raw(), own->value.bytes()) != 0;
    if (coding) {
      EXPECT_EQ(own->value.ToVector<float>(), initializer.value.ToVector<float>()) << initializer.name;
    }
  }
  EXPECT_GT(integers, 30);
  EXPECT_GT(changed, 30);
  EXPECT_EQ(after.graph.FindInitializer("stem.conv1.weight")->value.dtype(), DType::kFloat32)
      << "kept in float32 before, and now";
  const Json plan = ParsedOutput(RunFrf({"info", result, "--plan", "--size", "96x128", "--json"}));
  if (plan["peaks"]["int8_gops"] > 3 * plan["peaks"]["f32_gflops"].get<double>()) {  // there is a dot product
    EXPECT_GT(plan["integer_share"].get<double>(), 0.9);
  }

  // The engine's labels as the truth that frf-train's own evaluation is scored by: their agreement.
  const std::string scenes = folder / "scenes", labels = folder / "labels";
  ASSERT_EQ(RunFrf({"synth", "-o", scenes, "--count", "3", "--val-share", "0", "--seed", "4000500", "--size",
                    "96x128"})
                .code,
            0);
  const auto eval = [&](std::vector<std::string> words, const std::string& backend) {
    words.insert(words.begin(), "eval");
    words.insert(words.end(),
                 {"--data", "camvid:" + scenes, "--split", "train", "--backend", backend, "--json"});
    return ParsedOutput(RunFrf(words));
  };
  const double exported = eval({result, "--save", labels}, "engine")["miou"];
  EXPECT_NEAR(eval({run, "--last"}, "engine")["miou"].get<double>(), exported, 1e-9);
  for (const char* name : {"synth_04000500.png", "synth_04000501.png", "synth_04000502.png"}) {
    std::filesystem::copy_file(labels + "/train_" + name, scenes + "/trainannot/" + name,
                               std::filesystem::copy_options::overwrite_existing);
  }
  EXPECT_GT(eval({run, "--last"}, "torch")["pixel_accuracy"].get<double>(), 0.98);

  const Finished segmented = RunFrf({"segment", scenes + "/train", "--model", run, "-o", folder / "out"});
  EXPECT_EQ(segmented.code, 0) << segmented.err;
  // A run under rounding is no float network.
  EXPECT_NE(
      RunFrf({"quantize", run, "--data", "synth:9", "-o", folder / "no.onnx"}).err.find("quantised already"),
      std::string::npos);
  EXPECT_EQ(RunFrf({"export", run, "-o", folder / "no.onnx", "--half"}).code, 2);
}

TEST(QatVerb, WhatCannotBeDoneIsOneLine) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const std::string file = Quantized(folder / "q.onnx"), run = folder / "run";
  const auto fails = [&](const std::vector<std::string>& words, int code, const std::string& says) {
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, code) << finished.err;
    EXPECT_NE(finished.err.find(says), std::string::npos) << finished.err;
    EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
    EXPECT_FALSE(std::filesystem::exists(run + "/config.json"));
  };
  fails(TrainWords("frfnet-slim-synth", run), 1, "is not quantised");
  fails(TrainWords(file, run, {"--init", "frfnet-camvid"}), 2, "was not made of it");
  fails(TrainWords(file, run, {"--net", "frfnet"}), 2, "--net cannot be given");
  fails(TrainWords(file, run, {"--variant", "cityscapes"}), 2, "the same ones are wanted");
  fails(TrainWords(file, run, {"--amp", "bf16"}), 2, "--amp bf16");
  fails({"train", "--qat", file, "--data", "synth:8"}, 2, "-o RUN");
  fails({"train", "--init", file, "--data", "synth:8", "-o", run}, 2, "holds 8-bit integers");
  fails({"train", "--qat", file, "-o", run, "--resume"}, 2, "--qat cannot be given with --resume");

  Model model = ReadOnnx(file);
  model.info.net.clear();
  WriteOnnx(model, folder / "nameless.onnx");
  fails(TrainWords(folder / "nameless.onnx", run), 1, "does not say which network it is");
  std::string renamed;
  for (const Node& node : model.graph.nodes) {
    if (node.Is("QuantizeLinear")) renamed = node.inputs[0];
  }
  for (Node& node : model.graph.nodes) {
    for (auto* values : {&node.inputs, &node.outputs}) {
      for (std::string& value : *values) {
        if (value == renamed) value = "stem.other";
      }
    }
  }
  model.info.net = "frfnet-slim";
  WriteOnnx(model, folder / "renamed.onnx");
  fails(TrainWords(folder / "renamed.onnx", run), 1, "'stem.other'");
}

}  // namespace
}  // namespace frf
