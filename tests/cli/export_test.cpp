// SPDX-License-Identifier: Apache-2.0
// `frf export` of files that others wrote: networks that end in labels, of any type and rank, and outputs of
// another size than the picture's.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "base/files.h"
#include "engine/plain.h"
#include "engine/session.h"
#include "graph/builder.h"
#include "image/image_io.h"
#include "onnx/onnx_file.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::RunFrf;

// Scores of three classes, unstamped.
Graph Scores(int stride = 1) {
  Builder g("foreign");
  g.Output(g.Conv(g.Input("image", 3), {.out = 3, .kernel = 3, .stride = stride}), "scores",
           OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  return graph;
}

// [Cast <-] ArgMax in place of its scores.
Graph Labels(DType type, bool keep, bool says_shape, int stride = 1) {
  Graph graph = Scores(stride);
  graph.nodes.push_back({.name = "best",
                         .op = "ArgMax",
                         .inputs = {"scores"},
                         .outputs = {"ids"},
                         .attributes = {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{keep}}}});
  graph.nodes.push_back({.name = "cast",
                         .op = "Cast",
                         .inputs = {"ids"},
                         .outputs = {"labels"},
                         .attributes = {{"to", std::int64_t{OnnxType(type)}}}});
  graph.outputs = {{.name = "labels", .dtype = type}};
  if (says_shape) graph.outputs[0].shape = keep ? Shape{-1, 1, -1, -1} : Shape{-1, -1, -1};
  return graph;
}

// Writes the graph without a stamp, and one to give it by --meta; `output`: what that says, "" nothing.
void Write(const test::TempFolder& work, const Graph& graph, const std::string& output = "") {
  Json meta{{"classes", {"a", "b", "c"}}, {"input.mean", {0, 0, 0}}, {"input.std", {1, 1, 1}}};
  if (!output.empty()) meta["output"] = output;
  WriteFileAtomically(work / "meta.json", meta.dump());
  WriteOnnx({.graph = graph, .stamped = false}, work / "a.onnx");
}

Finished Stamp(const test::TempFolder& work, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words{"export", work / "a.onnx", "--meta", work / "meta.json",
                                 "-o",     work / "b.onnx", "--json"};
  words.insert(words.end(), more.begin(), more.end());
  return RunFrf(words);
}

TEST(ExportForeign, NetworksThatEndInLabelsOfAnyTypeAndRank) {
  for (const DType type : {DType::kInt64, DType::kInt32, DType::kUint8}) {
    for (const bool keep : {false, true}) {
      for (const char* said : {"", "labels"}) {
        SCOPED_TRACE(fmt::format("{}, keepdims {}, meta says '{}'", Name(type), keep, said));
        const test::TempFolder work;
        Write(work, Labels(type, keep, /*says_shape=*/type != DType::kInt32), said);
        const Json json = ParsedOutput(Stamp(work));
        EXPECT_EQ(json["labels_equal"], 1.0);
        EXPECT_TRUE(json["scores_difference"].is_null());
        EXPECT_EQ(ReadOnnx(work / "b.onnx").info.output, "labels");
      }
    }
  }
}

TEST(ExportForeign, LabelsThatAreNoClassAreRefusedByName) {
  const test::TempFolder work;
  Write(work, Labels(DType::kInt64, false, true));
  WriteFileAtomically(work / "meta.json",
                      Json{{"classes", {"a"}}, {"input.mean", {0, 0, 0}}, {"input.std", {1, 1, 1}}}.dump());
  const Finished finished = Stamp(work);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("a.onnx: 'labels' gives label "), std::string::npos) << finished.err;
  EXPECT_FALSE(std::filesystem::exists(work / "b.onnx"));
}

TEST(ExportForeign, InputsThatAreNoImageAreRefusedByFileAndForm) {
  const test::TempFolder work;
  Graph graph = Scores();
  graph.inputs[0].dtype = DType::kFloat64;
  Write(work, graph);
  const Finished finished = Stamp(work);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("a.onnx: input 'image' is float64 ?x3x?x?; one image, float32 or uint8"),
            std::string::npos)
      << finished.err;
}

