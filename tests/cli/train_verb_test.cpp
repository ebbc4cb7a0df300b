// SPDX-License-Identifier: Apache-2.0
// What frf does of `frf train` before frf-train takes over: ONNX files and shipped weights become
// checkpoints.
#include <gtest/gtest.h>

#include <filesystem>

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
