// SPDX-License-Identifier: Apache-2.0
// A graph as people see it: a convolution with its batch norm and ReLU is one block, constants are not drawn.
// Subtle: only what reads one value, and is its only reader, joins the block that makes it; so every line
// between two blocks is a value that the graph really has.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/text.h"
#include "graph/draw.h"

namespace frf::draw {
namespace {

std::vector<std::string> SplitName(const std::string& name) {
  std::vector<std::string> parts(1);
  for (const char c : name) {
    if (c == '.' || c == '/') {
      if (!parts.back().empty()) parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string Sizes(const Shape& shape) {
  std::string text;
  for (std::size_t i = shape.size() > 1 && shape[0] == 1 ? 1 : 0; i < shape.size(); ++i) {
    text += (text.empty() ? "" : " × ") + std::to_string(shape[i]);
  }
  return text;
}

bool OneOf(const std::string& op, std::initializer_list<const char*> list) {
  return std::find(list.begin(), list.end(), op) != list.end();
}

bool IsPointwise(const Node& node) {
  return OneOf(node.op, {"BatchNormalization",
                         "Relu",
                         "PRelu",
                         "Elu",
                         "LeakyRelu",
                         "Sigmoid",
                         "HardSigmoid",
                         "HardSwish",
                         "Tanh",
                         "Neg",
                         "Ceil",
                         "Floor",
                         "Clip",
                         "Add",
                         "Sub",
                         "Mul",
                         "Div",
                         "DropChannels",
                         "Dropout",
                         "Identity",
                         "Softmax",
                         "Cast",
                         "QuantizeLinear",
                         "DequantizeLinear"});
}

Kind KindOf(const Node& node) {
  const std::string& op = node.op;
  if (OneOf(op, {"Conv", "ConvTranspose", "MatMul", "Gemm"})) return Kind::kConv;
  if (op.ends_with("Pool") || op.starts_with("Reduce")) return Kind::kPool;
  if (OneOf(op, {"ResizeLike", "Resize", "Unpool", "MaxUnpool", "DepthToSpace"})) return Kind::kResize;
  if (OneOf(op, {"Add", "Concat", "Sum", "Max", "Min"})) return Kind::kJoin;
  if (OneOf(op, {"Mul", "Sub", "Sigmoid", "HardSigmoid", "Softmax", "Ceil", "Clip", "Neg", "Div"}))
    return Kind::kGate;
  return Kind::kMove;
}

std::string ShortOp(const Node& node) {
  static const std::unordered_map<std::string, std::string> names{{"BatchNormalization", "BN"},
                                                                  {"Relu", "ReLU"},
                                                                  {"PRelu", "PReLU"},
                                                                  {"LeakyRelu", "Leaky ReLU"},
                                                                  {"MaxPool", "max pool"},
                                                                  {"AveragePool", "mean pool"},
                                                                  {"GlobalAveragePool", "global mean"},
                                                                  {"AdaptiveAveragePool", "adaptive mean"},
                                                                  {"ResizeLike", "resize"},
                                                                  {"Resize", "resize"},
                                                                  {"SpectralPool", "DCT terms"},
                                                                  {"DropChannels", "dropout"},
                                                                  {"ConvTranspose", "transposed conv"},
                                                                  {"Conv", "conv"},
                                                                  {"Concat", "concat"},
                                                                  {"Add", "add"},
                                                                  {"Mul", "multiply"},
                                                                  {"Sub", "subtract"},
                                                                  {"Sigmoid", "sigmoid"},
                                                                  {"Ceil", "ceil"},
                                                                  {"Clip", "clip"},
                                                                  {"Neg", "negate"},
                                                                  {"Softmax", "softmax"},
                                                                  {"MatMul", "product"},
                                                                  {"Reshape", "reshape"},
                                                                  {"Transpose", "transpose"},
                                                                  {"Split", "split"},
                                                                  {"Unpool", "unpool"}};
  const auto it = names.find(node.op);
  return it == names.end() ? node.op : it->second;
}

std::string Describe(const Node& node) {
  std::string text = ShortOp(node);
  const std::vector<std::int64_t> kernel = node.Ints("kernel_shape", {}), strides = node.Ints("strides", {}),
                                  dilations = node.Ints("dilations", {});
  if (kernel.size() == 2) text = fmt::format("{}×{} {}", kernel[0], kernel[1], text);
  if (!strides.empty() && strides[0] > 1) text += fmt::format(" /{}", strides[0]);
  if (!dilations.empty() && *std::max_element(dilations.begin(), dilations.end()) > 1) {
    text += fmt::format(" dilated {}", *std::max_element(dilations.begin(), dilations.end()));
  }
  if (const std::int64_t groups = node.Int("group", 1); groups > 1)
    text += fmt::format(" in {} groups", groups);
  return text;
}

// "relu_3" of a Relu says no more than the operator does.
bool SaysMore(const std::string& local, const Node& node) {
  const std::string op = Lower(node.op);
  return local.substr(0, local.rfind('_')) != op && local != op;
}

class Maker {
 public:
  Maker(const Graph& graph, const TypeMap& types, const Cost& cost)
      : graph_(graph), types_(types), index_(graph) {
    for (const LayerCost& layer : cost.layers) costs_.emplace(layer.node, &layer);
    for (const LayerCost& layer : cost.layers) all_macs_ += layer.macs_all;
  }

  Picture Run() {
    for (const GraphInput& input : graph_.inputs) {
      block_of_[input.name] = static_cast<int>(picture_.blocks.size());
      picture_.blocks.push_back(
          {.kind = Kind::kInput, .title = input.name, .size = Sizes(types_.at(input.name).shape)});
    }
    for (const Node& node : graph_.nodes) Add(node);
    for (Block& block : picture_.blocks) Describe(block);
    for (const GraphOutput& output : graph_.outputs) AddOutput(output);
    double heaviest = 0;
    for (const Block& block : picture_.blocks) heaviest = std::max(heaviest, block.share);
    for (Block& block : picture_.blocks) block.share = heaviest > 0 ? block.share / heaviest : 0;
    return std::move(picture_);
  }

 private:
  // Values that depend on the picture; sizes and constants are not drawn.
  std::vector<std::string> Drawn(const Node& node) const {
    std::vector<std::string> inputs;
    const bool size_only = node.Is("ResizeLike") && node.domain == kFrfDomain;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (size_only && i > 0) break;
      if (block_of_.contains(node.inputs[i])) inputs.push_back(node.inputs[i]);
    }
    return inputs;
  }

  int Readers(const std::string& value) const {
    const auto it = index_.consumers.find(value);
    int count = it == index_.consumers.end() ? 0 : static_cast<int>(it->second.size());
    if (it != index_.consumers.end()) {
      for (const int reader : it->second) {  // those that take its size alone do not count
        const Node& node = graph_.nodes[reader];
        if (node.Is("Shape") || (node.Is("ResizeLike") && node.inputs[0] != value)) --count;
      }
    }
    for (const GraphOutput& output : graph_.outputs) count += output.name == value;
    return count;
  }

  void Add(const Node& node) {
    if (node.Is("Shape")) return;
    const std::vector<std::string> inputs = Drawn(node);
    if (inputs.empty()) return;  // made of constants
    if (inputs.size() == 1 && IsPointwise(node) && Readers(inputs[0]) == 1) {
      const int block = block_of_.at(inputs[0]);
      Block& before = picture_.blocks[block];
      const bool related =
          !before.nodes.empty() && (before.scope == ScopeOf(node) || before.nodes.back()->Is("Conv") ||
                                    node.name.starts_with(before.nodes.front()->name + "."));
      if (related) {
        before.nodes.push_back(&node);
        for (const std::string& output : node.outputs) block_of_[output] = block;
        return;
      }
    }
    const int block = static_cast<int>(picture_.blocks.size());
    picture_.blocks.push_back({.nodes = {&node}, .scope = ScopeOf(node), .kind = KindOf(node)});
    for (const std::string& output : node.outputs) block_of_[output] = block;
    for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
      picture_.edges.push_back({block_of_.at(inputs[i]), block, i, static_cast<int>(inputs.size())});
    }
  }

  static std::vector<std::string> ScopeOf(const Node& node) {
    std::vector<std::string> parts = SplitName(node.name);
    parts.pop_back();
    return parts;
  }

  void AddOutput(const GraphOutput& output) {
    const auto it = block_of_.find(output.name);
    if (it == block_of_.end()) return;
    const int block = static_cast<int>(picture_.blocks.size());
    picture_.blocks.push_back({.kind = Kind::kOutput, .title = output.name});
    picture_.edges.push_back({it->second, block, 0, 1});
  }

  static bool IsConv(const Node& node) { return node.Is("Conv") || node.Is("ConvTranspose"); }

  // The node that a block is called after: its convolution, else the last one with a telling name.
  static const Node& Named(const Block& block) {
    if (IsConv(*block.nodes.front())) return *block.nodes.front();
    for (auto node = block.nodes.rbegin(); node != block.nodes.rend(); ++node) {
      if (SaysMore(SplitName((*node)->name).back(), **node)) return **node;
    }
    return *block.nodes.back();
  }

  void Describe(Block& block) {
    if (block.nodes.empty()) return;
    const Node& named = Named(block);
    std::int64_t params = 0, macs = 0;
    int field = 0;
    std::string operators;
    for (const Node* node : block.nodes) {
      operators += (operators.empty() ? "" : " · ") + draw::Describe(*node);
      const auto it = costs_.find(node->name);
      if (it == costs_.end()) continue;
      params += it->second->params;
      macs += it->second->macs_all;
      field = it->second->receptive_field;
    }
    const Shape& shape = types_.at(block.nodes.back()->outputs[0]).shape;
    block.size = Sizes(shape);
    const std::string local = SplitName(named.name).back();
    if (SaysMore(local, named) || IsConv(named)) {
      block.title = local;
      block.detail = operators;
    } else {
      block.title = operators;
    }
    block.share = all_macs_ > 0 ? static_cast<double>(macs) / static_cast<double>(all_macs_) : 0.0;
    block.tip = fmt::format("{}\n{}\n{}", named.name, operators, block.size);
    if (params > 0) block.tip += fmt::format("\n{} parameters", params);
    if (macs > 0)
      block.tip += fmt::format("\n{:.1f} M multiply-accumulates ({:.1f} %)", static_cast<double>(macs) / 1e6,
                               100 * block.share);
    block.tip += field > 0 ? fmt::format("\nsees {} pixels of the image", field) : "\nsees the whole image";
  }

  const Graph& graph_;
  const TypeMap& types_;
  GraphIndex index_;
  std::unordered_map<std::string, const LayerCost*> costs_;
  std::int64_t all_macs_ = 0;
  std::unordered_map<std::string, int> block_of_;
  Picture picture_;
};

}  // namespace

Picture MakeBlocks(const Graph& graph, const TypeMap& types, const Cost& cost) {
  return Maker(graph, types, cost).Run();
}

}  // namespace frf::draw