TEST(ExportForeign, ArgMaxOfScoresThatAreSmallerThanThePicture) {
  const test::TempFolder work;
  Write(work, Scores(4));
  EXPECT_EQ(ParsedOutput(Stamp(work))["labels_equal"], 1.0);
  EXPECT_EQ(ParsedOutput(Stamp(work, {"--argmax"}))["labels_equal"], 1.0);
}

TEST(ExportForeign, ScoresOfOtherClassesThanGivenAreRefusedWhereTheFileDoesNotSayTheirNumber) {
  const test::TempFolder work;
  Graph graph = Scores();
  graph.outputs[0].shape = {};
  Write(work, graph);
  WriteFileAtomically(
      work / "meta.json",
      Json{{"classes", {"a", "b", "c", "d", "e"}}, {"input.mean", {0, 0, 0}}, {"input.std", {1, 1, 1}}}
          .dump());
  const Finished finished = Stamp(work);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("'scores' is 1x3x64x64, scores 1x5xHxW"), std::string::npos) << finished.err;
}

// The output that is used, not the first; and no other layer that shares its bias.
TEST(ExportForeign, AClassBiasIsTheClassifiersAlone) {
  const test::TempFolder work;
  Builder g("two");
  const Value image = g.Input("image", 3);
  const Value hidden = g.Conv(image, {.name = "hidden", .out = 3, .bias = true});
  g.Output(g.Op("Identity", {hidden}, 3), "aux", OutputRole::kScores);
  g.Output(g.Conv(g.Relu(hidden), {.name = "last", .out = 3, .bias = true}), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  std::string shared;
  for (Node& node : graph.nodes) {
    if (node.name == "hidden") shared = node.inputs[2];
    if (node.name == "last") node.inputs[2] = shared;
  }
  std::erase_if(graph.initializers, [](const Initializer& one) { return one.name == "last.bias"; });
  Write(work, graph);
  const Finished finished = Stamp(work, {"--class-bias", "c=50"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  const auto run = [&](const std::string& file, const std::string& output) {
    PlainExecutor executor(ReadOnnx(file, {.require_stamp = false}).graph);
    return executor.Run({{"image", Tensor::Zeros(DType::kFloat32, {1, 3, 4, 4})}})
        .at(output)
        .ToVector<float>();
  };
  EXPECT_EQ(run(work / "a.onnx", "aux"), run(work / "b.onnx", "aux"));
  const std::vector<float> before = run(work / "a.onnx", "scores"), after = run(work / "b.onnx", "scores");
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_NEAR(after[i] - before[i], i / 16 == 2 ? 50 : 0, 1e-4) << i;
}

TEST(ExportForeign, ScoresThatAreNoNumbersAreNotWritten) {
  const test::TempFolder work;
  Graph graph = Scores();
  for (Initializer& initializer : graph.initializers) {
    if (initializer.value.dtype() == DType::kFloat32)
      initializer.value.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  }
  Write(work, graph);
  const Finished finished = Stamp(work);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("are no numbers"), std::string::npos) << finished.err;
  EXPECT_FALSE(std::filesystem::exists(work / "b.onnx"));
}

// Scores of `channels` classes whose map is halved and doubled again: only even sizes fit.
Graph Halving(int channels) {
  Builder g("halving");
  const Value image = g.Input("image", 3);
  const Value wide = g.Conv(image, {.name = "wide", .out = channels, .kernel = 3});
  const Value half = g.Conv(wide, {.name = "half", .out = channels, .kernel = 2, .stride = 2, .pad = 0});
  const Tensor scales = Tensor::Of<float>({4}, {1, 1, 2, 2});
  const Value twice = g.Op("Resize", {half}, channels, {{"mode", std::string("nearest")}});
  g.Output(g.Add(wide, twice), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  graph.initializers.push_back({"scales", Role::kConstant, Init::kGiven, scales, false});
  for (Node& node : graph.nodes) {
    if (node.op == "Resize") node.inputs = {node.inputs[0], "", "scales"};
  }
  InitializeWeights(graph, 5);
  return graph;
}

TEST(ExportForeign, SizesThatDoNotFitAreNamedWithFileAndRemedy) {
  const test::TempFolder work;
  Write(work, Halving(3));
  const Finished finished = Stamp(work);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("a.onnx: not written: at 157x211: "), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find("\"input.multiple\""), std::string::npos) << finished.err;
  Json meta = ParseJson(ReadFile(work / "meta.json"), "meta");
  meta["input.multiple"] = 2;
  WriteFileAtomically(work / "meta.json", meta.dump());
  ParsedOutput(Stamp(work));
  const Finished odd = Stamp(work, {"--size", "51x70"});
  EXPECT_EQ(odd.code, 1);
  EXPECT_NE(odd.err.find("a.onnx: an input of 51x70 was asked for, multiples of 2"), std::string::npos)
      << odd.err;
}

// The second head has three channels.
Graph TwoHeads(const std::string& first, int channels, const std::string& second) {
  Builder g("two");
  const Value image = g.Input("image", 3);
  g.Output(g.Conv(image, {.name = "one", .out = channels}), first, OutputRole::kScores);
  g.Output(g.Conv(image, {.name = "two", .out = 3}), second, OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  return graph;
}

TEST(ExportForeign, OfSeveralOutputsTheOneThatIsReadIsNamed) {
  const test::TempFolder work;
  Write(work, TwoHeads("b", 8, "c"));
  const Finished finished = Stamp(work);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(
      finished.err.find("a.onnx: output 'b' (the first of 2; one named scores or labels would be read) has 8 "
                        "channels, names of 3 classes are given"),
      std::string::npos)
      << finished.err;
}

TEST(ExportForeign, AClassThatIsNamedTwiceIsRefused) {
  const test::TempFolder work;
  Write(work, Scores());
  WriteFileAtomically(
      work / "meta.json",
      Json{{"classes", {"a", "a", "c"}}, {"input.mean", {0, 0, 0}}, {"input.std", {1, 1, 1}}}.dump());
  const Finished finished = Stamp(work);
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("meta.json: two classes are called 'a'"), std::string::npos) << finished.err;
}

// A sigmoid's one channel has nothing to choose from: every pixel would be the one class, without a word.
TEST(ExportForeign, OneScoreAPixelIsWarnedOf) {
  const test::TempFolder work;
  Builder g("binary");
  g.Output(g.Conv(g.Input("image", 3), {.out = 1}), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  Write(work, graph);
  const Finished three = Stamp(work);
  EXPECT_EQ(three.code, 1);
  EXPECT_NE(three.err.find("Concat(1 - p, p)"), std::string::npos) << three.err;
  WriteFileAtomically(
      work / "meta.json",
      Json{{"classes", {"road"}}, {"input.mean", {0, 0, 0}}, {"input.std", {1, 1, 1}}}.dump());
  const std::string warning = "one score a pixel, so every pixel is 'road'; make two channels";
  const Finished stamped = Stamp(work);
  EXPECT_EQ(stamped.code, 0) << stamped.err;
  EXPECT_NE(stamped.err.find("a.onnx: " + warning), std::string::npos) << stamped.err;
  Image image{.height = 8, .width = 8, .pixels = std::vector<std::uint8_t>(8 * 8 * 3, 90)};
  WritePng(work / "p.png", image);
  const Finished segmented =
      RunFrf({"segment", work / "p.png", "-o", work / "out", "-m", work / "b.onnx", "--write", "mask"});
  EXPECT_EQ(segmented.code, 0) << segmented.err;
  EXPECT_NE(segmented.err.find("b.onnx: " + warning), std::string::npos) << segmented.err;
}

// An auxiliary head may come first: which output is read is said, and another can be chosen.
TEST(ExportForeign, OfSeveralOutputsTheFirstIsSaidAndAnotherCanBeKept) {
  const test::TempFolder work;
  Write(work, TwoHeads("aux", 3, "out"));
  const std::string warning = ": output 'aux' is read, the first of aux, out; where another";
  const Finished stamped = Stamp(work);
  ASSERT_EQ(stamped.code, 0) << stamped.err;
  EXPECT_NE(stamped.err.find("a.onnx" + warning), std::string::npos) << stamped.err;
  EXPECT_NE(RunFrf({"info", work / "b.onnx", "--size", "8x8"}).out.find("output 'aux' is read"),
            std::string::npos);
  const auto exported = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"export", work / "b.onnx", "-o", work / "c.onnx"});
    return RunFrf(words);
  };
  const Finished missing = exported({"--keep-output", "nix"});
  EXPECT_EQ(missing.code, 2);
  EXPECT_NE(missing.err.find("b.onnx: has no output 'nix', it has aux, out"), std::string::npos)
      << missing.err;
  const Finished kept = exported({"--keep-output", "out"});
  EXPECT_EQ(kept.code, 0) << kept.err;
  EXPECT_EQ(kept.err, "");
  const Model second = ReadOnnx(work / "c.onnx");
  ASSERT_EQ(second.graph.outputs.size(), 1u);
  EXPECT_EQ(second.graph.outputs[0].name, "out");
  EXPECT_EQ(second.graph.nodes.size(), 1u);  // what only the other head wants is gone
  // Labels of the first, as every verb reads them.
  EXPECT_EQ(exported({"--argmax"}).code, 0);
  EXPECT_EQ(ReadOnnx(work / "c.onnx").graph.outputs.size(), 1u);
  const Finished again = RunFrf({"export", work / "c.onnx", "--argmax", "-o", work / "d.onnx"});
  EXPECT_EQ(again.code, 2);
  EXPECT_NE(again.err.find("c.onnx: it ends in labels already"), std::string::npos) << again.err;
}

