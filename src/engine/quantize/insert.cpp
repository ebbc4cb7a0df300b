// SPDX-License-Identifier: Apache-2.0
#include "engine/quantize/insert.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/plain.h"
#include "frf/error.h"

namespace frf::engine {
namespace {

bool IsOnnx(const Node& node, std::string_view op) { return node.domain.empty() && node.Is(op); }

bool IsResize(const Node& node) {
  return IsOnnx(node, "Resize") || (node.domain == kFrfDomain && node.Is("ResizeLike"));
}

class Reader {
 public:
  explicit Reader(const ReadyGraph& ready) : ready_(ready), graph_(ready.graph), index_(ready.graph) {}

  const Tensor* ConstantOf(const std::string& name) const {
    const auto found = index_.initializer.find(name);
    return found == index_.initializer.end() ? nullptr : &graph_.initializers[found->second].value;
  }
  bool IsMap(const std::string& name) const {
    const auto type = ready_.types.find(name);
    return type != ready_.types.end() && type->second.dtype == DType::kFloat32 &&
           type->second.shape.size() == 4;
  }
  bool IsPicture(const std::string& name) const {  // a map with more than one pixel
    return IsMap(name) && ready_.types.at(name).shape[2] * ready_.types.at(name).shape[3] > 1;
  }
  bool Quantizable(const Node& node) const {
    if (!IsOnnx(node, "Conv") || node.Int("group", 1) != 1 || !IsPicture(node.inputs[0])) return false;
    const Tensor* weight = ConstantOf(node.inputs[1]);
    if (!weight || weight->dtype() != DType::kFloat32 || weight->rank() != 4) return false;
    return node.inputs.size() < 3 || node.inputs[2].empty() || ConstantOf(node.inputs[2]);
  }
  const Node* Producer(const std::string& value) const {
    const auto found = index_.producer.find(value);
    return found == index_.producer.end() ? nullptr : &graph_.nodes[found->second];
  }
  const std::vector<int>& Readers(const std::string& value) const {
    static const std::vector<int> kNone;
    const auto found = index_.consumers.find(value);
    return found == index_.consumers.end() ? kNone : found->second;
  }
  bool IsOutput(const std::string& value) const {
    return std::any_of(graph_.outputs.begin(), graph_.outputs.end(),
                       [&](const GraphOutput& output) { return output.name == value; });
  }

  // Values with a coding, in groups that share one.
  std::vector<std::vector<std::string>> Groups(const std::set<std::string>& float_nodes) const {
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
    for (const Node& node : graph_.nodes) {
      if (Quantizable(node) && !float_nodes.contains(node.name)) add(node.inputs[0]);
      for (const std::string& output : node.outputs) {
        if (StandsInMemory(node, output)) add(output);
      }
    }
    // From the back: what a concatenation or a maximum is made of shares its coding.
    for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
      if (node->outputs.empty() || !group_of.contains(node->outputs[0])) continue;
      const bool concat = IsOnnx(*node, "Concat"),
                 pool = IsOnnx(*node, "MaxPool") && node->outputs.size() == 1;
      if (!concat && !pool) continue;
      for (const std::string& input : node->inputs) {
        if (IsMap(input) && !ConstantOf(input)) merge(node->outputs[0], input);
      }
    }
    std::erase_if(groups, [](const auto& group) { return group.empty(); });
    return groups;
  }

  const ReadyGraph& ready_;
  const Graph& graph_;
  GraphIndex index_;

