// SPDX-License-Identifier: Apache-2.0
// What someone relies on who compares networks: no class is missing from a table that its mean counts, names
// of classes are compared and not their number alone, figures outlive a full disk, and a file says what was
// done to it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "cli/quantize_score.h"
#include "data/dataset.h"
#include "data/synth.h"
#include "graph/shapes.h"
#include "graph/weights.h"
#include "image/image_io.h"
#include "nets/nets.h"
#include "onnx/onnx_file.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::Refused;
using test::RunFrf;

// Drawn scenes in folder layout, two recordings "a_" and "b_"; `labels` may change them.
template <typename Change>
std::string FolderOf(const test::TempFolder& work, const std::vector<std::string>& names, int images,
                     const Change& change) {
  for (const char* part : {"images/train", "masks/train"})
    std::filesystem::create_directories(work.path() / part);
  WriteFileAtomically(work / "classes.json", Json{{"names", names}}.dump());
  for (int i = 0; i < images; ++i) {
    Sample scene = DrawScene(4000000 + static_cast<std::uint64_t>(i), {.height = 64, .width = 96});
    change(scene.labels);
    const std::string name = fmt::format("train/{}_{}.png", i % 2 == 0 ? "a" : "b", i);
    WritePng(work / ("images/" + name), scene.image);
    WriteLabels(work / ("masks/" + name), scene.labels);
  }
  return "folder:" + (work / "");
}

