// SPDX-License-Identifier: Apache-2.0
// A graph as steps over numbered slots: what GraphModule runs. Values are slots; each step knows what it
// reads and writes, what nobody reads after it, and whether a gradient may flow through it.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "graph/graph.h"
#include "train/ops.h"

namespace frf {

struct ProgramStep {
  std::string name;
  TorchOp run;
  std::vector<int> in, out;  // slots; -1: left out
  std::vector<int> release;  // read by no later step
  bool differentiable = true;
  std::uint64_t node = 0;  // position in the graph: what dropout masks derive from
};

class Slots {
 public:
  // The slot of a value, made on first use; -1 for "".
  int Of(const std::string& value) {
    return value.empty() ? -1 : slots_.emplace(value, static_cast<int>(slots_.size())).first->second;
  }
  int Find(const std::string& value) const {
    const auto found = slots_.find(value);
    return found == slots_.end() ? -1 : found->second;
  }
  std::size_t size() const { return slots_.size(); }

 private:
  std::unordered_map<std::string, int> slots_;
};

// The name of a value's channel-blocked form (blocked.h) among the slots.
inline std::string BlockedName(const std::string& value) { return value + "#blocked"; }

// Whether a gradient can flow through each node: false where every path from it ends in Ceil or Floor.
std::vector<bool> DifferentiableNodes(const Graph& graph);

// One step a node, libtorch's operators.
std::vector<ProgramStep> CompilePlain(const Graph& graph, Slots& slots);

// Channel-blocked kernels where they exist, libtorch's operators between them. Empty where nothing would be
// gained.
std::vector<ProgramStep> CompileBlocked(const Graph& graph, Slots& slots, bool winograd);

// Fills `release` of every step; slots in `kept` are never released.
void PlanReleases(std::vector<ProgramStep>& steps, const std::vector<bool>& kept);

// The steps that the wanted slots depend on.
std::vector<bool> NeededSteps(const std::vector<ProgramStep>& steps, const std::vector<int>& wanted);

}  // namespace frf
