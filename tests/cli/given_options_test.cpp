// SPDX-License-Identifier: Apache-2.0
// An option that would change nothing is refused, not passed over; and a usage error names the help that
// lists the options.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "data/synth.h"
#include "image/image_io.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::Refused;
using test::RunFrf;

TEST(GivenOptions, OfEval) {
  const std::string model = "frfnet-slim-synth";
  const auto refused = [&](std::vector<std::string> more, const std::string& named) {
    more.insert(more.begin(), {"eval", model, "--data", "synth:1"});
    Refused(more, named);
  };
  refused({"--modules", "--report", "r.html"}, "--report does not go with --modules");
  refused({"--modules", "--against", model}, "--against does not go with --modules");
  refused({"--modules", "--stamp"}, "--stamp does not go with --modules");
  refused({"--modules", "--per-image", "x.csv"}, "--per-image does not go with --modules");
  refused({"--modules", "--save", "x"}, "--save does not go with --modules");
  refused({"--stamp", "--limit", "1"}, "leave out --limit");
  refused({"--stamp", "--precision", "bf16"}, "leave out --precision");
  refused({"--pictures", "3"}, "--pictures goes with --report");
  Refused({"eval", model, "--data", "folder:f", "--seed", "7"}, "--seed is of drawn scenes");
  Refused({"eval", model, "--data", "folder:f", "--scene-size", "64x96"}, "--scene-size is of drawn scenes");
  Refused({"eval", model, "--data", "folder:f", "--variant", "x"}, "--variant is for cityscapes:DIR");
  refused({"--last"}, "--last belongs to a run folder");
  refused({"--weights", "raw"}, "--weights belongs to a run folder");
}

TEST(GivenOptions, OfInfo) {
  Refused({"info", "frfnet", "--plan", "--draw", "x.svg"}, "--draw does not go with --plan");
  Refused({"info", "frfnet", "--plan", "--train"}, "--train does not go with --plan");
  Refused({"info", "frfnet", "--threads", "2"}, "--threads goes with --plan");
  Refused({"info", "frfnet-slim-synth", "--classes", "5"}, "--classes belongs to a network's name");
  Refused({"info", "frfnet-slim-synth", "--plan", "--classes", "11"},
          "--classes belongs to a network's name");
  Refused({"info", "frfnet-slim-synth", "--net-options", "a=b"}, "--net-options belongs to a network's name");
}

TEST(GivenOptions, OfQuantize) {
  const std::vector<std::string> call{"quantize", "frfnet-slim-synth", "--data", "synth:9", "-o", "q.onnx"};
  const auto refused = [&](const std::vector<std::string>& more, const std::string& named) {
    std::vector<std::string> words = call;
    words.insert(words.end(), more.begin(), more.end());
    Refused(words, named);
  };
  refused({"--percentile", "99"}, "--percentile goes with --method percentile");
  refused({"--percentile", "99", "--method", "mse"}, "the method is mse");
  refused({"--score-split", "test"}, "--score-split goes with --score-data");
  Refused({"quantize", "frfnet-slim-synth", "--data", "folder:f", "-o", "q.onnx", "--seed", "3"},
          "--seed is of drawn scenes");
}

TEST(GivenOptions, OfSegment) {
  const test::TempFolder work;
  WritePng(work / "p.png", DrawScene(1, {.height = 64, .width = 64}).image);
  const auto refused = [&](std::vector<std::string> more, const std::string& named) {
    more.insert(more.begin(), {"segment", work / "p.png", "-o", work / "out"});
    Refused(more, named);
    EXPECT_FALSE(std::filesystem::exists(work / "out"));
  };
  refused({"--frames", "3"}, "--frames goes with videos");
  refused({"--camera-size", "480x640"}, "--camera-size goes with --camera");
  refused({"--camera-rate", "30"}, "--camera-rate goes with --camera");
  refused({"--camera-format", "mjpeg"}, "--camera-format goes with --camera");
}

TEST(GivenOptions, OfDemo) {
  const test::TempFolder work;
  const Image street = DrawScene(1, {.height = 64, .width = 64}).image;
  WritePng(work / "mask.png", street);
  Refused({"demo", work / "mask.png", "-o", work / "."}, "the picture would be lost");
  EXPECT_EQ(ReadImage(work / "mask.png").pixels, street.pixels);
  Refused({"demo", work / "mask.png", "-o", work / "out", "--seed", "3"}, "--seed is of the drawn street");
}

