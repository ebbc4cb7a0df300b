// SPDX-License-Identifier: Apache-2.0
// Graphs whose nodes contradict themselves or lie at the edge of what ONNX says: the engine, the plain
// executor and shape inference must agree on every size, or refuse by name. Expected numbers are worked out
// by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/helpers.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"
#include "graph/shapes.h"

namespace frf::test {
namespace {

using engine::ConvChoice;

constexpr int kChannels = 3;

// image 1x3xHxW -> the node, whose other inputs are constants -> 3x3 convolution -> scores.
Graph AroundNode(Node node, const std::vector<std::pair<std::string, Tensor>>& constants) {
  Graph graph;
  graph.name = "hostile";
  graph.inputs.push_back({.name = "image", .shape = {1, kChannels, -1, -1}});
  for (const auto& [name, value] : constants) graph.initializers.push_back({.name = name, .value = value});
  graph.initializers.push_back({.name = "w", .value = RandomTensor({kChannels, kChannels, 3, 3}, 4)});
  Node conv{.name = "conv", .op = "Conv", .inputs = {node.outputs[0], "w"}, .outputs = {"scores"}};
  conv.attributes["pads"] = Ints{1, 1, 1, 1};
  graph.nodes = {std::move(node), std::move(conv)};
  graph.outputs.push_back({.name = "scores"});
  return graph;
}

Node ResizeNode(const std::string& mode, const std::string& input, const std::string& output) {
  Node node{.name = "resize", .op = "Resize", .inputs = {input, "", "scales"}, .outputs = {output}};
  node.attributes["mode"] = mode;
  return node;
}

Tensor Scales(float scale) { return F({4}, {1, 1, scale, scale}); }

// The engine's scores, in the shape that inference gives them.
Tensor RunEngine(const Graph& graph, const Tensor& image,
                 const engine::PlanOptions& options = {.threads = 2}) {
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), image.shape());
  engine::WeightStore weights;
  engine::Plan plan(engine::Lower(prepared), weights, options);
  Tensor scores = Tensor::Zeros(DType::kFloat32, prepared.types.at("scores").shape);
  plan.Run({.planes = image.data<float>()}, {.scores = scores.data<float>()});
  return scores;
}

void ExpectEngineEqualsPlain(const Graph& graph, const Tensor& image, const Shape& shape) {
  const Tensor wanted = PlainExecutor(graph, {.threads = 2}).Run({{"image", image}}).at("scores");
  EXPECT_EQ(ToString(wanted.shape()), ToString(shape));
  ExpectTensor(RunEngine(graph, image), wanted, 1e-4);
}

// 40 * 0.7f is 28 in float and 27.9999995 in double; 40 * 1.3f is 52 and 51.999998.
TEST(HostileGraphs, ScalesMakeTheSizesOfOnnxRuntime) {
  const Tensor image = RandomTensor({1, kChannels, 40, 60}, 1);
  for (const auto& [scale, height, width] : {std::tuple{0.7f, 28, 42}, {1.3f, 52, 78}, {0.55f, 22, 33}}) {
    SCOPED_TRACE(scale);
    for (const char* mode : {"linear", "nearest", "cubic"}) {
      SCOPED_TRACE(mode);
      const Tensor resized = RunOne("Resize", {image, None(), Scales(scale)}, {{"mode", std::string(mode)}});
      ASSERT_EQ(ToString(resized.shape()), ToString(Shape{1, kChannels, height, width}));
      ExpectEngineEqualsPlain(AroundNode(ResizeNode(mode, "image", "r"), {{"scales", Scales(scale)}}), image,
                              {1, kChannels, height, width});
    }
  }
}

// What was missing is the last row: its coordinates use the given scale, (o + 1/2) / scale - 1/2.
TEST(HostileGraphs, TheLastRowOfAScaledMapIsThere) {
  Tensor ramp = Tensor::Zeros(DType::kFloat32, {1, 1, 40, 1});
  for (int y = 0; y < 40; ++y) ramp.data<float>()[y] = static_cast<float>(y);
  const Tensor resized =
      RunOne("Resize", {ramp, None(), F({4}, {1, 1, 0.7f, 1})}, {{"mode", std::string("linear")}});
  ASSERT_EQ(resized.size(), 28);
  EXPECT_NEAR(resized.data<float>()[27], 27.5 / 0.7 - 0.5, 1e-4);
}