TEST(Comparisons, AClassThatOneNetworkAloneNamesStandsInTheTable) {
  const test::TempFolder work, data;
  for (const std::string name : {"sky", "road"}) {
    ASSERT_EQ(RunFrf({"export", "frfnet-slim-synth", "--size", "64x96", "--class-bias", name + "=100", "-o",
                      work / (name + ".onnx")})
                  .code,
              0);
  }
  const std::string all_sky = FolderOf(data, CamVidClasses().names, 1, [](LabelImage& labels) {
    std::fill(labels.ids.begin(), labels.ids.end(), std::uint8_t{0});
  });
  const Finished finished = RunFrf({"eval", work / "sky.onnx", "--against", work / "road.onnx", "--data",
                                    all_sky, "--split", "train", "--threads", "1"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  const std::string table = finished.out.substr(finished.out.find("against"));
  EXPECT_NE(table.find("sky             100.00 %    0.00 %  +100.00\n"), std::string::npos) << table;
  EXPECT_NE(table.find("road                   -    0.00 %        -\n"), std::string::npos) << table;
  EXPECT_EQ(table.find("pole"), std::string::npos) << "in neither" << table;
}

TEST(Comparisons, QuantizeWantsTheSameClassesAsEval) {
  const test::TempFolder data, work;
  std::vector<std::string> names = CamVidClasses().names;
  std::reverse(names.begin(), names.end());
  const std::string reversed = FolderOf(data, names, 3, [](LabelImage&) {});
  for (const std::string verb : {"eval", "quantize"}) {
    std::vector<std::string> words{verb, "frfnet-slim-synth", "--data", reversed, "--split", "train"};
    if (verb == "quantize") words.insert(words.end(), {"-o", work / "q.onnx"});
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, 1) << verb;
    EXPECT_NE(finished.err.find("class 0 is 'sky'"), std::string::npos) << finished.err;
  }
  EXPECT_FALSE(std::filesystem::exists(work / "q.onnx"));
}

TEST(Comparisons, RangesAreNotOfOneImageWhereNamesTellNoRecording) {
  const auto split = [](const std::vector<std::string>& names, const std::vector<int>& wanted) {
    const test::TempFolder work;
    const std::string text = fmt::format("{}\n", fmt::join(names, "\n"));
    for (const char* part : {"images", "masks"}) std::filesystem::create_directories(work.path() / part);
    WriteFileAtomically(work / "classes.json", Json{{"names", {"a", "b"}}}.dump());
    for (const std::string& name : names) {  // never read
      WriteFileAtomically(work / ("images/" + name), "x");
      WriteFileAtomically(work / ("masks/" + name), "x");
    }
    WriteFileAtomically(work / "train.txt", text);
    std::vector<std::size_t> sizes;
    const auto data = OpenDataset({.spec = "folder:" + (work / ""), .split = "train", .list = "train.txt"});
    for (const auto& part : cli::SplitByRecording(*data, wanted, /*drawn=*/false))
      sizes.push_back(part.size());
    return sizes;
  };
  using Sizes = std::vector<std::size_t>;
  std::vector<std::string> numbered, drives;
  for (int i = 0; i < 30; ++i) {
    numbered.push_back(fmt::format("{:04}.png", i));
    drives.push_back(fmt::format("{}_{}.png", i < 16 ? "a" : i < 24 ? "b" : i < 28 ? "c" : "d", i));
  }
  EXPECT_EQ(split(numbered, {100, 40, 200}), (Sizes{10, 10, 10})) << "even shares";
  EXPECT_EQ(split(numbered, {5, 4, 200}), (Sizes{5, 4, 21}));
  EXPECT_EQ(split(numbered, {100, 40}), (Sizes{15, 15}));
  EXPECT_EQ(split(drives, {100, 40, 200}), (Sizes{16, 8, 6})) << "whole drives; one is left for the figure";
  EXPECT_EQ(split(drives, {10, 4, 200}), (Sizes{16, 8, 6}));
}

TEST(Comparisons, BenchTellsItsTimesBeforeItWritesFiles) {
  const test::TempFolder work;
  std::filesystem::create_directories(work.path() / "out/bench.md/in the way");
  const Finished finished =
      RunFrf({"bench", "frfnet-slim", "--size", "64x96", "--runs", "2", "--threads", "1", "--against",
              "ncnn,ncnn", "--venv", work / "out", "-o", work / "out", "--json"});
  EXPECT_EQ(finished.code, 1);
  const Json rows = ParseJson(finished.out, "standard output");
  ASSERT_EQ(rows.size(), 2U) << "a peer that is named twice is one peer";
  EXPECT_EQ(rows[0]["runs"], 2);
  EXPECT_EQ(rows[1]["engine"], "ncnn");
}

TEST(Comparisons, ALibtorchReportThatCannotBeWrittenIsRefusedAtOnce) {
  const test::TempFolder work;
  Refused({"eval", work / "", "--backend", "torch", "--data", "synth:1", "--report", work / ""}, "--report");
}

TEST(Comparisons, ANetworksNameBringsItsNumberOfClasses) {
  const test::TempFolder work;
  Refused({"export", "frfnet-slim", "--net-options", "classes=7", "-o", work / "x.onnx"},
          "classes=7: camvid has 11 classes");
  Refused({"bench", "frfnet-slim", "--net-options", "classes=7", "--size", "64x96"},
          "classes=7: cityscapes has 19 classes");
}

TEST(Comparisons, ASecondClassBiasIsNotedWithTheFirst) {
  const test::TempFolder work;
  const auto add = [](const std::string& from, const std::string& bias, const std::string& to) {
    const Finished finished = RunFrf({"export", from, "--size", "64x96", "--class-bias", bias, "-o", to});
    EXPECT_EQ(finished.code, 0) << finished.err;
  };
  add("frfnet-slim-synth", "road=2.5,sky=-3", work / "a.onnx");
  add(work / "a.onnx", "road=+0.5,car=1", work / "b.onnx");
  const Model once = ReadOnnx(work / "a.onnx"), twice = ReadOnnx(work / "b.onnx");
  EXPECT_EQ(twice.info.train["class_bias"], (Json{{"sky", -3.0}, {"road", 3.0}, {"car", 1.0}}));
  Refused({"export", work / "a.onnx", "--class-bias", "road=+-1", "-o", work / "c.onnx"}, "'+-1'");
}

TEST(Comparisons, InfoCountsWhatARunTrains) {
  const test::TempFolder run;
  ModelInfo info;
  info.net = "frfnet-slim";
  info.classes = CamVidClasses();
  info.net_options = CompleteOptions(info.net, Json{{"classes", info.classes.count()}, {"aux", true}});
  Graph graph = BuildNet(info.net, info.net_options);
  InitializeWeights(graph, 0);
  SaveWeights(run / "best.ckpt", graph, ToJson(info));
  WriteFileAtomically(run / "config.json", Json{{"model", ToJson(info)}}.dump());
  const auto params = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words{"info", run / "", "--size", "64x96", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return ParsedOutput(RunFrf(words))["params"].get<std::int64_t>();
  };
  EXPECT_EQ(params({"--train"}), CountCost(graph, InferShapes(graph, 64, 96)).params);
  EXPECT_LT(params({}), params({"--train"}));
}

}  // namespace
}  // namespace frf
