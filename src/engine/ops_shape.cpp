// SPDX-License-Identifier: Apache-2.0
// Shapes, constants, casts: operators that compute little or nothing. Subtle: reshapes hand back their
// input's storage under another shape.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/plain_op.h"
#include "graph/operators.h"

namespace frf::plain {
namespace {

std::vector<Tensor> Reshape(OpContext& c) {
  const Tensor& x = c.Input(0);
  Shape shape = c.Integers(1);
  const bool zero_is_zero = c.node.Int("allowzero", 0) != 0;
  int unknown = -1;
  Shape known;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0 && !zero_is_zero) {
      if (static_cast<int>(i) >= x.rank())
        c.Bad(fmt::format("axis {} is to be copied from {}", i, ToString(x.shape())));
      shape[i] = x.dim(static_cast<int>(i));
    }
    if (shape[i] == -1 && unknown < 0)
      unknown = static_cast<int>(i);
    else if (shape[i] < 0)
      c.Bad(fmt::format("shape {} is impossible", ToString(shape)));
    else
      known.push_back(shape[i]);
  }
  if (unknown >= 0) {
    const std::int64_t rest = NumElements(known);
    if (rest == 0 || x.size() % rest != 0)
      c.Bad(fmt::format("{} does not reshape to {}", ToString(x.shape()), ToString(shape)));
    shape[unknown] = x.size() / rest;
  }
  return {x.Reshaped(shape)};
}

std::vector<Tensor> Flatten(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::int64_t given = c.node.Int("axis", 1);
  const int axis = given == x.rank() ? x.rank() : c.Axis(given, x.rank());
  return {x.Reshaped({Product(x.shape(), 0, axis), Product(x.shape(), axis, x.rank())})};
}

std::vector<Tensor> Squeeze(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::vector<int> axes = c.Axes(1, x.rank());
  const bool all = axes.empty() && !c.Has(1) && !c.node.Has("axes");
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    const bool named = std::binary_search(axes.begin(), axes.end(), i);
    if (named && x.dim(i) != 1) c.Bad(fmt::format("axis {} of {} is not 1", i, ToString(x.shape())));
    if (!named && !(all && x.dim(i) == 1)) shape.push_back(x.dim(i));
  }
  return {x.Reshaped(shape)};
}

std::vector<Tensor> Unsqueeze(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::size_t count = (c.Has(1) ? c.Integers(1) : c.node.Ints("axes", {})).size();
  if (count > kMaxRank) c.Bad(fmt::format("{} axes are too many", count));
  const int rank = x.rank() + static_cast<int>(count);
  const std::vector<int> axes = c.Axes(1, rank);
  Shape shape;
  int next = 0;
  for (int i = 0; i < rank; ++i)
    shape.push_back(std::binary_search(axes.begin(), axes.end(), i) ? 1 : x.dim(next++));
  return {x.Reshaped(shape)};
}

