// SPDX-License-Identifier: Apache-2.0
#include "graph/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "frf/error.h"
#include "graph/operators.h"
#include "graph/passes.h"
#include "graph/shapes.h"

namespace frf {
namespace {

// Whether input `i` of the node is looked at for its size alone.
bool SizeAlone(const Node& node, std::size_t i) {
  return IsOnnx(node, "Shape") || (i == 1 && node.domain == kFrfDomain && node.Is("ResizeLike"));
}

// Throws where the table names what the graph does not have.
void CheckFits(const QuantizationTable& table, const Graph& ready, const std::string& file) {
  const GraphIndex index(ready);
  std::set<std::string> known, convolutions;
  for (const GraphInput& input : ready.inputs) known.insert(input.name);
  for (const Node& node : ready.nodes) {
    known.insert(node.outputs.begin(), node.outputs.end());
    if (IsOnnx(node, "Conv")) convolutions.insert(node.name);
  }
  const auto fail = [&](const std::string& what, const std::string& name) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{}: rounds the {} '{}', which {} as frf builds it does "
                                                     "not have; quantise a file that frf export wrote, "
                                                     "or the run folder itself",
                                                     file, what, name, ready.name));
  };
  for (const auto& [name, coding] : table.values) {
    if (!known.contains(name)) fail("value", name);
  }
  for (const std::string& name : table.convolutions) {
    if (!convolutions.contains(name)) fail("convolution", name);
    const Node& node =
        *std::find_if(ready.nodes.begin(), ready.nodes.end(), [&](const Node& n) { return n.name == name; });
    if (!index.initializer.contains(node.inputs[1])) fail("convolution of computed weights", name);
    if (!table.values.contains(node.inputs[0])) fail("convolution of floats", name);
  }
}

}  // namespace

Json ToJson(const QuantizationTable& table) {
  Json values = Json::object();
  for (const auto& [name, coding] : table.values)
    values[name] = {{"step", coding.step}, {"zero", coding.zero}};
  return {{"values", values}, {"convolutions", table.convolutions}};
}

QuantizationTable QuantizationTableFromJson(const Json& json, const std::string& file) {
  QuantizationTable table;
  try {
    for (const auto& [name, coding] : json.at("values").items()) {
      const ValueCoding read{coding.at("step").get<float>(), coding.at("zero").get<int>()};
      if (!(read.step > 0) || !std::isfinite(read.step) || read.zero < 0 || read.zero > 255) {
        throw Error(ErrorCode::kCorruptFile,
                    fmt::format("{}: the coding of '{}' is out of range: {}", file, name, coding.dump()));
      }
      table.values[name] = read;
    }
    table.convolutions = json.at("convolutions").get<std::set<std::string>>();
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kCorruptFile, fmt::format("{}: no table of codings: {}", file, JsonReason(error)));
  }
  return table;
}

Graph OwnConvolutionWeights(const Graph& graph) {
  Graph result = graph;
  std::map<std::string, int> readers;
  std::set<std::string> taken;
  for (const GraphInput& input : graph.inputs) taken.insert(input.name);
  for (const Initializer& initializer : graph.initializers) taken.insert(initializer.name);
  for (const GraphOutput& output : graph.outputs) ++readers[output.name];
  for (const Node& node : graph.nodes) {
    taken.insert(node.outputs.begin(), node.outputs.end());
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      readers[node.inputs[i]] += !IsOnnx(node, "Conv") || i == 0;
  }
  for (Node& node : result.nodes) {
    if (!IsOnnx(node, "Conv")) continue;
    for (std::size_t i = 1; i < node.inputs.size() && i < 3; ++i) {
      if (node.inputs[i].empty() || readers[node.inputs[i]]++ == 0) continue;
      const Initializer* shared = result.FindInitializer(node.inputs[i]);
      if (!shared) continue;
      Initializer own = *shared;
      own.name = fmt::format("{}.{}", node.name, i == 1 ? "weight" : "bias");
      while (!taken.insert(own.name).second) own.name += ".own";
      node.inputs[i] = own.name;
      result.initializers.push_back(std::move(own));
    }
  }
  return result;
}

Graph ReadyToQuantize(const Graph& graph, const Shape& input) {
  Graph ready = FoldBatchNorm(graph.ForInference());
  const TypeMap types = InferShapes(ready, {{ready.inputs.at(0).name, input}});
  ready = UnrollRunningSums(ready, types).ForInference();  // the last sum has no reader any more
  return OwnConvolutionWeights(ready);
}

Graph ReadyToTrain(const Graph& net, TrainedSize size, const QuantizationTable& table,
                   const std::string& file) {
  Graph drawn = net.ForInference();
  InitializeWeights(drawn, 0);
  const bool known = size.height > 0 && size.width > 0;
  Graph ready = ReadyToQuantize(drawn, {1, 3, known ? size.height : 256, known ? size.width : 320});
  CheckFits(table, ready, file);
  for (Node& node : ready.nodes) {
    if (!table.convolutions.contains(node.name) || (node.inputs.size() > 2 && !node.inputs[2].empty()))
      continue;
    const std::int64_t out = ready.FindInitializer(node.inputs[1])->value.dim(0);
    node.inputs.resize(3);
    node.inputs[2] = node.name + ".bias";
    ready.initializers.push_back({.name = node.inputs[2], .value = Tensor::Zeros(DType::kFloat32, {out})});
  }
  return ready;
}

Graph InsertFakeQuantization(const Graph& ready, const QuantizationTable& table) {
  Graph result = ready;
  result.nodes.clear();
  const auto code = [&](const std::string& value) {
    const auto found = table.values.find(value);
    if (found == table.values.end()) return;
    Node node{.name = value + ".dequantize",
              .op = "FakeQuantize",
              .domain = std::string(kFrfDomain),
              .inputs = {value},
              .outputs = {value + ".dq"}};
    node.attributes["step"] = found->second.step;
    node.attributes["zero"] = std::int64_t{found->second.zero};
    result.nodes.push_back(std::move(node));
  };
  for (const GraphInput& input : ready.inputs) code(input.name);
  for (const Node& node : ready.nodes) {
    Node placed = node;
    for (std::size_t i = 0; i < placed.inputs.size(); ++i) {
      if (table.values.contains(placed.inputs[i]) && !SizeAlone(node, i)) placed.inputs[i] += ".dq";
    }
    if (table.convolutions.contains(node.name)) {
      const std::string& weight = node.inputs.at(1);
      placed.inputs[1] = weight + ".dq";
      result.nodes.push_back(Node{.name = weight + ".dequantize",
                                  .op = "FakeQuantizeWeight",
                                  .domain = std::string(kFrfDomain),
                                  .inputs = {weight},
                                  .outputs = {placed.inputs[1]}});
    }
    result.nodes.push_back(std::move(placed));
    for (const std::string& output : node.outputs) code(output);
  }
  result.Validate();
  return result;
}

}  // namespace frf
