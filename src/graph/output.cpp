// SPDX-License-Identifier: Apache-2.0
#include "graph/output.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

namespace frf {

namespace {

bool NamesItself(const GraphOutput& output) { return output.name == "scores" || output.name == "labels"; }

// Those for inference.
std::vector<std::string> OutputNames(const Graph& graph) {
  std::vector<std::string> names;
  for (const GraphOutput& output : graph.outputs) {
    if (output.role != OutputRole::kAuxiliary) names.push_back(output.name);
  }
  return names;
}

Graph WithOutputOnly(Graph graph, GraphOutput output) {
  graph.outputs = {std::move(output)};
  return graph.ForInference();
}

}  // namespace

const GraphOutput& MainOutput(const Graph& graph) {
  const GraphOutput* first = nullptr;
  for (const GraphOutput& output : graph.outputs) {
    if (output.role == OutputRole::kAuxiliary) continue;
    if (NamesItself(output)) return output;
    if (!first) first = &output;
  }
  if (!first)
    throw Error(ErrorCode::kInvalidArgument, "graph '" + graph.name + "' has no output for inference");
  return *first;
}

std::string MainOutputText(const Graph& graph) {
  const GraphOutput& output = MainOutput(graph);
  if (NamesItself(output) || graph.outputs.size() == 1) return fmt::format("output '{}'", output.name);
  return fmt::format("output '{}' (the first of {}; one named scores or labels would be read)", output.name,
                     graph.outputs.size());
}

std::string OutputAdvice(const Graph& graph) {
  const GraphOutput& output = MainOutput(graph);
  const std::vector<std::string> names = OutputNames(graph);
  if (names.size() == 1 || NamesItself(output)) return "";
  return fmt::format(
      "output '{}' is read, the first of {}; where another holds the scores, frf export "
      "--keep-output NAME makes a file of it",
      output.name, fmt::join(names, ", "));
}

Graph WithOutputOnly(const Graph& graph, const std::string& name, const std::string& file) {
  for (const GraphOutput& output : graph.outputs) {
    if (output.name == name) return WithOutputOnly(graph, output);
  }
  throw Error(ErrorCode::kUsage, fmt::format("{}: has no output '{}', it has {}", file, name,
                                             fmt::join(OutputNames(graph), ", ")));
}

Graph WithMainOutputOnly(const Graph& graph) { return WithOutputOnly(graph, MainOutput(graph)); }

}  // namespace frf
