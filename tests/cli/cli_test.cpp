// SPDX-License-Identifier: Apache-2.0
// The program as a user runs it: help, exit codes, JSON on standard output alone, results in files.
#include "support/cli.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/files.h"
#include "base/json.h"
#include "data/synth.h"
#include "image/image_io.h"
#include "onnx/onnx_file.h"
#include "support/hostile_images.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::RunFrf;

TEST(Cli, EveryVerbHasHelpThatShowsDefaults) {
  for (const std::string verb : {"demo", "segment", "eval", "bench", "export", "info", "synth", "data"}) {
    const Finished help = RunFrf({verb, "--help"});
    EXPECT_EQ(help.code, 0) << verb << help.err;
    EXPECT_NE(help.out.find("--help"), std::string::npos) << verb;
  }
  EXPECT_NE(RunFrf({"synth", "--help"}).out.find("=100"), std::string::npos);
}

TEST(Cli, WrongUsageIsExitCodeTwoAndOneLine) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"nonsense"},
                                             {"info", "frfnet", "--size", "12"},
                                             {"segment"},
                                             {"eval", "frfnet-camvid"},
                                             {"synth", "-o", "x", "--count", "no"}}) {
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, 2) << words[0] << finished.err;
    EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
    EXPECT_TRUE(finished.out.empty());
  }
}

TEST(Cli, FailuresAreExitCodeOneAndNameTheFile) {
  const Finished finished = RunFrf({"eval", "no-such-file.onnx", "--data", "synth:1"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("no-such-file.onnx"), std::string::npos) << finished.err;
  EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
}

// frf beside a frf-train that is played by a script: it prints the words it gets, one a line.
std::string FrfWithPlayedTrainer(const test::TempFolder& folder) {
  std::filesystem::copy_file(FRF_BINARY_DIR "/bin/frf", folder / "frf");
  const std::string version = RunFrf({"--version"}).out;  // "frf 0.1.0 (COMMIT)"
  const std::string commit = version.substr(version.find('(') + 1, version.find(')') - version.find('(') - 1);
  WriteFileAtomically(
      folder / "frf-train",
      fmt::format("#!/bin/sh\n[ \"$1\" = --commit ] && echo '{}' || printf '%s\\n' \"$@\"\n", commit));
  std::filesystem::permissions(folder / "frf-train", std::filesystem::perms::owner_all);
  return folder / "frf";
}

TEST(Cli, BenchWithADeviceIsTheTrainersAndRefusesWhatItCannotDo) {
  const test::TempFolder folder;
  const std::string frf = FrfWithPlayedTrainer(folder);
  const Finished step = test::RunProgram(frf, {"bench", "frfnet", "--step", "--size", "360x480", "--batch",
                                               "4", "--classes", "camvid", "--json"});
  EXPECT_EQ(step.out,
            "bench\nfrfnet\n--device\nauto\n--classes\n11\n--size\n360x480\n--batch\n4\n--step\n--json\n")
      << step.err;
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"bench", "frfnet", "--device", "cpu", "--tune"},
                                             {"bench", "frfnet", "frfnet-slim", "--step"},
                                             {"bench", "frfnet", "--batch", "2"}}) {
    EXPECT_EQ(test::RunProgram(frf, words).code, 2) << words.back();
  }
}

TEST(Cli, EvalWithTorchPassesEveryOptionOnOrRefusesIt) {
  const test::TempFolder folder;
  const std::string frf = FrfWithPlayedTrainer(folder);
  const std::vector<std::string> call{"eval", "runs/first", "--backend", "torch", "--data", "synth:9"};
  const auto run = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = call;
    words.insert(words.end(), more.begin(), more.end());
    return test::RunProgram(frf, words);
  };
  const Finished bare = run({});
  EXPECT_EQ(bare.out, "eval\nruns/first\n--data\nsynth:9\n--split\nval\n--pictures\n16\n") << bare.err;
  const Finished all = run(
      {"--split",   "test",  "--list",    "l.txt",  "--seed",      "10000000",     "--variant",  "cityscapes",
       "--size",    "64x96", "--threads", "1",      "--report",    "r.html",       "--pictures", "3",
       "--weights", "raw",   "--last",    "--json", "--new-skies", "--scene-size", "96x128"});
  EXPECT_EQ(all.code, 0) << all.err;
  EXPECT_EQ(all.out,
            "eval\nruns/first\n--data\nsynth:9\n--split\ntest\n--list\nl.txt\n--variant\ncityscapes\n"
            "--seed\n10000000\n--new-skies\n--scene-size\n96x128\n--size\n64x96\n--threads\n1\n--report\nr."
            "html\n--pictures\n6\n"
            "--weights\nraw\n--last\n--json\n");
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {"--save", "x"}, {"--limit", "2"}, {"--max-memory", "9"}, {"--stamp"}}) {
    const Finished refused = run(more);
    EXPECT_EQ(refused.code, 2) << more[0];
    EXPECT_NE(refused.err.find(more[0]), std::string::npos) << refused.err;
    EXPECT_TRUE(refused.out.empty()) << refused.out;
  }
}