 private:
  // A convolution's result (behind its ReLU) that is kept for several readers, or for one that needs its
  // neighbours.
  bool StandsInMemory(const Node& node, const std::string& value) const {
    const Node* conv = IsOnnx(node, "Relu") ? Producer(node.inputs[0]) : &node;
    if (!conv || !Quantizable(*conv) || !IsPicture(value) || IsOutput(value)) return false;
    std::vector<int> readers = Readers(value);
    std::erase_if(readers, [&](int reader) {  // those that ask for its size alone
      const Node& node = graph_.nodes[reader];
      return IsOnnx(node, "Shape") || (IsResize(node) && node.inputs[0] != value);
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
  bool LeadsToOutput(const Node& node) const {
    if (IsOutput(node.outputs[0])) return true;
    const std::vector<int>& readers = Readers(node.outputs[0]);
    if (readers.size() != 1) return false;
    const Node& next = graph_.nodes[readers[0]];
    return (IsOnnx(next, "ArgMax") || IsOnnx(next, "Softmax") || IsOnnx(next, "Cast") ||
            IsOnnx(next, "Squeeze") || IsResize(next)) &&
           LeadsToOutput(next);
  }
};

class Inserter {
 public:
  // `correct_by`: the statistics that biases are corrected by; null: biases stay as they are.
  Inserter(const Graph& graph, const QuantizationTable& table,
           const std::map<std::string, ValueStatistics>* correct_by)
      : graph_(graph), index_(graph), table_(table), correct_by_(correct_by) {}

  Graph Run() && {
    result_ = graph_;
    result_.nodes.clear();
    for (const GraphInput& input : graph_.inputs) Code(input.name);
    for (const Node& node : graph_.nodes) {
      Node placed = node;
      for (std::string& input : placed.inputs) {
        if (table_.values.contains(input)) input += ".dq";
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
    const std::string scale = value + ".scale", zero = value + ".zero", bytes = value + ".q";
    AddConstant(scale, Tensor::Scalar(coding->second.step));
    AddConstant(zero, Tensor::Scalar(static_cast<std::uint8_t>(coding->second.zero)));
    result_.nodes.push_back(Node{.name = value + ".quantize",
                                 .op = "QuantizeLinear",
                                 .inputs = {value, scale, zero},
                                 .outputs = {bytes}});
    result_.nodes.push_back(Node{.name = value + ".dequantize",
                                 .op = "DequantizeLinear",
                                 .inputs = {bytes, scale, zero},
                                 .outputs = {value + ".dq"}});
  }

  Initializer& Find(const std::string& name) {
    for (Initializer& initializer : result_.initializers) {
      if (initializer.name == name) return initializer;
    }
    throw Error(ErrorCode::kInternal, name + " is no initialiser");
  }

  // The int8 tensor keeps the weight's name; the float one that convolutions read is made of it.
  void QuantizeWeights(Node& placed, const Node& node) {
    const std::string& name = node.inputs[1];
    const Tensor weight = ConstantOf(name);
    const std::int64_t out = weight.dim(0), in = weight.dim(1), taps = weight.dim(2) * weight.dim(3),
                       each = in * taps;
    const float step = table_.values.at(node.inputs[0]).step;
    Tensor values = Tensor::Zeros(DType::kInt8, weight.shape()),
           scales = Tensor::Zeros(DType::kFloat32, {out}),
           bias_scales = Tensor::Zeros(DType::kFloat32, {out}), bias = Tensor::Zeros(DType::kInt32, {out});
    const bool had_bias = node.inputs.size() > 2 && !node.inputs[2].empty();
    const Tensor old_bias = had_bias ? ConstantOf(node.inputs[2]) : Tensor();
    const ValueStatistics* const measured =
        correct_by_ && correct_by_->contains(node.inputs[0]) ? &correct_by_->at(node.inputs[0]) : nullptr;
    for (std::int64_t o = 0; o < out; ++o) {
      const float* const from = weight.data<float>() + o * each;
      float largest = 0;
      for (std::int64_t i = 0; i < each; ++i) largest = std::max(largest, std::abs(from[i]));
      const float scale = std::max(largest / 127.0f, 1e-12f);
      scales.data<float>()[o] = scale;
      double added = 0;  // by rounding, to the mean of this output
      for (std::int64_t c = 0; c < in; ++c) {
        const double mean = measured ? measured->Mean(c) : 0;
        for (std::int64_t t = 0; t < taps; ++t) {
          const float w = from[c * taps + t];
          const float whole = std::clamp(std::nearbyint(w / scale), -127.0f, 127.0f);
          values.data<std::int8_t>()[o * each + c * taps + t] = static_cast<std::int8_t>(whole);
          added += (static_cast<double>(whole) * scale - w) * mean;
        }
      }
      const double wanted = (had_bias ? old_bias.data<float>()[o] : 0.0) - added;
      bias_scales.data<float>()[o] = scale * step;
      const double whole = std::nearbyint(wanted / (static_cast<double>(scale) * step));
      bias.data<std::int32_t>()[o] =
          static_cast<std::int32_t>(std::clamp(whole, -2147483648.0, 2147483647.0));
    }
    if (!done_.contains(name)) {
      Initializer& stored = Find(name);
      stored.value = values;
      stored.init = Init::kGiven;
      AddConstant(name + ".scale", scales);
      AddConstant(name + ".zero", Tensor::Zeros(DType::kInt8, {out}));
      Node dequantize{.name = name + ".dequantize",
                      .op = "DequantizeLinear",
                      .inputs = {name, name + ".scale", name + ".zero"},
                      .outputs = {name + ".dq"}};
      dequantize.attributes["axis"] = std::int64_t{0};
      result_.nodes.push_back(std::move(dequantize));
      done_.insert(name);
    }
    placed.inputs[1] = name + ".dq";
    const std::string bias_name = had_bias ? node.inputs[2] : node.name + ".bias";
    if (had_bias && !done_.contains(bias_name))
      Find(bias_name).value = bias;
    else if (!had_bias)
      AddConstant(bias_name, bias);
    if (!done_.contains(bias_name)) {
      AddConstant(bias_name + ".scale", bias_scales);
      Node dequantize{.name = bias_name + ".dequantize",
                      .op = "DequantizeLinear",
                      .inputs = {bias_name, bias_name + ".scale"},
                      .outputs = {bias_name + ".dq"}};
      dequantize.attributes["axis"] = std::int64_t{0};
      result_.nodes.push_back(std::move(dequantize));
      done_.insert(bias_name);
    }
    placed.inputs.resize(3);
    placed.inputs[2] = bias_name + ".dq";
  }

  const Graph& graph_;
  const GraphIndex index_;
  const QuantizationTable& table_;
  const std::map<std::string, ValueStatistics>* correct_by_;
  std::set<std::string> done_;
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
  for (Initializer& initializer : folded.initializers) {
    const auto name = names.find(initializer.name);
    if (name != names.end() && !folded.FindInitializer(name->second))
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
  return ready;
}

std::vector<std::string> QuantizableNodes(const ReadyGraph& ready) {
  const Reader reader(ready);
  std::vector<std::string> names;
  for (const Node& node : ready.graph.nodes) {
    if (reader.Quantizable(node)) names.push_back(node.name);
  }
  return names;
}

std::vector<std::string> MeasuredValues(const ReadyGraph& ready) {
  const Reader reader(ready);
  std::set<std::string> values;
  for (const std::vector<std::string>& group : reader.Groups({})) values.insert(group.begin(), group.end());
  return {values.begin(), values.end()};
}

Graph InsertQuantization(const ReadyGraph& ready, const std::map<std::string, ValueStatistics>& statistics,
                         const QuantizeScheme& scheme) {
  const Reader reader(ready);
  QuantizationTable table;
  for (const std::vector<std::string>& group : reader.Groups(scheme.float_nodes)) {
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
    if (reader.Quantizable(node) && !scheme.float_nodes.contains(node.name))
      table.convolutions.insert(node.name);
  }
  return Inserter(ready.graph, table, scheme.bias_correction ? &statistics : nullptr).Run();
}

Graph InsertQuantization(const Graph& ready, const QuantizationTable& table) {
  return Inserter(ready, table, nullptr).Run();
}

int EqualizeLayers(ReadyGraph& ready) {
  const Reader reader(ready);
  int pairs = 0;
  for (const Node& second : ready.graph.nodes) {
    if (!reader.Quantizable(second)) continue;
    const Node* relu = reader.Producer(second.inputs[0]);
    if (!relu || !IsOnnx(*relu, "Relu") || reader.Readers(relu->outputs[0]).size() != 1 ||
        reader.IsOutput(relu->outputs[0]))
      continue;
    const Node* first = reader.Producer(relu->inputs[0]);
    if (!first || !reader.Quantizable(*first) || reader.Readers(first->outputs[0]).size() != 1) continue;
    Initializer* a = ready.graph.FindInitializer(first->inputs[1]);
    Initializer* b = ready.graph.FindInitializer(second.inputs[1]);
    Initializer* bias = first->inputs.size() > 2 && !first->inputs[2].empty()
                            ? ready.graph.FindInitializer(first->inputs[2])
                            : nullptr;
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
