// SPDX-License-Identifier: Apache-2.0
// The Builder's calls: each appends one node (a few append two) and returns its value with the channel count.
// Subtle: a node's value carries the node's own name, so masks and features can be found by what they are
// called; the graph's outputs are renamed at the end, because ONNX outputs are plain value names.
#include "graph/builder.h"

#include <fmt/format.h>

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;

std::string Lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace

Builder::Builder(std::string name) { graph_.name = std::move(name); }

Builder::ScopeGuard::ScopeGuard(Builder& builder, const std::string& name)
    : builder_(builder), restore_(builder.prefix_.size()) {
  builder_.prefix_ += name + ".";
}

Builder::ScopeGuard::~ScopeGuard() { builder_.prefix_.resize(restore_); }

void Builder::Fail(const std::string& message) const {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("network '{}', scope '{}': {}", graph_.name, prefix_, message));
}

std::string Builder::FreshName(const std::string& stem) {
  const std::string base = Qualified(stem);
  std::string name = base;
  while (!used_.emplace(name, 1).second) name = fmt::format("{}_{}", base, ++used_[base]);
  return name;
}

Value Builder::Emit(const std::string& node_name, const std::string& op, const std::vector<Value>& inputs,
                    int channels, std::map<std::string, Attribute> attributes, const std::string& domain) {
  if (channels < 0) Fail(fmt::format("{} of '{}' would have {} channels", op, node_name, channels));
  Node node{.name = node_name,
            .op = op,
            .domain = domain,
            .inputs = {},
            .outputs = {node_name},
            .attributes = std::move(attributes)};
  for (const Value& input : inputs) node.inputs.push_back(input.name);
  graph_.nodes.push_back(std::move(node));
  return {node_name, channels};
}

Value Builder::AddInitializer(const std::string& name, Role role, Init init, Tensor value, int channels,
                              bool classifier) {
  const std::string key = Qualified(name);
  if (!used_.emplace(key, 1).second) Fail(fmt::format("'{}' is named twice", key));
  graph_.initializers.push_back({key, role, init, std::move(value), classifier});
  return {key, channels};
}

Value Builder::Input(const std::string& name, int channels) {
  if (!used_.emplace(name, 1).second) Fail(fmt::format("input '{}' is named twice", name));
  graph_.inputs.push_back({name, DType::kFloat32, {-1, channels, -1, -1}, {"batch", "", "height", "width"}});
  return {name, channels};
}

void Builder::Output(const Value& value, const std::string& name, OutputRole role) {
  if (used_.contains(name)) Fail(fmt::format("output '{}' would take the name of another value", name));
  Node* producer = nullptr;
  for (Node& node : graph_.nodes) {
    for (std::string& output : node.outputs) {
      if (output == value.name) producer = &node;
    }
  }
  bool taken = producer == nullptr;
  for (const GraphOutput& output : graph_.outputs) taken = taken || output.name == value.name;
  if (taken) {  // an input or an output already: it keeps its name, this one gets a copy
    Emit(name, "Identity", {value}, value.channels, {}, "");
  } else {
    for (Node& node : graph_.nodes) {
      for (std::string& input : node.inputs) {
        if (input == value.name) input = name;
      }
    }
    for (std::string& output : producer->outputs) {
      if (output == value.name) output = name;
    }
  }
  used_.emplace(name, 1);
  graph_.outputs.push_back(
      {name, role, DType::kFloat32, {-1, value.channels, -1, -1}, {"batch", "", "height", "width"}});
}

Value Builder::Conv(const Value& x, const ConvSpec& spec) {
  const int kh = spec.kernel, kw = spec.kernel_w > 0 ? spec.kernel_w : kh;
  CheckConv(x, spec);
  const Value weight =
      AddInitializer(spec.name + ".weight", Role::kParameter, Init::kKaimingFanOut,
                     Tensor::Described(DType::kFloat32, {spec.out, x.channels / spec.groups, kh, kw}),
                     spec.out, spec.classifier);
  Value bias;
  if (spec.bias) {
    bias = AddInitializer(spec.name + ".bias", Role::kParameter, Init::kZeros,
                          Tensor::Described(DType::kFloat32, {spec.out}), spec.out, spec.classifier);
  }
  return ConvShared(x, weight, bias, spec);
}

