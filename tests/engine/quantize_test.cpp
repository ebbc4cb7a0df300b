// SPDX-License-Identifier: Apache-2.0
// Quantised files: what they mean (the plain executor, to the letter), what the engine makes of them with and
// without a dot product, and what `frf quantize` puts into them.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/quantized.h"
#include "frf/error.h"
#include "onnx/onnx_file.h"

namespace frf::test {
namespace {

using engine::RangeKind;
using engine::ReadyGraph;

TEST(Quantize, AFewLayersEqualTheLetterOfTheFile) {
  Builder g("layers");
  const Value x = g.Input("image", 3);
  const Value a = Layer(g, x, "a", 24, 3, 2), b = Layer(g, a, "b", 40);
  g.Output(g.Conv(b, {.name = "last", .out = 5, .bias = true}), "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g)), quantized = Quantized(graph, {1, 3, 23, 31});
  ExpectSameEverywhere(quantized, Picture(23, 31, 9));
  const Ran ran = RunPlan(quantized, Picture(23, 31, 9));
  if (kernels::BestKernels().has_dot()) {
    EXPECT_TRUE(ran.Has("int8 3x3"));
    EXPECT_EQ(ran.tiled, 1) << "b: a has stride 2, last is 1x1";
    EXPECT_EQ(ran.integer_macs, ran.macs);
  }
  // And 8 bits are near the floats.
  ExpectNear(RunPlain(quantized, Picture(23, 31, 9)), RunPlain(graph, Picture(23, 31, 9)), 0.1, 1.0);
}

// Winograd in whole numbers holds sums up to 2^25: 9 * 112 weights of 127 times 255 are below, 9 * 128 are
// not.
TEST(Quantize, SumsTooLargeForWinogradAreDoneDirectly) {
  for (const int channels : {112, 128}) {
    Builder g("large");
    const Value x = Layer(g, g.Input("image", 3), "stem", channels);
    g.Output(Layer(g, x, "large", 16), "scores", OutputRole::kScores);
    Graph graph = Made(std::move(g));
    for (Initializer& initializer : graph.initializers) {
      if (initializer.name == "large.weight")
        std::fill_n(initializer.value.data<float>(), initializer.value.size(), 0.01f);
    }
    const Graph quantized = Quantized(graph, {1, 3, 16, 20});
    ExpectSameEverywhere(quantized, Picture(16, 20, 9));
    const Ran ran = RunPlan(quantized, Picture(16, 20, 9));
    if (kernels::BestKernels().has_dot()) {
      EXPECT_EQ(ran.tiled, channels == 112 ? 1 : 0);
    }
  }
}

TEST(Quantize, RunningSumsConcatenationsAndPoolsShareMemory) {
  Builder g("dam");
  const Value x = Layer(g, g.Input("image", 3), "stem", 32);
  std::vector<Value> parts{x};
  Value sum = x;
  for (int i = 0; i < 4; ++i) {
    const Value f = Layer(g, i == 0 ? x : sum, fmt::format("conv{}", i), 16);
    sum = i == 0 ? f : g.Add(f, sum);
    parts.push_back(sum);
  }
  const Value all = Layer(g, g.Concat(parts), "aggregate", 48, 1);
  const Value down = g.Concat({Layer(g, g.MaxPool(all, {.kernel = 2, .stride = 2}), "pooled", 16, 1),
                               Layer(g, all, "strided", 16, 3, 2)});
  g.Output(g.Conv(down, {.name = "last", .out = 4}), "scores", OutputRole::kScores);
  const Graph quantized = Quantized(Made(std::move(g)), {1, 3, 20, 28});
  ExpectSameEverywhere(quantized, Picture(20, 28, 9), 0.1, 0.1);
  const Ran ran = RunPlan(quantized, Picture(20, 28, 9));
  if (!kernels::BestKernels().has_dot()) return;
  EXPECT_TRUE(ran.Has("max pool u8"));
  EXPECT_FALSE(ran.Has("copy")) << "parts are written in place";
  EXPECT_FALSE(ran.Has("elementwise")) << "sums are the convolutions' business";
}

TEST(Quantize, GatesAndResizesAreComputedBetween) {
  Builder g("gates");
  const Value x = Layer(g, g.Input("image", 3), "stem", 32);
  const Value low = Layer(g, Layer(g, x, "down", 32, 3, 2), "deep", 32);
  const Value up = g.ResizeLike(low, x), lateral = g.Conv(x, {.name = "lateral", .out = 32, .bias = true});
  const Value gated = g.Add(up, g.Mul(lateral, g.Sigmoid(up)));
  const Value mean = g.Sigmoid(g.Conv(g.GlobalAveragePool(low), {.name = "vector", .out = 32}));
  g.Output(g.ResizeLike(g.Conv(Layer(g, g.Mul(gated, mean), "head", 32), {.name = "last", .out = 6}), x),
           "scores", OutputRole::kScores);
  const Graph quantized = Quantized(Made(std::move(g)), {1, 3, 24, 36});
  ExpectSameEverywhere(quantized, Picture(24, 36, 9), 0.05, 0.1);
  const Ran ran = RunPlan(quantized, Picture(24, 36, 9));
  EXPECT_FALSE(ran.Has("plain"));
  if (kernels::BestKernels().has_dot()) {
    EXPECT_TRUE(ran.Has("int8 1x1+elementwise"));
  }
}

TEST(Quantize, TheFamilyRunsOnIntegers) {
  for (const char* net : {"frfnet", "frfnet-slim"}) {
    SCOPED_TRACE(net);
    const Graph graph = Net(net, {{"classes", 5}, {"ffm", "masks-off"}}, 64, 96);
    const Graph quantized = Quantized(
        graph, {1, 3, 64, 96}, {.range = {RangeKind::kMse}, .float_nodes = {}, .bias_correction = true});
    // Random weights turn a flipped rounding into other labels; what trained ones say is tested with `frf
    // quantize`.
    for (const kernels::Kernels* k : kernels::AllKernels()) {
      const Ran ran = RunPlan(quantized, Picture(64, 96, 3), k);
      for (const float score : ran.scores) ASSERT_TRUE(std::isfinite(score)) << k->isa;
      EXPECT_FALSE(ran.Has("plain"));
      if (k->has_dot()) {
        EXPECT_GT(ran.integer_macs / ran.macs, 0.98)
            << "all but attention over single pixels, which weighs more in small pictures";
      }
    }
  }
}

TEST(Quantize, AFileIsReadBackAsWritten) {
  Model model;
  model.graph = Quantized(Net("frfnet-slim", {{"classes", 4}}, 64, 64), {1, 3, 64, 64});
  model.info.classes = {{"a", "b", "c", "d"}, {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}}, {}};
  model.info.weights = "int8";
  model.info.quant = {{"method", "minmax"}};
  model.stamped = false;
  for (const auto& size : {std::optional<std::pair<int, int>>(), std::optional(std::pair(64, 96))}) {
    const std::string bytes = SerializeOnnx(model, {.size = size});
    const Model read = ParseOnnx(bytes, "q.onnx");
    EXPECT_EQ(SerializeOnnx(read), bytes);
    EXPECT_EQ(read.info.quant["method"], "minmax");
    const Initializer* weight = read.graph.FindInitializer("stem.conv1.weight");
    ASSERT_NE(weight, nullptr) << "int8 weights keep the checkpoint's names";
    EXPECT_EQ(weight->value.dtype(), DType::kInt8);
    const Tensor image = Picture(64, 96, 3);
    EXPECT_GT(LabelsEqual(RunPlain(read.graph, image), RunPlain(model.graph, image), 4), 0.999);
  }
}

TEST(Quantize, LayersThatStayFloat) {
  Builder g("mixed");
  const Value x = g.Input("image", 3);
  const Value a = Layer(g, x, "a", 16), b = Layer(g, a, "b", 16), c = Layer(g, b, "c", 16);
  g.Output(g.Conv(g.Concat({a, b, c}), {.name = "last", .out = 4}), "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g));
  for (const std::set<std::string>& kept : {std::set<std::string>{"b"}, {"a"}, {"a", "b", "c", "last"}}) {
    const Graph quantized = Quantized(graph, {1, 3, 17, 19}, {.range = {}, .float_nodes = kept});
    ExpectSameEverywhere(quantized, Picture(17, 19, 9), 0.05, 0.1);
    const Ran ran = RunPlan(quantized, Picture(17, 19, 9));
    if (kernels::BestKernels().has_dot()) {
      EXPECT_EQ(ran.integer_macs > 0, kept.size() < 4);
    }
  }
}

// As other tools write them: int8 activations, a DequantizeLinear for every reader, requantised parts,
// rounded scores.
TEST(Quantize, OtherToolsFiles) {
  Graph graph;
  graph.name = "foreign";
  graph.inputs = {{.name = "x", .shape = {1, 16, 9, 11}}};
  const auto constant = [&](const std::string& name, Tensor value) {
    graph.initializers.push_back(
        {.name = name, .role = Role::kConstant, .init = Init::kGiven, .value = std::move(value)});
  };
  const auto code = [&](const std::string& value, float scale, int zero, bool is_signed, int readers) {
    constant(value + ".s", Tensor::Scalar(scale));
    constant(value + ".z", is_signed ? Tensor::Scalar(static_cast<std::int8_t>(zero))
                                     : Tensor::Scalar(static_cast<std::uint8_t>(zero)));
    graph.nodes.push_back({.name = value + ".Q",
                           .op = "QuantizeLinear",
                           .inputs = {value, value + ".s", value + ".z"},
                           .outputs = {value + ".q"}});
    for (int r = 0; r < readers; ++r) {
      graph.nodes.push_back({.name = fmt::format("{}.D{}", value, r),
                             .op = "DequantizeLinear",
                             .inputs = {value + ".q", value + ".s", value + ".z"},
                             .outputs = {fmt::format("{}.{}", value, r)}});
    }
  };
  const auto conv = [&](const std::string& name, const std::string& input, int out, int in,
                        std::uint64_t seed) {
    Random random(seed);
    Tensor weight = Tensor::Zeros(DType::kInt8, {out, in, 3, 3});
    for (std::int64_t i = 0; i < weight.size(); ++i)
      weight.data<std::int8_t>()[i] = static_cast<std::int8_t>(random.Uniform(-100, 100));
    constant(name + ".w", weight);
    constant(name + ".ws", Tensor::Of<float>({1}, {0.00213f}));  // a list of one, as ONNX Runtime writes it
    graph.nodes.push_back({.name = name + ".wd",
                           .op = "DequantizeLinear",
                           .inputs = {name + ".w", name + ".ws"},
                           .outputs = {name + ".wf"}});
    Node node{.name = name, .op = "Conv", .inputs = {input, name + ".wf"}, .outputs = {name + ".y"}};
    node.attributes["pads"] = std::vector<std::int64_t>{1, 1, 1, 1};
    graph.nodes.push_back(node);
  };
  // Steps that are no round numbers: else every other sum is a tie, which goes either way.
  code("x", 0.00817f, 3, true, 2);
  conv("a", "x.0", 16, 16, 1);
  graph.nodes.push_back({.name = "relu", .op = "Relu", .inputs = {"a.y"}, .outputs = {"a.r"}});
  code("a.r", 0.0217f, -128, true, 3);
  conv("b", "a.r.0", 16, 16, 2);
  code("b.y", 0.0531f, 120, false, 1);
  Node concat{.name = "concat", .op = "Concat", .inputs = {"a.r.1", "b.y.0", "x.1"}, .outputs = {"c"}};
  concat.attributes["axis"] = std::int64_t{1};
  graph.nodes.push_back(concat);
  code("c", 0.0413f, 110, false, 1);
  conv("d", "c.0", 8, 48, 3);
  code("d.y", 0.0973f, 128, false, 1);
  graph.outputs = {{.name = "d.y.0"}};
  graph.Validate();
  ExpectSameEverywhere(graph, Picture(9, 11, 4, 16), 0.03, 0.1);
  if (kernels::BestKernels().has_dot()) {
    EXPECT_TRUE(RunPlan(graph, Picture(9, 11, 4, 16)).Has("int8 3x3"));
  }
}

TEST(Quantize, ValuesThatAreNoMapsAreRoundedToo) {
  Builder g("flat");
  const Value x = Layer(g, g.Input("image", 3), "a", 8);
  g.Output(g.Conv(x, {.name = "last", .out = 4}), "scores", OutputRole::kScores);
  Graph graph = Made(std::move(g));
  // a -> Transpose -> Q -> DQ -> Transpose -> scores: no kernel of ours between.
  const std::string value = graph.nodes.back().inputs[0];
  const auto constant = [&](const std::string& name, Tensor tensor) {
    graph.initializers.push_back(
        {.name = name, .role = Role::kConstant, .init = Init::kGiven, .value = std::move(tensor)});
  };
  constant("s", Tensor::Scalar(0.05f));
  constant("z", Tensor::Scalar<std::uint8_t>(0));
  constant("shape", Tensor::Of<std::int64_t>({2}, {8, -1}));
  constant("back", Tensor::Of<std::int64_t>({4}, {1, 8, 12, 14}));
  Node last = graph.nodes.back();
  graph.nodes.pop_back();
  graph.nodes.push_back({.name = "flat", .op = "Reshape", .inputs = {value, "shape"}, .outputs = {"f"}});
  graph.nodes.push_back({.name = "q", .op = "QuantizeLinear", .inputs = {"f", "s", "z"}, .outputs = {"fq"}});
  graph.nodes.push_back(
      {.name = "d", .op = "DequantizeLinear", .inputs = {"fq", "s", "z"}, .outputs = {"fd"}});
  graph.nodes.push_back({.name = "unflat", .op = "Reshape", .inputs = {"fd", "back"}, .outputs = {"u"}});
  last.inputs[0] = "u";
  graph.nodes.push_back(last);
  graph.Validate();
  ExpectSameEverywhere(graph, Picture(12, 14), 0.05);
}

TEST(Quantize, EqualizedLayersComputeTheSame) {
  Builder g("pairs");
  const Value x = g.Input("image", 3);
  g.Output(g.Conv(Layer(g, Layer(g, x, "a", 16), "b", 24), {.name = "last", .out = 4, .bias = true}),
           "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g));
  ReadyGraph ready = engine::ReadyForQuantization(graph, {1, 3, 12, 14});
  Initializer* uneven = ready.graph.FindInitializer("a.weight");
  for (std::int64_t i = 0; i < 27; ++i) uneven->value.data<float>()[i] *= 50;
  const std::vector<float> wanted = RunPlain(ready.graph, Picture(12, 14));
  EXPECT_EQ(engine::EqualizeLayers(ready), 2);
  const std::vector<float> got = RunPlain(ready.graph, Picture(12, 14));
  ExpectNear(got, wanted, 1e-4, 0.0);
}

// A map that the file gives out too is not scaled.
TEST(Quantize, WhatAnOutputNamesIsNotEqualised) {
  Builder g("pre");
  const Value first = g.Conv(g.Input("image", 3), {.name = "first", .out = 8, .kernel = 3});
  g.Output(g.Conv(g.Relu(first), {.name = "last", .out = 4}), "scores", OutputRole::kScores);
  Graph graph = Made(std::move(g));
  graph.outputs.push_back({.name = first.name});
  engine::ReadyGraph ready = engine::ReadyForQuantization(graph, {1, 3, 12, 14});
  EXPECT_EQ(engine::EqualizeLayers(ready), 0);
}

TEST(Quantize, CorrectedBiasesBringTheMeanBack) {
  Builder g("bias");
  g.Output(g.Conv(Layer(g, g.Input("image", 3), "a", 32), {.name = "last", .out = 16}), "scores",
           OutputRole::kScores);
  const Graph graph = Made(std::move(g));
  const auto error_of_means = [&](bool corrected) {
    const Graph quantized =
        Quantized(graph, {1, 3, 32, 32}, {.range = {}, .float_nodes = {}, .bias_correction = corrected});
    const std::vector<float> a = RunPlain(graph, Picture(32, 32, 4)),
                             b = RunPlain(quantized, Picture(32, 32, 4));
    double error = 0;
    for (int c = 0; c < 16; ++c) {
      double difference = 0;
      for (int i = 0; i < 1024; ++i) difference += a[c * 1024 + i] - b[c * 1024 + i];
      error += std::abs(difference / 1024);
    }
    return error;
  };
  EXPECT_LT(error_of_means(true), 0.8 * error_of_means(false));
}

TEST(Quantize, WhatIsQuantisedAlreadyIsRefused) {
  Builder g("twice");
  g.Output(Layer(g, g.Input("image", 3), "a", 8), "scores", OutputRole::kScores);
  const Graph quantized = Quantized(Made(std::move(g)), {1, 3, 8, 8});
  EXPECT_THROW(engine::ReadyForQuantization(quantized, {1, 3, 8, 8}), Error);
}

}  // namespace
}  // namespace frf::test