TEST(Cli, InfoPrintsThePaperCounts) {
  const Json full = ParsedOutput(RunFrf({"info", "frfnet", "--size", "512x1024", "--json"}));
  EXPECT_EQ(full["params"].get<std::int64_t>(), 4016339);
  EXPECT_NEAR(full["macs"].get<double>(), 16.049e9, 0.0005e9);
  const Json slim = ParsedOutput(RunFrf({"info", "frfnet-slim", "--size", "512x1024", "--json"}));
  EXPECT_EQ(slim["params"].get<std::int64_t>(), 2792499);  // "2.793 M" in the design
  EXPECT_NEAR(slim["macs"].get<double>(), 11.380e9, 0.0005e9);
}

TEST(Cli, InfoTellsWhatAModelFileHolds) {
  const Json json = ParsedOutput(RunFrf({"info", "frfnet-slim-camvid-int8", "--json"}));
  EXPECT_EQ(json["model"]["classes"][3], "road");
  EXPECT_EQ(json["model"]["palette"][3], (Json{128, 64, 128}));
  EXPECT_EQ(json["model"]["input.size"], "360x480");
  EXPECT_EQ(json["model"]["weights"], "int8");
  const Finished text = RunFrf({"info", "frfnet-slim-camvid-int8"});
  for (const char* part : {"    3  #804080  road\n",
                           "RGB, (pixel - mean) / std; mean 123.675 116.28 103.53, std 58.395 57.12 57.375\n",
                           "trained at 360x480; images of another size are resized to it",
                           "output     scores\n", "weights    int8, ema\n", "network    frfnet-slim\n",
                           "trained    data camvid, ", "quantised  method "}) {
    EXPECT_NE(text.out.find(part), std::string::npos) << part << "\n" << text.out;
  }
  EXPECT_EQ(text.out.find("label id"), std::string::npos) << "only where they differ from class ids";

  const test::TempFolder folder;
  frf::Model model = ReadOnnx(FindModel("frfnet-slim-synth"));
  model.info.classes.label_ids.clear();
  for (int id = 0; id < model.info.classes.count(); ++id) model.info.classes.label_ids.push_back(7 + id);
  model.info.eval = Json::array({{{"data", "synth"}, {"split", "val"}, {"miou", 0.625}}});
  model.info.license = "research use";
  WriteOnnx(model, folder / "m.onnx");
  const Finished full = RunFrf({"info", folder / "m.onnx"});
  for (const char* part : {"label id", "    1         8  #", "scores     synth, val, mean IoU 62.50 %\n",
                           "licence    research use\n"}) {
    EXPECT_NE(full.out.find(part), std::string::npos) << part << "\n" << full.out;
  }
  EXPECT_TRUE(ParsedOutput(RunFrf({"info", "frfnet-slim", "--size", "64x96", "--json"}))["model"].is_null());
}