void Builder::CheckConv(const Value& x, const ConvSpec& spec) const {
  const int kh = spec.kernel, kw = spec.kernel_w > 0 ? spec.kernel_w : kh;
  if (spec.out < 1 || kh < 1 || spec.stride < 1 || spec.dilation < 1 || spec.groups < 1) {
    Fail(fmt::format("convolution '{}' wants positive out, kernel, stride, dilation and groups", spec.name));
  }
  if (x.channels % spec.groups != 0 || spec.out % spec.groups != 0) {
    Fail(fmt::format("convolution '{}': {} groups do not divide {} -> {} channels", spec.name, spec.groups,
                     x.channels, spec.out));
  }
  if (spec.pad < 0 && (kh % 2 == 0 || kw % 2 == 0)) {
    Fail(fmt::format("convolution '{}': a kernel of {}x{} has no symmetric padding; give pad", spec.name, kh,
                     kw));
  }
}

Value Builder::ConvShared(const Value& x, const Value& weight, const Value& bias, const ConvSpec& spec) {
  CheckConv(x, spec);
  const int kh = spec.kernel, kw = spec.kernel_w > 0 ? spec.kernel_w : kh;
  const int dh = spec.dilation, dw = spec.dilation_w > 0 ? spec.dilation_w : dh;
  const int ph = spec.pad >= 0 ? spec.pad : dh * (kh - 1) / 2,
            pw = spec.pad >= 0 ? spec.pad : dw * (kw - 1) / 2;
  const Initializer* shared = graph_.FindInitializer(weight.name);
  const Shape wanted{spec.out, x.channels / spec.groups, kh, kw};
  if (shared == nullptr || shared->value.shape() != wanted) {
    Fail(fmt::format("convolution '{}' wants a weight of {}; '{}' is {}", spec.name, ToString(wanted),
                     weight.name, shared == nullptr ? "no initialiser" : ToString(shared->value.shape())));
  }
  std::vector<Value> inputs{x, weight};
  if (!bias.name.empty()) inputs.push_back(bias);
  return Emit(FreshName(spec.name), "Conv", inputs, spec.out,
              {{"kernel_shape", Ints{kh, kw}},
               {"strides", Ints{spec.stride, spec.stride}},
               {"pads", Ints{ph, pw, ph, pw}},
               {"dilations", Ints{dh, dw}},
               {"group", std::int64_t{spec.groups}}},
              "");
}

Value Builder::ConvTranspose(const Value& x, const ConvSpec& spec, int output_padding) {
  const int kh = spec.kernel, kw = spec.kernel_w > 0 ? spec.kernel_w : kh;
  const int dh = spec.dilation, dw = spec.dilation_w > 0 ? spec.dilation_w : dh;
  if (spec.out < 1 || kh < 1 || spec.stride < 1 || dh < 1 || spec.groups < 1 ||
      x.channels % spec.groups != 0 || spec.out % spec.groups != 0) {
    Fail(fmt::format("transposed convolution '{}': {} -> {} channels in {} groups, kernel {}x{} do not fit",
                     spec.name, x.channels, spec.out, spec.groups, kh, kw));
  }
  if (output_padding < 0 || (output_padding >= spec.stride && output_padding >= spec.dilation)) {
    Fail(fmt::format("transposed convolution '{}': output padding {} must be below stride or dilation",
                     spec.name, output_padding));
  }
  const int pad = std::max(spec.pad, 0);
  std::vector<Value> inputs{
      x, AddInitializer(spec.name + ".weight", Role::kParameter, Init::kKaimingFanOut,
                        Tensor::Described(DType::kFloat32, {x.channels, spec.out / spec.groups, kh, kw}),
                        spec.out, spec.classifier)};
  if (spec.bias) {
    inputs.push_back(AddInitializer(spec.name + ".bias", Role::kParameter, Init::kZeros,
                                    Tensor::Described(DType::kFloat32, {spec.out}), spec.out,
                                    spec.classifier));
  }
  return Emit(FreshName(spec.name), "ConvTranspose", inputs, spec.out,
              {{"kernel_shape", Ints{kh, kw}},
               {"strides", Ints{spec.stride, spec.stride}},
               {"pads", Ints{pad, pad, pad, pad}},
               {"dilations", Ints{dh, dw}},
               {"output_padding", Ints{output_padding, output_padding}},
               {"group", std::int64_t{spec.groups}}},
              "");
}

