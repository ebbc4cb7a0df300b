// SPDX-License-Identifier: Apache-2.0
// What --uint8-input, --argmax and --half add to a lowered graph.
// Subtle: normalisation is Sub and Div by the very floats of the metadata, in that order, as the
// pre-processing of images does it; one multiplication by 1/std would round differently.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/half.h"
#include "frf/image.h"
#include "onnx/internal.h"

namespace frf {
namespace {

std::unordered_set<std::string> ValueNames(const Graph& graph) {
  std::unordered_set<std::string> names;
  for (const GraphInput& input : graph.inputs) names.insert(input.name);
  for (const Initializer& initializer : graph.initializers) names.insert(initializer.name);
  for (const Node& node : graph.nodes) {
    names.insert(node.name);
    names.insert(node.outputs.begin(), node.outputs.end());
  }
  return names;
}

std::string Fresh(std::unordered_set<std::string>& names, std::string name) {
  while (!names.insert(name).second) name += "_";
  return name;
}

void RenameUses(Graph& graph, const std::string& from, const std::string& to) {
  for (Node& node : graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
}

// Every value of the name, also the output of the node that makes it, or the initialiser. An input's name is
// its callers'.
void RenameValue(Graph& graph, const std::string& from, const std::string& to) {
  for (const GraphInput& input : graph.inputs) {
    if (input.name == from)
      throw Error(ErrorCode::kUnsupported,
                  "the input is called '" + from + "', which the new output is to be; rename it");
  }
  RenameUses(graph, from, to);
  for (Initializer& initializer : graph.initializers)
    if (initializer.name == from) initializer.name = to;
  for (Node& node : graph.nodes) std::replace(node.outputs.begin(), node.outputs.end(), from, to);
}

Node MakeNode(const std::string& name, const char* op, std::vector<std::string> inputs,
              std::map<std::string, Attribute> attributes) {
  return {name, op, "", std::move(inputs), {name}, std::move(attributes)};
}

}  // namespace

void AddUint8Input(Graph& graph, const InputSpec& input) {
  GraphInput& image = ImageInput(graph);
  if (image.dtype == DType::kUint8) return;
  if (image.dtype != DType::kFloat32 || image.shape.size() != 4 || image.shape[1] != 3) {
    throw Error(ErrorCode::kUnsupported, fmt::format("input '{}' is {} {}, 8-bit input wants float32 1x3xHxW",
                                                     image.name, Name(image.dtype), ToString(image.shape)));
  }
  for (const GraphOutput& output : graph.outputs) {
    if (output.name == image.name)
      throw Error(ErrorCode::kUnsupported, "output '" + output.name + "' is the input itself");
  }
  std::unordered_set<std::string> names = ValueNames(graph);
  const auto constant = [&](const char* name, const std::array<float, 3>& values) {
    graph.initializers.push_back({Fresh(names, name), Role::kConstant, Init::kGiven,
                                  Tensor::Of<float>({1, 3, 1, 1}, {values.begin(), values.end()}), false});
    return graph.initializers.back().name;
  };
  const std::string mean = constant("image.mean", input.mean), std = constant("image.std", input.std);
  const std::string cast = Fresh(names, "image.float"), centred = Fresh(names, "image.centred"),
                    normalised = Fresh(names, "image.normalised");
  RenameUses(graph, image.name, normalised);
  image.dtype = DType::kUint8;
  const Node front[] = {MakeNode(cast, "Cast", {image.name}, {{"to", kOnnxFloat}}),
                        MakeNode(centred, "Sub", {cast, mean}, {}),
                        MakeNode(normalised, "Div", {centred, std}, {})};
  graph.nodes.insert(graph.nodes.begin(), std::begin(front), std::end(front));
}

void AddArgMax(Graph& graph) {
  if (graph.outputs.size() != 1) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("labels want one output of scores, the graph has {}", graph.outputs.size()));
  }
  GraphOutput& output = graph.outputs[0];
  if (output.dtype != DType::kFloat32 || output.shape.size() != 4) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("labels want float32 scores 1 x classes x H x W, output '{}' is {} {}",
                            output.name, Name(output.dtype), ToString(output.shape)));
  }
  if (output.shape[1] > kMaxClasses) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{} classes, uint8 labels hold at most {}", output.shape[1], kMaxClasses));
  }
  std::unordered_set<std::string> names = ValueNames(graph);
  std::string scores = output.name;
  if (scores == "labels") RenameValue(graph, "labels", scores = Fresh(names, "labels.scores"));
  if (scores == output.name && names.contains("labels"))
    RenameValue(graph, "labels", Fresh(names, "labels.inner"));
  const std::string index = Fresh(names, "labels.index");
  graph.nodes.push_back(
      MakeNode(index, "ArgMax", {scores}, {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{0}}}));
  Node cast = MakeNode("labels", "Cast", {index}, {{"to", kOnnxUint8}});
  const bool taken = std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                 [](const Node& node) { return node.name == "labels"; });
  if (taken) cast.name = Fresh(names, "labels.cast");
  graph.nodes.push_back(std::move(cast));
  output.name = "labels";
  output.dtype = DType::kUint8;
  output.shape.erase(output.shape.begin() + 1);
  if (output.dim_names.size() == 4) output.dim_names.erase(output.dim_names.begin() + 1);
}

void StoreHalf(Graph& graph) {
  std::unordered_set<std::string> names = ValueNames(graph), outputs;
  for (const GraphOutput& output : graph.outputs) outputs.insert(output.name);
  std::unordered_map<std::string, std::string> cast_of;  // parameter -> float32 value
  for (Initializer& initializer : graph.initializers) {
    if (initializer.role != Role::kParameter || initializer.value.dtype() != DType::kFloat32) continue;
    if (initializer.value.rank() < 2) continue;  // vectors (batch norm, biases) weigh nothing and stay exact
    if (outputs.contains(initializer.name)) continue;
    const float* values = initializer.value.data<float>();
    for (std::int64_t i = 0; i < initializer.value.size(); ++i) {
      if (std::isfinite(values[i]) && !std::isfinite(FloatFromHalf(HalfFromFloat(values[i])))) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("'{}' holds {}, half precision ends at 65504; write float32",
                                initializer.name, values[i]));
      }
    }
    initializer.value = initializer.value.Cast(DType::kFloat16);
    cast_of[initializer.name] = Fresh(names, initializer.name + ".float");
  }
  // Each Cast stands right before the first node that reads it, so few float32 copies need to be alive at
  // once.
  std::vector<Node> nodes;
  std::unordered_set<std::string> made;
  for (Node& node : graph.nodes) {
    for (std::string& input : node.inputs) {
      const auto it = cast_of.find(input);
      if (it == cast_of.end()) continue;
      if (made.insert(it->second).second)
        nodes.push_back(MakeNode(it->second, "Cast", {input}, {{"to", kOnnxFloat}}));
      input = it->second;
    }
    nodes.push_back(std::move(node));
  }
  graph.nodes = std::move(nodes);
}

}  // namespace frf
