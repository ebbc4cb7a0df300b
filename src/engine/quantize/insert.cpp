// SPDX-License-Identifier: Apache-2.0
#include "engine/quantize/insert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "engine/plain.h"
#include "engine/quantize/ready_index.h"
#include "frf/error.h"
#include "graph/operators.h"

namespace frf::engine {
namespace {

bool HasBias(const Node& conv) { return conv.inputs.size() > 2 && !conv.inputs[2].empty(); }

// No integer stands for NaN or infinity, and all maps behind them would be lost too.
void CheckFinite(const Tensor& values, const std::string& name, const Node& node) {
  const float* const from = values.data<float>();
  if (std::all_of(from, from + values.size(), [](float v) { return std::isfinite(v); })) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("'{}' of node '{}' ({}) holds NaN or infinity, finite numbers are wanted; was the training "
                  "that they come from sound?",
                  name, node.name, node.op));
}

class Inserter {
 public:
  // `correct_by`: the statistics that biases are corrected by; null: biases stay as they are.
  Inserter(const Graph& graph, const QuantizationTable& table,
           const std::map<std::string, ValueStatistics>* correct_by)
      : graph_(graph), index_(graph), table_(table), correct_by_(correct_by) {
    for (const GraphInput& input : graph.inputs) taken_.insert(input.name);
    for (const Initializer& initializer : graph.initializers) taken_.insert(initializer.name);
    for (const Node& node : graph.nodes) {
      taken_.insert(node.name);
      taken_.insert(node.outputs.begin(), node.outputs.end());
    }
  }

  Graph Run() && {
    result_ = graph_;
    result_.nodes.clear();
    for (const GraphInput& input : graph_.inputs) Code(input.name);
    for (const Node& node : graph_.nodes) {
      Node placed = node;
      for (std::string& input : placed.inputs) {
        if (const auto coded = coded_.find(input); coded != coded_.end()) input = coded->second;
      }
      if (table_.convolutions.contains(node.name)) QuantizeWeights(placed, node);
      result_.nodes.push_back(std::move(placed));
      for (const std::string& output : node.outputs) Code(output);
    }
    std::map<std::string, int> uses;
    for (const Node& node : result_.nodes) {
      for (const std::string& input : node.inputs) ++uses[input];
    }
    std::erase_if(result_.initializers,
                  [&](const Initializer& initializer) { return !uses.contains(initializer.name); });
    return std::move(result_);
  }

 private:
  // The name itself where the graph has it not yet, else one made of it.
  std::string Fresh(std::string name) {
    while (!taken_.insert(name).second) name += "_";
    return name;
  }

  void AddConstant(const std::string& name, Tensor value) {
    result_.initializers.push_back(
        {.name = name, .role = Role::kConstant, .init = Init::kGiven, .value = std::move(value)});
  }

  const Tensor& ConstantOf(const std::string& name) const {
    return graph_.initializers[index_.initializer.at(name)].value;
  }

  void Code(const std::string& value) {
    const auto coding = table_.values.find(value);
    if (coding == table_.values.end()) return;
    const std::string scale = Fresh(value + ".scale"), zero = Fresh(value + ".zero"),
                      bytes = Fresh(value + ".q"), floats = Fresh(value + ".dq");
    AddConstant(scale, Tensor::Scalar(coding->second.step));
    AddConstant(zero, Tensor::Scalar(static_cast<std::uint8_t>(coding->second.zero)));
    result_.nodes.push_back(Node{.name = Fresh(value + ".quantize"),
                                 .op = "QuantizeLinear",
                                 .inputs = {value, scale, zero},
                                 .outputs = {bytes}});
    result_.nodes.push_back(Node{.name = Fresh(value + ".dequantize"),
                                 .op = "DequantizeLinear",
                                 .inputs = {bytes, scale, zero},
                                 .outputs = {floats}});
    coded_[value] = floats;
  }

  Initializer& Find(const std::string& name) {
    for (Initializer& initializer : result_.initializers) {
      if (initializer.name == name) return initializer;
    }
    throw Error(ErrorCode::kInternal, name + " is no initialiser");
  }

  struct Rounded {
    Tensor values, scales, bias, bias_scales;
  };

