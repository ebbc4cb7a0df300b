// SPDX-License-Identifier: Apache-2.0
// Scores worked out by hand.
#include "metrics/confusion.h"

#include <gtest/gtest.h>

#include "support/support.h"

namespace frf {
namespace {

LabelImage Row(std::vector<std::uint8_t> ids) {
  const int width = static_cast<int>(ids.size());
  return {1, width, std::move(ids)};
}

TEST(Confusion, AbsentClassHasNoScoreAndIsLeftOutOfTheMean) {
  ConfusionMatrix matrix(3);
  matrix.Add(Row({0, 0, 1}), Row({0, 1, 1}));
  const auto iou = matrix.Iou();
  EXPECT_DOUBLE_EQ(iou[0].value(), 0.5);
  EXPECT_DOUBLE_EQ(iou[1].value(), 0.5);
  EXPECT_FALSE(iou[2].has_value());
  EXPECT_DOUBLE_EQ(matrix.MeanIou().value(), 0.5);
  EXPECT_DOUBLE_EQ(matrix.PixelAccuracy().value(), 2.0 / 3);
}

TEST(Confusion, PredictedButAbsentClassScoresZero) {
  ConfusionMatrix matrix(3);
  matrix.Add(Row({0, 0, 0, 0}), Row({0, 0, 0, 2}));
  EXPECT_DOUBLE_EQ(matrix.Iou()[2].value(), 0.0);
  EXPECT_DOUBLE_EQ(matrix.MeanIou().value(), 0.375);  // (3/4 + 0) / 2
}

TEST(Confusion, VoidTruthIsExcludedVoidPredictionIsAMiss) {
  ConfusionMatrix matrix(2);
  matrix.Add(Row({0, 255, 1, 1}), Row({0, 1, 255, 1}));
  EXPECT_DOUBLE_EQ(matrix.Iou()[0].value(), 1.0);
  EXPECT_DOUBLE_EQ(matrix.Iou()[1].value(), 0.5);
  EXPECT_DOUBLE_EQ(matrix.PixelAccuracy().value(), 2.0 / 3);
}

TEST(Confusion, OneMatrixOverTheSplitNotAMeanOfImages) {
  ConfusionMatrix whole(2), part(2);
  whole.Add(Row({0, 0, 0}), Row({0, 0, 0}));
  part.Add(Row({0, 1}), Row({1, 1}));
  whole.Merge(part);
  EXPECT_EQ(whole.images(), 2);
  EXPECT_DOUBLE_EQ(whole.Iou()[0].value(), 0.75);
  EXPECT_DOUBLE_EQ(whole.Iou()[1].value(), 0.5);
}

TEST(Confusion, RecallAndPrecisionTellMissesFromMistakes) {
  ConfusionMatrix matrix(3);
  matrix.Add(Row({0, 0, 0, 0, 1, 255}), Row({0, 1, 1, 255, 1, 1}));
  EXPECT_DOUBLE_EQ(matrix.Recall()[0].value(), 0.25);
  EXPECT_DOUBLE_EQ(matrix.Precision()[0].value(), 1.0);
  EXPECT_DOUBLE_EQ(matrix.Recall()[1].value(), 1.0);
  EXPECT_DOUBLE_EQ(matrix.Precision()[1].value(), 1.0 / 3);
  EXPECT_FALSE(matrix.Recall()[2].has_value());
  EXPECT_FALSE(matrix.Precision()[2].has_value());
  const Classes classes{{"a", "b", "c"}, {}, {}};
  const Json json = ToJson(matrix, classes);
  EXPECT_EQ(json["recall"]["a"], 0.25);
  EXPECT_TRUE(json["precision"]["c"].is_null());
  EXPECT_NE(FormatTable(matrix, classes).find("25.0 %    100.0 %"), std::string::npos)
      << FormatTable(matrix, classes);
}

TEST(Confusion, ClassAccuracyAndWeightedIouCountTheTruthsClasses) {
  ConfusionMatrix matrix(4);
  matrix.Add(Row({0, 0, 0, 1}), Row({0, 0, 2, 1}));
  EXPECT_DOUBLE_EQ(matrix.MeanClassAccuracy().value(), (2.0 / 3 + 1) / 2);  // 2 is never true, 3 nowhere
  EXPECT_DOUBLE_EQ(matrix.FrequencyWeightedIou().value(), 0.75);            // (3 * 2/3 + 1 * 1 + 0 * 0) / 4
  const Classes classes{{"a", "b", "c", "d"}, {}, {}};
  EXPECT_EQ(ToJson(matrix, classes)["fw_iou"], 0.75);
  const std::string table = FormatTable(matrix, classes);
  EXPECT_NE(table.find("frequency weighted IoU    75.0 %"), std::string::npos) << table;
  EXPECT_NE(table.find("mean class accuracy       83.3 %"), std::string::npos) << table;
}

TEST(Confusion, NothingScoredGivesNull) {
  ConfusionMatrix matrix(2);
  matrix.Add(Row({255, 255}), Row({0, 1}));
  EXPECT_FALSE(matrix.MeanIou().has_value());
  const Json json = ToJson(matrix, {{"a", "b"}, {}, {}});
  for (const char* score : {"miou", "pixel_accuracy", "mean_class_accuracy", "fw_iou"})
    EXPECT_TRUE(json[score].is_null()) << score;
  EXPECT_TRUE(json["iou"]["a"].is_null());
}

TEST(Confusion, BadIdsAndSizesAreErrorsAndAddNothing) {
  ConfusionMatrix matrix(2);
  EXPECT_FRF_ERROR(matrix.Add(Row({0, 7}), Row({0, 0})), ErrorCode::kInvalidArgument, "class id 7");
  EXPECT_FRF_ERROR(matrix.Add(Row({0, 1}), Row({0, 9})), ErrorCode::kInvalidArgument, "class id 9");
  EXPECT_FRF_ERROR(matrix.Add(Row({0, 1}), Row({0})), ErrorCode::kInvalidArgument, "1x1");
  EXPECT_EQ(matrix.images(), 0);
  EXPECT_EQ(matrix.count(0, 0), 0);
  EXPECT_FRF_ERROR(ConfusionMatrix(256), ErrorCode::kInvalidArgument, "256");
}

}  // namespace
}  // namespace frf