TEST(ExportForeign, MeansOfPixelsInZeroToOneAreWarnedOf) {
  const test::TempFolder work;
  Write(work, Scores());
  const auto warned = [&](const Json& mean, const Json& std) {
    WriteFileAtomically(work / "meta.json",
                        Json{{"classes", {"a", "b", "c"}}, {"input.mean", mean}, {"input.std", std}}.dump());
    const Finished finished = Stamp(work);
    EXPECT_EQ(finished.code, 0) << finished.err;
    return finished.err.find("multiply both by 255") != std::string::npos;
  };
  EXPECT_TRUE(warned({0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}));
  EXPECT_TRUE(warned({0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}));
  EXPECT_FALSE(warned({0, 0, 0}, {1, 1, 1}));
  EXPECT_FALSE(warned({123.675, 116.28, 103.53}, {58.395, 57.12, 57.375}));
}

TEST(ExportForeign, ChannelsThatComeLastAreRefusedWithARemedy) {
  Graph graph = Scores();
  EXPECT_EQ(ImageInputFault(graph), "");
  graph.inputs[0].shape = {1, 0, 0, 3};
  EXPECT_NE(ImageInputFault(graph).find("; put a Transpose of perm 0, 2, 3, 1 in front"), std::string::npos);
  graph.inputs[0].shape = {1, 4, 0, 0};
  EXPECT_NE(ImageInputFault(graph), "");
  EXPECT_EQ(ImageInputFault(graph).find("Transpose"), std::string::npos);
}

// Labels below the picture's size are enlarged before they are compared, as sessions enlarge them.
TEST(BenchLabels, BelowFullSizeAreCompared) {
  const test::TempFolder work;
  Write(work, Labels(DType::kUint8, false, true, 4));
  const Json row =
      ParsedOutput(RunFrf({"bench", work / "a.onnx", "--size", "60x90", "--runs", "2", "--json"}));
  EXPECT_EQ(row["agreement"], 1.0) << row;
}

}  // namespace
}  // namespace frf
