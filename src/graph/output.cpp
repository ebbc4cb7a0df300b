// SPDX-License-Identifier: Apache-2.0
#include "graph/output.h"

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

Graph WithMainOutputOnly(const Graph& graph) {
  Graph one = graph;
  one.outputs = {MainOutput(graph)};
  return one.ForInference();
}

}  // namespace frf
