// SPDX-License-Identifier: Apache-2.0
// The graph that is trained under rounding means what the quantised file means: same values, same weights,
// bit for bit but for biases, which the file holds as integers.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/helpers.h"
#include "engine/quantize/insert.h"
#include "frf/error.h"
#include "graph/builder.h"
#include "graph/quantization.h"
#include "nets/nets.h"
#include "onnx/onnx_file.h"

namespace frf::test {
namespace {

using engine::ReadyGraph;
using engine::StatisticsCollector;

Tensor Picture(std::uint64_t seed) { return RandomTensor({1, 3, 64, 96}, seed); }

struct Quantised {
  ReadyGraph ready;
  Graph graph;
};

Quantised Quantise(const Graph& net, const engine::QuantizeScheme& scheme = {}) {
  ReadyGraph ready = engine::ReadyForQuantization(net, {1, 3, 64, 96});
  StatisticsCollector collector(ready.graph, engine::MeasuredValues(ready), {.threads = 2});
  collector.Add(Picture(3));
  collector.Add(Picture(4));
  Graph graph = engine::InsertQuantization(ready, collector.statistics(), scheme);
  return {std::move(ready), std::move(graph)};
}

Graph Slim() {
  Graph graph = BuildNet("frfnet-slim", {{"classes", 5}}).ForInference();
  InitializeWeights(graph, 7);
  CalibrateBatchNorm(graph, Picture(1));
  return graph;
}

TEST(FakeQuantize, ValuesByHand) {
  // Ties go to the even byte; 0 and 255 bound it.
  const Tensor x = F({1, 1, 1, 8}, {-1, -0.26f, -0.25f, 0, 0.25f, 0.75f, 63.6f, 900});
  ExpectTensor(RunOne("frf.FakeQuantize", {x}, {{"step", 0.5f}, {"zero", std::int64_t{0}}}),
               F({1, 1, 1, 8}, {0, 0, 0, 0, 0, 1, 63.5f, 127.5f}));
  ExpectTensor(RunOne("frf.FakeQuantize", {x}, {{"step", 0.5f}, {"zero", std::int64_t{1}}}),
               F({1, 1, 1, 8}, {-0.5f, -0.5f, 0, 0, 0, 1, 63.5f, 127}));
  const Tensor w = F({2, 1, 1, 3}, {127, -63.4f, 0.5f, 0, 0, 0});
  ExpectTensor(RunOne("frf.FakeQuantizeWeight", {w}, {}), F({2, 1, 1, 3}, {127, -63, 0, 0, 0, 0}));
}

TEST(FakeQuantize, TheTrainedGraphMeansTheFile) {
  const Quantised made = Quantise(Slim(), {.float_nodes = {"stem.conv1"}});
  // Through a file: what frf-train starts from is read from one.
  Model model;
  model.graph = made.graph;
  model.info.classes.names = {"a", "b", "c", "d", "e"};
  const Graph file = ParseOnnx(SerializeOnnx(model), "q.onnx").graph;
  std::map<std::string, Tensor> weights;
  const QuantizationTable table = engine::TableOf(file, "q.onnx", weights);
  EXPECT_FALSE(table.convolutions.contains("stem.conv1"));
  EXPECT_EQ(table.convolutions.size() + 1, engine::QuantizableNodes(made.ready).size());
  EXPECT_EQ(QuantizationTableFromJson(Json::parse(ToJson(table).dump()), "json"), table);

  Graph ready = ReadyToTrain(BuildNet("frfnet-slim", {{"classes", 5}}), {64, 96}, table, "q.onnx");
  for (Initializer& initializer : ready.initializers) {
    if (initializer.role == Role::kConstant) continue;
    ASSERT_TRUE(weights.contains(initializer.name)) << initializer.name;
    initializer.value = weights.at(initializer.name);
  }
  // Float weights that round to the file's integers.
  for (Initializer& initializer : ready.initializers) {
    const Initializer* floats = made.ready.graph.FindInitializer(initializer.name);
    if (floats && floats->value.rank() == 4) initializer.value = floats->value;
  }
  const Graph again = engine::InsertQuantization(ready, table);
  for (const Initializer& initializer : made.graph.initializers) {
    const Initializer* own = again.FindInitializer(initializer.name);
    ASSERT_NE(own, nullptr) << initializer.name;
    ASSERT_EQ(own->value.dtype(), initializer.value.dtype()) << initializer.name;
    if (initializer.value.dtype() == DType::kInt8) ExpectTensor(own->value, initializer.value);
  }
  const Tensor image = Picture(9);
  const auto run = [&](const Graph& graph) {
    return PlainExecutor(graph, {.threads = 2}).Run({{"image", image}}).at("scores");
  };
  const Tensor wanted = run(again);
  const Tensor got = run(InsertFakeQuantization(ready, table));
  double largest = 0, apart = 0;
  for (std::int64_t i = 0; i < wanted.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(wanted.data<float>()[i])));
    apart += std::abs(static_cast<double>(wanted.data<float>()[i]) - got.data<float>()[i]);
  }
  EXPECT_LT(apart / static_cast<double>(wanted.size()), 0.002 * largest) << "a bias may turn a rounding over";
}

