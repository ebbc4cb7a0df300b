// SPDX-License-Identifier: Apache-2.0
// Constant folding and calibration of batch norm; see plain.h. Subtle: an initialiser is dropped only where
// folding took its last use, and quantised weights stay quantised: folding their DequantizeLinear would undo
// an int8 file.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>

#include "engine/plain.h"
#include "engine/plain_op.h"

namespace frf {
namespace {

std::unordered_map<std::string, int> CountUses(const Graph& graph) {
  std::unordered_map<std::string, int> uses;
  for (const Node& node : graph.nodes) {
    for (const std::string& input : node.inputs) ++uses[input];
  }
  for (const GraphOutput& output : graph.outputs) ++uses[output.name];
  return uses;
}

// Initialisers that were used in `before` and no longer are.
void DropUnused(Graph& graph, const std::unordered_map<std::string, int>& before) {
  const std::unordered_map<std::string, int> now = CountUses(graph);
  std::erase_if(graph.initializers, [&](const Initializer& initializer) {
    return before.contains(initializer.name) && !now.contains(initializer.name);
  });
}

bool IsQuantization(const Node& node) { return node.Is("QuantizeLinear") || node.Is("DequantizeLinear"); }

using Constants = std::unordered_map<std::string, Tensor>;

// The node's outputs where all its inputs are known and nothing grows too large; else nothing.
std::vector<Tensor> TryFold(const Node& node, int opset, const Constants& constants,
                            std::uint64_t max_bytes) {
  if (IsQuantization(node) || !plain::IsSupported(node)) return {};
  std::vector<Tensor> inputs;
  for (const std::string& name : node.inputs) {
    const auto found = constants.find(name);
    if (!name.empty() && found == constants.end()) return {};
    inputs.push_back(name.empty() ? Tensor() : found->second);
  }
  try {
    std::vector<Tensor> outputs = RunNode(node, inputs, opset, {.max_memory = 4 * max_bytes});
    for (const Tensor& output : outputs) {
      if (output.bytes() > max_bytes) return {};
    }
    return outputs;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory || error.code() == ErrorCode::kUnsupported) return {};
    throw;
  }
}

}  // namespace

Graph FoldConstants(const Graph& graph, std::uint64_t max_bytes) {
  const std::unordered_map<std::string, int> before = CountUses(graph);
  std::unordered_set<std::string> graph_outputs;
  for (const GraphOutput& output : graph.outputs) graph_outputs.insert(output.name);
  Constants constants;
  for (const Initializer& initializer : graph.initializers) {
    if (initializer.value.has_data()) constants[initializer.name] = initializer.value;
  }
  // What is folded and still read. A chain of constants costs what its last holds, not what all of them do.
  // Weights of 16 bits that a file casts to 32 are twice its own: they always fit.
  std::uint64_t budget = 4 * max_bytes;
  for (const Initializer& initializer : graph.initializers) budget += 3 * initializer.value.bytes();
  std::unordered_map<std::string, int> readers = before;
  std::unordered_map<std::string, std::uint64_t> made;  // and what it takes
  std::vector<std::string> order;
  std::uint64_t held = 0;
  Graph folded = graph;
  folded.nodes.clear();
  for (const Node& node : graph.nodes) {
    bool is_output = false;
    for (const std::string& name : node.outputs) is_output |= graph_outputs.contains(name);
    const std::vector<Tensor> outputs =
        is_output ? std::vector<Tensor>() : TryFold(node, graph.opset, constants, max_bytes);
    // A view of the file's own values takes nothing. One of a folded value counts in full: it keeps what that
    // took when the value itself is no longer read.
    const auto taken = [&](const Tensor& output) {
      const bool view = std::any_of(node.inputs.begin(), node.inputs.end(), [&](const std::string& name) {
        const auto found = constants.find(name);
        return found != constants.end() && !made.contains(name) && found->second.raw() == output.raw();
      });
      return view ? std::uint64_t{0} : output.bytes();
    };
    std::vector<std::uint64_t> bytes;
    for (const Tensor& output : outputs) bytes.push_back(taken(output));
    const std::uint64_t more = std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0});
    if (outputs.size() < node.outputs.size() || node.outputs.empty() || held + more > budget) {
      folded.nodes.push_back(node);
      continue;
    }
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i].empty()) continue;
      constants[node.outputs[i]] = outputs[i];
      made[node.outputs[i]] = bytes[i];
      order.push_back(node.outputs[i]);
      held += bytes[i];
    }
    for (const std::string& name : node.inputs) {
      const auto found = made.find(name);
      if (--readers[name] > 0 || found == made.end()) continue;
      held -= found->second;
      made.erase(found);
      constants.erase(name);
    }
  }
  for (const std::string& name : order) {
    if (!made.contains(name)) continue;
    folded.initializers.push_back(
        {.name = name, .role = Role::kConstant, .init = Init::kGiven, .value = constants.at(name)});
  }
  DropUnused(folded, before);
  return folded;
}

namespace {

struct Statistics {
  Tensor mean, variance;
};

// Of each channel; of all channels together where a channel is one number (behind a global pool).
Statistics Measure(const Tensor& x, double epsilon) {
  const std::int64_t channels = x.dim(1), plane = plain::Product(x.shape(), 2, x.rank()), batch = x.dim(0);
  const bool together = batch * plane == 1;
  Statistics result{Tensor::Uninitialized(DType::kFloat32, {channels}),
                    Tensor::Uninitialized(DType::kFloat32, {channels})};
  const float* values = x.data<float>();
  const auto count = static_cast<double>(together ? channels : batch * plane);
  for (std::int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    const auto visit = [&](auto&& each) {
      if (together) {
        for (std::int64_t i = 0; i < channels; ++i) each(values[i]);
        return;
      }
      for (std::int64_t n = 0; n < batch; ++n) {
        const float* from = values + (n * channels + c) * plane;
        for (std::int64_t i = 0; i < plane; ++i) each(from[i]);
      }
    };
    visit([&](float v) { sum += v; });
    const double mean = sum / count;
    visit([&](float v) { squares += (v - mean) * (v - mean); });
    const double variance = squares / count;
    result.mean.data<float>()[c] = static_cast<float>(mean);
    // The normalisation adds epsilon again. A constant channel has no scale; 1 leaves it at zero.
    result.variance.data<float>()[c] =
        variance > 0 ? static_cast<float>(std::max(variance - epsilon, 0.0)) : 1.0f;
  }
  return result;
}

}  // namespace

void CalibrateBatchNorm(Graph& graph, const Tensor& image) {
  if (graph.inputs.size() != 1) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("graph {} has {} inputs, wanted one image", graph.name, graph.inputs.size()));
  }
  std::map<std::string, Tensor> measured;
  PlainExecutor executor(graph);
  executor.Run({{graph.inputs[0].name, image}}, {}, [&](const Node& node, const auto& value) {
    if (!node.domain.empty() || !node.Is("BatchNormalization")) return;
    const Tensor& x = value(node.inputs[0]);
    if (x.dtype() != DType::kFloat32 || x.rank() < 2 || x.size() == 0) return;
    const Statistics statistics = Measure(x, node.Float("epsilon", 1e-5f));
    value(node.inputs[3]) = measured[node.inputs[3]] = statistics.mean;
    value(node.inputs[4]) = measured[node.inputs[4]] = statistics.variance;
  });
  for (const auto& [name, tensor] : measured) {
    if (Initializer* initializer = graph.FindInitializer(name)) initializer->value = tensor;
  }
}

}  // namespace frf