TEST(UsageErrors, WhatConvertingDoesNotUse) {
  Refused({"data", "check", "folder:f", "--variant", "x"}, "--variant is for cityscapes:DIR");
  Refused({"data", "check", "folder:f", "--splits", "val", "--list", "l.txt"},
          "--splits does not go with --list");
  Refused({"data", "pack", "folder:f", "-o", "f.pack", "--splits", "val", "--list", "l.txt"},
          "--splits does not go with --list");
  Refused({"data", "convert", "camvid:c", "-o", "f", "--split", "val"},
          "camvid:c: --split is for label files");
  Refused({"data", "convert", "folder:c", "-o", "f", "--from", "colors"}, "--from is for label files");
  Refused({"data", "convert", "synth:3", "-o", "f"}, "frf synth -o DIR writes some");
  Refused({"data", "convert", "masks", "-o", "f", "--split", "val"}, "masks: --split goes with --images");
  Refused({"data", "convert", "masks", "-o", "f", "--from", "labelIds", "--to", "trainIds", "--classes",
           "c.json"},
          "masks: --classes is for ids and colors");
  Refused(
      {"data", "convert", "masks", "-o", "f", "--images", "i", "--from", "camvid-ids", "--classes", "camvid"},
      "masks: --classes is for ids and colors");
  Refused({"data", "convert", "masks", "-o", "f", "--list", "l.txt"}, "--list is for data sets");
  Refused({"data", "convert", "camvid:c", "-o", "f", "--variant", "trainIds"},
          "--variant is for cityscapes:DIR");
  Refused({"data", "convert", "masks", "-o", "f", "--images", "i", "--to", "colors"},
          "--to does not go with");
}

TEST(UsageErrors, NotANumberIsInNoRange) {
  Refused({"segment", "p.png", "-o", "out", "--opacity", "nan"}, "nan not in range 0 to 1");
  Refused({"synth", "-o", "s", "--val-share", "nan"}, "nan not in range 0 to 0.9");
  Refused({"quantize", "m.onnx", "-o", "q.onnx", "--percentile", "nan"}, "nan not in range 50 to 100");
  Refused({"segment", "p.png", "-o", "out", "--opacity", "1.5"}, "1.5 not in range 0 to 1");
}

TEST(UsageErrors, NameTheVerbsHelp) {
  Refused({"segment", "--bogus"}, "see frf segment --help");
  Refused({"eval"}, "see frf eval --help");
  Refused({"synth", "-o", "x", "--count", "no"}, "see frf synth --help");
  Refused({"data", "convert", "--bogus"}, "see frf data convert --help");
  Refused({"data", "nonsense"}, "see frf data --help");
  Refused({"nonsense"}, "see frf --help");
}

TEST(UsageErrors, NameTheVerbsHelpInTrainingToo) {
  if (!test::HasTrain()) GTEST_SKIP() << "frf-train was not built";
  Refused({"train", "--bogus"}, "see frf train --help");
  const std::string train = FRF_BINARY_DIR "/bin/frf-train";
  const auto refused = [&](const std::vector<std::string>& words, const std::string& help) {
    const Finished run = test::RunProgram(train, words);
    EXPECT_EQ(run.code, 2);
    EXPECT_NE(run.err.find(help), std::string::npos) << run.err;
  };
  refused({"eval", "--bogus"}, "see frf eval --help");
  refused({"weights", "--bogus"}, "see frf-train weights --help");
  refused({"--bogus"}, "see frf-train --help");
  EXPECT_NE(test::RunProgram(train, {"weights", "--help"}).out.find("Usage: frf-train weights"),
            std::string::npos);
}

TEST(UsageErrors, SizesThatNoSceneHas) {
  const test::TempFolder work;
  Refused({"synth", "-o", work / "s", "--size", "1x1"}, "--size 1x1");
  EXPECT_FALSE(std::filesystem::exists(work / "s"));
}

TEST(UsageErrors, InfoNamesShippedWeightsAndNetworks) {
  const Finished typo = RunFrf({"info", "frfnet-camvi"});
  EXPECT_EQ(typo.code, 1);
  EXPECT_NE(typo.err.find("there are frfnet-camvid, "), std::string::npos) << typo.err;
  EXPECT_NE(typo.err.find("did you mean frfnet-camvid? "), std::string::npos) << typo.err;
  EXPECT_NE(typo.err.find("networks: frfnet, "), std::string::npos) << typo.err;
}

TEST(UsageErrors, BenchOnADeviceTakesARunFolderToo) {
  Refused({"bench", "frfnet", "frfnet-slim", "--device", "cpu"}, "one run folder");
  for (const auto& more : std::vector<std::vector<std::string>>{
           {"--to", "scores"}, {"--seed", "3"}, {"--venv", "here"}, {"--tune"}}) {
    std::vector<std::string> words{"bench", "frfnet", "--device", "cpu"};
    words.insert(words.end(), more.begin(), more.end());
    Refused(words, more[0] + " does not go with --device or --step");
  }
  EXPECT_NE(RunFrf({"bench", "--help"}).out.find("or run folder"), std::string::npos);
}

}  // namespace
}  // namespace frf
