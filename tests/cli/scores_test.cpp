// SPDX-License-Identifier: Apache-2.0
// What eval and demo say of a network is true of it: the size at which it ran, and scores only where its
// classes are the truth's.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "data/dataset.h"
#include "data/synth.h"
#include "image/image_io.h"
#include "onnx/onnx_file.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::RunFrf;

TEST(EvalSize, OfAFileOfFixedSizeIsTheFiles) {
  const test::TempFolder work;
  const std::string file = work / "fixed.onnx";
  ASSERT_EQ(RunFrf({"export", "frfnet-slim-synth", "-o", file, "--size", "64x96"}).code, 0);
  const std::vector<std::string> call{"eval", file, "--data", "synth:2", "--json", "--stamp"};
  EXPECT_EQ(ParsedOutput(RunFrf(call))["size"], "64x96");
  EXPECT_EQ(ReadOnnx(file).info.eval.back()["size"], "64x96");
  EXPECT_EQ(ParsedOutput(RunFrf({"eval", file, "--data", "synth:1", "--json", "--backend", "plain"}))["size"],
            "64x96");
}

TEST(EvalSave, TwoPredictionsOfOneNameAreRefused) {
  const test::TempFolder work;
  Json classes{{"names", CamVidClasses().names}};
  WriteFileAtomically(work / "classes.json", classes.dump());
  const Sample street = DrawScene(1, {.height = 64, .width = 96});
  for (const char* kind : {"images", "masks"}) {
    std::filesystem::create_directories(work.path() / kind / "val/a");
    for (const char* name : {"val/a/b.png", "val/a_b.png"}) {
      const std::string file = (work.path() / kind / name).string();
      kind[0] == 'i' ? WritePng(file, street.image) : WriteLabels(file, street.labels);
    }
  }
  const Finished finished = RunFrf({"eval", "frfnet-slim-synth", "--data", "folder:" + work.path().string(),
                                    "--save", work / "predictions"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("would both be images_val_a_b.png"), std::string::npos) << finished.err;
}

TEST(EvalSize, OfAFreeFileIsTheOneAskedForOrTrained) {
  const auto size = [](const std::vector<std::string>& more) {
    std::vector<std::string> words{"eval", "frfnet-slim-synth", "--data", "synth:1", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return ParsedOutput(RunFrf(words))["size"];
  };
  EXPECT_EQ(size({"--size", "64x96"}), "64x96");
  EXPECT_EQ(size({}), "360x480");
}

TEST(EvalSize, OfANativeNetworkIsTheImages) {
  const test::TempFolder work;
  const std::string file = work / "native.onnx";
  ASSERT_EQ(RunFrf({"export", "frfnet-slim-synth", "-o", file}).code, 0);
  Model model = ReadOnnx(file);
  model.info.input.fit = Fit::kNative;  // trained at 360x480 as before
  WriteOnnx(model, file);
  for (const std::string size : {"64x96", "96x128"}) {
    ASSERT_EQ(RunFrf({"synth", "-o", work / size, "--count", "2", "--val-share", "0.5", "--size", size}).code,
              0);
  }
  EXPECT_EQ(ParsedOutput(RunFrf({"eval", file, "--data", "camvid:" + (work / "64x96"), "--json"}))["size"],
            "64x96");
  // Two sizes in one folder.
  const test::TempFolder mixed;
  for (const char* part : {"images/val", "masks/val"})
    std::filesystem::create_directories(mixed.path() / part);
  const Classes classes = model.info.classes;
  WriteFileAtomically(mixed / "classes.json",
                      Json{{"names", classes.names}, {"palette", classes.palette}, {"void", 255}}.dump());
  for (const int height : {64, 96}) {
    const Sample scene = DrawScene(static_cast<std::uint64_t>(height), {.height = height, .width = 96});
    WritePng(mixed / fmt::format("images/val/{}.png", height), scene.image);
    WriteLabels(mixed / fmt::format("masks/val/{}.png", height), scene.labels);
  }
  EXPECT_EQ(ParsedOutput(RunFrf({"eval", file, "--data", "folder:" + (mixed / ""), "--json"}))["size"],
            "native");
}

TEST(DemoScores, OnlyWhereTheClassesAreTheDrawnStreets) {
  const test::TempFolder work;
  const auto demo = [&](const std::string& model) {
    return RunFrf({"demo", "-m", model, "-o", work / "demo", "--json", "--threads", "1"});
  };
  ASSERT_EQ(RunFrf({"export", "frfnet-slim", "--classes", "cityscapes", "-o", work / "city.onnx"}).code, 0);
  EXPECT_TRUE(ParsedOutput(demo(work / "city.onnx"))["miou"].is_number()) << "drawn with those 19 classes";
  EXPECT_EQ(ReadImage(work / "demo/demo.png").width, 3 * 480 + 2 * 8) << "picture, truth, float32";

  // The same names in another order: ids alone would compare road with pole.
  Model model = ReadOnnx(work / "city.onnx");
  std::reverse(model.info.classes.names.begin(), model.info.classes.names.end());
  WriteOnnx(model, work / "other.onnx");
  const Json other = ParsedOutput(demo(work / "other.onnx"));
  EXPECT_TRUE(other["miou"].is_null());
  EXPECT_TRUE(other["pixel_accuracy"].is_null());
  const Finished said = RunFrf({"demo", "-m", work / "other.onnx", "-o", work / "demo"});
  EXPECT_NE(said.out.find("not scored"), std::string::npos) << said.out;
  EXPECT_EQ(said.out.find("mean IoU"), std::string::npos) << said.out;
  EXPECT_EQ(ReadImage(work / "demo/demo.png").width, 2 * 480 + 8) << "picture, float32";
}

// Streets in the layout of camvid:DIR of which nothing is labelled.
void DrawUnlabelled(const std::filesystem::path& folder, int count) {
  std::filesystem::create_directories(folder / "val");
  std::filesystem::create_directories(folder / "valannot");
  for (int i = 0; i < count; ++i) {
    Sample street = DrawScene(static_cast<std::uint64_t>(i), {.height = 64, .width = 96});
    const std::string name = fmt::format("{}_a.png", i);
    WritePng((folder / "val" / name).string(), street.image);
    std::fill(street.labels.ids.begin(), street.labels.ids.end(), 11);
    WriteLabels((folder / "valannot" / name).string(), street.labels);
  }
}

// Where nothing is labelled there is no score, nowhere 0.
TEST(EvalNothing, HasNoScore) {
  const test::TempFolder work;
  DrawUnlabelled(work.path() / "c", 1);
  std::vector<std::string> words{"eval",   "frfnet-slim-synth",      "--against", "frfnet-slim-synth",
                                 "--data", "camvid:" + (work / "c"), "--size",    "64x96"};
  const Finished table = RunFrf(words);
  EXPECT_EQ(table.out.find("0.00 %  "), std::string::npos) << table.out;
  words.insert(words.end(), {"--json", "--report", work / "r.html"});
  const Json result = ParsedOutput(RunFrf(words));
  EXPECT_TRUE(result["miou"].is_null());
  EXPECT_TRUE(result["against"]["miou"].is_null());
  EXPECT_EQ(result["arithmetic"], "f32");
  const std::string report = ReadFile(work / "r.html");
  EXPECT_NE(report.find("Mean IoU - there"), std::string::npos);
}

TEST(EvalNothing, ModulesCostNothingThatIsKnown) {
  const test::TempFolder work;
  DrawUnlabelled(work.path() / "c", 1);
  std::vector<std::string> words{"eval",  "frfnet-slim-synth", "--data", "camvid:" + (work / "c"), "--size",
                                 "64x96", "--modules"};
  const Finished table = RunFrf(words);
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_EQ(table.out.find("0.00 "), std::string::npos) << table.out;
  words.push_back("--json");
  const Json result = ParsedOutput(RunFrf(words));
  EXPECT_TRUE(result["miou"].is_null());
  EXPECT_TRUE(result["modules"][0]["frozen"].is_null());
}

TEST(QuantizeNothing, HasNoScoreAndNothingToHoldTheDropBy) {
  const test::TempFolder work;
  DrawUnlabelled(work.path() / "c", 3);
  std::vector<std::string> words{"quantize", "frfnet-slim-synth",
                                 "--data",   "camvid:" + (work / "c"),
                                 "--split",  "val",
                                 "--size",   "64x96",
                                 "--method", "minmax",
                                 "-o",       work / "q.onnx"};
  const Finished table = RunFrf(words);
  EXPECT_EQ(table.code, 0) << table.err;
  EXPECT_EQ(table.out.find(" 0.00 %\n"), std::string::npos) << table.out;
  EXPECT_EQ(table.out.find("int8 loses"), std::string::npos) << table.out;
  EXPECT_NE(table.err.find("what int8 costs in mean IoU is not known"), std::string::npos) << table.err;
  words.push_back("--json");
  const Json result = ParsedOutput(RunFrf(words));
  EXPECT_TRUE(result["tried"][0]["miou"].is_null());
  EXPECT_TRUE(result["scoring"]["miou"].is_null());
  EXPECT_TRUE(result["scoring"]["drop"].is_null());
  words.insert(words.end(), {"--max-drop", "0.5"});
  const Finished refused = RunFrf(words);
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("--max-drop: no pixel of the 1 image to choose by is labelled"),
            std::string::npos)
      << refused.err;
}

TEST(EvalErrors, NameTheImage) {
  const Finished finished = RunFrf({"eval", "frfnet-slim-synth", "--data", "synth:1", "--seed", "7",
                                    "--split", "test", "--max-memory", "1"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("synth/10000007: the network needs"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace frf