  Rounded Round(const Node& node) const {
    const Tensor& weight = ConstantOf(node.inputs[1]);
    CheckFinite(weight, node.inputs[1], node);
    const std::int64_t out = weight.dim(0), in = weight.dim(1), taps = weight.dim(2) * weight.dim(3),
                       each = in * taps;
    const float step = table_.values.at(node.inputs[0]).step;
    Rounded rounded{Tensor::Zeros(DType::kInt8, weight.shape()), Tensor::Zeros(DType::kFloat32, {out}),
                    Tensor::Zeros(DType::kInt32, {out}), Tensor::Zeros(DType::kFloat32, {out})};
    const float* old_bias = nullptr;
    if (HasBias(node)) {
      CheckFinite(ConstantOf(node.inputs[2]), node.inputs[2], node);
      old_bias = ConstantOf(node.inputs[2]).data<float>();
    }
    const ValueStatistics* const measured =
        correct_by_ && correct_by_->contains(node.inputs[0]) ? &correct_by_->at(node.inputs[0]) : nullptr;
    for (std::int64_t o = 0; o < out; ++o) {
      const float* const from = weight.data<float>() + o * each;
      float largest = 0;
      for (std::int64_t i = 0; i < each; ++i) largest = std::max(largest, std::abs(from[i]));
      const float bias = old_bias ? old_bias[o] : 0, scale = WeightScale(largest, bias, step);
      rounded.scales.data<float>()[o] = scale;
      double added = 0;  // by rounding, to the mean of this output
      for (std::int64_t c = 0; c < in; ++c) {
        const double mean = measured ? measured->Mean(c) : 0;
        for (std::int64_t t = 0; t < taps; ++t) {
          const float w = from[c * taps + t];
          const float whole = std::clamp(std::nearbyint(w / scale), -127.0f, 127.0f);
          rounded.values.data<std::int8_t>()[o * each + c * taps + t] = static_cast<std::int8_t>(whole);
          added += (static_cast<double>(whole) * scale - w) * mean;
        }
      }
      rounded.bias_scales.data<float>()[o] = scale * step;
      const double whole = std::nearbyint((bias - added) / (static_cast<double>(scale) * step));
      rounded.bias.data<std::int32_t>()[o] =
          static_cast<std::int32_t>(std::clamp(whole, -2147483648.0, 2147483647.0));
    }
    return rounded;
  }

  // The integers keep the names of the weight and the bias; the floats that the convolution reads are made of
  // them. No other node reads these (OwnConvolutionWeights).
  void QuantizeWeights(Node& placed, const Node& node) {
    const Rounded rounded = Round(node);
    Initializer& stored = Find(node.inputs[1]);
    stored.value = rounded.values;
    stored.init = Init::kGiven;
    placed.inputs.resize(3);
    placed.inputs[1] =
        AddDequantize(node.inputs[1], rounded.scales, Tensor::Zeros(DType::kInt8, rounded.scales.shape()));
    const std::string bias_name = HasBias(node) ? node.inputs[2] : Fresh(node.name + ".bias");
    if (HasBias(node))
      Find(bias_name).value = rounded.bias;
    else
      AddConstant(bias_name, rounded.bias);
    placed.inputs[2] = AddDequantize(bias_name, rounded.bias_scales, std::nullopt);
  }

  // By output channel; returns the name of the floats.
  std::string AddDequantize(const std::string& integers, Tensor scales, std::optional<Tensor> zeros) {
    Node node{.name = Fresh(integers + ".dequantize"),
              .op = "DequantizeLinear",
              .inputs = {integers, Fresh(integers + ".scale")},
              .outputs = {Fresh(integers + ".dq")}};
    AddConstant(node.inputs[1], std::move(scales));
    if (zeros) {
      node.inputs.push_back(Fresh(integers + ".zero"));
      AddConstant(node.inputs[2], std::move(*zeros));
    }
    node.attributes["axis"] = std::int64_t{0};
    result_.nodes.push_back(node);
    return node.outputs[0];
  }

  const Graph& graph_;
  const GraphIndex index_;
  const QuantizationTable& table_;
  const std::map<std::string, ValueStatistics>* correct_by_;
  std::set<std::string> taken_;               // names of values and nodes
  std::map<std::string, std::string> coded_;  // values, and what their readers get
  Graph result_;
};

// Half-precision weights stand behind a Cast: folded, they get the name of what was cast, by which
// checkpoints know them.
Graph FoldKeepingNames(const Graph& graph) {
  std::map<std::string, std::string> names;
  for (const Node& node : graph.nodes) {
    if (IsOnnx(node, "Cast") && graph.FindInitializer(node.inputs[0]))
      names[node.outputs[0]] = node.inputs[0];
  }
  Graph folded = FoldConstants(graph);
  std::map<std::string, std::string> renamed;
  std::set<std::string> given;
  for (Initializer& initializer : folded.initializers) {
    const auto name = names.find(initializer.name);
    // The first of several casts of one constant.
    if (name != names.end() && !folded.FindInitializer(name->second) && given.insert(name->second).second)
      renamed[initializer.name] = name->second;
  }
  for (Initializer& initializer : folded.initializers) {
    if (renamed.contains(initializer.name)) initializer.name = renamed.at(initializer.name);
  }
  for (Node& node : folded.nodes) {
    for (std::string& input : node.inputs) {
      if (renamed.contains(input)) input = renamed.at(input);
    }
  }
  return folded;
}

}  // namespace

