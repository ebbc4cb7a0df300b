// SPDX-License-Identifier: Apache-2.0
// Folding of batch norm: w' = w * s, b' = beta + (b - mean) * s with s = gamma / sqrt(variance + eps), by
// output channel.
#include "graph/passes.h"

#include <fmt/format.h>

#include <cmath>
#include <unordered_map>
#include <unordered_set>

namespace frf {
namespace {

struct Folder {
  explicit Folder(const Graph& source) : graph(source) {
    for (const Node& node : graph.nodes) {
      for (const std::string& input : node.inputs) ++uses[input];
    }
    for (const GraphOutput& output : graph.outputs) ++uses[output.name];
    for (const GraphInput& input : graph.inputs) taken.insert(input.name);
    for (int i = 0; i < static_cast<int>(graph.initializers.size()); ++i) {
      initializers[graph.initializers[i].name] = i;
      taken.insert(graph.initializers[i].name);
    }
    for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
      for (const std::string& output : graph.nodes[i].outputs) {
        producers[output] = i;
        taken.insert(output);
      }
    }
  }

  // A known float32 tensor, or nullptr.
  const Tensor* Known(const std::string& name) const {
    const auto it = initializers.find(name);
    if (it == initializers.end()) return nullptr;
    const Tensor& value = graph.initializers[it->second].value;
    return value.has_data() && value.dtype() == DType::kFloat32 ? &value : nullptr;
  }

  const Tensor* KnownVector(const std::string& name, std::int64_t count) const {
    const Tensor* value = Known(name);
    return value != nullptr && value->rank() == 1 && value->dim(0) == count ? value : nullptr;
  }

  bool Fold(Node& norm);

  Graph graph;
  std::unordered_map<std::string, int> uses, initializers, producers;
  std::unordered_set<std::string> taken;
  std::unordered_set<int> gone;  // positions of folded batch norms
};

// Where the output channels stand in a layer's weight: element i belongs to channel (i / inner) % count, for
// a transposed convolution in groups counted on from its group's first channel.
struct WeightLayout {
  std::int64_t channels = 0, inner = 1, per_group = 0, group_elements = 0;
  std::int64_t ChannelOf(std::int64_t i) const {
    return (i / inner) % per_group + (i / group_elements) * per_group;
  }
};

bool FindLayout(const Node& layer, const Tensor& weight, WeightLayout& layout) {
  const std::int64_t size = weight.size();
  if (size == 0) return false;
  if (layer.Is("Conv") && weight.rank() >= 3) {
    layout = {weight.dim(0), size / weight.dim(0), weight.dim(0), size};
    return true;
  }
  if (layer.Is("ConvTranspose") && weight.rank() >= 3) {
    const std::int64_t groups = layer.Int("group", 1);
    if (groups < 1 || weight.dim(0) % groups != 0) return false;
    layout = {weight.dim(1) * groups, size / (weight.dim(0) * weight.dim(1)), weight.dim(1), size / groups};
    return true;
  }
  if (layer.Is("Gemm") && weight.rank() == 2 && layer.Float("alpha", 1.0f) == 1.0f &&
      layer.Float("beta", 1.0f) == 1.0f) {
    const bool transposed = layer.Int("transB", 0) != 0;  // [out, in]
    layout = {weight.dim(transposed ? 0 : 1), transposed ? weight.dim(1) : 1, weight.dim(transposed ? 0 : 1),
              size};
    return true;
  }
  return false;
}

bool Folder::Fold(Node& norm) {
  if (norm.inputs.size() != 5 || norm.Int("training_mode", 0) != 0) return false;
  for (std::size_t i = 1; i < norm.outputs.size(); ++i) {
    if (!norm.outputs[i].empty()) return false;
  }
  const auto producer = producers.find(norm.inputs[0]);
  if (producer == producers.end() || uses[norm.inputs[0]] != 1) return false;
  Node& layer = graph.nodes[producer->second];
  if (!layer.domain.empty() || layer.inputs.size() < 2) return false;
  const Tensor* weight = Known(layer.inputs[1]);
  WeightLayout layout;
  if (weight == nullptr || uses[layer.inputs[1]] != 1 || !FindLayout(layer, *weight, layout)) return false;
  const Tensor* vectors[4];
  for (int i = 0; i < 4; ++i) {
    vectors[i] = KnownVector(norm.inputs[i + 1], layout.channels);
    if (vectors[i] == nullptr) return false;
  }
  const bool biased = layer.inputs.size() > 2 && !layer.inputs[2].empty();
  const Tensor* bias = biased ? KnownVector(layer.inputs[2], layout.channels) : nullptr;
  if (biased && (bias == nullptr || uses[layer.inputs[2]] != 1)) return false;

  const double epsilon = norm.Float("epsilon", 1e-5f);
  std::vector<double> scale(layout.channels);
  Tensor new_bias = Tensor::Uninitialized(DType::kFloat32, {layout.channels});
  for (std::int64_t c = 0; c < layout.channels; ++c) {
    const auto at = [&](int i) { return static_cast<double>(vectors[i]->data<float>()[c]); };
    scale[c] = at(0) / std::sqrt(at(3) + epsilon);
    const double before = bias != nullptr ? bias->data<float>()[c] : 0.0;
    new_bias.data<float>()[c] = static_cast<float>(at(1) + (before - at(2)) * scale[c]);
  }
  Tensor new_weight = weight->Clone();
  float* data = new_weight.data<float>();
  const std::int64_t size = new_weight.size();
  for (std::int64_t i = 0; i < size; ++i) data[i] = static_cast<float>(data[i] * scale[layout.ChannelOf(i)]);

  graph.initializers[initializers.at(layer.inputs[1])].value = std::move(new_weight);
  if (biased) {
    graph.initializers[initializers.at(layer.inputs[2])].value = std::move(new_bias);
  } else {
    std::string name = layer.inputs[1];
    if (name.ends_with(".weight")) name.resize(name.size() - 7);
    name += ".bias";
    while (!taken.insert(name).second) name += "_";
    const bool classifier = graph.initializers[initializers.at(layer.inputs[1])].classifier;
    initializers[name] = static_cast<int>(graph.initializers.size());
    graph.initializers.push_back({name, Role::kParameter, Init::kZeros, std::move(new_bias), classifier});
    layer.inputs.resize(3);
    layer.inputs[2] = name;
  }
  layer.outputs[0] = norm.outputs[0];
  producers[layer.outputs[0]] = producer->second;
  return true;
}

}  // namespace

Graph FoldBatchNorm(const Graph& graph) {
  Folder folder(graph);
  for (int i = 0; i < static_cast<int>(folder.graph.nodes.size()); ++i) {
    Node& node = folder.graph.nodes[i];
    if (node.domain.empty() && node.Is("BatchNormalization") && folder.Fold(node)) folder.gone.insert(i);
  }
  Graph result = std::move(folder.graph);
  std::vector<Node> kept;
  std::unordered_set<std::string> needed;
  for (int i = 0; i < static_cast<int>(result.nodes.size()); ++i) {
    if (folder.gone.contains(i)) continue;
    needed.insert(result.nodes[i].inputs.begin(), result.nodes[i].inputs.end());
    kept.push_back(std::move(result.nodes[i]));
  }
  for (const GraphOutput& output : result.outputs) needed.insert(output.name);
  result.nodes = std::move(kept);
  std::erase_if(result.initializers, [&](const Initializer& value) { return !needed.contains(value.name); });
  return result;
}

}  // namespace frf
