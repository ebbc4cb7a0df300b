// SPDX-License-Identifier: Apache-2.0
// Graph::Validate: everything that readers rely on, checked once, with messages that name the node.
#include <fmt/format.h>

#include <unordered_set>

#include "graph/graph.h"
#include "graph/operators.h"

namespace frf {
namespace {

[[noreturn]] void Bad(const Graph& graph, const std::string& message) {
  throw Error(ErrorCode::kCorruptFile, fmt::format("graph '{}': {}", graph.name, message));
}

void CheckCounts(const Graph& graph, const Node& node) {
  const OperatorInfo* info = FindOperator(node.op, node.domain);
  if (info == nullptr) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("graph '{}': node '{}' is a '{}{}{}', which frf does not know", graph.name,
                            node.name, node.domain, node.domain.empty() ? "" : ".", node.op));
  }
  const int inputs = static_cast<int>(node.inputs.size()), outputs = static_cast<int>(node.outputs.size());
  if (inputs < info->min_inputs || (info->max_inputs >= 0 && inputs > info->max_inputs)) {
    Bad(graph, fmt::format("node '{}' ({}) has {} inputs", node.name, node.op, inputs));
  }
  if (outputs < info->min_outputs || (info->max_outputs >= 0 && outputs > info->max_outputs)) {
    Bad(graph, fmt::format("node '{}' ({}) has {} outputs", node.name, node.op, outputs));
  }
}

}  // namespace

void Graph::Validate() const {
  std::unordered_set<std::string> known, names;
  for (const GraphInput& input : inputs) {
    if (input.name.empty() || !known.insert(input.name).second)
      Bad(*this, fmt::format("input '{}' is named twice", input.name));
  }
  for (const Initializer& initializer : initializers) {
    if (initializer.name.empty() || !known.insert(initializer.name).second) {
      Bad(*this, fmt::format("initialiser '{}' is named twice", initializer.name));
    }
  }
  for (const Node& node : nodes) {
    if (node.name.empty() || !names.insert(node.name).second)
      Bad(*this, fmt::format("node '{}' ({}) is named twice", node.name, node.op));
    CheckCounts(*this, node);
    for (const std::string& input : node.inputs) {
      if (!input.empty() && !known.contains(input)) {
        Bad(*this, fmt::format("node '{}' ({}) reads '{}', which nothing before it makes", node.name, node.op,
                               input));
      }
    }
    for (const std::string& output : node.outputs) {
      if (!output.empty() && !known.insert(output).second) {
        Bad(*this,
            fmt::format("node '{}' ({}) makes '{}', which exists already", node.name, node.op, output));
      }
    }
  }
  for (const GraphOutput& output : outputs) {
    if (!known.contains(output.name)) Bad(*this, fmt::format("output '{}' is made by no node", output.name));
  }
}

}  // namespace frf
