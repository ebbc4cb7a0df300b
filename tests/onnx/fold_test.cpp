// SPDX-License-Identifier: Apache-2.0
// Folding of batch norm, worked out by hand and against the graph that was not folded; what cannot be folded
// stays.
#include "graph/passes.h"
#include "onnx/sample.h"
#include "support/support.h"

namespace frf {
namespace {

using test::RandomTensor;
using test::RelativeDifference;
using test::RunScores;

int Count(const Graph& graph, const std::string& op) {
  int count = 0;
  for (const Node& node : graph.nodes) count += node.Is(op);
  return count;
}

void Set(Graph& graph, const std::string& name, const std::vector<float>& values) {
  Initializer* initializer = graph.FindInitializer(name);
  ASSERT_NE(initializer, nullptr) << name;
  initializer->value = Tensor::Of<float>(initializer->value.shape(), values);
}

Graph Finish(Builder&& g, const Value& y) {
  g.Output(y, "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  test::FillWeights(graph, 3);
  return graph;
}

void ExpectSame(const Graph& graph, const Graph& folded) {
  const Tensor image = RandomTensor({1, 3, 9, 13}, 1);
  EXPECT_LT(RelativeDifference(RunScores(folded, image), RunScores(graph, image)), 1e-5);
  folded.Validate();
}

TEST(FoldBatchNorm, WorkedOutByHand) {
  Builder g("hand");
  const Value x = g.Input("image", 3);
  Graph graph = Finish(std::move(g), g.BatchNorm(g.Conv(x, {.name = "conv", .out = 1}), "bn", 0.0f));
  Set(graph, "conv.weight", {1, 2, 3});
  Set(graph, "bn.weight", {6});
  Set(graph, "bn.bias", {10});
  Set(graph, "bn.running_mean", {5});
  Set(graph, "bn.running_var", {4});
  const Graph folded = FoldBatchNorm(graph);
  // s = 6 / sqrt(4) = 3; w' = 3w; b' = 10 - 5 * 3 = -5.
  EXPECT_EQ(folded.FindInitializer("conv.weight")->value.ToVector<float>(), (std::vector<float>{3, 6, 9}));
  EXPECT_EQ(folded.FindInitializer("conv.bias")->value.ToVector<float>(), (std::vector<float>{-5}));
  EXPECT_EQ(folded.nodes.size(), 1u);
  EXPECT_EQ(folded.initializers.size(), 2u);
  EXPECT_EQ(graph.FindInitializer("conv.weight")->value.ToVector<float>(),
            (std::vector<float>{1, 2, 3}));  // untouched
}

TEST(FoldBatchNorm, ConvolutionsWithBiasAndGroups) {
  Builder g("groups");
  const Value x = g.Input("image", 3);
  const Value wide = g.BatchNorm(g.Conv(x, {.name = "a", .out = 6, .kernel = 3, .bias = true}), "a.bn");
  const Value y = g.BatchNorm(g.Conv(wide, {.name = "b", .out = 4, .kernel = 3, .groups = 2}), "b.bn");
  const Graph graph = Finish(std::move(g), y), folded = FoldBatchNorm(graph);
  EXPECT_EQ(Count(folded, "BatchNormalization"), 0);
  ExpectSame(graph, folded);
}

TEST(FoldBatchNorm, TransposedConvolutionsAlsoInGroups) {
  for (const int groups : {1, 2}) {
    Builder g("transposed");
    const Value x = g.Input("image", 3);
    const Value wide = g.Conv(x, {.name = "a", .out = 4});
    const ConvSpec up{.name = "up", .out = 6, .kernel = 3, .stride = 2, .groups = groups, .pad = 1};
    const Graph graph = Finish(std::move(g), g.BatchNorm(g.ConvTranspose(wide, up, 1), "bn")),
                folded = FoldBatchNorm(graph);
    EXPECT_EQ(Count(folded, "BatchNormalization"), 0);
    ExpectSame(graph, folded);
  }
}

TEST(FoldBatchNorm, WhatIsReadTwiceOrComesFromElsewhereStays) {
  Builder g("stays");
  const Value x = g.Input("image", 3);
  const Value conv = g.Conv(x, {.name = "conv", .out = 3, .kernel = 3});
  const Value normal = g.BatchNorm(conv, "read_twice");
  const Value y = g.BatchNorm(g.Relu(g.Concat({normal, conv})), "behind_relu");
  const Graph graph = Finish(std::move(g), y), folded = FoldBatchNorm(graph);
  EXPECT_EQ(Count(folded, "BatchNormalization"), 2);
  ExpectSame(graph, folded);
}

TEST(FoldBatchNorm, AWeightThatTwoLayersShareIsLeft) {
  Builder g("shared");
  const Value x = g.Input("image", 3);
  const Value a = g.BatchNorm(g.Conv(x, {.name = "a", .out = 3}), "a.bn");
  const Value y = g.BatchNorm(g.Conv(a, {.name = "b", .out = 3}), "b.bn");
  Graph graph = Finish(std::move(g), y);
  for (Node& node : graph.nodes) {
    if (node.name == "b") node.inputs[1] = "a.weight";
  }
  const Graph folded = FoldBatchNorm(graph);
  EXPECT_EQ(Count(folded, "BatchNormalization"), 2);
  ExpectSame(graph, folded);
}

TEST(FoldBatchNorm, AWholeNetwork) {
  const Graph graph = test::Net("frfnet").ForInference(), folded = FoldBatchNorm(graph);
  EXPECT_EQ(Count(folded, "BatchNormalization"), 0);
  const Tensor image = RandomTensor({1, 3, 64, 96}, 1);
  EXPECT_LT(RelativeDifference(RunScores(folded, image), RunScores(graph, image)), 1e-4);
}

}  // namespace
}  // namespace frf