// A resize that ends the graph is fused with the output.
TEST(HostileGraphs, ScalesBehindTheLastConvolution) {
  const Tensor image = RandomTensor({1, kChannels, 40, 60}, 2);
  Graph graph = AroundNode({.name = "relu", .op = "Relu", .inputs = {"image"}, .outputs = {"r"}},
                           {{"scales", Scales(1.3f)}});
  graph.nodes.back().outputs = {"small"};
  graph.nodes.push_back(ResizeNode("linear", "small", "scores"));
  ExpectEngineEqualsPlain(graph, image, {1, kChannels, 52, 78});
}

TEST(HostileGraphs, AResizeNamesAnAxisOnce) {
  Node node = ResizeNode("linear", "image", "r");
  node.attributes["axes"] = Ints{2, 2};
  const Tensor image = RandomTensor({1, kChannels, 8, 8}, 3);
  const Tensor scales = F({2}, {2, 2});
  EXPECT_FRF_ERROR(RunEngine(AroundNode(node, {{"scales", scales}}), image), ErrorCode::kInvalidArgument,
                   "axis 2 is named twice");
  EXPECT_FRF_ERROR(RunOne("Resize", {image, None(), scales}, {{"axes", Ints{2, -2}}}),
                   ErrorCode::kInvalidArgument, "axis 2 is named twice");
}

// Attributes of old opsets beside inputs of new ones: the input counts, for sizes and for values.
TEST(HostileGraphs, PadsInTheInputCountNotThoseInTheAttribute) {
  Node pad{.name = "pad", .op = "Pad", .inputs = {"image", "pads"}, .outputs = {"r"}};
  pad.attributes["pads"] = Ints{0, 0, 0, 0, 0, 0, 4000, 4000};
  ExpectEngineEqualsPlain(AroundNode(pad, {{"pads", List(Ints(8, 0))}}),
                          RandomTensor({1, kChannels, 10, 12}, 5), {1, kChannels, 10, 12});
}

TEST(HostileGraphs, SplitInTheInputCountsNotThatInTheAttribute) {
  Node split{.name = "split", .op = "Split", .inputs = {"image", "parts"}, .outputs = {"r", "rest"}};
  split.attributes["axis"] = std::int64_t{2};
  split.attributes["split"] = Ints{9, 1};
  ExpectEngineEqualsPlain(AroundNode(split, {{"parts", List({4, 6})}}),
                          RandomTensor({1, kChannels, 10, 12}, 6), {1, kChannels, 4, 12});
}

TEST(HostileGraphs, OutputShapeOfATransposedConvolutionHasANumberAnAxis) {
  const Tensor image = RandomTensor({1, kChannels, 5, 6}, 7), weight = RandomTensor({kChannels, 3, 3, 3}, 8);
  const auto graph = [&](Ints shape) {
    Node node{.name = "up", .op = "ConvTranspose", .inputs = {"image", "up.w"}, .outputs = {"r"}};
    node.attributes = {{"strides", Ints{2, 2}}, {"output_shape", std::move(shape)}};
    return AroundNode(node, {{"up.w", weight}});
  };
  EXPECT_FRF_ERROR(RunEngine(graph({1, 400, 500}), image), ErrorCode::kInvalidArgument,
                   "node 'up' (ConvTranspose): output_shape has 3 numbers for 2 axes");
  EXPECT_FRF_ERROR(RunOne("ConvTranspose", {image, weight}, {{"output_shape", Ints{1, 40, 50}}}),
                   ErrorCode::kInvalidArgument, "output_shape has 3 numbers for 2 axes");
  ExpectEngineEqualsPlain(graph({11, 12}), image, {1, kChannels, 11, 12});
  ExpectEngineEqualsPlain(graph({1, 3, 11, 12}), image, {1, kChannels, 11, 12});
}

// ONNX clamps the start of a backward slice to the first element: that one is taken.
TEST(HostileGraphs, ABackwardSliceFromBeforeTheFirstElementTakesIt) {
  const Tensor x = F({4}, {10, 11, 12, 13});
  ExpectTensor(RunOne("Slice", {x, List({-100}), List({-1000}), List({0}), List({-1})}), F({1}, {10}));
  ExpectTensor(RunOne("Slice", {x, List({-100}), List({-1000}), List({0}), List({-7})}), F({1}, {10}));
  ExpectTensor(RunOne("Slice", {x, List({-4}), List({-1000}), List({0}), List({-1})}), F({1}, {10}));
  ExpectTensor(RunOne("Slice", {x, List({-100}), List({0}), List({0}), List({-1})}), F({0}, {}));
  Node slice{
      .name = "slice", .op = "Slice", .inputs = {"image", "from", "to", "axis", "step"}, .outputs = {"r"}};
  ExpectEngineEqualsPlain(
      AroundNode(slice,
                 {{"from", List({-100})}, {"to", List({-1000})}, {"axis", List({2})}, {"step", List({-1})}}),
      RandomTensor({1, kChannels, 9, 11}, 9), {1, kChannels, 1, 11});
}

