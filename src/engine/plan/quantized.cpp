// SPDX-License-Identifier: Apache-2.0
#include "engine/plan/quantized.h"

#include <algorithm>
#include <optional>

#include "engine/plain.h"
#include "graph/operators.h"

namespace frf::engine {
namespace {

class Taker {
 public:
  Taker(const Graph& graph, Quantization& quantization)
      : graph_(graph), index_(graph), quantization_(quantization) {}

  Graph Take() {
    FindChains();
    Graph taken = graph_;
    taken.nodes.clear();
    for (int n = 0; n < static_cast<int>(graph_.nodes.size()); ++n) {
      const Node& node = graph_.nodes[n];
      if (const auto chain = chains_.find(n); chain != chains_.end()) {
        EndChain(node, chain->second, taken);
      } else if (dropped_[n]) {
        continue;
      } else if (IsOnnx(node, "DequantizeLinear") && TakeInitializer(node, taken)) {
        continue;
      } else {
        Node renamed = node;
        for (std::string& input : renamed.inputs) input = NameOf(input);
        taken.nodes.push_back(std::move(renamed));
      }
    }
    DropUnused(taken);
    return taken;
  }

 private:
  struct Chain {
    std::string value;  // x: the first DequantizeLinear's output, which names the chain
    kernels::Coding coding;
  };

  const Tensor* ConstantOf(const std::string& name) const {
    const auto found = index_.initializer.find(name);
    return found == index_.initializer.end() ? nullptr : &graph_.initializers[found->second].value;
  }
  std::string NameOf(const std::string& value) const {
    const auto found = names_.find(value);
    return found == names_.end() ? value : found->second;
  }
  int UsesOf(const std::string& value) const {
    const auto found = index_.consumers.find(value);
    int uses = found == index_.consumers.end() ? 0 : static_cast<int>(found->second.size());
    for (const GraphOutput& output : graph_.outputs) uses += output.name == value;
    return uses;
  }

  std::optional<kernels::Coding> CodingOf(const Node& node) const {
    const Tensor* scale = ConstantOf(node.inputs[1]);
    const bool has_zero = node.inputs.size() > 2 && !node.inputs[2].empty();
    const Tensor* zero = has_zero ? ConstantOf(node.inputs[2]) : nullptr;
    if (!scale || scale->size() != 1 || scale->dtype() != DType::kFloat32 || node.Int("block_size", 0) != 0)
      return std::nullopt;
    if (has_zero &&
        (!zero || zero->size() != 1 || (zero->dtype() != DType::kUint8 && zero->dtype() != DType::kInt8)))
      return std::nullopt;
    if (!has_zero && node.Int("output_dtype", 0) != 0 && node.Int("output_dtype", 0) != 2)
      return std::nullopt;
    kernels::Coding coding{scale->data<float>()[0], 0};
    if (!(coding.step > 0) || coding.step > 1e30f) return std::nullopt;
    if (has_zero) coding.zero = zero->ToVector<std::int32_t>()[0] + (zero->dtype() == DType::kInt8 ? 128 : 0);
    return coding;
  }

  void FindChains() {
    dropped_.assign(graph_.nodes.size(), false);
    for (int n = 0; n < static_cast<int>(graph_.nodes.size()); ++n) {
      const Node& quantize = graph_.nodes[n];
      if (!IsOnnx(quantize, "QuantizeLinear")) continue;
      const std::optional<kernels::Coding> coding = CodingOf(quantize);
      const auto readers = index_.consumers.find(quantize.outputs[0]);
      if (!coding || readers == index_.consumers.end()) continue;
      if (UsesOf(quantize.outputs[0]) != static_cast<int>(readers->second.size()))
        continue;  // a graph output
      const bool fits = std::all_of(readers->second.begin(), readers->second.end(), [&](int reader) {
        const Node& node = graph_.nodes[reader];
        // The coding of a DequantizeLinear without zero point is of what it reads.
        return IsOnnx(node, "DequantizeLinear") && node.inputs[0] == quantize.outputs[0] &&
               SameZero(node, quantize) && CodingOf(node) == coding;
      });
      if (!fits) continue;
      // The chain takes the name of the graph's output that ends it, if one does.
      int named = readers->second[0], outputs = 0;
      for (const int reader : readers->second) {
        if (IsOutput(graph_.nodes[reader].outputs[0])) named = reader, ++outputs;
      }
      if (outputs > 1) continue;
      chains_[n] = {graph_.nodes[named].outputs[0], *coding};
      for (const int reader : readers->second) dropped_[reader] = true;
    }
  }
  bool SameZero(const Node& a, const Node& b) const { return (a.inputs.size() > 2) == (b.inputs.size() > 2); }
  bool IsOutput(const std::string& value) const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                       [&](const GraphOutput& output) { return output.name == value; });
  }

