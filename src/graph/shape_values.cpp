// SPDX-License-Identifier: Apache-2.0
// The arithmetic on small tensors that shape inference follows: what exporters write to compute sizes inside
// a graph. Subtle: numbers are computed in double and rounded to the node's own type after each step, which
// gives the bits of float arithmetic for + - * / and sqrt; integers divide towards zero, as in ONNX.
#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>

#include "graph/shape_rules.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;
using Doubles = std::vector<double>;

bool IsFloat(DType type) {
  return type == DType::kFloat32 || type == DType::kFloat64 || type == DType::kFloat16;
}

Tensor FromDoubles(DType type, const Shape& shape, const Doubles& values) {
  return Tensor::Of<double>(shape, values).Cast(type);
}

Ints Strides(const Shape& shape) {
  Ints strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

// Calls visit(flat position, coordinates) for every element of `shape`.
template <typename Visit>
void ForEach(const Shape& shape, const Visit& visit) {
  Ints at(shape.size(), 0);
  const std::int64_t count = NumElements(shape);
  for (std::int64_t flat = 0; flat < count; ++flat) {
    visit(flat, at);
    for (std::size_t i = shape.size(); i-- > 0;) {
      if (++at[i] < shape[i]) break;
      at[i] = 0;
    }
  }
}

// Values of `tensor` broadcast to `shape`.
Doubles Broadcast(const Tensor& tensor, const Shape& shape) {
  const Doubles values = tensor.ToVector<double>();
  const Ints strides = Strides(tensor.shape());
  const std::size_t extra = shape.size() - tensor.shape().size();
  Doubles out(NumElements(shape));
  ForEach(shape, [&](std::int64_t flat, const Ints& at) {
    std::int64_t from = 0;
    for (std::size_t i = 0; i < strides.size(); ++i) {
      if (tensor.shape()[i] != 1) from += strides[i] * at[i + extra];
    }
    out[flat] = values[from];
  });
  return out;
}

using UnaryFunction = double (*)(double);
UnaryFunction FindUnary(std::string_view op) {
  static const std::unordered_map<std::string_view, UnaryFunction> table{
      {"Neg", [](double a) { return -a; }},
      {"Abs", [](double a) { return std::abs(a); }},
      {"Ceil", [](double a) { return std::ceil(a); }},
      {"Floor", [](double a) { return std::floor(a); }},
      {"Round", [](double a) { return std::nearbyint(a); }},
      {"Sqrt", [](double a) { return std::sqrt(a); }},
      {"Exp", [](double a) { return std::exp(a); }},
      {"Log", [](double a) { return std::log(a); }},
      {"Cos", [](double a) { return std::cos(a); }},
      {"Sin", [](double a) { return std::sin(a); }},
      {"Reciprocal", [](double a) { return 1.0 / a; }},
      {"Sign", [](double a) { return a > 0   ? 1.0
                                     : a < 0 ? -1.0
                                             : 0.0; }},
      {"Not", [](double a) { return a == 0.0 ? 1.0 : 0.0; }},
  };
  const auto it = table.find(op);
  return it == table.end() ? nullptr : it->second;
}

using BinaryFunction = double (*)(double, double);
BinaryFunction FindBinary(std::string_view op) {
  static const std::unordered_map<std::string_view, BinaryFunction> table{
      {"Add", [](double a, double b) { return a + b; }},
      {"Sub", [](double a, double b) { return a - b; }},
      {"Mul", [](double a, double b) { return a * b; }},
      {"Div", [](double a, double b) { return a / b; }},
      {"Pow", [](double a, double b) { return std::pow(a, b); }},
      {"Max", [](double a, double b) { return std::max(a, b); }},
      {"Min", [](double a, double b) { return std::min(a, b); }},
      {"Equal", [](double a, double b) { return a == b ? 1.0 : 0.0; }},
      {"Less", [](double a, double b) { return a < b ? 1.0 : 0.0; }},
      {"LessOrEqual", [](double a, double b) { return a <= b ? 1.0 : 0.0; }},
      {"Greater", [](double a, double b) { return a > b ? 1.0 : 0.0; }},
      {"GreaterOrEqual", [](double a, double b) { return a >= b ? 1.0 : 0.0; }},
      {"And", [](double a, double b) { return a != 0 && b != 0 ? 1.0 : 0.0; }},
      {"Or", [](double a, double b) { return a != 0 || b != 0 ? 1.0 : 0.0; }},
      {"Xor", [](double a, double b) { return (a != 0) != (b != 0) ? 1.0 : 0.0; }},
  };
  const auto it = table.find(op);
  return it == table.end() ? nullptr : it->second;
}

// Integer division and remainder need their own rules.
std::optional<double> DivideInts(const RuleContext& c, double a, double b) {
  constexpr double kLargest = 9007199254740992.0;  // 2^53: above it a double is no count of anything
  for (const double value : {a, b}) {
    if (!(std::abs(value) <= kLargest)) c.Fail(fmt::format("divides {:g} by {:g}: too large", a, b));
  }
  const std::int64_t x = static_cast<std::int64_t>(a), y = static_cast<std::int64_t>(b);
  if (y == 0) c.Fail("divides by zero");
  if (c.node.Is("Div")) return static_cast<double>(x / y);
  const std::int64_t rest = x % y;  // sign of x; ONNX's Mod has the sign of y unless fmod is set
  if (c.node.Int("fmod", 0) != 0 || rest == 0 || (rest < 0) == (y < 0)) return static_cast<double>(rest);
  return static_cast<double>(rest + y);
}

Tensor EvaluateBinary(const RuleContext& c, BinaryFunction function, const TensorType& type) {
  Doubles a = Broadcast(*c.values[0], type.shape);
  const bool divides = !IsFloat(c.TypeOf(0)) && (c.node.Is("Div") || c.node.Is("Mod"));
  for (std::size_t k = 1; k < c.values.size(); ++k) {  // Max and Min take any number
    const Doubles b = Broadcast(*c.values[k], type.shape);
    for (std::size_t i = 0; i < a.size(); ++i)
      a[i] = divides ? *DivideInts(c, a[i], b[i]) : function(a[i], b[i]);
  }
  return FromDoubles(type.dtype, type.shape, a);
}

std::optional<Tensor> EvaluateConstant(const RuleContext& c) {
  const Node& node = c.node;
  if (const auto it = node.attributes.find("value"); it != node.attributes.end()) {
    if (const Tensor* tensor = std::get_if<Tensor>(&it->second)) return *tensor;
    c.Fail("attribute 'value' must be a tensor");
  }
  if (node.Has("value_int")) return Tensor::Scalar<std::int64_t>(node.Int("value_int", 0));
  if (node.Has("value_float")) return Tensor::Scalar<float>(node.Float("value_float", 0));
  if (node.Has("value_ints")) {
    const Ints values = node.Ints("value_ints", {});
    return Tensor::Of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
  }
  if (node.Has("value_floats")) {
    const std::vector<float> values = node.Floats("value_floats", {});
    return Tensor::Of<float>({static_cast<std::int64_t>(values.size())}, values);
  }
  return std::nullopt;
}

Tensor EvaluateShape(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const std::int64_t rank = static_cast<std::int64_t>(x.size());
  const auto clamp = [&](std::int64_t at) {
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t begin = clamp(c.node.Int("start", 0)),
                     end = std::max(begin, clamp(c.node.Int("end", rank)));
  return Tensor::Of<std::int64_t>({end - begin}, Ints(x.begin() + begin, x.begin() + end));
}

// out(at) = x(where(at)).
template <typename Where>
Tensor Pick(const Tensor& x, const Shape& shape, const Where& where) {
  const Doubles values = x.ToVector<double>();
  Doubles out(NumElements(shape));
  ForEach(shape, [&](std::int64_t flat, const Ints& at) { out[flat] = values[where(at)]; });
  return FromDoubles(x.dtype(), shape, out);
}

Tensor EvaluateSlice(const RuleContext& c, const Shape& shape) {
  const SlicePlan plan = PlanSlice(c);
  const Ints strides = Strides(c.ShapeOf(0));
  return Pick(*c.values[0], shape, [&](const Ints& at) {
    std::int64_t from = 0;
    for (std::size_t i = 0; i < at.size(); ++i) from += strides[i] * (plan.start[i] + plan.step[i] * at[i]);
    return from;
  });
}

Tensor EvaluateGather(const RuleContext& c, const Shape& shape) {
  const Shape& x = c.ShapeOf(0);
  const std::size_t axis = c.Axis(c.node.Int("axis", 0), x.size()), count = c.ShapeOf(1).size();
  const Ints indices = c.values[1]->ToVector<std::int64_t>();
  const Ints strides = Strides(x), index_strides = Strides(c.ShapeOf(1));
  for (const std::int64_t index : indices) {
    if (index < -x[axis] || index >= x[axis])
      c.Fail("index " + std::to_string(index) + " is outside " + ToString(x));
  }
  return Pick(*c.values[0], shape, [&](const Ints& at) {
    std::int64_t from = 0, which = 0;
    for (std::size_t i = 0; i < axis; ++i) from += strides[i] * at[i];
    for (std::size_t i = 0; i < count; ++i) which += index_strides[i] * at[axis + i];
    const std::int64_t index = indices[which];
    from += strides[axis] * (index < 0 ? index + x[axis] : index);
    for (std::size_t i = axis + 1; i < x.size(); ++i) from += strides[i] * at[count + i - 1];
    return from;
  });
}

Tensor EvaluateTranspose(const RuleContext& c, const Shape& shape) {
  const Ints strides = Strides(c.ShapeOf(0));
  Ints order = c.node.Ints("perm", {});
  for (std::size_t i = shape.size(); order.size() < shape.size();)
    order.push_back(static_cast<std::int64_t>(--i));
  return Pick(*c.values[0], shape, [&](const Ints& at) {
    std::int64_t from = 0;
    for (std::size_t i = 0; i < at.size(); ++i) from += strides[order[i]] * at[i];
    return from;
  });
}

Tensor EvaluateConcat(const RuleContext& c, const TensorType& type) {
  const std::size_t axis = c.Axis(c.node.Int("axis", 0), type.shape.size());
  const Ints strides = Strides(type.shape);
  Doubles out(NumElements(type.shape));
  std::int64_t offset = 0;
  for (const Tensor* part : c.values) {
    const Doubles values = part->ToVector<double>();
    ForEach(part->shape(), [&](std::int64_t flat, const Ints& at) {
      std::int64_t to = strides[axis] * offset;
      for (std::size_t i = 0; i < at.size(); ++i) to += strides[i] * at[i];
      out[to] = values[flat];
    });
    offset += part->dim(static_cast<int>(axis));
  }
  return FromDoubles(type.dtype, type.shape, out);
}

Tensor EvaluateRange(const RuleContext& c, const TensorType& type) {
  const double start = c.values[0]->ToVector<double>()[0], step = c.values[2]->ToVector<double>()[0];
  Doubles out(type.shape[0]);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = start + static_cast<double>(i) * step;
  return FromDoubles(type.dtype, type.shape, out);
}

Tensor EvaluateReduce(const RuleContext& c, const TensorType& type) {
  // Whole tensors alone.
  const Doubles values = c.values[0]->ToVector<double>();
  double result = c.node.Is("ReduceProd") ? 1.0 : c.node.Is("ReduceSum") ? 0.0 : values[0];
  for (const double value : values) {
    if (c.node.Is("ReduceProd"))
      result *= value;
    else if (c.node.Is("ReduceSum"))
      result += value;
    else
      result = c.node.Is("ReduceMax") ? std::max(result, value) : std::min(result, value);
  }
  return FromDoubles(type.dtype, type.shape, {result});
}

bool AllKnown(const RuleContext& c) {
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    if (c.Has(i) && !c.Known(i)) return false;
  }
  return true;
}

}  // namespace

