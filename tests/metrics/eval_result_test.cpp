// SPDX-License-Identifier: Apache-2.0
#include "metrics/eval_result.h"

#include <gtest/gtest.h>

namespace frf {
namespace {

TEST(EvalResult, AnImagesTimeIsWithoutTheFirstOnesPlanning) {
  EXPECT_EQ(TimeOf({}), 0);
  EXPECT_EQ(TimeOf({250}), 250);
  EXPECT_EQ(TimeOf({250, 3, 5, 4}), 4);
}

TEST(EvalResult, NamesWhatComputedIt) {
  ConfusionMatrix matrix(1);
  const Json json = ToJson(EvalFacts{.model = "m", .list = "val.txt", .seed = 7}, matrix, {{"a"}, {}, {}});
  EXPECT_EQ(json["list"], "val.txt");
  EXPECT_EQ(json["seed"], 7);
  EXPECT_FALSE(json["commit"].get<std::string>().empty());
  EXPECT_FALSE(json["version"].get<std::string>().empty());
  EXPECT_TRUE(json["machine"].contains("cpu"));
  EXPECT_FALSE(json.contains("weights")) << "of run folders alone";
}

}  // namespace
}  // namespace frf
