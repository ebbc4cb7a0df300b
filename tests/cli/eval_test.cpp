// SPDX-License-Identifier: Apache-2.0
// What `frf eval` records: which weights were scored, and of which images a score is.
#include "cli/eval.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "onnx/onnx_file.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::HasTrain;
using test::ParsedOutput;
using test::RunFrf;

// Drawn streets in the layout of camvid:DIR.
void DrawData(const std::string& folder, const std::string& count, const std::string& seed) {
  const Finished drawn = RunFrf(
      {"synth", "-o", folder, "--count", count, "--seed", seed, "--val-share", "0.5", "--size", "64x96"});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
}

TEST(EvalStamp, OtherDataAndOtherListsKeepTheirScores) {
  const test::TempFolder work;
  const std::string file = work / "net.onnx";
  ASSERT_EQ(RunFrf({"export", "frfnet-slim", "--size", "64x96", "-o", file}).code, 0);
  DrawData(work / "fa", "4", "1");
  DrawData(work / "fb", "4", "1");
  const auto stamp = [&](const std::string& folder, const std::vector<std::string>& more) {
    std::vector<std::string> words{"eval", file, "--data", "camvid:" + folder, "--stamp"};
    words.insert(words.end(), more.begin(), more.end());
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, 0) << finished.err;
    return ReadOnnx(file).info.eval;
  };
  EXPECT_EQ(stamp(work / "fa", {}).size(), 1U);
  EXPECT_EQ(stamp(work / "fb", {}).size(), 2U) << "the same names in another folder";
  EXPECT_EQ(stamp(work / "fa/", {}).size(), 2U) << "the first once more";
  // A list called like the split, of all its images and of one.
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(work.path() / "fa/val"))
    names.push_back("val/" + entry.path().filename().string());
  std::sort(names.begin(), names.end());
  ASSERT_EQ(names.size(), 2U);
  WriteFileAtomically(work / "val.txt", names[0] + "\n" + names[1] + "\n");
  EXPECT_EQ(stamp(work / "fa", {"--list", work / "val.txt"}).size(), 3U);
  WriteFileAtomically(work / "val.txt", names[1] + "\n");
  const Json all = stamp(work / "fa", {"--list", work / "val.txt"});
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[1]["split"], "val");
  EXPECT_EQ(all[1]["folder"], "fa");
  EXPECT_FALSE(all[3].contains("split"));
  EXPECT_EQ(all[3]["list"], "val.txt");
  EXPECT_EQ(all[3]["images"], 1);
  EXPECT_EQ(all.dump().find(work.path().string()), std::string::npos) << "no path in a file that others get";
}

TEST(EvalStamp, ScenesOfAnotherSizeAreOtherImages) {
  const test::TempFolder work;
  const std::string file = work / "net.onnx";
  ASSERT_EQ(RunFrf({"export", "frfnet-slim", "--size", "64x96", "-o", file}).code, 0);
  const std::vector<std::string> words{"eval", file, "--data", "synth:1", "--stamp"};
  for (const char* size : {"64x96", "96x96", "64x96"}) {
    std::vector<std::string> sized = words;
    sized.insert(sized.end(), {"--scene-size", size});
    EXPECT_EQ(RunFrf(sized).code, 0);
  }
  EXPECT_EQ(RunFrf(words).code, 0);
  const Json all = ReadOnnx(file).info.eval;
  ASSERT_EQ(all.size(), 3U);
  for (const auto& [entry, size] : {std::pair(0, "96x96"), {1, "64x96"}, {2, "360x480"}})
    EXPECT_EQ(all[entry]["scene_size"], size);
}

TEST(EvalList, SaysWhichImagesItNamesTwice) {
  const test::TempFolder work;
  DrawData(work / "c", "2", "1");
  const std::string name = std::filesystem::directory_iterator(work.path() / "c/val")->path().filename();
  const std::vector<std::string> call{
      "eval",   "frfnet-slim-synth", "--data", "camvid:" + (work / "c"), "--size", "64x96",
      "--list", work / "list.txt"};
  WriteFileAtomically(work / "list.txt", "val/" + name + "\n");
  EXPECT_EQ(RunFrf(call).err.find("more than once"), std::string::npos);
  WriteFileAtomically(work / "list.txt", "val/" + name + "\nval/" + name + "\n");
  const Finished twice = RunFrf(call);
  EXPECT_EQ(twice.code, 0) << twice.err;
  EXPECT_NE(twice.err.find("1 image is named more than once, val/" + name + " for instance"),
            std::string::npos)
      << twice.err;
}

// An older frf's entry does not say which images it is of: it stays.
TEST(EvalStamp, KeepsAnEntryThatDoesNotNameItsImages) {
  const test::TempFolder work;
  const std::string file = work / "net.onnx";
  ASSERT_EQ(RunFrf({"export", "frfnet-slim", "--size", "64x96", "-o", file}).code, 0);
  Model model = ReadOnnx(file);
  model.info.eval = Json::array({{{"data", "synth"}, {"split", "val"}, {"size", "64x96"}, {"miou", 0.5}}});
  WriteOnnx(model, file);
  for (int time = 0; time < 2; ++time) {
    ASSERT_EQ(RunFrf({"eval", file, "--data", "synth:1", "--split", "val", "--stamp"}).code, 0);
    const Json all = ReadOnnx(file).info.eval;
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0]["miou"], 0.5);
  }
}

