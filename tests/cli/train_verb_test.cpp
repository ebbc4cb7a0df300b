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

}  // namespace
}  // namespace frf