Value Builder::BatchNorm(const Value& x, const std::string& name, float epsilon) {
  const auto vector = [&](const char* part, Role role, Init init) {
    return AddInitializer(name + part, role, init, Tensor::Described(DType::kFloat32, {x.channels}),
                          x.channels, false);
  };
  const Value weight = vector(".weight", Role::kParameter, Init::kOnes);
  const Value bias = vector(".bias", Role::kParameter, Init::kZeros);
  const Value mean = vector(".running_mean", Role::kState, Init::kZeros);
  const Value variance = vector(".running_var", Role::kState, Init::kOnes);
  return Emit(FreshName(name), "BatchNormalization", {x, weight, bias, mean, variance}, x.channels,
              {{"epsilon", epsilon}, {"momentum", 0.9f}}, "");
}

Value Builder::Relu(const Value& x) { return Op("Relu", {x}, x.channels); }

Value Builder::PRelu(const Value& x, const std::string& name) {
  const Value slope =
      AddInitializer(name + ".weight", Role::kParameter, Init::kQuarter,
                     Tensor::Described(DType::kFloat32, {x.channels, 1, 1}), x.channels, false);
  return Emit(FreshName(name), "PRelu", {x, slope}, x.channels, {}, "");
}

Value Builder::Sigmoid(const Value& x) { return Op("Sigmoid", {x}, x.channels); }

Value Builder::Softmax(const Value& x, int axis) {
  return Op("Softmax", {x}, x.channels, {{"axis", std::int64_t{axis}}});
}

Value Builder::Binary(const std::string& op, const Value& a, const Value& b) {
  // 0 and 1 channels broadcast: scalars and one-channel gates.
  if (a.channels > 1 && b.channels > 1 && a.channels != b.channels) {
    Fail(fmt::format("{} of '{}' with {} channels and '{}' with {}", op, a.name, a.channels, b.name,
                     b.channels));
  }
  return Op(op, {a, b}, std::max(a.channels, b.channels));
}
Value Builder::Add(const Value& a, const Value& b) { return Binary("Add", a, b); }
Value Builder::Sub(const Value& a, const Value& b) { return Binary("Sub", a, b); }
Value Builder::Mul(const Value& a, const Value& b) { return Binary("Mul", a, b); }
Value Builder::MatMul(const Value& a, const Value& b, int channels) { return Op("MatMul", {a, b}, channels); }

Value Builder::Scalar(float value) {
  const std::string name = FreshName("scalar");
  graph_.initializers.push_back({name, Role::kConstant, Init::kGiven, Tensor::Scalar<float>(value), false});
  return {name, 0};
}

Value Builder::Parameter(const std::string& name, Shape shape, Init init, int channels) {
  return AddInitializer(name, Role::kParameter, init, Tensor::Described(DType::kFloat32, std::move(shape)),
                        channels, false);
}

Value Builder::Constant(const std::string& name, Tensor value) {
  const int channels = value.rank() > 1 ? static_cast<int>(value.dim(1)) : 0;
  return AddInitializer(name, Role::kConstant, Init::kGiven, std::move(value), channels, false);
}

Value Builder::Ceil(const Value& x) { return Op("Ceil", {x}, x.channels); }

Value Builder::Clip(const Value& x, float low, float high) {
  const Value min = Scalar(low), max = Scalar(high);
  return Op("Clip", {x, min, max}, x.channels);
}

Value Builder::Neg(const Value& x) { return Op("Neg", {x}, x.channels); }

Value Builder::Op(const std::string& op, const std::vector<Value>& inputs, int channels,
                  std::map<std::string, Attribute> attributes, const std::string& domain) {
  return Emit(FreshName(Lower(op)), op, inputs, channels, std::move(attributes), domain);
}

Value Builder::Named(const Value& value, const std::string& name) {
  const std::string wanted = Qualified(name);
  if (graph_.nodes.empty() || graph_.nodes.back().outputs.empty() ||
      graph_.nodes.back().outputs[0] != value.name) {
    Fail(fmt::format("'{}' can only be named right after it was made", wanted));
  }
  if (!used_.emplace(wanted, 1).second) Fail(fmt::format("'{}' is named twice", wanted));
  Node& node = graph_.nodes.back();
  used_.erase(node.name);
  if (node.name == value.name) node.name = wanted;
  node.outputs[0] = wanted;
  return {wanted, value.channels};
}

Graph Builder::Build() && {
  graph_.Validate();
  return std::move(graph_);
}

}  // namespace frf
