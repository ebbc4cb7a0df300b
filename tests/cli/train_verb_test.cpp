// SPDX-License-Identifier: Apache-2.0
// What frf does of `frf train` before frf-train takes over: ONNX files and shipped weights become
// checkpoints.
#include <gtest/gtest.h>

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

TEST(TrainVerb, LearnsFromTeachersThatAreOnnxFilesOrShippedWeights) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const std::string run = folder / "run", result = folder / "student.onnx";
  const auto words = [&](const std::string& teacher, const std::string& net) {
    return std::vector<std::string>{
        "train", "--data",   "synth:4",  "--scene-size", "64x96",  "--net",
        net,     "-o",       run,        "--epochs",     "1",      "--batch",
        "4",     "--no-val", "--device", "cpu",          "--json", "--teacher=" + teacher};
  };
  const Finished refused = RunFrf(words("frfnet-slim-synth-int8", "frfnet-slim"));
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("--teacher wants the float model"), std::string::npos) << refused.err;
  std::vector<std::string> two = words("frfnet-slim-synth", "frfnet");
  two.insert(two.end(), {"--teacher", "frfnet-camvid"});
  EXPECT_EQ(ParsedOutput(RunFrf(two))["steps"], 1);
  EXPECT_TRUE(std::filesystem::exists(run + "/teacher-2.ckpt"));
  EXPECT_EQ(RunFrf({"export", run, "-o", result}).code, 0);
  EXPECT_EQ(ReadOnnx(result).info.train["teachers"], (Json{"frfnet-slim-synth", "frfnet-camvid"}));
  const Finished resumed = RunFrf({"train", "-o", run, "--resume", "--teacher", "frfnet-camvid"});
  EXPECT_EQ(resumed.code, 2);
  EXPECT_NE(resumed.err.find("--teacher cannot be given with --resume"), std::string::npos) << resumed.err;
}

// 45 % of drawn scenes right before a single step, where frfnet-camvid itself has 52.
TEST(TrainVerb, PrunesShippedWeights) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const std::string run = folder / "run";
  const Finished stopped =
      RunFrf({"train",   "--net",    "frfnet-slim",  "--init",  "frfnet-camvid", "--prune",
              "--data",  "synth:12", "--val-data",   "synth:8", "--scene-size",  "192x256",
              "--batch", "2",        "--stop-after", "1",       "--device",      "cpu",
              "-o",      run});
  EXPECT_EQ(stopped.code, 1) << stopped.err;
  EXPECT_NE(
      stopped.err.find(
          "frfnet (4.02 M parameters) pruned to frfnet-slim (2.79 M): 38 convolutions fitted on 12 images"),
      std::string::npos)
      << stopped.err;
  EXPECT_NE(ReadFile(run + "/report.html").find("0 of 180, before training"), std::string::npos);
  const Json score = ParsedOutput(
      RunFrf({"eval", run, "--data", "synth:8", "--seed", "20000000", "--split", "test", "--json"}));
  EXPECT_GT(score["miou"], 0.35);
  const Finished recipe = RunFrf({"train", "--prune", "--print-recipe"});
  EXPECT_EQ(ParsedOutput(recipe)["name"], "prune");
  test::Refused({"train", "-o", run, "--resume", "--prune"}, "--prune cannot be given with --resume");
  test::Refused({"train", "--data", "synth:2", "-o", folder / "b", "--prune"}, "--prune wants --init");
  EXPECT_FALSE(std::filesystem::exists(folder / "b/config.json"));
}

TEST(TrainVerb, NumbersThatMeanNothingAreRefused) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  for (const char* option : {"--seed", "--data-seed", "--val-data-seed", "--threads", "--workers",
                             "--checkpoint-every", "--stop-after"}) {
    test::Refused({"train", "--data", "synth:2", "-o", folder / "run", option, "-1"}, option);
  }
  test::Refused({"eval", "frfnet-slim-synth", "--data", "synth:1", "--backend", "torch"}, "is no run folder");
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST(TrainVerb, WhatWouldDoNothingIsRefused) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const auto refused = [&](std::vector<std::string> words, const std::string& said) {
    std::vector<std::string> all{"train", "--data", "folder:" + (folder / "own"), "-o", folder / "run"};
    all.insert(all.end(), words.begin(), words.end());
    test::Refused(all, said);
  };
  refused({"--data-seed", "5"}, "--data-seed is of drawn scenes");
  refused({"--scene-size", "100x100"}, "--scene-size is of drawn scenes");
  refused({"--val-data-seed", "4"}, "--val-data-seed is of drawn scenes");
  refused({"--variant", "trainIds"}, "--variant is for cityscapes:DIR");
  refused({"--no-val", "--val-list", "x.txt"}, "--val-list does not go with --no-val");
}

