// SPDX-License-Identifier: Apache-2.0
// Lowering changes the form, never the result: to the bit on the plain executor for a fixed size, within
// rounding where tables are made from the shape. Each operator of domain "frf" at sizes that break
// assumptions, then whole networks.
#include <functional>
#include <set>

#include "onnx/sample.h"
#include "support/support.h"

namespace frf {
namespace {

using test::RandomTensor;
using test::RelativeDifference;
using test::RunScores;
using test::SameBits;
using Size = std::pair<int, int>;

Graph OneOperator(const std::function<Value(Builder&, const Value&)>& make) {
  Builder g("one");
  const Value x = g.Input("image", 3);
  g.Output(make(g, x), "scores", OutputRole::kScores);
  return std::move(g).Build();
}

std::set<std::string> OperatorsOf(const Graph& graph) {
  std::set<std::string> operators;
  for (const Node& node : graph.nodes)
    operators.insert(node.domain + (node.domain.empty() ? "" : ".") + node.op);
  return operators;
}

// Fixed and free forms against the graph itself, and the shapes that they declare.
void CheckLowering(const Graph& graph, Size size, double tolerance) {
  SCOPED_TRACE(std::to_string(size.first) + "x" + std::to_string(size.second));
  const Tensor image = RandomTensor({1, 3, size.first, size.second}, 7);
  const Tensor wanted = RunScores(graph.ForInference(), image);
  const Graph fixed = LowerToOnnx(graph, size);
  fixed.Validate();
  EXPECT_EQ(fixed.inputs[0].shape, (Shape{1, 3, size.first, size.second}));
  EXPECT_EQ(fixed.outputs[0].shape, wanted.shape());
  EXPECT_TRUE(SameBits(RunScores(fixed, image), wanted));
  for (const Node& node : fixed.nodes) EXPECT_FALSE(node.Is("Shape")) << node.name;

  const Graph free = LowerToOnnx(graph, std::nullopt);
  free.Validate();
  EXPECT_EQ(free.inputs[0].shape, (Shape{1, 3, -1, -1}));
  EXPECT_EQ(free.inputs[0].dim_names, (std::vector<std::string>{"", "", "height", "width"}));
  EXPECT_LE(RelativeDifference(RunScores(free, image), wanted), tolerance);
}

TEST(Lower, ResizeLikeInEveryMode) {
  for (const char* mode : {"linear", "nearest"}) {
    for (const char* coordinates : {"half_pixel", "align_corners", "asymmetric"}) {
      SCOPED_TRACE(std::string(mode) + " " + coordinates);
      const Graph graph = OneOperator([&](Builder& g, const Value& x) {
        return g.ResizeLike(g.MaxPool(x, {.kernel = 3, .stride = 2, .pad = 1}), x, mode, coordinates);
      });
      for (const Size& size : {Size{1, 1}, Size{13, 127}, Size{6, 9}}) CheckLowering(graph, size, 0.0);
    }
  }
}

TEST(Lower, SpectralPoolWithUnevenGroups) {
  const Graph graph = OneOperator([](Builder& g, const Value& x) {
    const Value wide = g.Concat({x, x, x});
    return g.SpectralPool(wide, {0, 0, 0, 1, 6, 0, 3, 5}, {4, 2, 1, 2}, 7.0f);
  });
  for (const Size& size : {Size{1, 1}, Size{13, 1}, Size{23, 30}, Size{31, 127}})
    CheckLowering(graph, size, 2e-6);
}

TEST(Lower, AdaptiveAveragePoolAlsoToMoreBinsThanPixels) {
  for (const Size& out : {Size{1, 1}, Size{7, 7}, Size{3, 5}}) {
    const Graph graph = OneOperator(
        [&](Builder& g, const Value& x) { return g.AdaptiveAveragePool(x, out.first, out.second); });
    for (const Size& size : {Size{1, 1}, Size{2, 13}, Size{8, 127}, Size{7, 7}})
      CheckLowering(graph, size, 1e-6);
  }
}

TEST(Lower, UnpoolRestoresTheSizeThatWasPooled) {
  const Graph graph = OneOperator([](Builder& g, const Value& x) {
    const auto [pooled, indices] = g.MaxPoolWithIndices(x, {.kernel = 2, .stride = 2});
    return g.Unpool(g.Relu(pooled), indices, x);
  });
  for (const Size& size : {Size{4, 6}, Size{13, 127}, Size{2, 3}}) CheckLowering(graph, size, 0.0);
  EXPECT_TRUE(OperatorsOf(LowerToOnnx(graph, std::nullopt)).contains("MaxUnpool"));
}

TEST(Lower, UnpoolWorkedOutByHand) {
  const Graph graph = OneOperator([](Builder& g, const Value& x) {
    const auto [pooled, indices] = g.MaxPoolWithIndices(x, {.kernel = 2, .stride = 2});
    return g.Unpool(pooled, indices, x);
  });
  // Three planes of 2x2; the largest keeps its place, the others become 0.
  const Tensor image = Tensor::Of<float>({1, 3, 2, 2}, {1, 5, 2, 3, 9, 1, 1, 1, 4, 6, 8, 7});
  const Tensor wanted = Tensor::Of<float>({1, 3, 2, 2}, {0, 5, 0, 0, 9, 0, 0, 0, 0, 0, 8, 0});
  for (const std::optional<Size>& size : {std::optional<Size>({2, 2}), std::optional<Size>()}) {
    EXPECT_TRUE(SameBits(RunScores(LowerToOnnx(graph, size), image), wanted));
  }
}

TEST(Lower, DropoutAndAuxiliaryHeadsAreGone) {
  const Graph graph = LowerToOnnx(test::Net("frfnet-slim", {{"aux", true}, {"dropout", 0.5}}), std::nullopt);
  EXPECT_EQ(graph.outputs.size(), 1u);
  for (const Node& node : graph.nodes) EXPECT_TRUE(node.domain.empty()) << node.name;
  for (const Initializer& initializer : graph.initializers)
    EXPECT_EQ(initializer.name.find("aux"), std::string::npos);
  EXPECT_EQ(graph.outputs[0].dim_names, (std::vector<std::string>{"", "", "height", "width"}));
}

TEST(Lower, AShapeIsReadOnceHoweverManyMapsFollowIt) {
  const Graph graph = OneOperator([](Builder& g, const Value& x) {
    const Value small = g.MaxPool(x, {.kernel = 2, .stride = 2});
    return g.Add(g.ResizeLike(small, x), g.ResizeLike(g.Relu(small), x));
  });
  int shapes = 0;
  for (const Node& node : LowerToOnnx(graph, std::nullopt).nodes) shapes += node.Is("Shape");
  EXPECT_EQ(shapes, 1);
}

TEST(Lower, NamesInTheGraphAreNotTakenTwice) {
  const Graph graph = OneOperator([](Builder& g, const Value& x) {
    // "resizelike.sizes" and "image.shape" are what the lowering itself would call its values.
    const Value taken = g.Named(g.Relu(x), "resizelike.sizes");
    const Value other = g.Named(g.Neg(x), "image.shape");
    return g.ResizeLike(g.MaxPool(g.Add(taken, other), {.kernel = 2, .stride = 2}), x);
  });
  CheckLowering(graph, {6, 8}, 0.0);
}

TEST(Lower, NetworksInEveryVariant) {
  const std::vector<std::pair<std::string, Json>> nets = {
      {"frfnet", {}},
      {"frfnet-slim", {}},
      {"frfnet-danet", {}},
      {"frfnet-danet-slim", {{"gates", "relu"}}},
      {"frfnet-slim", {{"dam", "osa"}, {"sfm", "o+sigmoid(l1)"}}},
      {"frfnet", {{"dam", "res2net"}, {"ffm.threshold", 0.2}}},
      {"frfnet", {{"backbone", "resnet18"}, {"head", "none"}}},
      {"frfnet-slim", {{"ablation", "baseline"}}},
  };
  for (const auto& [name, options] : nets) {
    SCOPED_TRACE(name + " " + options.dump());
    const Graph graph = test::Net(name, options.is_null() ? Json::object() : options);
    CheckLowering(graph, {67, 93}, 1e-4);
  }
  CheckLowering(test::Net("frfnet"), {64, 96}, 1e-4);
}

TEST(Lower, WhatDoesNotFitIsRefused) {
  const Graph fixed = LowerToOnnx(test::Net("frfnet-slim"), Size{64, 96});
  EXPECT_FRF_ERROR(LowerToOnnx(fixed, Size{64, 64}), ErrorCode::kInvalidArgument, "fixed at 64x96");
  Graph graph = test::Net("frfnet-slim");
  graph.inputs[0].shape[0] = 4;
  EXPECT_FRF_ERROR(LowerToOnnx(graph, std::nullopt), ErrorCode::kUnsupported, "4x3x");
}

}  // namespace
}  // namespace frf
