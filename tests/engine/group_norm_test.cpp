// SPDX-License-Identifier: Apache-2.0
// GroupNormalization, whose scales are one a group in opset 18 and one a channel in 21: against sums in
// double, against the five nodes that PyTorch writes for it, from a file on the engine at sizes that it
// leaves free, and what is refused.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/helpers.h"
#include "engine/session.h"
#include "frf/error.h"
#include "graph/shapes.h"
#include "onnx/onnx_file.h"

namespace frf::test {
namespace {

Attributes Groups(std::int64_t count, float epsilon = 1e-5f) {
  return {{"num_groups", count}, {"epsilon", epsilon}};
}

// As ONNX's text has it, in double.
Tensor Reference(const Tensor& x, const Tensor& scale, const Tensor& bias, std::int64_t groups) {
  const std::int64_t channels = x.dim(1), run = x.size() / (x.dim(0) * groups),
                     plane = x.size() / (x.dim(0) * channels);
  Tensor y = Tensor::Uninitialized(DType::kFloat32, x.shape());
  for (std::int64_t begin = 0; begin < x.size(); begin += run) {
    double mean = 0, variance = 0;
    for (std::int64_t i = begin; i < begin + run; ++i) mean += x.data<float>()[i] / double(run);
    for (std::int64_t i = begin; i < begin + run; ++i)
      variance += std::pow(x.data<float>()[i] - mean, 2) / double(run);
    for (std::int64_t i = begin; i < begin + run; ++i) {
      const std::int64_t channel = i / plane % channels, slot = channel * scale.size() / channels;
      const double normal = (x.data<float>()[i] - mean) / std::sqrt(variance + 1e-5f);
      y.data<float>()[i] = static_cast<float>(normal * scale.data<float>()[slot] + bias.data<float>()[slot]);
    }
  }
  return y;
}

TEST(GroupNorm, ByHand) {
  // One group of 1, 3, 5, 7: mean 4, variance 5. Channels 0 and 1.
  const Tensor x = F({1, 2, 1, 2}, {1, 3, 5, 7});
  const float a = 3 / std::sqrt(5.0f), b = 1 / std::sqrt(5.0f);
  ExpectTensor(RunOne("GroupNormalization", {x, F({1}, {2}), F({1}, {10})}, Groups(1, 0), 18),
               F({1, 2, 1, 2}, {10 - 2 * a, 10 - 2 * b, 10 + 2 * b, 10 + 2 * a}), 1e-6);
  ExpectTensor(RunOne("GroupNormalization", {x, F({2}, {1, 2}), F({2}, {0, 10})}, Groups(1, 0), 21),
               F({1, 2, 1, 2}, {-a, -b, 10 + 2 * b, 10 + 2 * a}), 1e-6);
}

TEST(GroupNorm, EqualsSumsInDouble) {
  for (const Shape& shape :
       {Shape{1, 12, 17, 23}, Shape{3, 12, 5, 1}, Shape{9, 12, 3, 2}, Shape{2, 12, 33}, Shape{2, 12}}) {
    Tensor x = RandomTensor(shape, 3);
    // Far from zero, where squares minus the square of the mean would lose everything.
    for (std::int64_t i = 0; i < x.size(); ++i) x.data<float>()[i] = 1000 + 3 * x.data<float>()[i];
    for (const std::int64_t groups : {1, 3, 4, 12}) {
      for (const int opset : {18, 20, 21}) {
        SCOPED_TRACE(fmt::format("{} in {} groups, opset {}", ToString(shape), groups, opset));
        const Shape factors{opset < 21 ? groups : 12};
        const Tensor scale = RandomTensor(factors, 5), bias = RandomTensor(factors, 6);
        ExpectTensor(RunOne("GroupNormalization", {x, scale, bias}, Groups(groups), opset),
                     Reference(x, scale, bias, groups), 2e-6);
      }
    }
  }
}

TEST(GroupNorm, HalfPrecisionIsComputedInFloat) {
  const Tensor x = RandomTensor({2, 8, 5, 7}, 1).Cast(DType::kFloat16),
               scale = RandomTensor({8}, 2).Cast(DType::kFloat16),
               bias = RandomTensor({8}, 3).Cast(DType::kFloat16);
  Attributes attributes = Groups(4);
  attributes["stash_type"] = std::int64_t{1};
  const Tensor wanted =
      Reference(x.Cast(DType::kFloat32), scale.Cast(DType::kFloat32), bias.Cast(DType::kFloat32), 4);
  ExpectTensor(RunOne("GroupNormalization", {x, scale, bias}, attributes, 21), wanted.Cast(DType::kFloat16),
               2e-3);
  EXPECT_EQ(RunOne("GroupNormalization",
                   {Tensor::Zeros(DType::kFloat32, {0, 8, 5, 7}), scale.Cast(DType::kFloat32),
                    bias.Cast(DType::kFloat32)},
                   Groups(4), 21)
                .size(),
            0);
}

// image 3 -> 12 channels -> norm -> 4 channels, height and width free. `torch`: as torch.onnx writes it for
// older opsets.
Graph Net(int opset, bool torch = false) {
  Graph graph;
  graph.name = "net";
  graph.opset = opset;
  graph.inputs.push_back({.name = "image", .shape = {1, 3, -1, -1}, .dim_names = {"", "", "h", "w"}});
  const auto weight = [&](const char* name, Tensor value, Role role = Role::kParameter) {
    graph.initializers.push_back({.name = name, .role = role, .value = std::move(value)});
  };
  const auto node = [&](const char* name, const char* op, std::vector<std::string> inputs,
                        Attributes attributes = {}) {
    graph.nodes.push_back({name, op, "", std::move(inputs), {name}, std::move(attributes)});
  };
  weight("first.weight", RandomTensor({12, 3, 3, 3}, 1));
  weight("last.weight", RandomTensor({4, 12, 1, 1}, 2));
  node("first", "Conv", {"image", "first.weight"}, {{"pads", Ints{1, 1, 1, 1}}});
  const Shape factors{opset < 21 && !torch ? 3 : 12};
  const Tensor scale = RandomTensor(factors, 3), bias = RandomTensor(factors, 4);
  if (torch) {
    weight("runs", List({0, 3, -1}), Role::kConstant);
    weight("ones", F({3}, {1, 1, 1}));
    weight("zeros", F({3}, {0, 0, 0}));
    weight("scale", scale.Reshaped({12, 1, 1}), Role::kConstant);
    weight("bias", bias.Reshaped({12, 1, 1}), Role::kConstant);
    node("flat", "Reshape", {"first", "runs"});
    node("normal", "InstanceNormalization", {"flat", "ones", "zeros"}, {{"epsilon", 1e-5f}});
    node("shape", "Shape", {"first"});
    node("map", "Reshape", {"normal", "shape"});
    node("scaled", "Mul", {"map", "scale"});
    node("norm", "Add", {"scaled", "bias"});
  } else {
    weight("scale", scale);
    weight("bias", bias);
    node("norm", "GroupNormalization", {"first", "scale", "bias"}, Groups(3));
  }
  node("relu", "Relu", {"norm"});
  node("scores", "Conv", {"relu", "last.weight"});
  graph.outputs.push_back({.name = "scores", .shape = {1, 4, -1, -1}, .dim_names = {"", "", "h", "w"}});
  return graph;
}

Model FromFile(Graph graph, bool half = false) {
  Model model;
  model.graph = std::move(graph);
  model.info.net = "theirs";
  model.info.classes = {{"a", "b", "c", "d"}, {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}}, {}};
  model.info.input = {.fit = Fit::kNative, .multiple = 1};
  return ParseOnnx(SerializeOnnx(model, {.half = half}), "theirs.onnx");
}

Tensor Plainly(const Graph& graph, const Tensor& image) {
  return PlainExecutor(graph, {.threads = 2}).Run({{"image", image}}).at("scores");
}

Tensor OnEngine(Session& session, const Tensor& image) {
  const int height = static_cast<int>(image.dim(2)), width = static_cast<int>(image.dim(3));
  Tensor scores = Tensor::Zeros(DType::kFloat32, {1, 4, height, width});
  session.RunPlanes(image.data<float>(), height, width, nullptr, scores.data<float>());
  return scores;
}

TEST(GroupNorm, FilesOfFreeSizeRunOnTheEngine) {
  for (const int opset : {18, 21}) {
    for (const bool half : {false, true}) {
      SCOPED_TRACE(fmt::format("opset {}{}", opset, half ? ", half" : ""));
      const Model model = FromFile(Net(opset), half);
      EXPECT_EQ(model.graph.opset, opset);
      EXPECT_EQ(model.graph.FindInitializer("scale")->role, Role::kParameter);
      Session session(std::make_shared<LoadedModel>(model), {.threads = 2});
      for (const Shape& shape : {Shape{1, 3, 24, 36}, Shape{1, 3, 33, 47}, Shape{1, 3, 1, 5}}) {
        const Tensor image = RandomTensor(shape, 7);
        ExpectTensor(OnEngine(session, image), Plainly(model.graph, image), 2e-5);
      }
    }
  }
}

TEST(GroupNorm, TheNodesThatPyTorchWritesGiveTheSame) {
  const Model model = FromFile(Net(21)), torch = FromFile(Net(17, true));
  Session session(std::make_shared<LoadedModel>(torch), {.threads = 2});
  for (const Shape& shape : {Shape{1, 3, 24, 36}, Shape{1, 3, 33, 47}}) {
    const Tensor image = RandomTensor(shape, 8), wanted = Plainly(model.graph, image);
    ExpectTensor(Plainly(torch.graph, image), wanted, 2e-5);
    ExpectTensor(OnEngine(session, image), wanted, 2e-5);
  }
}

TEST(GroupNorm, WhatIsRefused) {
  const auto infer = [](int opset, std::int64_t groups, std::int64_t scales, std::int64_t biases) {
    Graph graph = Net(opset);
    for (Node& node : graph.nodes)
      if (node.name == "norm") node.attributes["num_groups"] = groups;
    graph.FindInitializer("scale")->value = Tensor::Zeros(DType::kFloat32, {scales});
    graph.FindInitializer("bias")->value = Tensor::Zeros(DType::kFloat32, {biases});
    (void)InferShapes(graph, 8, 8);
  };
  infer(18, 4, 4, 4);
  infer(21, 4, 12, 12);
  EXPECT_FRF_ERROR(infer(21, 5, 12, 12), ErrorCode::kInvalidArgument, "'norm' (GroupNormalization)");
  EXPECT_FRF_ERROR(infer(21, 5, 12, 12), ErrorCode::kInvalidArgument, "5 groups do not divide 12 channels");
  EXPECT_FRF_ERROR(infer(18, 24, 24, 24), ErrorCode::kInvalidArgument, "24 groups do not divide 12");
  EXPECT_FRF_ERROR(infer(18, 4, 12, 12), ErrorCode::kInvalidArgument,
                   "'scale' is 12, opset 18 wants 4 values, one for each group");
  EXPECT_FRF_ERROR(infer(21, 4, 12, 4), ErrorCode::kInvalidArgument,
                   "'bias' is 4, opset 21 wants 12 values, one for each channel");
  Graph old = Net(18);
  old.opset = 17;
  EXPECT_FRF_ERROR((void)InferShapes(old, 8, 8), ErrorCode::kUnsupported, "came with opset 18");

  const auto with = [](Attributes attributes) {
    Graph graph = Net(21);
    for (Node& node : graph.nodes)
      if (node.name == "norm") node.attributes = std::move(attributes);
    (void)FromFile(std::move(graph));
  };
  EXPECT_FRF_ERROR(with({}), ErrorCode::kCorruptFile, "num_groups");
  EXPECT_FRF_ERROR(with(Groups(0)), ErrorCode::kCorruptFile, "num_groups is 0");
  EXPECT_FRF_ERROR(with({{"num_groups", std::int64_t{3}}, {"stash_type", std::int64_t{7}}}),
                   ErrorCode::kCorruptFile, "stash_type 7");

  const Tensor x = RandomTensor({1, 12, 2, 2}, 1), three = RandomTensor({3}, 2);
  EXPECT_FRF_ERROR(RunOne("GroupNormalization", {x, three, three}, Groups(5), 18),
                   ErrorCode::kInvalidArgument, "5 groups");
  EXPECT_FRF_ERROR(RunOne("GroupNormalization", {x, three, three}, Groups(3), 21),
                   ErrorCode::kInvalidArgument, "wanted 12 values");
}

}  // namespace
}  // namespace frf::test
