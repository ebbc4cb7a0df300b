// SPDX-License-Identifier: Apache-2.0
// Shape inference: one pass over the nodes, and the rules of operators that work element by element.
// Subtle: small tensors are evaluated on the way (Shape, Slice, Gather, arithmetic ...), so that a size
// computed inside the graph is known when a Reshape or Resize asks for it; what depends on the picture's
// values never is.
#include "graph/shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "graph/operators.h"
#include "graph/shape_rules.h"

namespace frf {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;  // keeps every later product within 64 bits

bool OneOf(std::string_view op, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), op) != list.end();
}

NodeTypes Broadcasted(const RuleContext& c, DType type) {
  Shape shape = c.ShapeOf(0);
  for (std::size_t i = 1; i < c.inputs.size(); ++i) shape = BroadcastShapes(c, shape, c.ShapeOf(i));
  return {{type, shape}};
}

NodeTypes InferMatMul(const RuleContext& c) {
  c.WantAtLeast(0, 1);
  c.WantAtLeast(1, 1);
  Shape a = c.ShapeOf(0), b = c.ShapeOf(1);
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  const std::size_t ra = a.size(), rb = b.size();
  if (a[ra - 1] != b[rb - 2]) {
    c.Fail(
        fmt::format("a product of {} and {} does not fit", ToString(c.ShapeOf(0)), ToString(c.ShapeOf(1))));
  }
  Shape out = BroadcastShapes(c, Shape(a.begin(), a.end() - 2), Shape(b.begin(), b.end() - 2));
  if (!row) out.push_back(a[ra - 2]);
  if (!column) out.push_back(b[rb - 1]);
  return {{c.TypeOf(0), out}};
}

NodeTypes InferGemm(const RuleContext& c) {
  c.WantRank(0, 2);
  c.WantRank(1, 2);
  const bool ta = c.node.Int("transA", 0) != 0, tb = c.node.Int("transB", 0) != 0;
  const Shape& a = c.ShapeOf(0);
  const Shape& b = c.ShapeOf(1);
  if (a[ta ? 0 : 1] != b[tb ? 1 : 0]) {
    c.Fail(fmt::format("a product of {} and {} does not fit (transA {}, transB {})", ToString(a), ToString(b),
                       ta, tb));
  }
  const Shape out{a[ta ? 1 : 0], b[tb ? 0 : 1]};
  if (c.Has(2) && BroadcastShapes(c, out, c.ShapeOf(2)) != out) {
    c.Fail(fmt::format("a bias of {} does not broadcast to {}", ToString(c.ShapeOf(2)), ToString(out)));
  }
  return {{c.TypeOf(0), out}};
}

NodeTypes InferNorm(const RuleContext& c) {
  c.WantAtLeast(0, 2);
  const std::int64_t channels = c.ShapeOf(0)[1];
  for (std::size_t i = 1; i < c.inputs.size(); ++i) {
    if (c.Has(i) && c.ShapeOf(i) != Shape{channels}) {
      c.Fail(fmt::format("'{}' is {}, but the map has {} channels", c.node.inputs[i], ToString(c.ShapeOf(i)),
                         channels));
    }
  }
  NodeTypes types{{c.TypeOf(0), c.ShapeOf(0)}};
  while (types.size() < c.node.outputs.size())
    types.push_back({c.TypeOf(0), {channels}});  // training statistics
  return types;
}

// Opset 18 has scale and bias once a group, opset 21 once a channel.
NodeTypes InferGroupNorm(const RuleContext& c) {
  c.WantAtLeast(0, 2);
  if (c.opset < 18) c.Unsupported(fmt::format("it came with opset 18, the file is of opset {}", c.opset));
  const std::int64_t channels = c.ShapeOf(0)[1], groups = c.node.Int("num_groups", 0);
  if (groups < 1 || channels < groups || channels % groups != 0)
    c.Fail(fmt::format("{} groups do not divide {} channels", groups, channels));
  const bool by_group = c.opset < 21;
  const std::int64_t wanted = by_group ? groups : channels;
  for (const std::size_t i : {1, 2}) {
    if (c.ShapeOf(i) == Shape{wanted}) continue;
    c.Fail(fmt::format("'{}' is {}, opset {} wants {} values, one for each {}", c.node.inputs[i],
                       ToString(c.ShapeOf(i)), c.opset, wanted, by_group ? "group" : "channel"));
  }
  return {{c.TypeOf(0), c.ShapeOf(0)}};
}