// The network is that of the file; what is refused leaves no folder with a converted file in it.
TEST(TrainVerb, InitBringsItsNetwork) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const std::vector<std::string> words{
      "train", "--init",       "frfnet-slim-synth", "--data", "synth:4",  "--scene-size", "64x96",
      "-o",    folder / "run", "--epochs",          "1",      "--no-val", "--device",     "cpu"};
  for (const std::string option : {"width=0.5", "nonsense=1"}) {
    std::vector<std::string> with = words;
    with.insert(with.end(), {"--net-options", option});
    if (option == "nonsense=1") with.insert(with.end(), {"--net", "frfnet-slim"});
    test::Refused(with, option == "nonsense=1" ? "nonsense" : "--net-options beside --init wants --net");
    EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  }
  const Finished finished = RunFrf(words);
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.err.find("frfnet-slim on synth"), std::string::npos) << finished.err;
  EXPECT_EQ(finished.err.find("in the file, not in the network"), std::string::npos) << finished.err;
  for (const char* told : {"frfnet-slim-synth: ", "a batch of 8 was asked for, every step takes the 4 images",
                           "warm-up of 0 steps instead of 300: at most a fifth of the run's 1 step\n"}) {
    EXPECT_NE(finished.err.find(told), std::string::npos) << told << "\n" << finished.err;
  }
}

// Only the classifier's bias has the same shape there: no layer. The run folder was made for the converted
// file, with the one around it.
TEST(TrainVerb, InitOfAnotherWidthIsRefused) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const auto refused = [&](const std::string& run, const std::string& device, const std::string& said) {
    const Finished finished = RunFrf({"train", "--data", "synth:2", "--scene-size", "32x32", "--no-val",
                                      "--batch", "2", "--net", "frfnet-slim", "--net-options", "width=0.5",
                                      "--init", "frfnet-slim-synth", "--device", device, "-o", folder / run});
    EXPECT_EQ(finished.code, 2) << finished.err;
    EXPECT_NE(finished.err.find(said), std::string::npos) << finished.err;
    return finished.err;
  };
  const std::string said = refused("runs/a", "cpu", "--init frfnet-slim-synth: no layer of frfnet-slim fits");
  EXPECT_NE(said.find("--prune"), std::string::npos) << said;
  EXPECT_FALSE(std::filesystem::exists(folder / "runs"));
  // What was there stays, but for what was put into it; refused before the run's folder is opened, too.
  MakeFolder(folder / "own");
  refused("own/a/", "nowhere", "nowhere");
  EXPECT_FALSE(std::filesystem::exists(folder / "own/a"));
  EXPECT_TRUE(std::filesystem::exists(folder / "own"));
  WriteFileAtomically(folder / "own/notes.txt", "mine");
  refused("own", "cpu", "no layer");
  EXPECT_TRUE(std::filesystem::exists(folder / "own/notes.txt"));
  EXPECT_FALSE(std::filesystem::exists(folder / "own/init.ckpt"));
}

TEST(TrainVerb, NetOptionsAndRecipeThatContradictEachOther) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const auto words = [](const std::string& options, const std::string& set) {
    return std::vector<std::string>{"train",         "--print-recipe", "--net", "frfnet-slim",
                                    "--net-options", options,          "--set", set};
  };
  test::Refused(words("aux=false,dropout=0.1", "auxiliary=true"),
                "--net-options aux=false and --set auxiliary=true contradict each other");
  test::Refused(words("dropout=0.3", "dropout=0"),
                "--net-options dropout=0.3 and --set dropout=0.0 contradict each other");
  EXPECT_EQ(RunFrf(words("dropout=0.3", "dropout=0.3")).code, 0);
  EXPECT_EQ(RunFrf(words("dropout=0.3", "auxiliary=true")).code, 0) << "the recipe's own 0.1 gives way";
}

TEST(TrainVerb, ARunOfDrawnScenesIsScoredAtTheirSize) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const std::string run = folder / "run", list = folder / "v2.txt";
  WriteFileAtomically(list, "synth/05000000\nsynth/05000001\n");
  const Json trained = ParsedOutput(RunFrf(
      {"train", "--data", "synth:4", "--scene-size", "64x96", "--val-list", list, "--net", "frfnet-slim",
       "--init", "frfnet-slim-synth", "--epochs", "1", "--device", "cpu", "-o", run, "--json"}));
  for (const char* backend : {"torch", "engine"}) {
    const Json scored = ParsedOutput(RunFrf({"eval", run, "--data", "synth:4", "--scene-size", "64x96",
                                             "--list", list, "--backend", backend, "--json"}));
    EXPECT_NEAR(scored["miou"], trained["best_miou"], backend[0] == 't' ? 1e-9 : 1e-3) << backend;
    EXPECT_EQ(scored["list"], "v2.txt");
  }
  const std::string config = run + "/config.json";
  const Json entry = ParseJson(ReadFile(config), config)["model"]["eval"][0];
  EXPECT_EQ(entry["list"], "v2.txt");
  EXPECT_FALSE(entry.contains("split"));
}

TEST(TrainVerb, JsonOfARunWhoseNameIsNotUtf8) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder folder;
  const Json result = ParsedOutput(
      RunFrf({"train", "--data", "synth:2", "--scene-size", "32x32", "--net", "frfnet-slim", "-o",
              folder / "caf\xe9", "--epochs", "1", "--batch", "2", "--no-val", "--device", "cpu", "--json"}));
  EXPECT_EQ(result["steps"], 1);
  EXPECT_TRUE(result["run"].get<std::string>().ends_with("caf\xef\xbf\xbd"));  // U+FFFD for the byte
}

}  // namespace
}  // namespace frf
