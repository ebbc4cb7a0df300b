// SPDX-License-Identifier: Apache-2.0
// What plans of one model share, and what they may take: packed weights that follow from the picture's size
// or whose names meet, memory of all that a plan allocates, constants that are folded at load.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/helpers.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"
#include "frf/error.h"

namespace frf::test {
namespace {

Tensor RunShared(const Graph& graph, const Tensor& image, engine::WeightStore& weights,
                 const engine::PlanOptions& options = {.threads = 2}) {
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), image.shape());
  engine::Plan plan(engine::Lower(prepared), weights, options);
  Tensor scores = Tensor::Zeros(DType::kFloat32, prepared.types.at("scores").shape);
  for (int run = 0; run < 3; ++run)  // the second may not need more than the first
    plan.Run({.planes = image.data<float>()}, {.scores = scores.data<float>()});
  return scores;
}

Tensor RunPlain(const Graph& graph, const Tensor& image) {
  return PlainExecutor(graph, {.threads = 2}).Run({{"image", image}}).at("scores");
}

Node Made(const std::string& op, std::vector<std::string> inputs, const std::string& output,
          Attributes attributes = {}) {
  Node node{.name = output, .op = op, .inputs = std::move(inputs), .outputs = {output}};
  node.attributes = std::move(attributes);
  return node;
}

// image -> scores; initialisers and nodes are the caller's.
Graph Empty(const std::string& name, int channels = 3) {
  Graph graph;
  graph.name = name;
  graph.inputs.push_back({.name = "image", .shape = {1, channels, -1, -1}});
  graph.outputs.push_back({.name = "scores"});
  return graph;
}

// Nodes of the operator, all of which read `input`, and their sum under that name.
void AddSummed(Graph& graph, const std::string& op, const std::string& input, int count,
               const std::string& sum) {
  Node all = Made("Sum", {}, sum);
  for (int i = 0; i < count; ++i) {
    all.inputs.push_back(fmt::format("{}{}", sum, i));
    graph.nodes.push_back(Made(op, {input}, all.inputs.back()));
  }
  graph.nodes.push_back(all);
}

// scores = Conv(image, w / height): other weights at each size.
Graph WeightsByHeight() {
  Graph graph = Empty("by-height");
  graph.initializers.push_back({.name = "w", .value = RandomTensor({3, 3, 3, 3}, 4)});
  graph.initializers.push_back({.name = "two", .value = List({2})});
  graph.nodes = {Made("Shape", {"image"}, "shape"), Made("Gather", {"shape", "two"}, "height"),
                 Made("Cast", {"height"}, "number", {{"to", std::int64_t{1}}}),
                 Made("Div", {"w", "number"}, "weight"),
                 Made("Conv", {"image", "weight"}, "scores", {{"pads", Ints{1, 1, 1, 1}}})};
  return graph;
}

TEST(SharedStore, WeightsThatFollowFromTheSizeAreTheSizes) {
  const Graph graph = WeightsByHeight();
  engine::WeightStore weights;
  for (const int side : {8, 16, 32, 8}) {
    SCOPED_TRACE(side);
    const Tensor image = RandomTensor({1, 3, side, side}, 7);
    ExpectTensor(RunShared(graph, image, weights), RunPlain(graph, image), 1e-5);
  }
}

// A convolution `c` with its ReLU is called "c+Relu" in the plan; so may another one be in the file, and it
// may have more channels.
TEST(SharedStore, OperationsOfOneNameHaveTheirOwnWeights) {
  for (const int channels : {8, 64}) {
    SCOPED_TRACE(channels);
    Graph graph = Empty("names");
    graph.initializers.push_back({.name = "v", .value = RandomTensor({8, 3, 3, 3}, 4)});
    graph.initializers.push_back({.name = "w", .value = RandomTensor({channels, 8, 3, 3}, 5)});
    const Attributes padded{{"pads", Ints{1, 1, 1, 1}}};
    graph.nodes = {Made("Conv", {"image", "v"}, "c", padded), Made("Relu", {"c"}, "r"),
                   Made("Conv", {"r", "w"}, "scores", padded)};
    graph.nodes[2].name = "c+Relu";
    engine::WeightStore weights;
    const Tensor image = RandomTensor({1, 3, 24, 32}, 7);
    ExpectTensor(RunShared(graph, image, weights), RunPlain(graph, image), 1e-4);
  }
}

// A byte that stands for zero is zero, not a rounding error that Floor and Sign make one of.
TEST(Bytes, TheZeroPointIsZero) {
  const Tensor image = Tensor::Zeros(DType::kFloat32, {1, 3, 16, 24});
  for (const auto& [scale, zero] : {std::pair{0.031f, 53}, {0.0078f, 200}, {0.0121f, 17}, {0.3f, 255}}) {
    for (const char* op : {"Floor", "Ceil", "Sign"}) {
      SCOPED_TRACE(fmt::format("{} of zero {} by {}", op, zero, scale));
      Graph graph = Empty("zeros");
      Tensor point = Tensor::Zeros(DType::kUint8, {});
      point.data<std::uint8_t>()[0] = static_cast<std::uint8_t>(zero);
      graph.initializers.push_back({.name = "scale", .value = Tensor::Scalar(scale)});
      graph.initializers.push_back({.name = "zero", .value = point});
      graph.initializers.push_back({.name = "w", .value = RandomTensor({2, 3, 1, 1}, 4)});
      graph.nodes = {Made("QuantizeLinear", {"image", "scale", "zero"}, "q"),
                     Made("DequantizeLinear", {"q", "scale", "zero"}, "d"), Made(op, {"d"}, "f"),
                     Made("Conv", {"f", "w"}, "scores")};
      engine::WeightStore weights;
      ExpectTensor(RunShared(graph, image, weights), Tensor::Zeros(DType::kFloat32, {1, 2, 16, 24}));
    }
  }
}