NodeTypes InferLayerNorm(const RuleContext& c) {
  NodeTypes types{{c.TypeOf(0), c.ShapeOf(0)}};
  Shape statistics = c.ShapeOf(0);  // mean and inverse deviation
  for (std::size_t i = c.Axis(c.node.Int("axis", -1), statistics.size()); i < statistics.size(); ++i)
    statistics[i] = 1;
  while (types.size() < c.node.outputs.size()) types.push_back({DType::kFloat32, statistics});
  return types;
}

NodeTypes InferPRelu(const RuleContext& c) {
  if (BroadcastShapes(c, c.ShapeOf(0), c.ShapeOf(1)) != c.ShapeOf(0)) {
    c.Fail(fmt::format("a slope of {} does not broadcast to {}", ToString(c.ShapeOf(1)),
                       ToString(c.ShapeOf(0))));
  }
  return {{c.TypeOf(0), c.ShapeOf(0)}};
}

NodeTypes InferReduce(const RuleContext& c) {
  const Shape& in = c.ShapeOf(0);
  const bool keep = c.node.Int("keepdims", 1) != 0;
  const bool arg = c.node.Is("ArgMax");
  std::vector<bool> reduced(in.size(), false);
  if (arg) {
    c.WantAtLeast(0, 1);
    reduced[c.Axis(c.node.Int("axis", 0), in.size())] = true;
  } else {
    const auto axes = c.InputOrAttribute(1, "axes");
    if (axes && !axes->empty()) {
      for (const std::int64_t axis : *axes) reduced[c.Axis(axis, in.size())] = true;
    } else if (c.node.Int("noop_with_empty_axes", 0) == 0) {
      reduced.assign(in.size(), true);
    }
  }
  Shape out;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (!reduced[i])
      out.push_back(in[i]);
    else if (keep)
      out.push_back(1);
  }
  return {{arg ? DType::kInt64 : c.TypeOf(0), out}};
}

NodeTypes InferQuantize(const RuleContext& c) {
  // A number may stand beside a list of one: ONNX Runtime's quantiser writes that of biases.
  if (c.Has(2) && c.ShapeOf(2) != c.ShapeOf(1) &&
      (NumElements(c.ShapeOf(1)) != 1 || NumElements(c.ShapeOf(2)) != 1)) {
    c.Fail(fmt::format("scale is {}, zero point is {}", ToString(c.ShapeOf(1)), ToString(c.ShapeOf(2))));
  }
  const Shape& scale = c.ShapeOf(1);
  if (scale.size() > 1)
    c.Unsupported(fmt::format("a scale of {}; one number or one per channel is known", ToString(scale)));
  if (scale.size() == 1 && scale[0] != 1) {
    const std::int64_t axis = c.Axis(c.node.Int("axis", 1), c.ShapeOf(0).size());
    if (c.ShapeOf(0)[axis] != scale[0])
      c.Fail(fmt::format("{} scales for {} along axis {}", scale[0], ToString(c.ShapeOf(0)), axis));
  }
  if (c.node.Is("DequantizeLinear")) return {{c.TypeOf(1), c.ShapeOf(0)}};
  if (c.Has(2)) return {{c.TypeOf(2), c.ShapeOf(0)}};
  const std::int64_t code = c.node.Int("output_dtype", 0);  // opset 21: without a zero point
  const auto type = code == 0 ? DType::kUint8 : DTypeFromOnnx(code);
  if (!type) c.Unsupported(fmt::format("output_dtype {}", code));
  return {{*type, c.ShapeOf(0)}};
}

NodeTypes InferDropout(const RuleContext& c) {
  NodeTypes types{{c.TypeOf(0), c.ShapeOf(0)}};
  if (c.node.outputs.size() > 1) types.push_back({DType::kBool, c.ShapeOf(0)});
  return types;
}

NodeTypes InferElementwise(const RuleContext& c) {
  const std::string& op = c.node.op;
  if (OneOf(op, {"Add", "Sub", "Mul", "Div", "Pow", "Mod", "Max", "Min", "Sum", "Mean"})) {
    for (std::size_t i = 1; i < c.inputs.size(); ++i) {
      if (c.TypeOf(i) != c.TypeOf(0) && op != "Pow") {
        c.Fail(fmt::format("mixes {} and {}", Name(c.TypeOf(0)), Name(c.TypeOf(i))));
      }
    }
    return Broadcasted(c, c.TypeOf(0));
  }
  if (OneOf(op, {"Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual", "And", "Or", "Xor"})) {
    return Broadcasted(c, DType::kBool);
  }
  if (op == "Where") {
    return {{c.TypeOf(1), BroadcastShapes(c, BroadcastShapes(c, c.ShapeOf(0), c.ShapeOf(1)), c.ShapeOf(2))}};
  }
  if (op == "Softmax" || op == "LogSoftmax") {
    c.Axis(c.node.Int("axis", c.opset < 13 ? 1 : -1), c.ShapeOf(0).size());
  }
  if (op == "Cast") {
    const auto type = DTypeFromOnnx(c.node.Int("to", 0));
    if (!type) c.Unsupported(fmt::format("to ONNX's element type {}", c.node.Int("to", 0)));
    return {{*type, c.ShapeOf(0)}};
  }
  if (op == "CastLike") return {{c.TypeOf(1), c.ShapeOf(0)}};
  return {{OneOf(op, {"Not", "IsInf", "IsNaN"}) ? DType::kBool : c.TypeOf(0), c.ShapeOf(0)}};
}

}  // namespace

