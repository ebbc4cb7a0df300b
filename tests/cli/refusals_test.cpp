// SPDX-License-Identifier: Apache-2.0
// What a user meets who runs a verb twice, feeds a result back in, or mistypes: it works, or ends in one line
// before the work.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "data/synth.h"
#include "engine/plain.h"
#include "graph/image_size.h"
#include "image/image_io.h"
#include "onnx/onnx_file.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::Refused;
using test::RunFrf;

TEST(Refusals, NumbersBelowZeroAndUnknownWords) {
  Refused({"eval", "frfnet-camvid", "--data", "synth:1", "--limit", "-3"}, "--limit");
  Refused({"eval", "frfnet-camvid", "--data", "synth:1", "--threads", "-3"}, "--threads");
  Refused({"eval", "frfnet-camvid", "--data", "synth:1", "--seed", "-1"}, "--seed");
  Refused({"data", "check", "synth:1", "--most", "-1"}, "--most");
  Refused({"bench", "frfnet-slim", "--precision", "f32,f8"}, "f8");
  Refused({"eval", "frfnet-camvid", "--data", "synth:1", "--precision", "half"}, "--precision");
  Refused({"eval", "frfnet-camvid", "--data", "synth:1", "--precision", "bf16", "--backend", "plain"},
          "--precision");
  Refused({"segment", "--camera", "0", "--camera-size", "wide"}, "--camera-size");
  Refused({"nonsense"}, "'nonsense'");
  Refused({"data", "nonsense"}, "'nonsense'");
}

TEST(Refusals, NamesThatOtherProgramsKnow) {
  const test::TempFolder folder;
  Refused({"segment", folder / "drive/%03d.png", "-o", folder / "out"},
          "of numbered pictures name the folder: frf segment " + (folder / "drive"));
  Refused({"segment", "--camera", ""}, "--camera: it is empty");
  WriteFileAtomically(folder / "clip.mp4", "x");
  Refused({"segment", folder / "clip.mp4", "-o", "-"}, "-o -: results are files");
  Refused({"segment", folder / "clip.mp4", "-o", "/dev/stdout"}, "-o /dev/stdout: results are files");
}

TEST(Refusals, NumbersOutOfRangeNameTheRange) {
  const auto segment = [](const char* option, const char* value, const char* why) {
    Refused({"segment", "a.png", "-o", "o", option, value}, std::string(option) + ": Value " + value + why);
  };
  segment("--frames", "-1", " is below 0, at least 0 is wanted; see frf");
  segment("--max-memory", "-1", " not in range 0 to 17592186044415; see frf");
  segment("--max-memory", "17592186044416",
          " not in range 0 to 17592186044415; see frf");  // its bytes were 0
  Refused({"eval", "frfnet-camvid", "--data", "synth:1", "--max-memory", "17592186044416"},
          "not in range 0 to");
  Refused({"eval", "frfnet-camvid", "--data", "synth:1", "--seed", "-1"}, "-1 is below 0");
}

// A checkout has a folder of the network's name, say; the weights of that name are meant.
TEST(WithModel, AFolderCalledLikeShippedWeightsIsInNobodysWay) {
  const test::TempFolder work;
  std::filesystem::create_directories(work.path() / "frfnet-slim-synth");
  WritePng(work / "a.png", DrawScene(1, {.height = 64, .width = 64}).image);
  const auto run = [&](const std::string& words) {
    return test::RunProgram(
        "/bin/sh", {"-c", "cd " + work.path().string() + " && exec " FRF_BINARY_DIR "/bin/frf " + words});
  };
  const Finished segment = run("segment a.png -o o.png -m frfnet-slim-synth");
  EXPECT_EQ(segment.code, 0) << segment.err;
  EXPECT_EQ(run("info frfnet-slim-synth").code, 0);
  std::filesystem::create_directories(work.path() / "mine");
  const Finished mine = run("segment a.png -o o.png -m mine");
  EXPECT_EQ(mine.code, 1);
  EXPECT_NE(mine.err.find("mine: is no run folder, config.json is not in it"), std::string::npos) << mine.err;
}