TEST(FakeQuantize, EveryNetworkKeepsItsNames) {
  // A file of any network that frf trains, written by frf export, has the names of the graph that frf-train
  // builds.
  for (const NetEntry& entry : ListNets()) {
    SCOPED_TRACE(entry.name);
    const Graph net = BuildNet(entry.name, {{"classes", 5}});
    Graph drawn = net.ForInference();
    InitializeWeights(drawn, 7);
    const Shape input{1, 3, 256, 320};
    const ReadyGraph from_run = engine::ReadyForQuantization(drawn, input);
    const ReadyGraph from_file = engine::ReadyForQuantization(LowerToOnnx(drawn, {}), input);
    QuantizationTable table;
    for (const std::string& value : engine::MeasuredValues(from_file)) table.values[value] = {};
    for (const std::string& name : engine::QuantizableNodes(from_file)) table.convolutions.insert(name);
    EXPECT_EQ(engine::QuantizableNodes(from_run), engine::QuantizableNodes(from_file));
    EXPECT_EQ(engine::MeasuredValues(from_run), engine::MeasuredValues(from_file));
    const Graph ready = ReadyToTrain(net, {256, 320}, table, "q.onnx");
    for (const Initializer& initializer : ready.initializers) {
      if (initializer.role == Role::kConstant || initializer.name.ends_with(".bias")) continue;
      EXPECT_NE(from_file.graph.FindInitializer(initializer.name), nullptr) << initializer.name;
    }
    InsertFakeQuantization(ready, table).Validate();
  }
}

TEST(FakeQuantize, SaysWhatDoesNotFit) {
  std::map<std::string, Tensor> weights;
  const Graph slim = Slim();
  EXPECT_FRF_ERROR(engine::TableOf(slim, "x.onnx", weights), ErrorCode::kInvalidArgument, "not quantised");
  QuantizationTable table;
  table.values["stem.nothing"] = {};
  EXPECT_FRF_ERROR(ReadyToTrain(slim, {64, 96}, table, "q.onnx"), ErrorCode::kUnsupported, "stem.nothing");
  table = {};
  table.convolutions.insert("stem.none");
  EXPECT_FRF_ERROR(ReadyToTrain(slim, {64, 96}, table, "q.onnx"), ErrorCode::kUnsupported, "stem.none");
  EXPECT_FRF_ERROR(
      QuantizationTableFromJson(
          {{"values", {{"x", {{"step", -1}, {"zero", 0}}}}}, {"convolutions", Json::array()}}, "c.json"),
      ErrorCode::kCorruptFile, "c.json");
}

}  // namespace
}  // namespace frf::test
