// SPDX-License-Identifier: Apache-2.0
#include "graph/output.h"

#include <fmt/format.h>

#include <algorithm>

namespace frf {

const GraphOutput& MainOutput(const Graph& graph) {
  const GraphOutput* first = nullptr;
  for (const GraphOutput& output : graph.outputs) {
    if (output.role == OutputRole::kAuxiliary) continue;
    if (output.name == "scores" || output.name == "labels") return output;
    if (!first) first = &output;
  }
  if (!first)
    throw Error(ErrorCode::kInvalidArgument, "graph '" + graph.name + "' has no output for inference");
  return *first;
}

std::string MainOutputText(const Graph& graph) {
  const GraphOutput& output = MainOutput(graph);
  const bool named = output.name == "scores" || output.name == "labels";
  if (named || graph.outputs.size() == 1) return fmt::format("output '{}'", output.name);
  return fmt::format("output '{}' (the first of {}; one named scores or labels would be read)", output.name,
                     graph.outputs.size());
}

namespace {

std::string OutputNames(const Graph& graph) {
  std::string names;
  for (const GraphOutput& output : graph.outputs) {
    if (output.role != OutputRole::kAuxiliary) names += (names.empty() ? "" : ", ") + output.name;
  }
  return names;
}

}  // namespace

std::string OutputAdvice(const Graph& graph) {
  const GraphOutput& output = MainOutput(graph);
  const auto others = std::count_if(graph.outputs.begin(), graph.outputs.end(),
                                    [](const GraphOutput& o) { return o.role != OutputRole::kAuxiliary; });
  if (others < 2 || output.name == "scores" || output.name == "labels") return "";
  return fmt::format(
      "output '{}' is read, the first of {}; where another holds the scores, frf export "
      "--keep-output NAME makes a file of it",
      output.name, OutputNames(graph));
}

void KeepOutput(Graph& graph, const std::string& name, const std::string& file) {
  const auto found = std::find_if(graph.outputs.begin(), graph.outputs.end(),
                                  [&](const GraphOutput& output) { return output.name == name; });
  if (found == graph.outputs.end()) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: has no output '{}', it has {}", file, name, OutputNames(graph)));
  }
  const GraphOutput kept = *found;
  graph.outputs = {kept};
  graph = graph.ForInference();
}

Graph WithMainOutputOnly(const Graph& graph) {
  Graph one = graph;
  one.outputs = {MainOutput(graph)};
  return one.ForInference();
}

}  // namespace frf