Shape BroadcastShapes(const RuleContext& context, const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t da = i < a.size() ? a[a.size() - 1 - i] : 1,
                       db = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (da != db && da != 1 && db != 1) {
      context.Fail(fmt::format("shapes {} and {} do not broadcast", ToString(a), ToString(b)));
    }
    out[out.size() - 1 - i] = da == 1 ? db : da;
  }
  return out;
}

NodeTypes InferNode(const RuleContext& c) {
  const std::string& op = c.node.op;
  if (auto types = InferWindow(c)) return *std::move(types);
  if (!c.node.domain.empty()) c.Unsupported("no shape rule for this domain");
  if (auto types = InferMoves(c)) return *std::move(types);
  if (op == "MatMul") return InferMatMul(c);
  if (op == "Gemm") return InferGemm(c);
  if (op == "PRelu") return InferPRelu(c);
  if (op == "Dropout") return InferDropout(c);
  if (op == "GroupNormalization") return InferGroupNorm(c);
  if (op == "LayerNormalization") return InferLayerNorm(c);
  if (OneOf(op, {"BatchNormalization", "InstanceNormalization"})) return InferNorm(c);
  if (op.starts_with("Reduce") || op == "ArgMax") return InferReduce(c);
  if (OneOf(op, {"QuantizeLinear", "DequantizeLinear"})) return InferQuantize(c);
  if (FindOperator(op, "") != nullptr) return InferElementwise(c);  // all others keep their shape
  c.Unsupported("no shape rule for this operator");
}

namespace {

class Inference {
 public:
  Inference(const Graph& graph, const std::map<std::string, Shape>& shapes) : graph_(graph) {
    for (const auto& [name, shape] : shapes) {
      if (std::none_of(graph.inputs.begin(), graph.inputs.end(),
                       [&wanted = name](const GraphInput& i) { return i.name == wanted; })) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("graph '{}' has no input '{}'", graph.name, name));
      }
    }
    for (const Initializer& initializer : graph.initializers) {
      types_[initializer.name] = {initializer.value.dtype(), initializer.value.shape()};
      if (initializer.value.has_data() && initializer.value.size() <= kMaxKnownElements) {
        values_.emplace(initializer.name, initializer.value);
      }
    }
    for (const GraphInput& input : graph.inputs) AddInput(input, shapes);
    for (const Node& node : graph.nodes) {
      const bool unpool = node.op == "Unpool" && node.domain == kFrfDomain;
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        if (!(unpool && i == 1)) read_otherwise_.insert(node.inputs[i]);
      }
      if (unpool && node.inputs.size() > 1) planar_.insert(node.inputs[1]);
    }
  }

  TypeMap Run() {
    for (const Node& node : graph_.nodes) Visit(node);
    return std::move(types_);
  }

 private:
  void AddInput(const GraphInput& input, const std::map<std::string, Shape>& shapes) {
    Shape shape = input.shape;
    if (const auto it = shapes.find(input.name); it != shapes.end()) {
      bool fits = it->second.size() == shape.size();
      for (std::size_t i = 0; fits && i < shape.size(); ++i)
        fits = shape[i] == -1 || shape[i] == it->second[i];
      if (!fits && !shape.empty()) {
        throw Error(ErrorCode::kInvalidArgument, fmt::format("input '{}' is {}, {} does not fit", input.name,
                                                             ToString(shape), ToString(it->second)));
      }
      shape = it->second;
    }
    for (const std::int64_t dim : shape) {
      if (dim >= 1) continue;
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("input '{}' is {}: give its whole size", input.name, ToString(shape)));
    }
    types_[input.name] = {input.dtype, shape};
  }

  void Visit(const Node& node) {
    RuleContext context{.node = node, .opset = graph_.opset, .inputs = {}, .values = {}};
    for (const std::string& name : node.inputs) {
      const auto type = types_.find(name);
      if (!name.empty() && type == types_.end())
        context.Fail(fmt::format("reads '{}', which nothing before it makes", name));
      context.inputs.push_back(name.empty() ? nullptr : &type->second);
      const auto value = values_.find(name);
      context.values.push_back(name.empty() || value == values_.end() ? nullptr : &value->second);
    }
    if (node.outputs.size() > 1) {
      context.planar_indices =
          planar_.contains(node.outputs[1]) && !read_otherwise_.contains(node.outputs[1]);
    }
    NodeTypes types = InferNode(context);
    for (const TensorType& type : types) Check(context, type);
    std::optional<Tensor> value = EvaluateNode(context, types);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i].empty()) continue;
      if (i >= types.size()) context.Fail(fmt::format("makes no output {}", i + 1));
      types_[node.outputs[i]] = std::move(types[i]);
    }
    if (value && !node.outputs[0].empty()) values_.insert_or_assign(node.outputs[0], *std::move(value));
  }

  static void Check(const RuleContext& context, const TensorType& type) {
    if (type.shape.size() > kMaxRank)
      context.Fail(fmt::format("its output would have {} dimensions, at most {} are known", type.shape.size(),
                               kMaxRank));
    std::int64_t count = 1;
    for (const std::int64_t dim : type.shape) {
      if (dim < 0) context.Fail(fmt::format("its output would be {}", ToString(type.shape)));
      if (__builtin_mul_overflow(count, std::max<std::int64_t>(dim, 1), &count) || count > kMaxElements) {
        context.Fail(fmt::format("its output of {} is larger than 2^40 elements", ToString(type.shape)));
      }
    }
  }

  const Graph& graph_;
  TypeMap types_;
  std::unordered_map<std::string, Tensor> values_;
  std::unordered_set<std::string> planar_, read_otherwise_;
};

}  // namespace