TEST(Cli, InfoDrawsASvg) {
  const test::TempFolder folder;
  const Finished finished = RunFrf({"info", "frfnet-slim", "--draw", folder / "net.svg"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  const std::string svg = ReadFile(folder / "net.svg");
  EXPECT_NE(svg.find("<svg"), std::string::npos);
  EXPECT_NE(svg.find("stage4"), std::string::npos);
}

TEST(Cli, DemoDrawsASheetWithTruthAndLegend) {
  const test::TempFolder folder;
  const Json json = ParsedOutput(RunFrf({"demo", "-o", folder / "demo", "--json"}));
  EXPECT_TRUE(json["repeatable"].get<bool>());
  EXPECT_GT(json["miou"].get<double>(), 0.3);
  EXPECT_GT(json["int8"]["labels_equal"].get<double>(), 0.99);
  const Image sheet = ReadImage(folder / "demo/demo.png");
  EXPECT_EQ(sheet.width, 4 * 480 + 3 * 8) << "picture, truth, float32, int8";
  EXPECT_GT(sheet.height, 360 + 24 + 30);  // captions above, the legend below
  EXPECT_EQ(ReadLabels(folder / "demo/mask.png").width, 480);
}

// One model for the tests below: random weights, written and proved by the program itself.
class CliModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TempFolder;
    const Finished made = RunFrf({"export", "frfnet-slim", "-o", *folder_ / "net.onnx", "--json"});
    ASSERT_EQ(made.code, 0) << made.err;
    EXPECT_GE(ParseJson(made.out, "export")["labels_equal"].get<double>(), 0.9995);
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static std::string Model() { return *folder_ / "net.onnx"; }
  static test::TempFolder* folder_;
};
test::TempFolder* CliModel::folder_ = nullptr;

TEST_F(CliModel, ExportIsTheSameFileEveryTime) {
  const Finished again = RunFrf({"export", "frfnet-slim", "-o", *folder_ / "again.onnx"});
  ASSERT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(ReadFile(Model()), ReadFile(*folder_ / "again.onnx"));
}

TEST_F(CliModel, SegmentKeepsTheSizeAndGoesOnAfterABadFile) {
  const test::TempFolder work;
  std::filesystem::create_directories(work.path() / "in" / "sub");
  WritePng(work / "in/a.png", DrawScene(1, {.height = 75, .width = 113}).image);
  WriteJpeg(work / "in/sub/b.jpg", DrawScene(2, {.height = 64, .width = 64}).image);
  WriteFileAtomically(work / "in/bad.png", "this is not a picture");
  const Finished finished = RunFrf({"segment", work / "in", "-o", work / "out", "-m", Model(), "--json"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("bad.png"), std::string::npos) << finished.err;
  const Json json = ParseJson(finished.out, "standard output");
  ASSERT_EQ(json["files"].size(), 3u);
  EXPECT_EQ(json["classes"][0], "sky");
  EXPECT_TRUE(json["files"][1].contains("error"));
  const LabelImage mask = ReadLabels(work / "out/a_mask.png");
  EXPECT_EQ(mask.height, 75);
  EXPECT_EQ(mask.width, 113);
  EXPECT_EQ(ReadImageSize(work / "out/sub/b_color.png"), std::pair(64, 64));
  EXPECT_TRUE(std::filesystem::exists(work / "out/a_overlay.png"));
}

TEST_F(CliModel, ShardsPartitionTheWork) {
  const test::TempFolder work;
  std::vector<std::string> inputs;
  for (int i = 0; i < 5; ++i) {
    inputs.push_back(work / fmt::format("p{}.png", i));
    WritePng(inputs.back(), DrawScene(static_cast<std::uint64_t>(i), {.height = 64, .width = 64}).image);
  }
  const auto run = [&](const std::vector<std::string>& shard, const std::string& environment) {
    std::filesystem::remove_all(work / "out");
    std::vector<std::string> words{"segment", "-o",   work / "out", "-m",    Model(),
                                   "--write", "mask", "--size",     "64x64", "--json"};
    words.insert(words.end(), shard.begin(), shard.end());
    words.insert(words.end(), inputs.begin(), inputs.end());
    return RunFrf(words, environment);
  };
  const auto share = [&](const std::vector<std::string>& shard, const std::string& environment) {
    std::vector<std::string> done;
    const std::size_t told = ParsedOutput(run(shard, environment))["files"].size();
    for (const auto& file : std::filesystem::directory_iterator(work / "out"))
      done.push_back(file.path().filename().string());
    EXPECT_EQ(told, done.size());
    std::sort(done.begin(), done.end());
    return done;
  };
  const std::vector<std::string> even{"p0_mask.png", "p2_mask.png", "p4_mask.png"},
      odd{"p1_mask.png", "p3_mask.png"};
  EXPECT_EQ(share({"--shard", "0/2"}, ""), even);
  EXPECT_EQ(share({"--shard", "1/2"}, ""), odd);
  EXPECT_EQ(share({}, "SLURM_ARRAY_TASK_ID=8 SLURM_ARRAY_TASK_MIN=7 SLURM_ARRAY_TASK_COUNT=2"), odd);
  EXPECT_EQ(share({}, "JOB_COMPLETION_INDEX=1 JOB_COMPLETIONS=2"), odd);
  EXPECT_EQ(share({}, "").size(), 5u);
  // --array=0-6:2: by number alone two of the four tasks would take all pictures.
  const test::Finished gaps =
      run({}, "SLURM_ARRAY_TASK_ID=6 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_COUNT=4");
  EXPECT_EQ(gaps.code, 2);
  EXPECT_NE(gaps.err.find("use --array=0-3, or name the share with --shard"), std::string::npos) << gaps.err;
  const test::Finished alone = run({}, "JOB_COMPLETION_INDEX=1");
  EXPECT_EQ(alone.code, 2);
  EXPECT_NE(alone.err.find("JOB_COMPLETIONS, which the pod's spec should set"), std::string::npos)
      << alone.err;
}

TEST_F(CliModel, EvalGivesScoresAndAReport) {
  const test::TempFolder work;
  const Json json = ParsedOutput(RunFrf({"eval", Model(), "--data", "synth:3", "--seed", "10000000",
                                         "--report", work / "r.html", "--json", "--pictures", "1"}));
  EXPECT_EQ(json["images"], 3);
  EXPECT_GE(json["miou"].get<double>(), 0.0);
  EXPECT_LE(json["miou"].get<double>(), 1.0);
  EXPECT_EQ(json["iou"].size(), 11u);
  const std::string html = ReadFile(work / "r.html");
  EXPECT_NE(html.find("Worst images"), std::string::npos);
  EXPECT_NE(html.find("data:image/jpeg;base64,"), std::string::npos);
}

TEST_F(CliModel, EvalUnderNewSkiesSaysSoAndStaysOutOfTheRecord) {
  const std::vector<std::string> call{"eval", Model(), "--data", "synth:2", "--json"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = call;
    words.insert(words.end(), more.begin(), more.end());
    return RunFrf(words);
  };
  const Json plain = ParsedOutput(with({})), anew = ParsedOutput(with({"--new-skies"}));
  EXPECT_EQ(anew["data"], plain["data"].get<std::string>() + ", new skies");
  EXPECT_NE(anew["confusion"], plain["confusion"]);
  const Finished stamped = with({"--new-skies", "--stamp"});
  EXPECT_EQ(stamped.code, 2);
  EXPECT_NE(stamped.err.find("--new-skies"), std::string::npos) << stamped.err;
}

TEST_F(CliModel, MemoryLimitRefusesInOneLine) {
  const test::TempFolder work;
  WritePng(work / "p.png", DrawScene(1, {.height = 360, .width = 480}).image);
  const Finished finished = RunFrf({"segment", work / "p.png", "-o", work / "out", "-m", Model(), "--size",
                                    "2048x2048", "--max-memory", "64"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("memory"), std::string::npos) << finished.err;
  EXPECT_FALSE(std::filesystem::exists(work / "out/p_mask.png"));
}

TEST_F(CliModel, EveryHostileImageEndsInAMaskOfItsSizeOrOneLineThatNamesIt) {
  const test::TempFolder work;
  std::vector<std::string> words{"segment", "-o",    work / "out", "-m",   Model(),
                                 "--size",  "64x96", "--write",    "mask", "--json"};
  const auto images = test::HostileImages();
  ASSERT_GE(images.size(), 60u);
  std::filesystem::create_directories(work.path() / "in");
  std::vector<std::string> paths;
  for (const auto& image : images) {
    // A folder is searched, an empty one is an error of the call: it has a test of its own below.
    if (image.kind == test::HostileImage::kFolder) continue;
    paths.push_back(test::Place(image, work / "in"));
    words.push_back(paths.back());
  }
  const Finished finished = RunFrf(words);
  EXPECT_EQ(finished.code, 1);  // some are refused, none ends the program
  ASSERT_FALSE(finished.out.empty()) << finished.err;
  const Json json = ParseJson(finished.out, "standard output");
  ASSERT_EQ(json["files"].size(), paths.size());
  std::size_t refused = 0, index = 0;
  for (const auto& image : images) {
    if (image.kind == test::HostileImage::kFolder) continue;
    const Json& entry = json["files"][index];
    const std::string& path = paths[index++];
    if (entry.contains("error")) {
      const std::string message = entry["error"];
      EXPECT_NE(image.outcome, test::HostileImage::kDecodes) << image.name << ": " << message;
      EXPECT_NE(message.find(std::filesystem::path(path).stem().string().substr(0, 4)), std::string::npos)
          << message;
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      ++refused;
      continue;
    }
    EXPECT_NE(image.outcome, test::HostileImage::kRefused) << image.name;
    const std::pair<int, int> size = ReadImageSize(entry["outputs"]["mask"]);
    if (image.outcome == test::HostileImage::kDecodes) {
      EXPECT_EQ(size, std::pair(image.height, image.width)) << image.name;
    }
  }
  EXPECT_GE(refused, 20u);
}

TEST_F(CliModel, AFolderNamedLikeAPictureIsAFolder) {
  const test::TempFolder work;
  std::filesystem::create_directories(work.path() / "empty.png");
  const Finished finished = RunFrf({"segment", work / "empty.png", "-o", work / "out", "-m", Model()});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("empty.png"), std::string::npos) << finished.err;
  EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
}

TEST_F(CliModel, UnwritableOutputIsNamed) {
  const test::TempFolder work;
  WritePng(work / "p.png", DrawScene(1, {.height = 64, .width = 64}).image);
  WriteFileAtomically(work / "file", "in the way");
  const Finished finished = RunFrf({"segment", work / "p.png", "-o", work / "file/out", "-m", Model()});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("file/out"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace frf
