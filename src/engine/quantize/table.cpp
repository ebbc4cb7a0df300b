// SPDX-License-Identifier: Apache-2.0
// TableOf: what a quantised file says, read back. Subtle: a file that other tools changed may name its bytes
// as it likes; values are known by what QuantizeLinear reads, weights by the integers' own names.
#include <fmt/format.h>

#include <algorithm>

#include "engine/plain.h"
#include "engine/quantize/insert.h"
#include "frf/error.h"
#include "graph/operators.h"

namespace frf::engine {
namespace {

class TableReader {
 public:
  TableReader(const Graph& graph, const std::string& file, std::map<std::string, Tensor>& weights)
      : graph_(graph), index_(graph), file_(file), weights_(weights) {}

  QuantizationTable Read() {
    for (const Node& node : graph_.nodes) {
      if (IsOnnx(node, "QuantizeLinear")) ReadValue(node);
      if (IsOnnx(node, "Conv")) ReadConvolution(node);
    }
    if (table_.values.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  file_ + ": is not quantised; frf quantize makes a quantised file of it");
    }
    for (const Initializer& initializer : graph_.initializers) {
      const DType type = initializer.value.dtype();
      if (type != DType::kFloat32 && type != DType::kFloat16) continue;
      weights_.try_emplace(initializer.name, type == DType::kFloat32
                                                 ? initializer.value
                                                 : initializer.value.Cast(DType::kFloat32));
    }
    return std::move(table_);
  }

 private:
  [[noreturn]] void Fail(const std::string& message) const {
    throw Error(ErrorCode::kUnsupported, file_ + ": " + message);
  }

  const Tensor* ConstantOf(const std::string& name) const {
    const auto found = index_.initializer.find(name);
    return found == index_.initializer.end() ? nullptr : &graph_.initializers[found->second].value;
  }

  void ReadValue(const Node& node) {
    const Tensor* scale = ConstantOf(node.inputs[1]);
    const Tensor* zero =
        node.inputs.size() > 2 && !node.inputs[2].empty() ? ConstantOf(node.inputs[2]) : nullptr;
    const bool bytes =
        zero && zero->size() == 1 && (zero->dtype() == DType::kUint8 || zero->dtype() == DType::kInt8);
    if (!scale || scale->size() != 1 || scale->dtype() != DType::kFloat32 || !bytes ||
        ConstantOf(node.inputs[0])) {
      Fail(fmt::format("'{}' is not one uint8 or int8 coding of a computed value", node.name));
    }
    const ValueCoding coding{scale->data<float>()[0],
                             zero->ToVector<std::int32_t>()[0] + (zero->dtype() == DType::kInt8 ? 128 : 0)};
    if (!table_.values.emplace(node.inputs[0], coding).second && table_.values[node.inputs[0]] != coding) {
      Fail(fmt::format("'{}' has two codings", node.inputs[0]));
    }
  }

  // The integers behind a DequantizeLinear, which become floats in `weights_`; null where there are none.
  const Node* ReadIntegers(const std::string& value) {
    const auto made = index_.producer.find(value);
    if (made == index_.producer.end() || !IsOnnx(graph_.nodes[made->second], "DequantizeLinear"))
      return nullptr;
    const Node& node = graph_.nodes[made->second];
    std::vector<Tensor> inputs;
    for (const std::string& input : node.inputs) {
      const Tensor* tensor = input.empty() ? nullptr : ConstantOf(input);
      if (!tensor && !input.empty()) return nullptr;
      inputs.push_back(tensor ? *tensor : Tensor());
    }
    if (inputs.size() > 2 && inputs[2].has_data()) {
      const std::vector<std::int32_t> zeros = inputs[2].ToVector<std::int32_t>();
      if (std::any_of(zeros.begin(), zeros.end(), [](std::int32_t z) { return z != 0; }))
        Fail(fmt::format("'{}' has a zero point", node.inputs[0]));
    }
    weights_[node.inputs[0]] = RunNode(node, inputs, graph_.opset, {}).at(0);
    return &node;
  }

  void ReadConvolution(const Node& conv) {
    if (ReadIntegers(conv.inputs[1])) table_.convolutions.insert(conv.name);
    if (conv.inputs.size() > 2 && !conv.inputs[2].empty()) ReadIntegers(conv.inputs[2]);
  }

  const Graph& graph_;
  const GraphIndex index_;
  const std::string& file_;
  std::map<std::string, Tensor>& weights_;
  QuantizationTable table_;
};

}  // namespace

QuantizationTable TableOf(const Graph& quantized, const std::string& file,
                          std::map<std::string, Tensor>& weights) {
  return TableReader(quantized, file, weights).Read();
}

}  // namespace frf::engine
