// SPDX-License-Identifier: Apache-2.0
// Small networks, quantised, on the engine and on the plain executor, which says what their file means.
#pragma once

#include <algorithm>
#include <cmath>

#include "engine/helpers.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"
#include "engine/quantize/insert.h"
#include "graph/builder.h"
#include "nets/nets.h"

namespace frf::test {

inline Tensor Picture(int height, int width, std::uint64_t seed = 3, int channels = 3) {
  return RandomTensor({1, channels, height, width}, seed);
}

inline Graph Made(Builder&& g) {
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  return graph;
}

inline Graph Net(const std::string& name, const Json& options, int height, int width) {
  Graph graph = BuildNet(name, options).ForInference();
  InitializeWeights(graph, 7);
  CalibrateBatchNorm(graph, Picture(height, width));
  return graph;
}

inline Graph Quantized(const Graph& graph, const Shape& input, engine::QuantizeScheme scheme = {}) {
  const engine::ReadyGraph ready = engine::ReadyForQuantization(graph, input);
  engine::StatisticsCollector collector(ready.graph, engine::MeasuredValues(ready), {.threads = 2});
  for (std::uint64_t seed = 3; seed < 6; ++seed)
    collector.Add(
        Picture(static_cast<int>(input[2]), static_cast<int>(input[3]), seed, static_cast<int>(input[1])));
  return engine::InsertQuantization(ready, collector.statistics(), scheme);
}

struct Ran {
  std::vector<float> scores;
  std::vector<std::string> kernels;
  double macs = 0, integer_macs = 0;
  int tiled = 0;  // integer convolutions that Winograd can do
  bool Has(const std::string& kernel) const {
    return std::any_of(kernels.begin(), kernels.end(),
                       [&](const std::string& k) { return k.find(kernel) != std::string::npos; });
  }
};

inline Ran RunPlan(const Graph& graph, const Tensor& image, const kernels::Kernels* k = nullptr) {
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), image.shape());
  engine::WeightStore weights;
  engine::Plan plan(engine::Lower(prepared), weights, {.threads = 2, .kernels = k});
  Ran ran;
  ran.scores.resize(NumElements(prepared.types.at(prepared.graph.outputs[0].name).shape));
  plan.Run({.planes = image.data<float>()}, {.scores = ran.scores.data()});
  std::vector<float> again(ran.scores.size());
  plan.Run({.planes = image.data<float>()}, {.scores = again.data()});
  EXPECT_EQ(again, ran.scores);
  // Maps kept in windows, however small (band.h): the same numbers.
  engine::Plan banded(engine::Lower(prepared), weights, {.threads = 2, .kernels = k, .band_bytes = 0});
  banded.Run({.planes = image.data<float>()}, {.scores = again.data()});
  EXPECT_EQ(again, ran.scores);
  // Integer convolutions without Winograd and with it wherever it can be: the same bits.
  const engine::Lowered lowered = engine::Lower(prepared);
  for (const engine::ConvChoice choice : {engine::ConvChoice::kDirect, engine::ConvChoice::kWinograd4}) {
    engine::PlanOptions options{.threads = 2, .kernels = k};
    for (const engine::NamedOperation& named : lowered.ops) {
      const auto* conv = std::get_if<engine::ConvOp>(&named.op);
      if (conv && conv->integers && (k ? *k : kernels::BestKernels()).has_dot())
        options.choices[named.name] = choice;
    }
    if (options.choices.empty()) continue;
    engine::Plan chosen(engine::Lower(prepared), weights, options);
    chosen.Run({.planes = image.data<float>()}, {.scores = again.data()});
    EXPECT_EQ(again, ran.scores);
    for (const engine::Step& step : chosen.steps()) {
      const bool winograd = step.kernel == "int8 winograd F(4,3)";
      EXPECT_FALSE(winograd && choice == engine::ConvChoice::kDirect);
      ran.tiled += winograd;
    }
  }
  for (const engine::Step& step : plan.steps()) {
    ran.kernels.push_back(step.kernel);
    ran.macs += step.macs;
    ran.integer_macs += step.integers ? step.macs : 0;
  }
  return ran;
}

inline std::vector<float> RunPlain(const Graph& graph, const Tensor& image) {
  PlainExecutor plain(graph, {.threads = 2});
  return plain.Run({{graph.inputs[0].name, image}}).at(graph.outputs[0].name).ToVector<float>();
}

// Rounding at a tie goes either way, and what follows moves with it: almost all numbers are equal, the others
// near.
inline void ExpectNear(const std::vector<float>& got, const std::vector<float>& wanted, double most_apart,
                       double share = 0.02) {
  ASSERT_EQ(got.size(), wanted.size());
  double largest = 1e-12;
  std::size_t different = 0;
  for (const float v : wanted) largest = std::max(largest, std::abs(static_cast<double>(v)));
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double apart =
        std::isfinite(got[i]) ? std::abs(static_cast<double>(got[i]) - wanted[i]) / largest : 1e30;
    ASSERT_LT(apart, most_apart) << i;
    different += apart > 1e-4;
  }
  EXPECT_LE(static_cast<double>(different), share * static_cast<double>(got.size()));
}

// Every instruction set: integers where there is a dot product, floats that stand for them elsewhere.
inline void ExpectSameEverywhere(const Graph& graph, const Tensor& image, double most_apart = 0.05,
                                 double share = 0.02) {
  const std::vector<float> wanted = RunPlain(graph, image);
  for (const kernels::Kernels* k : kernels::AllKernels()) {
    SCOPED_TRACE(k->isa);
    ExpectNear(RunPlan(graph, image, k).scores, wanted, most_apart, share);
  }
}

inline Value Layer(Builder& g, const Value& x, const std::string& name, int out, int kernel = 3,
                   int stride = 1) {
  return g.Relu(g.Conv(x, {.name = name, .out = out, .kernel = kernel, .stride = stride, .bias = true}));
}

}  // namespace frf::test