TEST(Refusals, AFolderThatIsNoRunSaysSo) {
  const test::TempFolder work;
  const Finished finished = RunFrf({"eval", work / "", "--data", "synth:1"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("no run folder"), std::string::npos) << finished.err;
}

TEST(ExportAgain, AFixedSizeStays) {
  const test::TempFolder work;
  ParsedOutput(RunFrf({"export", "frfnet-slim", "--size", "20x36", "-o", work / "a.onnx", "--json"}));
  const Json again = ParsedOutput(RunFrf({"export", work / "a.onnx", "-o", work / "b.onnx", "--json"}));
  EXPECT_EQ(again["sizes"], "20x36");
  EXPECT_EQ(ReadFile(work / "a.onnx"), ReadFile(work / "b.onnx"));
  Refused({"export", work / "a.onnx", "--size", "64x64", "-o", work / "c.onnx"}, "20x36");
  Refused({"export", work / "a.onnx", "--seed", "1", "-o", work / "c.onnx"}, "--seed");
  EXPECT_EQ(ParsedOutput(RunFrf({"info", work / "a.onnx", "--json"}))["size"], "20x36");
  for (const std::string plan : {"--all", "--plan"})
    Refused({"info", work / "a.onnx", "--size", "64x64", plan}, "its input is fixed, --size 20x36 is wanted");
}

TEST(ExportAgain, OneSideMayBeFixed) {
  const test::TempFolder work;
  ParsedOutput(RunFrf({"export", "frfnet-slim", "-o", work / "free.onnx", "--json"}));
  for (const int axis : {2, 3}) {
    SCOPED_TRACE(axis == 2 ? "height" : "width");
    Model model = ReadOnnx(work / "free.onnx");
    model.graph.inputs[0].shape[axis] = 64;
    model.info.input.height = 48, model.info.input.width = 80;  // where it was trained
    const std::string file = work / "one.onnx", text = axis == 2 ? "64x?" : "?x64";
    const std::string trained = axis == 2 ? "64x80" : "48x64";
    WriteOnnx(model, file);
    const Json again = ParsedOutput(RunFrf({"export", file, "-o", work / "again.onnx", "--json"}));
    EXPECT_EQ(again["sizes"], axis == 2 ? "64x80, 64x211" : "64x64, 157x64");
    EXPECT_EQ(FixedSides(ReadOnnx(work / "again.onnx").graph), FixedSides(model.graph));
    Refused({"export", file, "--size", "40x40", "-o", work / "c.onnx"}, "fixed at " + text);
    EXPECT_EQ(ParsedOutput(RunFrf({"bench", file, "--runs", "1", "--json"}))["size"], trained);
    Refused({"bench", file, "--size", "40x40"}, "fixed at " + text);
    EXPECT_EQ(ParsedOutput(RunFrf({"eval", file, "--data", "synth:1", "--json"}))["size"], trained);
    Refused({"quantize", file, "--data", "synth:4", "--size", "40x40", "-o", work / "c.onnx"},
            "fixed at " + text);
    const Finished quantized = RunFrf(
        {"quantize", file, "--data", "synth:4", "--method", "minmax", "-o", work / "q.onnx", "--json"});
    EXPECT_EQ(quantized.code, 0) << quantized.err;
    EXPECT_EQ(FixedSides(ReadOnnx(work / "q.onnx").graph), FixedSides(model.graph));
  }
}

TEST(ExportAgain, BytesStayBytes) {
  const test::TempFolder work;
  ParsedOutput(
      RunFrf({"export", "frfnet-slim", "--size", "64x96", "--uint8-input", "-o", work / "a.onnx", "--json"}));
  for (const bool asked : {false, true}) {
    std::vector<std::string> words{"export", work / "a.onnx", "-o", work / "b.onnx", "--json"};
    if (asked) words.push_back("--uint8-input");
    EXPECT_EQ(ParsedOutput(RunFrf(words))["labels_equal"], 1.0);
    EXPECT_EQ(ReadFile(work / "a.onnx"), ReadFile(work / "b.onnx"));
  }
}

TEST(ExportAgain, ANetworkThatWantsMultiplesIsProvedAtMultiples) {
  const test::TempFolder work;
  ParsedOutput(RunFrf({"export", "frfnet-slim", "-o", work / "a.onnx", "--json"}));
  Json names = Json::array();
  for (int c = 0; c < 11; ++c) names.push_back(fmt::format("class {}", c));
  const Json meta{{"classes", names},
                  {"input.mean", {123.675, 116.28, 103.53}},
                  {"input.std", {58.395, 57.12, 57.375}},
                  {"input.multiple", 32}};
  WriteFileAtomically(work / "meta.json", meta.dump());
  const Json json = ParsedOutput(
      RunFrf({"export", work / "a.onnx", "--meta", work / "meta.json", "-o", work / "b.onnx", "--json"}));
  EXPECT_EQ(json["sizes"], "64x64, 160x224");
}

TEST(ExportAgain, ClassBiasIsAddedToTheScores) {
  const test::TempFolder work;
  const std::vector<std::string> words{"export", "frfnet-slim-synth", "--size", "64x96",
                                       "-o",     work / "a.onnx"};
  ASSERT_EQ(RunFrf(words).code, 0);
  ASSERT_EQ(RunFrf({"export", "frfnet-slim-synth", "--size", "64x96", "-o", work / "b.onnx", "--class-bias",
                    "road=2.5,sky=-3"})
                .code,
            0);
  const Model plain = ReadOnnx(work / "a.onnx"), moved = ReadOnnx(work / "b.onnx");
  EXPECT_EQ(moved.info.train["class_bias"], (Json{{"sky", -3.0}, {"road", 2.5}}));
  Tensor image = Tensor::Zeros(DType::kFloat32, {1, 3, 64, 96});
  for (std::int64_t i = 0; i < image.size(); ++i)
    image.data<float>()[i] = static_cast<float>(i % 97) / 50 - 1;
  const auto scores = [&](const Model& model) {
    return PlainExecutor(model.graph)
        .Run({{model.graph.inputs[0].name, image}})
        .begin()
        ->second.ToVector<float>();
  };
  const std::vector<float> a = scores(plain), b = scores(moved);
  const auto& names = plain.info.classes.names;
  for (std::size_t c = 0; c < names.size(); ++c) {
    const double wanted = names[c] == "road" ? 2.5 : names[c] == "sky" ? -3 : 0;
    for (std::size_t i = 0; i < 64 * 96; i += 101)
      ASSERT_NEAR(b[c * 64 * 96 + i] - a[c * 64 * 96 + i], wanted, 1e-4) << names[c];
  }
  for (const auto& [value, named] : {std::pair{"raod=1", "classes are sky"},
                                     {"road", "NAME=NUMBER"},
                                     {"road=much", "'much' is not a number"},
                                     {"road=nan", "not a number"},
                                     {"road=1,road=2", "given twice"}})
    Refused({"export", "frfnet-slim-synth", "-o", work / "c.onnx", "--class-bias", value}, named);
  const Finished rounded =
      RunFrf({"export", "frfnet-slim-synth-int8", "-o", work / "c.onnx", "--class-bias", "road=1"});
  EXPECT_EQ(rounded.code, 1) << rounded.err;
  EXPECT_FALSE(std::filesystem::exists(work / "c.onnx"));
}

TEST(ExportAgain, AMetaKeyThatNobodyKnowsIsSaidAndKept) {
  const test::TempFolder work;
  ParsedOutput(RunFrf({"export", "frfnet-slim", "--size", "32x32", "-o", work / "a.onnx", "--json"}));
  Json names = Json::array();
  for (int c = 0; c < 11; ++c) names.push_back(fmt::format("class {}", c));
  WriteFileAtomically(
      work / "meta.json",
      Json{{"classes", names}, {"input.mean", {0, 0, 0}}, {"input.std", {1, 1, 1}}, {"pallette", "x"}}
          .dump());
  const Finished finished =
      RunFrf({"export", work / "a.onnx", "--meta", work / "meta.json", "-o", work / "b.onnx"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.err.find("'pallette' is not known"), std::string::npos) << finished.err;
  EXPECT_NE(ReadFile(work / "b.onnx").find("frf.pallette"), std::string::npos);
}

TEST(InfoNames, ShippedWeightsOfAnyNameAndTheNearestNetworks) {
  EXPECT_EQ(RunFrf({"info", "frfnet-slim-synth-int8", "--size", "64x96"}).code, 0);
  const Finished typo = RunFrf({"info", "frfnet-slin"});
  EXPECT_EQ(typo.code, 1);
  EXPECT_NE(typo.err.find("did you mean frfnet-slim? "), std::string::npos) << typo.err;
}

// A network of a small fixed size, made once.
const std::string& Model() {
  static const test::TempFolder folder;
  static const std::string path = [] {
    ParsedOutput(RunFrf({"export", "frfnet-slim", "--size", "64x96", "-o", folder / "net.onnx", "--json"}));
    return folder / "net.onnx";
  }();
  return path;
}

TEST(WithModel, SegmentDoesNotLabelItsOwnResults) {
  const test::TempFolder work;
  std::filesystem::create_directories(work.path() / "in");
  WritePng(work / "in/p.png", DrawScene(1, {.height = 64, .width = 96}).image);
  for (const std::string output : {"in/out", "in/out", "in", "in"}) {
    const Json json =
        ParsedOutput(RunFrf({"segment", work / "in", "-o", work / output, "-m", Model(), "--json"}));
    ASSERT_EQ(json["files"].size(), 1u) << output << json.dump();
    EXPECT_EQ(json["files"][0]["input"], work / "in/p.png");
    if (output == "in") std::filesystem::remove_all(work.path() / "in/out");
  }
}

TEST(WithModel, OnePictureIntoOneFile) {
  const test::TempFolder work;
  const Image image = DrawScene(1, {.height = 64, .width = 96}).image;
  WritePng(work / "p.png", image);
  const auto segment = [&](const std::string& output, std::vector<std::string> words) {
    words.insert(words.begin(), {"segment", work / "p.png", "-o", work / output, "-m", Model()});
    return RunFrf(words);
  };
  const Finished overlay = segment("new/over.png", {});
  EXPECT_EQ(overlay.code, 0) << overlay.err;
  EXPECT_NE(ReadImage(work / "new/over.png").pixels, image.pixels);
  EXPECT_EQ(segment("colors.jpg", {"--write", "color"}).code, 0);
  EXPECT_EQ(ReadImageSize(work / "colors.jpg"), std::pair(64, 96));
  const Json json = ParsedOutput(segment("ids.png", {"--write", "mask", "--json"}));
  EXPECT_EQ(json["files"][0]["outputs"]["mask"], work / "ids.png");
  EXPECT_EQ(ReadLabels(work / "ids.png").width, 96);
  Refused({"segment", work / "p.png", "-o", work / "ids.jpg", "-m", Model(), "--write", "mask"},
          "masks are PNG");
  Refused({"segment", work / "p.png", "-o", work / "two.png", "-m", Model(), "--write", "mask,color"},
          "one picture");
  Refused({"segment", work / "p.png", work / "p.png", "-o", work / "two.png", "-m", Model()}, "2 inputs");
  EXPECT_FALSE(std::filesystem::exists(work / "two.png"));
  std::filesystem::create_directories(work.path() / "folder.png");
  EXPECT_EQ(segment("folder.png", {}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(work / "folder.png/p_mask.png"));
}

TEST(WithModel, WhatTheNetworkRefusesIsNamedByItsPicture) {
  const test::TempFolder work;
  ParsedOutput(RunFrf({"export", "frfnet-slim", "-o", work / "free.onnx", "--json"}));
  WritePng(work / "p.png", DrawScene(1, {.height = 360, .width = 480}).image);
  const Finished finished =
      RunFrf({"segment", work / "p.png", "-o", work / "out", "-m", work / "free.onnx", "--max-memory", "2"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("p.png: "), std::string::npos) << finished.err;
}

TEST(WithModel, EvalMakesTheReportsFolderAndSaysHowManyImages) {
  const test::TempFolder work;
  const Finished finished =
      RunFrf({"eval", Model(), "--data", "synth:3", "--limit", "1", "--report", work / "new/r.html"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.out.find("the first image only"), std::string::npos) << finished.out;
  EXPECT_TRUE(std::filesystem::exists(work / "new/r.html"));
  WriteFileAtomically(work / "file", "in the way");
  const Finished barred = RunFrf({"eval", Model(), "--data", "synth:1", "--report", work / "file/r.html"});
  EXPECT_EQ(barred.code, 1);
  EXPECT_TRUE(barred.out.empty()) << "refused before the work";
}

}  // namespace
}  // namespace frf
