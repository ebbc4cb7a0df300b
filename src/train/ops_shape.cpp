// SPDX-License-Identifier: Apache-2.0
// Torch forms of operators that move, cut, join and reduce. Subtle: Shape gives a CPU tensor of int64 on
// every device, so that a Reshape fed by it never waits for the accelerator.
#include <fmt/format.h>

#include <optional>

#include "train/module.h"
#include "train/ops_internal.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;

Ints ToInts(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kCPU, torch::kInt64).contiguous();
  return Ints(flat.data_ptr<std::int64_t>(), flat.data_ptr<std::int64_t>() + flat.numel());
}

// From the input at `position` or else attribute `key` (older opsets); nothing when the node has neither.
// Where it has both the input counts, as in shape inference and in the engine.
std::optional<Ints> InputOrAttribute(const Node& node, const Graph& graph, std::size_t position,
                                     const std::string& key) {
  if (position < node.inputs.size() && !node.inputs[position].empty())
    return ConstantOf(node, graph, position).ToVector<std::int64_t>();
  if (node.Has(key)) return node.Ints(key, {});
  return std::nullopt;
}

// ONNX: 0 copies the input's dimension, -1 is inferred.
torch::Tensor ReshapeTo(const torch::Tensor& x, Ints shape) {
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) shape[i] = x.size(static_cast<std::int64_t>(i));
  }
  return x.reshape(shape);
}

// Axes as an attribute (before opset 13 or 18) or as input 1; empty: all.
TorchOp CompileReduce(const Node& node, const Graph& graph) {
  const Ints axes = InputOrAttribute(node, graph, 1, "axes").value_or(Ints{});
  const bool keep = node.Int("keepdims", 1) != 0;
  if (axes.empty() && node.Int("noop_with_empty_axes", 0) != 0)
    return [](OpCall& call) { call.out = {call.in[0]}; };
  const std::string op = node.op;
  return [=](OpCall& call) {
    const torch::Tensor& x = call.in[0];
    Ints over = axes;
    if (over.empty()) {
      for (std::int64_t i = 0; i < x.dim(); ++i) over.push_back(i);
    }
    if (op == "ReduceMax") {
      call.out = {over.size() == 1 ? std::get<0>(at::max(x, over[0], keep)) : at::amax(x, over, keep)};
    } else {
      call.out = {op == "ReduceMean" ? at::mean(x, over, keep) : at::sum(x, over, keep)};
    }
  };
}

TorchOp CompileSplit(const Node& node, const Graph& graph) {
  const std::int64_t axis = node.Int("axis", 0);
  const Ints sizes = InputOrAttribute(node, graph, 1, "split").value_or(Ints{});
  const std::int64_t parts = static_cast<std::int64_t>(node.outputs.size());
  return [=](OpCall& call) {
    const torch::Tensor& x = call.in[0];
    const Ints lengths = sizes.empty() ? Ints(parts, x.size(axis) / parts) : sizes;
    call.out = at::split_with_sizes(x, lengths, axis);
  };
}

TorchOp CompileSlice(const Node& node, const Graph& graph) {
  const Ints starts = ConstantOf(node, graph, 1).ToVector<std::int64_t>();
  const Ints ends = ConstantOf(node, graph, 2).ToVector<std::int64_t>();
  Ints axes, steps(starts.size(), 1);
  if (node.inputs.size() > 3 && !node.inputs[3].empty()) {
    axes = ConstantOf(node, graph, 3).ToVector<std::int64_t>();
  } else {
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  if (node.inputs.size() > 4 && !node.inputs[4].empty())
    steps = ConstantOf(node, graph, 4).ToVector<std::int64_t>();
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    FailNode(node, ErrorCode::kCorruptFile, "wants as many ends, axes and steps as starts");
  }
  for (const std::int64_t step : steps) {
    if (step < 1) FailNode(node, ErrorCode::kUnsupported, "has no libtorch form with negative steps");
  }
  return [=](OpCall& call) {
    torch::Tensor x = call.in[0];
    for (std::size_t i = 0; i < starts.size(); ++i) x = at::slice(x, axes[i], starts[i], ends[i], steps[i]);
    call.out = {x};
  };
}

TorchOp CompileGather(const Node& node) {
  const std::int64_t axis = node.Int("axis", 0);
  return [=](OpCall& call) {
    const torch::Tensor& x = call.in[0];
    const std::int64_t at = axis < 0 ? axis + x.dim() : axis;
    torch::Tensor index = call.in[1].to(x.device(), torch::kInt64);
    index = torch::where(index < 0, index + x.size(at), index);  // ONNX: counted from the end
    torch::Tensor rows = at::index_select(x, at, index.reshape({-1}));
    Ints shape = x.sizes().vec();
    shape.erase(shape.begin() + at);
    shape.insert(shape.begin() + at, index.sizes().begin(), index.sizes().end());
    call.out = {rows.reshape(shape)};
  };
}

TorchOp CompilePad(const Node& node, const Graph& graph) {
  const std::string mode = node.String("mode", "constant");
  const auto given = InputOrAttribute(node, graph, 1, "pads");
  if (!given) FailNode(node, ErrorCode::kCorruptFile, "has no pads");
  const Ints& pads = *given;
  if (mode != "constant")
    FailNode(node, ErrorCode::kUnsupported, fmt::format("has no form for mode {}", mode));
  double value = 0;
  if (node.inputs.size() > 2 && !node.inputs[2].empty())
    value = ConstantOf(node, graph, 2).ToVector<double>().at(0);
  const std::size_t rank = pads.size() / 2;
  Ints reversed;  // torch counts from the last axis
  for (std::size_t i = rank; i-- > 0;) {
    reversed.push_back(pads[i]);
    reversed.push_back(pads[i + rank]);
  }
  return [=](OpCall& call) { call.out = {at::constant_pad_nd(call.in[0], reversed, value)}; };
}

