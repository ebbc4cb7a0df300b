// SPDX-License-Identifier: Apache-2.0
// Tuning: choices for what can be chosen, a file that gives them back, and files that are ignored.
#include "engine/plan/tune.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "base/version.h"
#include "engine/helpers.h"
#include "engine/plan/lower.h"
#include "engine/quantized.h"
#include "nets/nets.h"

namespace frf::test {
namespace {

using namespace engine;

class Tuning : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("frf-tuning-{}", getpid());
    std::filesystem::remove_all(folder_);
    setenv("FRF_CACHE", folder_.c_str(), 1);
    Graph graph = BuildNet("frfnet-slim", {{"classes", 4}}).ForInference();
    InitializeWeights(graph, 1);
    prepared_ = Prepare(PrepareOnce(graph), {1, 3, 48, 64});
    lowered_ = Lower(prepared_);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    unsetenv("FRF_CACHE");
  }
  std::filesystem::path OnlyFile() const { return std::filesystem::directory_iterator(folder_)->path(); }
  std::filesystem::path folder_;
  PreparedGraph prepared_;
  Lowered lowered_;
  PlanOptions options_{.threads = 2};
};

TEST_F(Tuning, ChoosesForEveryPlain3x3AndComesBackFromItsFile) {
  const std::string key = TuningKey(lowered_, options_);
  ConvChoices choices, read;
  EXPECT_FALSE(ReadTuning(key, read));
  choices = Tune(prepared_, options_, 0.2);
  EXPECT_TRUE(choices.contains("stage1.dam.conv1+Relu"));
  EXPECT_FALSE(choices.contains("stage1.dam.aggregate+Relu")) << "a 1x1 has no choice";
  WriteTuning(key, choices);
  ASSERT_TRUE(ReadTuning(key, read));
  EXPECT_EQ(read, choices);
  PlanOptions other = options_;
  other.threads = 1;
  EXPECT_NE(TuningKey(lowered_, other), key);
  EXPECT_FALSE(ReadTuning(TuningKey(lowered_, other), read)) << "for other threads, other choices";
}

TEST_F(Tuning, AFileOfIntegersHasChoicesOfItsOwn) {
  const Graph graph = Net("frfnet-slim", {{"classes", 4}}, 48, 64);
  const auto key = [&](const Graph& of) {
    return TuningKey(Lower(Prepare(PrepareOnce(of), {1, 3, 48, 64})), options_);
  };
  const std::string floats = key(graph), integers = key(Quantized(graph, {1, 3, 48, 64}));
  EXPECT_EQ(floats.find(" i8"), std::string::npos);
  EXPECT_NE(integers.find(" i8"), std::string::npos);
}

TEST_F(Tuning, KeepsToTheMemoryThatAPlanMayHave) {
  PlanOptions little = options_;
  little.max_memory = 1000;
  EXPECT_TRUE(Tune(prepared_, little, 0.1).empty());
  // What the plan by rule needs is less than the ways that are tried, all at once, need.
  WeightStore weights;
  const Plan plan(lowered_, weights, options_);
  little.max_memory = plan.arena_bytes() + plan.scratch_bytes() + (1 << 16);
  EXPECT_TRUE(Tune(prepared_, little, 0.1).empty());
  EXPECT_NO_THROW(Plan(lowered_, weights, little));
}

TEST_F(Tuning, DamagedAndStaleFilesAreIgnored) {
  const std::string key = TuningKey(lowered_, options_);
  WriteTuning(key, {{"stage1.dam.conv1+Relu", ConvChoice::kDirect}});
  const std::string whole = ReadFile(OnlyFile());
  for (const std::string& text : {std::string(), std::string("{"), whole.substr(0, whole.size() / 2),
                                  std::string("[1,2]"), std::string("{\"key\":\"another\",\"choices\":{}}"),
                                  std::string(whole).replace(whole.find("\"direct\""), 8, "\"fastest\""),
                                  // A choice, but none that Tune makes: no such tiles with stride 1.
                                  std::string(whole).replace(whole.find("\"direct\""), 8, "\"winograd2\"")}) {
    WriteFileAtomically(OnlyFile(), text);
    ConvChoices choices{{"kept", ConvChoice::kDirect}};
    EXPECT_FALSE(ReadTuning(key, choices)) << text;
    EXPECT_TRUE(choices.contains("kept")) << "nothing half-read";
  }
}

TEST_F(Tuning, AnotherVersionsFileIsNotRead) {
  const std::string key = TuningKey(lowered_, options_);
  EXPECT_NE(key.find(Version()), std::string::npos) << key;
  EXPECT_NE(key.find(Commit()), std::string::npos) << key;
}

TEST_F(Tuning, AFolderThatCannotBeWrittenIsNoError) {
  WriteFileAtomically(folder_.string() + ".file", "not a folder");
  setenv("FRF_CACHE", (folder_.string() + ".file/below").c_str(), 1);
  EXPECT_NO_THROW(WriteTuning("key", {}));
  std::filesystem::remove(folder_.string() + ".file");
}

}  // namespace
}  // namespace frf::test
