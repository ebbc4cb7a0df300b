// SPDX-License-Identifier: Apache-2.0
// The plain program, and what both programs share.
#include "train/program.h"

namespace frf {

std::vector<bool> DifferentiableNodes(const Graph& graph) {
  std::unordered_map<std::string, bool> needed;
  for (const GraphOutput& output : graph.outputs) needed[output.name] = true;
  std::vector<bool> result(graph.nodes.size(), false);
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    bool any = false;
    for (const std::string& output : node.outputs) any = any || needed[output];
    result[i] = any && node.op != "Ceil" && node.op != "Floor" && node.op != "Shape";
    if (!result[i]) continue;
    for (const std::string& input : node.inputs) needed[input] = true;
  }
  return result;
}

std::vector<ProgramStep> CompilePlain(const Graph& graph, Slots& slots) {
  const std::vector<bool> differentiable = DifferentiableNodes(graph);
  std::vector<ProgramStep> steps;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    ProgramStep step{
        .name = node.name, .run = CompileOp(node, graph), .differentiable = differentiable[i], .node = i};
    for (const std::string& input : node.inputs) step.in.push_back(slots.Of(input));
    for (const std::string& output : node.outputs) step.out.push_back(slots.Of(output));
    steps.push_back(std::move(step));
  }
  return steps;
}

void PlanReleases(std::vector<ProgramStep>& steps, const std::vector<bool>& kept) {
  std::vector<bool> seen(kept.size(), false);
  for (std::size_t i = steps.size(); i-- > 0;) {
    steps[i].release.clear();
    for (const std::vector<int>* list : {&steps[i].in, &steps[i].out}) {
      for (const int slot : *list) {
        if (slot < 0 || seen[slot] || kept[slot]) continue;
        seen[slot] = true;
        steps[i].release.push_back(slot);
      }
    }
  }
}

std::vector<bool> NeededSteps(const std::vector<ProgramStep>& steps, const std::vector<int>& wanted) {
  std::unordered_map<int, bool> needed;
  for (const int slot : wanted) needed[slot] = true;
  std::vector<bool> result(steps.size(), false);
  for (std::size_t i = steps.size(); i-- > 0;) {
    for (const int slot : steps[i].out) result[i] = result[i] || (slot >= 0 && needed[slot]);
    if (!result[i]) continue;
    for (const int slot : steps[i].in) needed[slot] = true;
  }
  return result;
}

}  // namespace frf