TorchOp CompileGemm(const Node& node) {
  const double alpha = node.Float("alpha", 1), beta = node.Float("beta", 1);
  const bool left = node.Int("transA", 0) != 0, right = node.Int("transB", 0) != 0;
  return [=](OpCall& call) {
    torch::Tensor product =
        at::matmul(left ? call.in[0].t() : call.in[0], right ? call.in[1].t() : call.in[1]);
    if (alpha != 1) product = product * alpha;
    if (call.in.size() > 2 && call.in[2].defined())
      product = product + (beta == 1 ? call.in[2] : call.in[2] * beta);
    call.out = {product};
  };
}

TorchOp CompileConcat(const Node& node) {
  const std::int64_t axis = node.Int("axis", 1);
  return [=](OpCall& call) { call.out = {call.in.size() == 1 ? call.in[0] : at::cat(call.in, axis)}; };
}

// Axes of Squeeze and Unsqueeze, sorted; every one counts in the larger of the two shapes.
TorchOp CompileSqueeze(const Node& node, const Graph& graph, bool insert) {
  const auto given = InputOrAttribute(node, graph, 1, "axes");
  if (!given) FailNode(node, ErrorCode::kUnsupported, "has no libtorch form without axes");
  const Ints axes = *given;
  return [=](OpCall& call) {
    torch::Tensor x = call.in[0];
    const std::int64_t rank = x.dim() + (insert ? static_cast<std::int64_t>(axes.size()) : 0);
    Ints sorted = axes;
    for (std::int64_t& axis : sorted) axis = axis < 0 ? axis + rank : axis;
    std::sort(sorted.begin(), sorted.end());
    if (!insert) std::reverse(sorted.begin(), sorted.end());
    for (const std::int64_t axis : sorted) x = insert ? x.unsqueeze(axis) : x.squeeze(axis);
    call.out = {x};
  };
}

TorchOp CompileCast(const Node& node) {
  const std::int64_t to = node.Int("to", 1);  // ONNX's TensorProto.DataType
  const std::map<std::int64_t, torch::ScalarType> types{{1, torch::kFloat32}, {2, torch::kUInt8},
                                                        {6, torch::kInt32},   {7, torch::kInt64},
                                                        {9, torch::kBool},    {11, torch::kFloat64}};
  if (!types.contains(to))
    FailNode(node, ErrorCode::kUnsupported, fmt::format("has no form for type {}", to));
  const torch::ScalarType type = types.at(to);
  return [=](OpCall& call) { call.out = {call.in[0].to(type)}; };
}

}  // namespace

void FailNode(const Node& node, ErrorCode code, const std::string& message) {
  throw Error(code, fmt::format("node '{}' ({}) {}", node.name, node.op, message));
}

const Tensor& ConstantOf(const Node& node, const Graph& graph, std::size_t position) {
  const Initializer* found =
      position < node.inputs.size() ? graph.FindInitializer(node.inputs[position]) : nullptr;
  if (found == nullptr || !found->value.has_data()) {
    FailNode(node, ErrorCode::kUnsupported, fmt::format("wants a constant at input {}", position));
  }
  return found->value;
}

TorchOp CompileShapeOp(const Node& node, const Graph& graph) {
  const std::string& op = node.op;
  if (op == "Concat") return CompileConcat(node);
  if (op == "Split") return CompileSplit(node, graph);
  if (op == "ReduceMax" || op == "ReduceMean" || op == "ReduceSum") return CompileReduce(node, graph);
  if (op == "Slice") return CompileSlice(node, graph);
  if (op == "Gather") return CompileGather(node);
  if (op == "Pad") return CompilePad(node, graph);
  if (op == "Gemm") return CompileGemm(node);
  if (op == "Cast") return CompileCast(node);
  if (op == "Squeeze" || op == "Unsqueeze") return CompileSqueeze(node, graph, op == "Unsqueeze");
  if (op == "Softmax") {
    const std::int64_t axis = node.Int("axis", -1);
    return [=](OpCall& call) { call.out = {at::softmax(call.in[0], axis)}; };
  }
  if (op == "Transpose") {
    const Ints order = node.Ints("perm", {});
    return [=](OpCall& call) { call.out = {order.empty() ? call.in[0].t() : call.in[0].permute(order)}; };
  }
  if (op == "Reshape") {
    return [zeros = node.Int("allowzero", 0) != 0](OpCall& call) {
      const Ints shape = ToInts(call.in[1]);
      call.out = {zeros ? call.in[0].reshape(shape) : ReshapeTo(call.in[0], shape)};
    };
  }
  if (op == "Expand")
    return [](OpCall& call) {
      call.out = {call.in[0] + torch::zeros(ToInts(call.in[1]), call.in[0].options())};
    };
  if (op == "Flatten") {
    const std::int64_t axis = node.Int("axis", 1);
    return [=](OpCall& call) {
      const std::int64_t end = axis < 0 ? axis + call.in[0].dim() : axis;
      std::int64_t rows = 1;
      for (std::int64_t i = 0; i < end; ++i) rows *= call.in[0].size(i);
      call.out = {call.in[0].reshape({rows, -1})};
    };
  }
  if (op == "Shape") {
    return [](OpCall& call) { call.out = {torch::tensor(call.in[0].sizes().vec(), torch::kInt64)}; };
  }
  return {};
}

}  // namespace frf
