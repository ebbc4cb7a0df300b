// SPDX-License-Identifier: Apache-2.0
// Timing statistics worked out by hand.
#include "base/stats.h"

#include "support/support.h"

namespace frf {
namespace {

TEST(Stats, OneOutlierMovesTheMeanOnly) {
  const TimingStats stats = Summarize({100, 3, 1, 4, 2});
  EXPECT_EQ(stats.runs, 5);
  EXPECT_DOUBLE_EQ(stats.median, 3);
  EXPECT_DOUBLE_EQ(stats.mad, 1);     // deviations 97 0 2 1 1
  EXPECT_DOUBLE_EQ(stats.p90, 61.6);  // position 3.6 of 1 2 3 4 100
  EXPECT_DOUBLE_EQ(stats.mean, 22);
  EXPECT_DOUBLE_EQ(stats.total, 110);
  EXPECT_DOUBLE_EQ(stats.min, 1);
  EXPECT_DOUBLE_EQ(stats.max, 100);
}

TEST(Stats, EvenCountsAndSingles) {
  const TimingStats even = Summarize({4, 1, 2, 3});
  EXPECT_DOUBLE_EQ(even.median, 2.5);
  EXPECT_DOUBLE_EQ(even.mad, 1);  // deviations 1.5 1.5 0.5 0.5
  const TimingStats one = Summarize({7});
  EXPECT_DOUBLE_EQ(one.median, 7);
  EXPECT_DOUBLE_EQ(one.mad, 0);
  EXPECT_DOUBLE_EQ(one.p90, 7);
  EXPECT_FRF_ERROR(Summarize({}), ErrorCode::kInvalidArgument, "no samples");
}

TEST(Stats, JsonHoldsWhatTheContractNames) {
  EXPECT_EQ(ToJson(Summarize({2, 4})).dump(), R"({"median":3.0,"mad":1.0,"p90":3.8})");
}

}  // namespace
}  // namespace frf