std::optional<Tensor> EvaluateNode(const RuleContext& c, const NodeTypes& types) {
  const std::string& op = c.node.op;
  if (!c.node.domain.empty()) return std::nullopt;
  if (op == "Shape") return EvaluateShape(c);
  if (op == "Size") return Tensor::Scalar<std::int64_t>(NumElements(c.ShapeOf(0)));
  if (op == "Constant") return EvaluateConstant(c);
  if (types.empty() || types.size() > 1 || c.inputs.empty() || !AllKnown(c)) return std::nullopt;
  const TensorType& type = types[0];
  const std::int64_t count = NumElements(type.shape);
  if (count > kMaxKnownElements) return std::nullopt;

  if (const UnaryFunction function = FindUnary(op)) {
    Doubles values = c.values[0]->ToVector<double>();
    for (double& value : values) value = function(value);
    return FromDoubles(type.dtype, type.shape, values);
  }
  const BinaryFunction function = FindBinary(op);
  if (function != nullptr || (op == "Mod" && !IsFloat(c.TypeOf(0)))) return EvaluateBinary(c, function, type);
  if (op == "Cast") return c.values[0]->Cast(type.dtype);
  if (op == "Identity" || op == "Reshape" || op == "Squeeze" || op == "Unsqueeze" || op == "Flatten") {
    return c.values[0]->Reshaped(type.shape);
  }
  if (op == "Expand") return FromDoubles(type.dtype, type.shape, Broadcast(*c.values[0], type.shape));
  if (op == "Slice") return EvaluateSlice(c, type.shape);
  if (op == "Gather") return EvaluateGather(c, type.shape);
  if (op == "Transpose") return EvaluateTranspose(c, type.shape);
  if (op == "Concat") return EvaluateConcat(c, type);
  if (op == "Range") return EvaluateRange(c, type);
  if (op == "ConstantOfShape") {
    const auto it = c.node.attributes.find("value");
    const double fill =
        it == c.node.attributes.end() ? 0.0 : std::get<Tensor>(it->second).ToVector<double>().at(0);
    return FromDoubles(type.dtype, type.shape, Doubles(count, fill));
  }
  if (op == "Where") {
    const Doubles choice = Broadcast(*c.values[0], type.shape), b = Broadcast(*c.values[2], type.shape);
    Doubles a = Broadcast(*c.values[1], type.shape);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = choice[i] != 0.0 ? a[i] : b[i];
    return FromDoubles(type.dtype, type.shape, a);
  }
  if (count == 1 && NumElements(c.ShapeOf(0)) > 0 &&
      (op == "ReduceProd" || op == "ReduceSum" || op == "ReduceMax" || op == "ReduceMin")) {
    return EvaluateReduce(c, type);
  }
  return std::nullopt;
}

}  // namespace frf
