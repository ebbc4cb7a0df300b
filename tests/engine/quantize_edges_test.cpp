// SPDX-License-Identifier: Apache-2.0
// What quantisation must not lose or let through: biases of channels whose weights vanish, convolutions that
// stay float, numbers that are none, and files that share weights or use the names that it gives.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/quantized.h"
#include "frf/error.h"
#include "onnx/onnx_file.h"

namespace frf::test {
namespace {

using engine::InsertQuantization;
using engine::QuantizableNodes;
using engine::ReadyForQuantization;
using engine::ReadyGraph;
using engine::StatisticsCollector;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A layer whose result is called "<name>.relu".
Value Known(Builder& g, const Value& x, const std::string& name, int out) {
  return g.Named(Layer(g, x, name, out), name + ".relu");
}

float* Numbers(Graph& graph, const std::string& name) {
  return graph.FindInitializer(name)->value.data<float>();
}

std::set<std::string> Coded(const Graph& quantized) {
  std::set<std::string> values;
  for (const Node& node : quantized.nodes) {
    if (node.Is("QuantizeLinear")) values.insert(node.inputs[0]);
  }
  return values;
}

TEST(QuantizeEdges, AChannelOfVanishingWeightsKeepsItsBias) {
  Builder g("dead");
  const Value x = Known(g, g.Input("image", 3), "a", 8);
  g.Output(g.Conv(x, {.name = "last", .out = 8, .bias = true}), "scores", OutputRole::kScores);
  Graph graph = Made(std::move(g));
  const float sizes[] = {0, 1e-30f, 1e-12f, 1e-9f};  // of the weights of channels 0 to 3
  for (const char* layer : {"a", "last"}) {
    float* const weight = Numbers(graph, std::string(layer) + ".weight");
    const std::int64_t each = graph.FindInitializer(std::string(layer) + ".weight")->value.size() / 8;
    for (std::int64_t i = 0; i < 4 * each; ++i) weight[i] *= sizes[i / each];
    for (int c = 0; c < 4; ++c) Numbers(graph, std::string(layer) + ".bias")[c] = c % 2 ? -2.0f : 2.0f;
  }
  for (const bool corrected : {false, true}) {
    const Graph quantized =
        Quantized(graph, {1, 3, 12, 14}, {.range = {}, .float_nodes = {}, .bias_correction = corrected});
    const Tensor image = Picture(12, 14, 9);
    const std::vector<float> got = RunPlain(quantized, image), wanted = RunPlain(graph, image);
    for (int c = 0; c < 4; ++c) EXPECT_NEAR(got[c * 12 * 14], c % 2 ? -2 : 2, 1e-6) << c;
    ExpectNear(got, wanted, 0.05, 1.0);
    ExpectSameEverywhere(quantized, image);
  }
}

TEST(QuantizeEdges, AConvolutionOverAMapOfZerosKeepsItsBias) {
  Builder g("zeros");
  const Value x = Known(g, g.Input("image", 3), "a", 8);
  g.Output(g.Conv(x, {.name = "last", .out = 8, .bias = true}), "scores", OutputRole::kScores);
  Graph graph = Made(std::move(g));
  for (int c = 0; c < 8; ++c) Numbers(graph, "a.bias")[c] = -100, Numbers(graph, "last.bias")[c] = 2;
  const Graph quantized = Quantized(graph, {1, 3, 12, 14});
  for (const float score : RunPlain(quantized, Picture(12, 14, 9))) ASSERT_NEAR(score, 2, 1e-5);
  ExpectSameEverywhere(quantized, Picture(12, 14, 9));
  EXPECT_EQ(quantized.FindInitializer("a.relu.scale")->value.data<float>()[0], 1 / 255.0f)
      << "and is a map of some range where another image brings numbers";
}

// A network with all that has a coding: a pool, parts of a concatenation, a sum, a resize, a gate.
Graph Everything() {
  Builder g("everything");
  const Value x = Layer(g, g.Input("image", 3), "stem", 16);
  const Value down = g.Concat({Layer(g, x, "strided", 16, 3, 2), g.MaxPool(Layer(g, x, "wide", 16, 1), {})});
  const Value deep = Layer(g, down, "deep", 32), sum = g.Add(Layer(g, deep, "residual", 32), deep);
  const Value up = g.ResizeLike(Layer(g, sum, "narrow", 16, 1), x);
  const Value gated = g.Mul(Layer(g, x, "lateral", 16), g.Sigmoid(up));
  const Value last = g.Conv(Layer(g, g.Concat({gated, up}), "head", 24), {.name = "last", .out = 5});
  g.Output(g.ResizeLike(last, x), "scores", OutputRole::kScores);
  return Made(std::move(g));
}

TEST(QuantizeEdges, EachConvolutionAloneAndEachKeptRunsAndMeansTheFile) {
  const Graph graph = Everything();
  const Shape input{1, 3, 20, 28};
  const Tensor image = Picture(20, 28, 9);
  const std::vector<std::string> nodes = QuantizableNodes(ReadyForQuantization(graph, input));
  ASSERT_EQ(nodes.size(), 9U);
  for (const std::string& node : nodes) {
    SCOPED_TRACE(node);
    std::set<std::string> others(nodes.begin(), nodes.end());
    others.erase(node);
    for (const std::set<std::string>& kept : {others, std::set<std::string>{node}}) {
      const Graph quantized = Quantized(graph, input, {.range = {}, .float_nodes = kept});
      quantized.Validate();
      ExpectSameEverywhere(quantized, image, 0.05, 0.1);
      const Ran ran = RunPlan(quantized, image);
      if (kernels::BestKernels().has_dot()) {
        EXPECT_GT(ran.integer_macs, 0);
        EXPECT_LT(ran.integer_macs, ran.macs);
      }
    }
  }
}

// Trained weights: random ones turn a rounding at a tie that went the other way into other labels.
TEST(QuantizeEdges, ATrainedNetworkMeansTheFileWhateverStaysFloat) {
  const ReadyGraph ready =
      ReadyForQuantization(ReadOnnx(FRF_SOURCE_DIR "/weights/frfnet-slim-synth.onnx").graph, {1, 3, 64, 96});
  StatisticsCollector collector(ready.graph, engine::MeasuredValues(ready), {.threads = 2});
  collector.Add(Picture(64, 96));
  const Tensor image = Picture(64, 96, 9);
  for (const double share : {0.1, 0.4, 0.7}) {
    SCOPED_TRACE(share);
    Random random(3);
    std::set<std::string> kept;
    for (const std::string& node : QuantizableNodes(ready)) {
      if (random.Chance(share)) kept.insert(node);
    }
    const Graph quantized =
        InsertQuantization(ready, collector.statistics(), {.range = {}, .float_nodes = kept});
    const std::vector<float> wanted = RunPlain(quantized, image);
    for (const kernels::Kernels* k : kernels::AllKernels()) {
      SCOPED_TRACE(k->isa);
      const Ran ran = RunPlan(quantized, image, k);
      EXPECT_FALSE(ran.Has("plain"));
      EXPECT_GT(LabelsEqual(ran.scores, wanted, 11), 0.985);
    }
  }
}

TEST(QuantizeEdges, WhereEveryConvolutionStaysFloatNothingIsRounded) {
  const Graph graph = Everything();
  const ReadyGraph ready = ReadyForQuantization(graph, {1, 3, 20, 28});
  const std::vector<std::string> nodes = QuantizableNodes(ready);
  const Graph same =
      Quantized(graph, {1, 3, 20, 28}, {.range = {}, .float_nodes = {nodes.begin(), nodes.end()}});
  EXPECT_EQ(Coded(same), std::set<std::string>{});
  const Tensor image = Picture(20, 28, 9);
  EXPECT_EQ(RunPlain(same, image), RunPlain(ready.graph, image));
}

TEST(QuantizeEdges, MapsBetweenConvolutionsThatStayFloatAreFloats) {
  Builder g("chain");
  const Value a = Known(g, g.Input("image", 3), "a", 16), b = Known(g, a, "b", 16), c = Known(g, b, "c", 16);
  const Value d = Known(g, g.Concat({b, c}), "d", 16);
  g.Output(g.Conv(d, {.name = "last", .out = 4}), "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g));
  const auto coded = [&](const std::set<std::string>& kept) {
    return Coded(Quantized(graph, {1, 3, 12, 14}, {.range = {}, .float_nodes = kept}));
  };
  using Names = std::set<std::string>;
  const std::string parts = "concat";
  EXPECT_EQ(coded({}), (Names{"image", "a.relu", "b.relu", "c.relu", parts, "d.relu"}));
  EXPECT_EQ(coded({"b"}), (Names{"image", "b.relu", "c.relu", parts, "d.relu"})) << "b reads floats";
  EXPECT_EQ(coded({"b", "c", "d", "last"}), (Names{"image"})) << "a writes floats too, nobody wants bytes";
  EXPECT_EQ(coded({"a", "b", "c", "d"}), (Names{"d.relu"}));
  EXPECT_EQ(coded({"d"}), (Names{"image", "a.relu", "b.relu", "d.relu"}))
      << "c is read by a float convolution, by a concatenation";
  EXPECT_EQ(coded({"a", "b", "c", "last"}), (Names{"b.relu", "c.relu", parts}))
      << "parts of what d reads, so for c too";
}

TEST(QuantizeEdges, NumbersThatAreNoneAreRefusedByTheNodesName) {
  Builder g("sound");
  const Value x = Known(g, g.Input("image", 3), "a", 8);
  g.Output(g.Conv(x, {.name = "last", .out = 4, .bias = true}), "scores", OutputRole::kScores);
  const Graph sound = Made(std::move(g));
  const Shape input{1, 3, 12, 14};
  for (const float bad : {kNan, kInfinity, -kInfinity}) {
    for (const char* name : {"a.weight", "last.weight", "last.bias"}) {
      Graph graph = sound;
      Initializer& initializer = *graph.FindInitializer(name);
      initializer.value = initializer.value.Clone();
      initializer.value.data<float>()[1] = bad;
      const std::string node = std::string(name).substr(0, std::string(name).find('.'));
      EXPECT_FRF_ERROR(ReadyForQuantization(graph, input), ErrorCode::kInvalidArgument,
                       fmt::format("'{}' of node '{}' (Conv) holds NaN", name, node));
      // A run that was trained under rounding has its codings already.
      QuantizationTable table;
      table.values["image"] = table.values["a.relu"] = {0.01f, 0};
      table.convolutions = {"a", "last"};
      EXPECT_FRF_ERROR(InsertQuantization(graph, table), ErrorCode::kInvalidArgument, node);
    }
    const ReadyGraph ready = ReadyForQuantization(sound, input);
    StatisticsCollector collector(ready.graph, engine::MeasuredValues(ready), {.threads = 2});
    Tensor image = Picture(12, 14);
    image.data<float>()[200] = bad;
    EXPECT_FRF_ERROR(collector.Add(image), ErrorCode::kInvalidArgument,
                     "'image', which node 'a' (Conv) reads");
  }
}

TEST(QuantizeEdges, AWeightThatAnotherOperatorReadsTooStaysItsFloats) {
  Builder g("tied");
  // The name that the convolution's own copy would get is taken as well.
  const Value x = g.Named(Layer(g, g.Input("image", 16), "down", 16, 3), "down.weight.own");
  const Value up = g.Relu(g.ConvTranspose(x, {.name = "up", .out = 16, .kernel = 3, .stride = 2}, 1));
  g.Output(g.Conv(up, {.name = "last", .out = 4}), "scores", OutputRole::kScores);
  Graph graph = Made(std::move(g));
  for (Node& node : graph.nodes) {
    if (node.Is("ConvTranspose")) node.inputs[1] = "down.weight";
  }
  graph = graph.ForInference();
  graph.Validate();
  const Graph quantized = Quantized(graph, {1, 16, 12, 14});
  quantized.Validate();
  EXPECT_EQ(quantized.FindInitializer("down.weight")->value.dtype(), DType::kFloat32);
  const Tensor image = Picture(12, 14, 9, 16);
  ExpectNear(RunPlain(quantized, image), RunPlain(graph, image), 0.1, 1.0);
  ExpectSameEverywhere(quantized, image);
}

TEST(QuantizeEdges, NamesThatTheFileUsesItselfAreLeftToIt) {
  Builder g("names");
  const Value x = g.Named(Layer(g, g.Input("image", 3), "a", 8), "r1");
  Value scores = g.Conv(x, {.name = "last", .out = 4});
  int count = 0;
  for (const char* stem : {"image", "r1", "a.weight", "a.bias", "last.weight", "last.bias"}) {
    for (const char* end : {"", ".scale", ".zero", ".q", ".dq", ".quantize", ".dequantize", ".dq_"}) {
      if (*end == '\0' && std::string(stem) != "last.bias") continue;
      scores = g.Add(scores, g.Constant(std::string(stem) + end, Tensor::Scalar(0.125f * ++count)));
    }
  }
  g.Output(scores, "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g)), quantized = Quantized(graph, {1, 3, 12, 14});
  quantized.Validate();
  ExpectNear(RunPlain(quantized, Picture(12, 14, 9)), RunPlain(graph, Picture(12, 14, 9)), 0.1, 1.0);
  ExpectSameEverywhere(quantized, Picture(12, 14, 9));
}

}  // namespace
}  // namespace frf::test
