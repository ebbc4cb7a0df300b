// SPDX-License-Identifier: Apache-2.0
#include "engine/quantize/ready_index.h"

#include <algorithm>
#include <map>

#include "graph/operators.h"

namespace frf::engine {
namespace {

bool IsResize(const Node& node) {
  return IsOnnx(node, "Resize") || (node.domain == kFrfDomain && node.Is("ResizeLike"));
}

// Whether what goes in has the coding of what comes out.
bool SharesCoding(const Node& node) {
  return IsOnnx(node, "Concat") || (IsOnnx(node, "MaxPool") && node.outputs.size() == 1);
}

}  // namespace

const Tensor* ReadyIndex::ConstantOf(const std::string& name) const {
  const auto found = index_.initializer.find(name);
  return found == index_.initializer.end() ? nullptr : &graph_.initializers[found->second].value;
}

bool ReadyIndex::IsMap(const std::string& name) const {
  const auto type = ready_.types.find(name);
  return type != ready_.types.end() && type->second.dtype == DType::kFloat32 &&
         type->second.shape.size() == 4;
}

bool ReadyIndex::IsPicture(const std::string& name) const {  // a map with more than one pixel
  return IsMap(name) && ready_.types.at(name).shape[2] * ready_.types.at(name).shape[3] > 1;
}

bool ReadyIndex::Quantizable(const Node& node) const {
  if (!IsOnnx(node, "Conv") || node.Int("group", 1) != 1 || !IsPicture(node.inputs[0])) return false;
  const Tensor* weight = ConstantOf(node.inputs[1]);
  if (!weight || weight->dtype() != DType::kFloat32 || weight->rank() != 4) return false;
  return node.inputs.size() < 3 || node.inputs[2].empty() || ConstantOf(node.inputs[2]);
}

const Node* ReadyIndex::Producer(const std::string& value) const {
  const auto found = index_.producer.find(value);
  return found == index_.producer.end() ? nullptr : &graph_.nodes[found->second];
}

const std::vector<int>& ReadyIndex::Readers(const std::string& value) const {
  static const std::vector<int> kNone;
  const auto found = index_.consumers.find(value);
  return found == index_.consumers.end() ? kNone : found->second;
}

bool ReadyIndex::IsOutput(const std::string& value) const {
  return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                     [&](const GraphOutput& output) { return output.name == value; });
}

std::vector<std::vector<std::string>> ReadyIndex::Groups(const std::set<std::string>& float_nodes) const {
  std::map<std::string, int> group_of;
  std::vector<std::vector<std::string>> groups;
  const auto add = [&](const std::string& value) {
    if (group_of.contains(value)) return;
    group_of[value] = static_cast<int>(groups.size());
    groups.push_back({value});
  };
  const auto merge = [&](const std::string& a, const std::string& b) {
    add(a), add(b);
    const int to = group_of[a], from = group_of[b];
    if (to == from) return;
    for (const std::string& value : groups[from]) group_of[value] = to, groups[to].push_back(value);
    groups[from].clear();
  };
  const std::vector<bool> floats = ReadersOfFloats(float_nodes);
  for (const Node& node : graph_.nodes) {
    if (Quantizable(node) && !float_nodes.contains(node.name)) add(node.inputs[0]);
    for (const std::string& output : node.outputs) {
      if (StandsInMemory(node, output, floats)) add(output);
    }
  }
  // From the back: what a concatenation or a maximum is made of shares its coding.
  for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
    if (node->outputs.empty() || !group_of.contains(node->outputs[0]) || !SharesCoding(*node)) continue;
    for (const std::string& input : node->inputs) {
      if (IsMap(input) && !ConstantOf(input)) merge(node->outputs[0], input);
    }
  }
  std::erase_if(groups, [](const auto& group) { return group.empty(); });
  return groups;
}

// Nodes that want no bytes: convolutions that stay float, and what only such read.
std::vector<bool> ReadyIndex::ReadersOfFloats(const std::set<std::string>& float_nodes) const {
  std::vector<bool> floats(graph_.nodes.size(), false);
  for (int n = static_cast<int>(graph_.nodes.size()) - 1; n >= 0; --n) {
    const Node& node = graph_.nodes[n];
    if (Quantizable(node)) {
      floats[n] = float_nodes.contains(node.name);
    } else if (SharesCoding(node)) {
      const std::vector<int>& readers = Readers(node.outputs[0]);
      floats[n] = !readers.empty() &&
                  std::all_of(readers.begin(), readers.end(), [&](int reader) { return floats[reader]; });
    }
  }
  return floats;
}

// The result (behind its ReLU) of a convolution on integers that is kept for several readers, or for one that
// needs its neighbours.
bool ReadyIndex::StandsInMemory(const Node& node, const std::string& value,
                                const std::vector<bool>& floats) const {
  const Node* conv = IsOnnx(node, "Relu") ? Producer(node.inputs[0]) : &node;
  if (!conv || !Quantizable(*conv) || floats[conv - graph_.nodes.data()] || !IsPicture(value) ||
      IsOutput(value))
    return false;
  std::vector<int> readers = Readers(value);
  std::erase_if(readers, [&](int reader) {  // those that want floats, or ask for its size alone
    const Node& node = graph_.nodes[reader];
    return floats[reader] || IsOnnx(node, "Shape") || (IsResize(node) && node.inputs[0] != value);
  });
  // Scores are resized for the output as floats: 8 bits of them would change labels.
  if (readers.size() == 1 && IsResize(graph_.nodes[readers[0]]))
    return !LeadsToOutput(graph_.nodes[readers[0]]);
  // Gates and sums take the convolution's floats as they come.
  return std::any_of(readers.begin(), readers.end(), [&](int reader) {
    const Node& node = graph_.nodes[reader];
    static const std::set<std::string> kElementWise{
        "Add",         "Sub",       "Mul",  "Div",       "Max",   "Min",      "Relu", "Clip", "Sigmoid",
        "HardSigmoid", "HardSwish", "Tanh", "LeakyRelu", "PRelu", "Identity", "Ceil", "Abs",  "Neg"};
    return !(node.domain.empty() && kElementWise.contains(node.op));
  });
}

bool ReadyIndex::LeadsToOutput(const Node& node) const {
  if (IsOutput(node.outputs[0])) return true;
  const std::vector<int>& readers = Readers(node.outputs[0]);
  if (readers.size() != 1) return false;
  const Node& next = graph_.nodes[readers[0]];
  return (IsOnnx(next, "ArgMax") || IsOnnx(next, "Softmax") || IsOnnx(next, "Cast") ||
          IsOnnx(next, "Squeeze") || IsResize(next)) &&
         LeadsToOutput(next);
}

}  // namespace frf::engine
