// SPDX-License-Identifier: Apache-2.0
// Unrolls running sums in front of 1x1 convolutions; see passes.h.
#include <unordered_map>

#include "graph/operators.h"
#include "graph/passes.h"

namespace frf {
namespace {

// weight [out, in, 1, 1]: input channels [from, from + count) are added to [to, to + count).
void AddBlock(Tensor& weight, std::int64_t from, std::int64_t to, std::int64_t count) {
  const std::int64_t in = weight.dim(1);
  float* data = weight.data<float>();
  for (std::int64_t o = 0; o < weight.dim(0); ++o) {
    for (std::int64_t c = 0; c < count; ++c) data[o * in + to + c] += data[o * in + from + c];
  }
}

bool IsPointwise(const Node& node, const Tensor& weight) {
  return IsOnnx(node, "Conv") && node.Int("group", 1) == 1 && weight.has_data() &&
         weight.dtype() == DType::kFloat32 && weight.rank() == 4 && weight.dim(2) == 1 && weight.dim(3) == 1;
}

class Unroller {
 public:
  Unroller(const Graph& graph, const TypeMap& types)
      : graph_(graph), types_(types), index_(graph), result_(graph) {}

  Graph Run() && {
    for (const Node& conv : graph_.nodes) {
      const auto weight =
          conv.inputs.size() > 1 ? index_.initializer.find(conv.inputs[1]) : index_.initializer.end();
      const auto producer =
          conv.inputs.empty() ? index_.producer.end() : index_.producer.find(conv.inputs[0]);
      if (weight == index_.initializer.end() || producer == index_.producer.end()) continue;
      if (!IsPointwise(conv, graph_.initializers[weight->second].value)) continue;
      // Neither the weights nor the concatenation may have another reader.
      if (index_.consumers.at(conv.inputs[1]).size() != 1 || index_.consumers.at(conv.inputs[0]).size() != 1)
        continue;
      if (IsOutput(conv.inputs[1]) || IsOutput(conv.inputs[0])) continue;  // read by whoever runs the graph
      const Node& concat = graph_.nodes[producer->second];
      if (IsOnnx(concat, "Concat") && concat.Int("axis", 0) == 1) Unroll(producer->second, weight->second);
    }
    return std::move(result_);
  }

 private:
  bool IsOutput(const std::string& value) const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                       [&](const GraphOutput& output) { return output.name == value; });
  }

  // From the last part to the first: part i = r + part j becomes r, and part j takes part i's weights too.
  void Unroll(int concat, int weight) {
    const std::vector<std::string> parts = graph_.nodes[concat].inputs;
    std::unordered_map<std::string, std::size_t> at;
    std::vector<std::int64_t> first{0};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (!at.emplace(parts[i], i).second) return;  // the same part twice
      first.push_back(first.back() + types_.at(parts[i]).shape.at(1));
    }
    Tensor summed;
    for (std::size_t i = parts.size(); i-- > 0;) {
      const auto made = index_.producer.find(parts[i]);
      if (made == index_.producer.end() || !IsOnnx(graph_.nodes[made->second], "Add")) continue;
      const std::vector<std::string>& terms = graph_.nodes[made->second].inputs;
      for (int side = 0; side < 2; ++side) {
        const auto before = at.find(terms[side]);
        const std::string& rest = terms[1 - side];
        if (before == at.end() || before->second >= i || at.contains(rest)) continue;
        // No broadcasting on either side.
        if (types_.at(rest).shape != types_.at(parts[i]).shape ||
            types_.at(terms[side]).shape != types_.at(rest).shape)
          continue;
        if (!summed.has_data()) summed = graph_.initializers[weight].value.Clone();
        AddBlock(summed, first[i], first[before->second], first[i + 1] - first[i]);
        result_.nodes[concat].inputs[i] = rest;
        break;
      }
    }
    if (summed.has_data()) result_.initializers[weight].value = summed;
  }

  const Graph& graph_;
  const TypeMap& types_;
  const GraphIndex index_;
  Graph result_;
};

}  // namespace

Graph UnrollRunningSums(const Graph& graph, const TypeMap& types) { return Unroller(graph, types).Run(); }

}  // namespace frf
