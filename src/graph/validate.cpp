// SPDX-License-Identifier: Apache-2.0
// Graph::Validate: everything that readers rely on, checked once, with messages that name the node.
// Subtle: optional inputs may be left out as "", but only behind the ones an operator needs; Resize alone
// leaves out its second and third.
#include <fmt/format.h>

#include <unordered_set>

#include "graph/attributes.h"
#include "graph/graph.h"
#include "graph/operators.h"

namespace frf {
namespace {

constexpr int kMinOpset = 11, kMaxOpset = 21;

class Validator {
 public:
  explicit Validator(const Graph& graph) : graph_(graph) {}

  void Run() {
    if (graph_.opset < kMinOpset || graph_.opset > kMaxOpset) {
      throw Error(ErrorCode::kUnsupported, fmt::format("graph '{}' is of opset {}; {} to {} are known",
                                                       graph_.name, graph_.opset, kMinOpset, kMaxOpset));
    }
    for (const Node& node : graph_.nodes) made_later_.insert(node.outputs.begin(), node.outputs.end());
    for (const GraphInput& input : graph_.inputs) CheckInput(input);
    for (const Initializer& initializer : graph_.initializers) CheckInitializer(initializer);
    for (const Node& node : graph_.nodes) CheckNode(node);
    CheckOutputs();
  }

 private:
  [[noreturn]] void Bad(const std::string& message, ErrorCode code = ErrorCode::kCorruptFile) const {
    throw Error(code, fmt::format("graph '{}': {}", graph_.name, message));
  }

  void Make(const std::string& value, const std::string& what) {
    if (value.empty()) Bad(fmt::format("{} has no name", what));
    if (!known_.insert(value).second) Bad(fmt::format("{} '{}' has the name of another value", what, value));
  }

  void CheckInput(const GraphInput& input) {
    Make(input.name, "input");
    for (const std::int64_t dim : input.shape) {
      if (dim < 1 && dim != -1) Bad(fmt::format("input '{}' is {}", input.name, ToString(input.shape)));
    }
  }

  void CheckInitializer(const Initializer& initializer) {
    Make(initializer.name, "initialiser");
    for (const std::int64_t dim : initializer.value.shape()) {
      if (dim < 0)
        Bad(fmt::format("initialiser '{}' is {}", initializer.name, ToString(initializer.value.shape())));
    }
    NumElements(initializer.value.shape());  // throws where the count does not fit into 64 bits
    if (initializer.init == Init::kGiven && !initializer.value.has_data()) {
      Bad(fmt::format("initialiser '{}' is given but holds no data", initializer.name));
    }
  }

  void CheckNode(const Node& node) {
    if (node.name.empty())
      Bad(fmt::format("a node ({}) that makes '{}' has no name", node.op, FirstOutput(node)));
    if (!node_names_.insert(node.name).second) Bad(fmt::format("two nodes are named '{}'", node.name));
    CheckOperator(node);
    CheckAttributes(node, graph_.name);
    for (const std::string& input : node.inputs) {
      if (input.empty() || known_.contains(input)) continue;
      Bad(fmt::format("node '{}' ({}) reads '{}', {}", node.name, node.op, input,
                      made_later_.contains(input) ? "which is made behind it: the nodes are not sorted"
                                                  : "which nothing makes"));
    }
    for (const std::string& output : node.outputs) {
      if (!output.empty() && !known_.insert(output).second) {
        Bad(fmt::format("node '{}' ({}) makes '{}', which exists already", node.name, node.op, output));
      }
    }
  }

  static std::string FirstOutput(const Node& node) { return node.outputs.empty() ? "" : node.outputs[0]; }

  void CheckOperator(const Node& node) const {
    const OperatorInfo* info = FindOperator(node.op, node.domain);
    if (info == nullptr) {
      Bad(fmt::format("node '{}' is a '{}{}{}', an operator that frf does not know", node.name, node.domain,
                      node.domain.empty() ? "" : ".", node.op),
          ErrorCode::kUnsupported);
    }
    const int inputs = static_cast<int>(node.inputs.size()), outputs = static_cast<int>(node.outputs.size());
    const auto range = [](int low, int high) {
      return low == high ? std::to_string(low)
             : high < 0  ? fmt::format("{} or more", low)
                         : fmt::format("{} to {}", low, high);
    };
    if (inputs < info->min_inputs || (info->max_inputs >= 0 && inputs > info->max_inputs)) {
      Bad(fmt::format("node '{}' ({}) has {} inputs, {} are wanted", node.name, node.op, inputs,
                      range(info->min_inputs, info->max_inputs)));
    }
    if (outputs < info->min_outputs || (info->max_outputs >= 0 && outputs > info->max_outputs)) {
      Bad(fmt::format("node '{}' ({}) has {} outputs, {} are wanted", node.name, node.op, outputs,
                      range(info->min_outputs, info->max_outputs)));
    }
    for (int i = 0; i < (info->max_inputs < 0 ? inputs : info->min_inputs); ++i) {
      if (node.inputs[i].empty())
        Bad(fmt::format("node '{}' ({}) leaves out input {}", node.name, node.op, i + 1));
    }
    if (outputs > 0 && FirstOutput(node).empty() && !node.Is("Split")) {
      Bad(fmt::format("node '{}' ({}) leaves out its first output", node.name, node.op));
    }
  }

  void CheckOutputs() const {
    if (graph_.outputs.empty()) Bad("has no outputs");
    std::unordered_set<std::string> seen;
    for (const GraphOutput& output : graph_.outputs) {
      if (!known_.contains(output.name)) Bad(fmt::format("output '{}' is made by no node", output.name));
      if (!seen.insert(output.name).second) Bad(fmt::format("output '{}' is listed twice", output.name));
      for (const std::int64_t dim : output.shape) {
        if (dim < 1 && dim != -1)
          Bad(fmt::format("output '{}' is declared as {}", output.name, ToString(output.shape)));
      }
    }
  }

  const Graph& graph_;
  std::unordered_set<std::string> known_, node_names_, made_later_;
};

}  // namespace

void Graph::Validate() const { Validator(*this).Run(); }

}  // namespace frf