TEST(EvalPerImage, IsTheSplitImageByImage) {
  const test::TempFolder work;
  const std::vector<std::string> call{
      "eval", "frfnet-slim-synth", "--data", "synth:3", "--split", "test", "--size", "64x96", "--json"};
  std::vector<std::string> words = call;
  words.insert(words.end(), {"--per-image", work / "new/images.json"});
  const Json all = ParsedOutput(RunFrf(words));
  const Json images = ParseJson(ReadFile(work / "new/images.json"), "images.json");
  ASSERT_EQ(images.size(), 3U);
  std::int64_t pixels = 0, of_all = 0;
  for (const Json& image : images) pixels += image["pixels"].get<std::int64_t>();
  for (const Json& row : all["confusion"])
    for (const Json& count : row) of_all += count.get<std::int64_t>();
  EXPECT_EQ(pixels, of_all);
  words = call;
  words.insert(words.end(), {"--limit", "1"});
  const Json first = ParsedOutput(RunFrf(words));
  for (const char* score : {"miou", "pixel_accuracy", "iou"})
    EXPECT_EQ(images[0][score], first[score]) << score;
  words = call;
  words.insert(words.end(), {"--per-image", work / "images.txt"});
  test::Refused(words, "a name that ends in .csv or .json is wanted");
}

// Class names are anybody's, and an image without labels has no scores.
TEST(EvalPerImage, AsCsv) {
  cli::ImageScores scores;
  ConfusionMatrix some(2), nothing(2);
  some.Add({1, 4, {0, 0, 1, 255}}, {1, 4, {0, 1, 1, 1}});
  nothing.Add({1, 2, {255, 255}}, {1, 2, {0, 1}});
  scores.Add("val/a, b.png", some);
  scores.Add("val/c.png", nothing);
  const test::TempFolder work;
  scores.Write(work / "s.csv", {{"road", "\"tree\", or hedge"}, {}, {}});
  EXPECT_EQ(ReadFile(work / "s.csv"),
            "image,pixels,pixel_accuracy,miou,iou_road,\"iou_\"\"tree\"\", or hedge\"\n"
            "\"val/a, b.png\",3,0.666667,0.500000,0.500000,0.500000\n"
            "val/c.png,0,,,,\n");
}

TEST(EvalRun, SaysWhichWeightsItScored) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder work;
  const std::string run = work / "run";
  const Finished trained =
      RunFrf({"train", "--data", "synth:2", "--scene-size", "64x64", "--net", "frfnet-slim", "-o", run,
              "--epochs", "1", "--batch", "2", "--no-val", "--device", "cpu", "--set", "average=0"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Json result =
      ParsedOutput(RunFrf({"eval", run, "--data", "synth:1", "--json", "--report", work / "r.html"}));
  EXPECT_EQ(result["weights"], "raw");
  EXPECT_EQ(result["checkpoint"], "last");
  EXPECT_NE(ReadFile(work / "r.html").find("raw weights of the last checkpoint"), std::string::npos);
}

// The recipe `reference` validates on pictures averaged down by area: torch's eval repeats its score, the
// engine's says that it does not. Both say the same things.
TEST(EvalRun, TorchRepeatsTheRunsOwnScoreAndBothPrintTheSameKeys) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder work;
  const std::string run = work / "run";
  const Finished trained =
      RunFrf({"train",  "--data",  "synth:2", "--net", "frfnet-slim", "--recipe", "reference",
              "--size", "96x128",  "--crop",  "64x64", "--val-data",  "synth:2",  "--epochs",
              "1",      "--batch", "2",       "-o",    run,           "--device", "cpu"});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const std::string file = run + "/config.json";
  const Json config = ParseJson(ReadFile(file), file);
  const std::vector<std::string> call{"eval", run, "--data", "synth:2", "--json"};
  std::vector<std::string> words = call;
  words.insert(words.end(), {"--backend", "torch"});
  const Finished engine = RunFrf(call);
  const Json torch = ParsedOutput(RunFrf(words)), ours = ParsedOutput(engine);
  EXPECT_EQ(torch["miou"], config["model"]["eval"][0]["miou"]);
  EXPECT_EQ(torch["iou"], config["model"]["eval"][0]["iou"]);
  EXPECT_EQ(torch["resize"], "area");
  EXPECT_EQ(ours["resize"], "bilinear");
  EXPECT_NE(engine.err.find("validate_area"), std::string::npos) << engine.err;
  std::vector<std::string> keys, torch_keys;
  for (const auto& fact : ours.items()) keys.push_back(fact.key());
  for (const auto& fact : torch.items()) torch_keys.push_back(fact.key());
  EXPECT_EQ(keys, torch_keys);
  for (const char* key : {"size", "arithmetic", "weights", "checkpoint", "seed", "commit", "version", "data"})
    EXPECT_EQ(ours[key], torch[key]) << key;
  EXPECT_EQ(ours["size"], "96x128");
  EXPECT_GT(torch["ms"], 0.0);
}

}  // namespace
}  // namespace frf