ReadyGraph ReadyForQuantization(const Graph& graph, const Shape& input) {
  if (std::any_of(graph.nodes.begin(), graph.nodes.end(),
                  [](const Node& node) { return IsOnnx(node, "QuantizeLinear"); })) {
    throw Error(ErrorCode::kInvalidArgument, graph.name + " is quantised already; start from the float file");
  }
  ReadyGraph ready{ReadyToQuantize(FoldKeepingNames(graph.ForInference()), input), {}};
  ready.types = InferShapes(ready.graph, {{ready.graph.inputs.at(0).name, input}});
  const ReadyIndex index(ready);
  for (const Node& node : ready.graph.nodes) {  // before any image is run for nothing
    if (!index.Quantizable(node)) continue;
    for (std::size_t i = 1; i < (HasBias(node) ? 3 : 2); ++i)
      CheckFinite(*index.ConstantOf(node.inputs[i]), node.inputs[i], node);
  }
  return ready;
}

float WeightScale(float largest, float bias, float step) {
  const double holds_bias = std::abs(bias) / (static_cast<double>(step) * (1 << 30));
  return std::max({largest / 127.0f, 1e-12f, static_cast<float>(holds_bias)});
}

std::vector<std::string> QuantizableNodes(const ReadyGraph& ready) {
  const ReadyIndex index(ready);
  std::vector<std::string> names;
  for (const Node& node : ready.graph.nodes) {
    if (index.Quantizable(node)) names.push_back(node.name);
  }
  return names;
}

std::vector<std::string> MeasuredValues(const ReadyGraph& ready) {
  const ReadyIndex index(ready);
  std::set<std::string> values;
  for (const std::vector<std::string>& group : index.Groups({})) values.insert(group.begin(), group.end());
  return {values.begin(), values.end()};
}

Graph InsertQuantization(const ReadyGraph& ready, const std::map<std::string, ValueStatistics>& statistics,
                         const QuantizeScheme& scheme) {
  const ReadyIndex index(ready);
  QuantizationTable table;
  for (const std::vector<std::string>& group : index.Groups(scheme.float_nodes)) {
    std::vector<const ValueStatistics*> measured;
    for (const std::string& value : group) {
      const auto found = statistics.find(value);
      if (found == statistics.end()) throw Error(ErrorCode::kInternal, value + " was not measured");
      measured.push_back(&found->second);
    }
    const kernels::Coding coding = ChooseCoding(measured, scheme.range);
    for (const std::string& value : group) table.values[value] = {coding.step, coding.zero};
  }
  for (const Node& node : ready.graph.nodes) {
    if (index.Quantizable(node) && !scheme.float_nodes.contains(node.name))
      table.convolutions.insert(node.name);
  }
  return Inserter(ready.graph, table, scheme.bias_correction ? &statistics : nullptr).Run();
}

Graph InsertQuantization(const Graph& ready, const QuantizationTable& table) {
  return Inserter(ready, table, nullptr).Run();
}

int EqualizeLayers(ReadyGraph& ready) {
  const ReadyIndex index(ready);
  int pairs = 0;
  for (const Node& second : ready.graph.nodes) {
    if (!index.Quantizable(second)) continue;
    const Node* relu = index.Producer(second.inputs[0]);
    if (!relu || !IsOnnx(*relu, "Relu") || index.Readers(relu->outputs[0]).size() != 1 ||
        index.IsOutput(relu->outputs[0]))
      continue;
    const Node* first = index.Producer(relu->inputs[0]);
    if (!first || !index.Quantizable(*first) || index.Readers(first->outputs[0]).size() != 1 ||
        index.IsOutput(first->outputs[0]))
      continue;
    Initializer* a = ready.graph.FindInitializer(first->inputs[1]);
    Initializer* b = ready.graph.FindInitializer(second.inputs[1]);
    Initializer* bias = HasBias(*first) ? ready.graph.FindInitializer(first->inputs[2]) : nullptr;
    a->value = a->value.Clone(), b->value = b->value.Clone();
    if (bias) bias->value = bias->value.Clone();
    const std::int64_t channels = a->value.dim(0), each = a->value.size() / channels;
    const std::int64_t out = b->value.dim(0), taps = b->value.dim(2) * b->value.dim(3);
    float* const wa = a->value.data<float>();
    float* const wb = b->value.data<float>();
    for (std::int64_t c = 0; c < channels; ++c) {
      float ra = 0, rb = 0;
      for (std::int64_t i = 0; i < each; ++i) ra = std::max(ra, std::abs(wa[c * each + i]));
      for (std::int64_t o = 0; o < out; ++o) {
        for (std::int64_t t = 0; t < taps; ++t)
          rb = std::max(rb, std::abs(wb[(o * channels + c) * taps + t]));
      }
      if (!(ra > 1e-12f) || !(rb > 1e-12f)) continue;
      const float s = std::clamp(std::sqrt(ra / rb), 1e-3f, 1e3f);
      for (std::int64_t i = 0; i < each; ++i) wa[c * each + i] /= s;
      if (bias) bias->value.data<float>()[c] /= s;
      for (std::int64_t o = 0; o < out; ++o) {
        for (std::int64_t t = 0; t < taps; ++t) wb[(o * channels + c) * taps + t] *= s;
      }
    }
    ++pairs;
  }
  return pairs;
}

}  // namespace frf::engine