// Should an operator and its shape rule ever differ again: an error by name, no read past the end.
TEST(HostileGraphs, AResultOfAnotherTypeThanInferredIsRefused) {
  const Tensor image = RandomTensor({1, kChannels, 10, 12}, 10);
  const Graph graph =
      AroundNode({.name = "sum", .op = "CumSum", .inputs = {"image", "axis"}, .outputs = {"r"}},
                 {{"axis", Tensor::Scalar<std::int64_t>(2)}});
  const auto run = [&](const TensorType& inferred) {
    engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), image.shape());
    prepared.types.at("r") = inferred;
    engine::Lowered lowered = engine::Lower(prepared);
    engine::WeightStore weights;
    engine::Plan plan(lowered, weights, {.threads = 1});
    std::vector<float> scores(kChannels * 10 * 12);
    plan.Run({.planes = image.data<float>()}, {.scores = scores.data()});
  };
  EXPECT_NO_THROW(run({DType::kFloat32, {1, kChannels, 10, 12}}));
  EXPECT_FRF_ERROR(
      run({DType::kFloat32, {1, kChannels, 4000, 4000}}), ErrorCode::kInvalidArgument,
      "sum (CumSum): output 0 is float32 1x3x10x12, the plan was made for float32 1x3x4000x4000");
  EXPECT_FRF_ERROR(run({DType::kInt64, {1, kChannels, 10, 12}}), ErrorCode::kInvalidArgument,
                   "the plan was made for int64 1x3x10x12");
}

// Winograd's tiles of 2 are for stride 2 alone; whoever asks for them elsewhere gets what the rule says.
TEST(HostileGraphs, TilesOfTwoWithStrideOneAreLeftToTheRule) {
  Graph graph;
  graph.inputs.push_back({.name = "image", .shape = {1, kChannels, -1, -1}});
  graph.outputs.push_back({.name = "scores"});
  std::string value = "image";
  for (int i = 0; i < 3; ++i) {
    const std::string name = fmt::format("conv{}", i), result = i < 2 ? name : "scores";
    graph.initializers.push_back(
        {.name = name + ".w", .value = RandomTensor({64, i ? 64 : kChannels, 3, 3}, i)});
    Node conv{.name = name, .op = "Conv", .inputs = {value, name + ".w"}, .outputs = {result}};
    conv.attributes["pads"] = Ints{1, 1, 1, 1};
    graph.nodes.push_back(std::move(conv));
    value = result;
  }
  const Tensor image = RandomTensor({1, kChannels, 40, 60}, 11);
  engine::PlanOptions asked{.threads = 2};
  for (int i = 0; i < 3; ++i) asked.choices[fmt::format("conv{}", i)] = ConvChoice::kWinograd2;
  ExpectTensor(RunEngine(graph, image, asked), RunEngine(graph, image));
}

// A resize to the size that its source has already, combined with the source itself.
TEST(HostileGraphs, AResizeToItsOwnSizeBesideItsSource) {
  const Tensor image = RandomTensor({1, kChannels, 12, 18}, 5);
  for (const char* joins : {"Mul", "Add"}) {
    for (const char* makes : {"Relu", "Sigmoid"}) {
      SCOPED_TRACE(std::string(joins) + " of " + makes);
      Graph graph = AroundNode({.name = "source", .op = makes, .inputs = {"image"}, .outputs = {"s"}},
                               {{"scales", Scales(1)}});
      graph.nodes.insert(graph.nodes.begin() + 1, ResizeNode("linear", "s", "again"));
      graph.nodes.insert(graph.nodes.begin() + 2,
                         {.name = "join", .op = joins, .inputs = {"again", "s"}, .outputs = {"joined"}});
      graph.nodes.back().inputs[0] = "joined";
      ExpectEngineEqualsPlain(graph, image, {1, kChannels, 12, 18});
    }
  }
}

}  // namespace
}  // namespace frf::test