  void EndChain(const Node& quantize, const Chain& chain, Graph& taken) {
    const std::string source = NameOf(quantize.inputs[0]);
    const auto known = quantization_.codings.find(source);
    std::string name = chain.value;
    if (known != quantization_.codings.end() && known->second == chain.coding && !IsOutput(name)) {
      name = source;  // rounded so already
    } else {
      quantization_.codings[name] = chain.coding;
      Node* producer = nullptr;  // nobody else reads what it makes: it can make x instead
      if (UsesOf(quantize.inputs[0]) == 1 && known == quantization_.codings.end()) {
        for (Node& node : taken.nodes) {
          if (std::find(node.outputs.begin(), node.outputs.end(), source) != node.outputs.end())
            producer = &node;
        }
      }
      if (producer) {
        std::replace(producer->outputs.begin(), producer->outputs.end(), source, name);
      } else {
        taken.nodes.push_back(
            Node{.name = quantize.name, .op = "Identity", .inputs = {source}, .outputs = {name}});
      }
    }
    for (const int reader : index_.consumers.at(quantize.outputs[0]))
      names_[graph_.nodes[reader].outputs[0]] = name;
  }

  bool TakeInitializer(const Node& node, Graph& taken) {
    const Tensor* values = ConstantOf(node.inputs[0]);
    if (!values) return false;
    std::vector<Tensor> inputs;
    for (const std::string& input : node.inputs) {
      const Tensor* tensor = input.empty() ? nullptr : ConstantOf(input);
      if (!tensor && !input.empty()) return false;
      inputs.push_back(tensor ? *tensor : Tensor());
    }
    Initializer floats{.name = node.outputs[0], .role = Role::kParameter, .init = Init::kGiven};
    floats.value = RunNode(node, inputs, graph_.opset, {}).at(0);
    const bool no_zero = inputs.size() < 3 || !inputs[2].has_data() || [&] {
      const std::vector<std::int32_t> zeros = inputs[2].ToVector<std::int32_t>();
      return std::all_of(zeros.begin(), zeros.end(), [](std::int32_t z) { return z == 0; });
    }();
    const bool by_channel =
        inputs[1].size() == 1 ||
        (values->rank() == 4 && inputs[1].size() == values->dim(0) && node.Int("axis", 1) == 0);
    if (values->dtype() == DType::kInt8 && values->rank() == 4 && no_zero && by_channel &&
        node.Int("block_size", 0) == 0) {
      quantization_.weights[floats.name] = {*values, inputs[1].ToVector<float>()};
    }
    taken.initializers.push_back(std::move(floats));
    return true;
  }

  static void DropUnused(Graph& graph) {
    std::unordered_map<std::string, int> uses;
    for (const Node& node : graph.nodes) {
      for (const std::string& input : node.inputs) ++uses[input];
    }
    for (const GraphOutput& output : graph.outputs) ++uses[output.name];
    std::erase_if(graph.initializers,
                  [&](const Initializer& initializer) { return !uses.contains(initializer.name); });
  }

  const Graph& graph_;
  GraphIndex index_;
  Quantization& quantization_;
  std::unordered_map<int, Chain> chains_;  // by the QuantizeLinear's position
  std::vector<bool> dropped_;
  std::unordered_map<std::string, std::string> names_;
};

}  // namespace

Graph TakeQuantization(const Graph& graph, Quantization& quantization) {
  const bool any = std::any_of(graph.nodes.begin(), graph.nodes.end(), [](const Node& node) {
    return IsOnnx(node, "QuantizeLinear") || IsOnnx(node, "DequantizeLinear");
  });
  return any ? Taker(graph, quantization).Take() : graph;
}

}  // namespace frf::engine
