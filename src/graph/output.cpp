// SPDX-License-Identifier: Apache-2.0
#include "graph/output.h"

#include <fmt/format.h>

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

Graph WithMainOutputOnly(const Graph& graph) {
  Graph one = graph;
  one.outputs = {MainOutput(graph)};
  return one.ForInference();
}

}  // namespace frf
