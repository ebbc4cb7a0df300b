// SPDX-License-Identifier: Apache-2.0
// Graph::ForInference: what is left when training is over. Auxiliary heads and what only they need go,
// dropout and identities are wired through, unused initialisers are dropped. Subtle: a value that is also a
// graph output keeps its name, so removing an identity before an output renames the value in front of it;
// where that value is an input, an initialiser or another output the identity stays.
#include <unordered_set>

#include "graph/graph.h"

namespace frf {
namespace {

bool IsIdentity(const Node& node) {
  if (node.domain == kFrfDomain) return node.op == "DropChannels";
  if (!node.domain.empty()) return false;
  return node.op == "Identity" || node.op == "Dropout";
}

void Rename(Graph& graph, const std::string& from, const std::string& to) {
  for (Node& node : graph.nodes) {
    for (std::string& input : node.inputs) {
      if (input == from) input = to;
    }
    for (std::string& output : node.outputs) {
      if (output == from) output = to;
    }
  }
}

void RemoveIdentities(Graph& graph) {
  std::unordered_set<std::string> fixed;  // names that must stay: inputs, initialisers, outputs
  std::unordered_set<std::string> outputs;
  for (const GraphInput& input : graph.inputs) fixed.insert(input.name);
  for (const Initializer& initializer : graph.initializers) fixed.insert(initializer.name);
  for (const GraphOutput& output : graph.outputs) {
    fixed.insert(output.name);
    outputs.insert(output.name);
  }
  std::unordered_map<std::string, std::string> stands_for;  // removed value -> the one that takes its place
  std::vector<std::pair<std::string, std::string>> renames;
  std::vector<Node> kept;
  for (Node& node : graph.nodes) {
    for (std::string& input : node.inputs) {
      if (const auto it = stands_for.find(input); it != stands_for.end()) input = it->second;
    }
    // Dropout's second output (the mask) may be read, if rarely.
    const bool single = node.outputs.size() == 1 || (node.outputs.size() == 2 && node.outputs[1].empty());
    if (!IsIdentity(node) || !single || node.inputs.empty() || node.outputs[0].empty()) {
      kept.push_back(std::move(node));
      continue;
    }
    const std::string src = node.inputs[0], dst = node.outputs[0];
    if (!outputs.contains(dst)) {
      stands_for[dst] = src;
    } else if (!fixed.contains(src)) {
      fixed.insert(src);  // renamed to an output once
      renames.emplace_back(src, dst);
      stands_for[dst] = src;
    } else {
      node.op = "Identity";
      node.domain.clear();
      node.attributes.clear();
      node.inputs.resize(1);
      kept.push_back(std::move(node));
    }
  }
  graph.nodes = std::move(kept);
  for (const auto& [from, to] : renames) Rename(graph, from, to);
}

void Prune(Graph& graph) {
  std::unordered_set<std::string> needed;
  for (const GraphOutput& output : graph.outputs) needed.insert(output.name);
  std::vector<Node> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    bool wanted = false;
    for (const std::string& output : node->outputs)
      wanted = wanted || (!output.empty() && needed.contains(output));
    if (!wanted) continue;
    for (const std::string& input : node->inputs) {
      if (!input.empty()) needed.insert(input);
    }
    kept.push_back(std::move(*node));
  }
  graph.nodes.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  std::erase_if(graph.initializers,
                [&](const Initializer& initializer) { return !needed.contains(initializer.name); });
}

}  // namespace

Graph Graph::ForInference() const {
  Graph graph = *this;
  std::erase_if(graph.outputs,
                [](const GraphOutput& output) { return output.role == OutputRole::kAuxiliary; });
  if (graph.outputs.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "graph '" + name + "' has no output of role scores, so nothing is left for inference");
  }
  RemoveIdentities(graph);
  Prune(graph);
  return graph;
}

}  // namespace frf