std::vector<Tensor> ShapeOf(OpContext& c) {
  const Shape& shape = c.Input(0).shape();
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto bound = [&](const char* key, std::int64_t fallback) {
    const std::int64_t at = c.node.Int(key, fallback);
    return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const std::int64_t start = bound("start", 0), end = std::max(start, bound("end", rank));
  Tensor y = c.Allocate(DType::kInt64, {end - start});
  std::copy(shape.begin() + start, shape.begin() + end, y.data<std::int64_t>());
  return {y};
}

std::vector<Tensor> Size(OpContext& c) { return {Tensor::Scalar<std::int64_t>(c.Input(0).size())}; }

std::vector<Tensor> Constant(OpContext& c) {
  for (const auto& [key, value] : c.node.attributes) {
    if (const auto* tensor = std::get_if<Tensor>(&value); key == "value" && tensor != nullptr)
      return {*tensor};
    if (key == "value_float") return {Tensor::Scalar(c.node.Float(key, 0))};
    if (key == "value_int") return {Tensor::Scalar(c.node.Int(key, 0))};
    if (key == "value_floats") {
      const std::vector<float> list = c.node.Floats(key, {});
      return {Tensor::Of<float>({static_cast<std::int64_t>(list.size())}, list)};
    }
    if (key == "value_ints") {
      const std::vector<std::int64_t> list = c.node.Ints(key, {});
      return {Tensor::Of<std::int64_t>({static_cast<std::int64_t>(list.size())}, list)};
    }
  }
  c.Unsupported("wants a tensor, float, floats, int or ints as value");
}

std::vector<Tensor> ConstantOfShape(OpContext& c) {
  const Shape shape = c.Integers(0);
  for (const std::int64_t dim : shape) {
    if (dim < 0) c.Bad(fmt::format("shape {} has a negative size", ToString(shape)));
  }
  Tensor value = Tensor::Zeros(DType::kFloat32, {1});
  if (const auto found = c.node.attributes.find("value"); found != c.node.attributes.end()) {
    const auto* tensor = std::get_if<Tensor>(&found->second);
    if (tensor == nullptr || tensor->size() != 1) c.Bad("value is not one number");
    value = *tensor;
  }
  Tensor y = c.Allocate(value.dtype(), shape);
  ForWidth(value.dtype(), [&](auto zero) {
    using T = decltype(zero);
    std::fill_n(static_cast<T*>(y.raw()), y.size(), *static_cast<const T*>(value.raw()));
  });
  return {y};
}

std::vector<Tensor> Range(OpContext& c) {
  const DType type = c.Input(0).dtype();
  const auto one = [&](std::size_t i) {
    if (c.Input(i).size() != 1 || c.Input(i).dtype() != type) c.Bad("wants three numbers of one type");
    return c.Input(i).ToVector<double>()[0];
  };
  const double start = one(0), limit = one(1), delta = one(2);
  if (!(delta != 0) || !std::isfinite(start) || !std::isfinite(limit))
    c.Bad(fmt::format("from {} to {} by {}", start, limit, delta));
  const double count = std::max(0.0, std::ceil((limit - start) / delta));
  if (count > 1e12) c.Bad(fmt::format("from {} to {} by {} is too long", start, limit, delta));
  Tensor y = c.Allocate(type, {static_cast<std::int64_t>(count)});
  const bool known = ForNumber(type, [&](auto zero) {
    using T = decltype(zero);
    const T first = c.Input(0).data<T>()[0], step = c.Input(2).data<T>()[0];
    T* dst = y.data<T>();
    for (std::int64_t i = 0; i < y.size(); ++i) dst[i] = static_cast<T>(first + static_cast<T>(i) * step);
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(type)));
  return {y};
}

DType CastTarget(const OpContext& c) {
  if (const auto type = DTypeFromOnnx(c.node.Int("to", 0))) return *type;
  c.Unsupported(
      fmt::format("type {} is not one of float32, float64, float16, uint8, int8, int32, int64, bool",
                  c.node.Int("to", 0)));
}

std::vector<Tensor> CastTo(OpContext& c) { return {c.Cast(c.Input(0), CastTarget(c))}; }
std::vector<Tensor> CastLike(OpContext& c) { return {c.Cast(c.Input(0), c.Input(1).dtype())}; }
std::vector<Tensor> Identity(OpContext& c) { return {c.Input(0)}; }

// Inference: the input, and a mask that keeps everything.
std::vector<Tensor> Dropout(OpContext& c) {
  if (c.Has(2) && c.Input(2).ToVector<bool>() == std::vector<bool>{true}) {
    const bool keeps = c.Has(1) && c.Input(1).ToVector<double>()[0] == 0;
    if (!keeps) c.Unsupported("training_mode is true; the plain executor only infers");
  }
  std::vector<Tensor> outputs{c.Input(0)};
  if (c.WantsOutput(1)) {
    Tensor mask = c.Allocate(DType::kBool, c.Input(0).shape());
    std::memset(mask.raw(), 1, mask.bytes());
    outputs.push_back(mask);
  }
  return outputs;
}

}  // namespace

void AddShapeOps(OpTable& table) {
  table.Add("Reshape", Reshape, HalfMode::kAsIs);
  table.Add("Flatten", Flatten, HalfMode::kAsIs);
  table.Add("Squeeze", Squeeze, HalfMode::kAsIs);
  table.Add("Unsqueeze", Unsqueeze, HalfMode::kAsIs);
  table.Add("Shape", ShapeOf, HalfMode::kAsIs);
  table.Add("Size", Size, HalfMode::kAsIs);
  table.Add("Constant", Constant, HalfMode::kAsIs);
  table.Add("ConstantOfShape", ConstantOfShape, HalfMode::kAsIs);
  table.Add("Range", Range);
  table.Add("Cast", CastTo, HalfMode::kAsIs);
  table.Add("CastLike", CastLike, HalfMode::kAsIs);
  table.Add("Identity", Identity, HalfMode::kAsIs);
  table.Add("Dropout", Dropout, HalfMode::kAsIs);
}

}  // namespace frf::plain