void RuleContext::Fail(const std::string& message) const {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("node '{}' ({}): {}", node.name, node.op, message));
}

void RuleContext::Unsupported(const std::string& message) const {
  throw Error(ErrorCode::kUnsupported, fmt::format("node '{}' ({}): {}", node.name, node.op, message));
}

const TensorType& RuleContext::Input(std::size_t i) const {
  if (!Has(i)) Fail(fmt::format("input {} is missing", i + 1));
  return *inputs[i];
}

std::vector<std::int64_t> RuleContext::Ints(std::size_t i, const char* what) const {
  Input(i);
  if (!Known(i)) Fail(fmt::format("its {} ('{}') are not known before the graph runs", what, node.inputs[i]));
  return values[i]->ToVector<std::int64_t>();
}

std::optional<std::vector<std::int64_t>> RuleContext::InputOrAttribute(std::size_t i,
                                                                       const std::string& key) const {
  if (Has(i)) return Ints(i, key.c_str());
  if (node.Has(key)) return node.Ints(key, {});
  return std::nullopt;
}

std::int64_t RuleContext::Axis(std::int64_t axis, std::size_t rank) const {
  const std::int64_t count = static_cast<std::int64_t>(rank);
  if (axis < -count || axis >= count)
    Fail(fmt::format("axis {} is outside a tensor of {} dimensions", axis, count));
  return axis < 0 ? axis + count : axis;
}

void RuleContext::WantRank(std::size_t i, std::size_t rank) const {
  if (ShapeOf(i).size() != rank) {
    Fail(fmt::format("'{}' is {}, {} dimensions are wanted", node.inputs[i], ToString(ShapeOf(i)), rank));
  }
}

void RuleContext::WantAtLeast(std::size_t i, std::size_t rank) const {
  if (ShapeOf(i).size() < rank) {
    Fail(fmt::format("'{}' is {}, at least {} dimensions are wanted", node.inputs[i], ToString(ShapeOf(i)),
                     rank));
  }
}

TypeMap InferShapes(const Graph& graph, const std::map<std::string, Shape>& inputs) {
  return Inference(graph, inputs).Run();
}

TypeMap InferShapes(const Graph& graph, int height, int width) {
  if (graph.inputs.size() != 1 || graph.inputs[0].shape.size() != 4) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("graph '{}' has {} inputs; one image of 1 x channels x height x width is wanted",
                            graph.name, graph.inputs.size()));
  }
  const GraphInput& image = graph.inputs[0];
  return InferShapes(graph, {{image.name, {1, image.shape[1], height, width}}});
}

}  // namespace frf