// image -> Cos, as often -> 1x1 convolution. The engine has no Cos of its own.
Graph Cosines(int count) {
  Graph graph = Empty("cosines");
  graph.initializers.push_back({.name = "w", .value = RandomTensor({2, 3, 1, 1}, 4)});
  std::string last = "image";
  for (int i = 0; i < count; ++i) {
    graph.nodes.push_back(Made("Cos", {last}, fmt::format("cos{}", i)));
    last = graph.nodes.back().outputs[0];
  }
  graph.nodes.push_back(Made("Conv", {last, "w"}, "scores"));
  return graph;
}

TEST(MemoryLimit, CountsWhatPlainNodesHoldAndLetsGoOfIt) {
  const Tensor image = RandomTensor({1, 3, 200, 200}, 7);
  constexpr std::uint64_t kMap = 200 * 200 * 3 * 4, kLimit = std::uint64_t{12} << 20;
  static_assert(30 * kMap > kLimit);
  engine::WeightStore weights;
  const engine::PlanOptions options{.threads = 1, .max_memory = kLimit};
  // Thirty maps in turn, two of them at a time.
  ExpectTensor(RunShared(Cosines(30), image, weights, options), RunPlain(Cosines(30), image), 1e-5);
  // Thirty that all wait for their sum.
  Graph waiting = Cosines(0);
  waiting.nodes.clear();
  AddSummed(waiting, "Cos", "image", 30, "sum");
  waiting.nodes.push_back(Made("Conv", {"sum", "w"}, "scores"));
  EXPECT_FRF_ERROR(RunShared(waiting, image, weights, options), ErrorCode::kOutOfMemory,
                   "would pass the limit");
}

// Ten constants and their sum.
TEST(MemoryLimit, FoldingHasABudgetOfItsOwn) {
  constexpr std::uint64_t kEach = std::uint64_t{1} << 20;
  Graph graph = Empty("constants", 1);
  graph.initializers.push_back({.name = "shape", .value = List({std::int64_t{kEach} / 4})});
  AddSummed(graph, "ConstantOfShape", "shape", 10, "all");
  graph.nodes.push_back(Made("Add", {"image", "all"}, "scores"));
  const auto bytes = [](const Graph& folded) {
    std::uint64_t total = 0;
    for (const Initializer& initializer : folded.initializers) total += initializer.value.bytes();
    return total;
  };
  EXPECT_LE(bytes(FoldConstants(graph, kEach)), 4 * kEach + 64);
  EXPECT_GT(FoldConstants(graph, kEach).nodes.size(), 2U) << "four fit, and the rest is left";
  EXPECT_EQ(FoldConstants(graph, 4 * kEach).nodes.size(), 1U) << "all ten fit, and so does their sum";
  EXPECT_LE(bytes(FoldConstants(graph, 4 * kEach)), kEach + 64) << "of which the sum alone is still read";
  // Views keep what the values that they were made of took.
  Graph views = graph;
  views.nodes.clear();
  views.initializers.push_back({.name = "row", .value = List({1, -1})});
  Node sum = Made("Sum", {}, "all");
  for (int i = 0; i < 10; ++i) {
    const std::string value = fmt::format("c{}", i);
    sum.inputs.push_back(value + ".row");
    views.nodes.push_back(Made("ConstantOfShape", {"shape"}, value));
    views.nodes.push_back(Made("Reshape", {value, "row"}, sum.inputs.back()));
  }
  views.nodes.push_back(sum);
  views.nodes.push_back(Made("Add", {"image", "all"}, "scores"));
  EXPECT_LE(bytes(FoldConstants(views, kEach)), 4 * kEach + 128);
  EXPECT_GT(FoldConstants(views, kEach).nodes.size(), 2U);
}

TEST(EmptyTensors, RowsOfNothingTakeNoTime) {
  const Tensor nothing = Tensor::Zeros(DType::kFloat32, {std::int64_t{1} << 50, 1, 0});
  EXPECT_EQ(RunOne("Gather", {nothing, List({0})}, {{"axis", std::int64_t{1}}}).size(), 0);
  EXPECT_EQ(RunOne("Transpose", {nothing}, {{"perm", Ints{1, 0, 2}}}).size(), 0);
  const Tensor one = F({1}, {1});
  EXPECT_EQ(RunOne("BatchNormalization", {nothing, one, one, one, one}).size(), 0);
  EXPECT_EQ(RunOne("InstanceNormalization", {nothing, one, one}).size(), 0);
}

TEST(WeightStore, WhatComesBeyondItsLimitIsNotShared) {
  engine::WeightStore store;
  store.SetLimit(32);
  int fills = 0;
  const auto get = [&](const std::string& key) {
    return store.Get(key, 20, [&](float* to) { std::fill_n(to, 20, static_cast<float>(++fills)); });
  };
  const auto first = get("a"), again = get("a"), beyond = get("b"), anew = get("b");
  EXPECT_EQ(first.data(), again.data());
  EXPECT_NE(beyond.data(), anew.data());
  EXPECT_EQ(fills, 3);
  EXPECT_EQ(std::vector<float>(anew.data(), anew.data() + 20), std::vector<float>(20, 3.0f));
  EXPECT_EQ(store.bytes(), 20 * sizeof(float));
}

}  // namespace
}  // namespace frf::test
