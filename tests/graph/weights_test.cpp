// SPDX-License-Identifier: Apache-2.0
// Weights by name: what fits is loaded, what does not is listed with the reason.
#include "graph/weights.h"

#include "graph/builder.h"
#include "support/support.h"

namespace frf {
namespace {

Graph SmallNet(int width, int classes) {
  Builder g("small");
  Value x = g.Input("image", 3);
  x = g.BatchNorm(g.Conv(x, {.name = "conv", .out = width, .kernel = 3}), "bn");
  g.Output(g.Conv(x, {.name = "classifier", .out = classes, .bias = true, .classifier = true}), "scores",
           OutputRole::kScores);
  return std::move(g).Build();
}

float First(const Graph& graph, const std::string& name) {
  return graph.FindInitializer(name)->value.data<float>()[0];
}

TEST(Weights, ComeBackByName) {
  test::TempFolder folder;
  Graph first = SmallNet(8, 5), second = SmallNet(8, 5);
  InitializeWeights(first, 1);
  InitializeWeights(second, 2);
  ASSERT_NE(First(first, "conv.weight"), First(second, "conv.weight"));
  SaveWeights(folder / "w.ckpt", first, {{"net", "small"}});
  const Checkpoint checkpoint = Checkpoint::Load(folder / "w.ckpt");
  EXPECT_EQ(checkpoint.meta()["model"]["net"], "small");
  EXPECT_EQ(WeightsPrefix(checkpoint), kModelPrefix);
  const LoadReport report = LoadWeights(second, checkpoint, kModelPrefix, {});
  EXPECT_EQ(report.loaded, 7);  // two convolutions, a bias, four of batch norm
  EXPECT_TRUE(report.kept.empty());
  EXPECT_TRUE(report.ignored.empty());
  EXPECT_EQ(First(first, "conv.weight"), First(second, "conv.weight"));
}

TEST(Weights, OtherClassesKeepTheDrawnClassifier) {
  test::TempFolder folder;
  Graph first = SmallNet(8, 5), second = SmallNet(8, 4), third = SmallNet(8, 5);
  InitializeWeights(first, 1);
  InitializeWeights(second, 2);
  InitializeWeights(third, 2);
  SaveWeights(folder / "w.ckpt", first, Json::object());
  const Checkpoint checkpoint = Checkpoint::Load(folder / "w.ckpt");
  const LoadReport report = LoadWeights(second, checkpoint, kModelPrefix, {});
  EXPECT_EQ(report.loaded, 5);
  ASSERT_EQ(report.kept.size(), 2u);
  EXPECT_EQ(report.kept[0], "classifier.weight (5x8x1x1 in the file, 4x8x1x1 here)");
  // As many classes, but others: the shapes agree and the classifier must still be redrawn.
  const float drawn = First(third, "classifier.weight");
  const LoadReport redrawn = LoadWeights(third, checkpoint, kModelPrefix, {.redraw_classifier = true});
  EXPECT_EQ(redrawn.loaded, 5);
  EXPECT_EQ(First(third, "classifier.weight"), drawn);
  EXPECT_EQ(redrawn.kept[0], "classifier.weight (other classes)");
}

TEST(Weights, ListsWhatNeitherSideHas) {
  test::TempFolder folder;
  Graph first = SmallNet(8, 5);
  InitializeWeights(first, 1);
  first.initializers[0].name = "renamed";
  SaveWeights(folder / "w.ckpt", first, Json::object());
  Graph second = SmallNet(8, 5);
  InitializeWeights(second, 2);
  const LoadReport report = LoadWeights(second, Checkpoint::Load(folder / "w.ckpt"), kModelPrefix, {});
  ASSERT_EQ(report.kept.size(), 1u);
  ASSERT_EQ(report.ignored.size(), 1u);
  EXPECT_EQ(report.ignored[0], "renamed");
}

}  // namespace
}  // namespace frf
