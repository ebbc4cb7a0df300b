// SPDX-License-Identifier: Apache-2.0
// The Builder: names, shapes of parameters, outputs, and errors that name scope and layer.
#include "graph/builder.h"

#include "graph/shapes.h"
#include "support/support.h"

namespace frf {
namespace {

TEST(Builder, NamesNestByScope) {
  Builder g("net");
  Value x = g.Input("image", 3);
  {
    const auto outer = g.Scope("stage1");
    const auto inner = g.Scope("dam");
    x = g.Conv(x, {.name = "conv1", .out = 8, .kernel = 3});
    x = g.Relu(g.BatchNorm(x, "conv1.bn"));
    x = g.Relu(x);
  }
  x = g.Conv(x, {.name = "last", .out = 2, .bias = true});
  g.Output(x, "scores", OutputRole::kScores);
  const Graph graph = std::move(g).Build();
  std::vector<std::string> nodes, keys;
  for (const Node& node : graph.nodes) nodes.push_back(node.name);
  for (const Initializer& initializer : graph.initializers) keys.push_back(initializer.name);
  EXPECT_EQ(nodes, (std::vector<std::string>{"stage1.dam.conv1", "stage1.dam.conv1.bn", "stage1.dam.relu",
                                             "stage1.dam.relu_2", "last"}));
  EXPECT_EQ(keys, (std::vector<std::string>{"stage1.dam.conv1.weight", "stage1.dam.conv1.bn.weight",
                                            "stage1.dam.conv1.bn.bias", "stage1.dam.conv1.bn.running_mean",
                                            "stage1.dam.conv1.bn.running_var", "last.weight", "last.bias"}));
  EXPECT_EQ(graph.nodes.back().outputs[0], "scores");
  EXPECT_EQ(graph.outputs[0].shape, (Shape{-1, 2, -1, -1}));
}

TEST(Builder, OutputsThatAreInputsOrTakenGetACopy) {
  Builder g("net");
  const Value x = g.Input("image", 3);
  const Value y = g.Relu(x);
  g.Output(y, "scores", OutputRole::kScores);
  g.Output({"scores", 3}, "again", OutputRole::kAuxiliary);
  g.Output(x, "same", OutputRole::kAuxiliary);
  const Graph graph = std::move(g).Build();
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(graph.nodes[1].op, "Identity");
  EXPECT_EQ(graph.nodes[2].inputs[0], "image");
}

TEST(Builder, RenamingAnOutputKeepsItsReaders) {
  Builder g("net");
  const Value x = g.Relu(g.Input("image", 3));
  const Value y = g.Sigmoid(x);
  g.Output(x, "aux", OutputRole::kAuxiliary);
  g.Output(y, "scores", OutputRole::kScores);
  const Graph graph = std::move(g).Build();
  EXPECT_EQ(graph.nodes[1].inputs[0], "aux");
}

TEST(Builder, ErrorsNameScopeAndLayer) {
  Builder g("net");
  const Value x = g.Input("image", 4);
  const auto scope = g.Scope("stage2");
  EXPECT_FRF_ERROR(g.Conv(x, {.name = "wide", .out = 6, .groups = 4}), ErrorCode::kInvalidArgument,
                   "network 'net', scope 'stage2.': convolution 'wide': 4 groups do not divide 4 -> 6");
  EXPECT_FRF_ERROR(g.Conv(x, {.name = "even", .out = 4, .kernel = 2}), ErrorCode::kInvalidArgument,
                   "give pad");
  EXPECT_FRF_ERROR(g.Conv(x, {.name = "none"}), ErrorCode::kInvalidArgument, "positive out");
  g.Conv(x, {.name = "conv", .out = 4});
  EXPECT_FRF_ERROR(g.Conv(x, {.name = "conv", .out = 4}), ErrorCode::kInvalidArgument,
                   "'stage2.conv.weight' is named twice");
  EXPECT_FRF_ERROR(g.Add(x, g.Conv(x, {.name = "five", .out = 5})), ErrorCode::kInvalidArgument,
                   "4 channels and");
  EXPECT_FRF_ERROR(g.Split(x, {1, 2}), ErrorCode::kInvalidArgument, "sum to 4 channels, got 3");
  EXPECT_FRF_ERROR(g.SpectralPool(x, {0, 0}, {3}, 1.0f), ErrorCode::kInvalidArgument, "spectral pool");
  EXPECT_FRF_ERROR(g.DropChannels(x, 1.0f), ErrorCode::kInvalidArgument, "[0, 1)");
  EXPECT_FRF_ERROR(g.ShuffleChannels(x, 3), ErrorCode::kInvalidArgument, "do not divide 4");
  EXPECT_FRF_ERROR(g.Named(x, "image2"), ErrorCode::kInvalidArgument, "right after");
}

// Every call, and what it makes of a 12-channel map of 13 x 7.
TEST(Builder, EveryCallHasAShape) {
  Builder g("net");
  const Value image = g.Input("image", 3);
  const Value x = g.Conv(image, {.name = "base", .out = 12, .kernel = 3});
  std::vector<std::pair<Value, Shape>> wanted;
  const auto expect = [&](const Value& value, Shape shape) { wanted.emplace_back(value, std::move(shape)); };
  expect(x, {1, 12, 13, 7});
  expect(g.Conv(x, {.name = "strided", .out = 5, .kernel = 3, .stride = 2}), {1, 5, 7, 4});
  expect(g.Conv(x, {.name = "dilated", .out = 5, .kernel = 3, .dilation = 4}), {1, 5, 13, 7});
  expect(g.Conv(x, {.name = "rows", .out = 5, .kernel = 3, .kernel_w = 1, .dilation = 2, .dilation_w = 1}),
         {1, 5, 13, 7});
  expect(g.Conv(x, {.name = "depthwise", .out = 24, .kernel = 3, .groups = 12, .bias = true}),
         {1, 24, 13, 7});
  expect(g.Conv(x, {.name = "wide", .out = 2, .kernel = 3, .pad = 100}), {1, 2, 211, 205});
  expect(g.ConvTranspose(x, {.name = "up", .out = 6, .kernel = 3, .stride = 2, .pad = 1}, 1), {1, 6, 26, 14});
  expect(g.ConvTranspose(x, {.name = "up8", .out = 6, .kernel = 16, .stride = 8, .groups = 6}, 0),
         {1, 6, 112, 64});
  expect(g.BatchNorm(x, "bn"), {1, 12, 13, 7});
  for (const Value& same :
       {g.Relu(x), g.PRelu(x, "prelu"), g.Sigmoid(x), g.Softmax(x, 1), g.Neg(x), g.Ceil(x), g.Clip(x, 0, 6),
        g.Elu(x), g.LeakyRelu(x, 0.1f), g.HardSigmoid(x), g.HardSwish(x), g.DropChannels(x, 0.5f),
        g.ShuffleChannels(x, 3), g.Add(x, g.Scalar(1.0f)), g.Sub(x, x), g.Mul(x, g.GlobalAveragePool(x))}) {
    expect(same, {1, 12, 13, 7});
  }
  expect(g.Concat({x, image}), {1, 15, 13, 7});
  const std::vector<Value> parts = g.Split(x, {5, 7});
  expect(parts[0], {1, 5, 13, 7});
  expect(parts[1], {1, 7, 13, 7});
  const auto [pooled, indices] = g.MaxPoolWithIndices(x, {.kernel = 2, .stride = 2});
  expect(pooled, {1, 12, 6, 3});
  expect(indices, {1, 12, 6, 3});
  expect(g.Unpool(pooled, indices, x), {1, 12, 13, 7});
  expect(g.MaxPool(x, {.kernel = 3, .stride = 2, .pad = 1}), {1, 12, 7, 4});
  expect(g.MaxPool(x, {.kernel = 2, .stride = 2, .ceil_mode = true}), {1, 12, 7, 4});
  expect(g.AveragePool(x, {.kernel = 3, .stride = 2, .pad = 1, .count_include_pad = true}), {1, 12, 7, 4});
  expect(g.AdaptiveAveragePool(x, 8, 20), {1, 12, 8, 20});
  expect(g.SpectralPool(x, {0, 0, 1, 2}, {4, 8}, 7.0f), {1, 12, 1, 1});
  const Value flat = g.Reshape(x, {0, 12, -1}, 12);
  expect(flat, {1, 12, 91});
  const Value energy = g.MatMul(flat, g.Transpose(flat, {0, 2, 1}, 0), 12);
  expect(energy, {1, 12, 12});
  expect(g.ReduceMax(energy, 2), {1, 12, 1});
  expect(g.ReshapeLike(flat, x), {1, 12, 13, 7});
  expect(g.ResizeLike(pooled, x, "nearest", "asymmetric"), {1, 12, 13, 7});
  expect(g.ResizeBy(x, 0.5f), {1, 12, 6, 3});
  expect(g.PadChannels(x, 4), {1, 16, 13, 7});
  expect(g.CropLike(x, pooled, 3, 2), {1, 12, 6, 3});
  const Value weight = g.Parameter("shared", {12, 12, 3, 3}, Init::kKaimingFanOut, 12);
  expect(g.ConvShared(x, weight, {}, {.name = "first", .out = 12, .kernel = 3}), {1, 12, 13, 7});
  expect(g.ConvShared(x, weight, {}, {.name = "second", .out = 12, .kernel = 3, .dilation = 2}),
         {1, 12, 13, 7});
  g.Output(x, "scores", OutputRole::kScores);
  const Graph graph = std::move(g).Build();
  const TypeMap types = InferShapes(graph, 13, 7);
  for (const auto& [value, shape] : wanted) {
    const std::string name = value.name == x.name ? "scores" : value.name;
    ASSERT_TRUE(types.contains(name)) << name;
    EXPECT_EQ(types.at(name).shape, shape) << name;
    if (shape.size() == 4) {
      EXPECT_EQ(value.channels, shape[1]) << name;
    }
  }
  EXPECT_EQ(types.at(indices.name).dtype, DType::kInt32)
      << "indices that only Unpool reads lie within one plane";
  EXPECT_EQ(graph.FindInitializer("prelu.weight")->value.shape(), (Shape{12, 1, 1}));
  EXPECT_EQ(graph.FindInitializer("up.weight")->value.shape(), (Shape{12, 6, 3, 3}));
}

}  // namespace
}  // namespace frf
