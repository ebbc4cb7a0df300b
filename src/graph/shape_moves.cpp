// SPDX-License-Identifier: Apache-2.0
// Shape rules of operators that move values or make them from shapes: reshape, slice, concat, gather, pad,
// range, ... Subtle: several took attributes in older opsets and inputs in newer ones (axes of Squeeze, sizes
// of Split, starts of Slice); both forms are read here, so the rest of the code need not know.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "graph/operators.h"
#include "graph/shape_rules.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;
constexpr std::int64_t kUnlimited = std::int64_t{1} << 40;

std::int64_t Product(const Shape& shape, std::size_t begin, std::size_t end) {
  return NumElements(Shape(shape.begin() + begin, shape.begin() + end));
}

NodeTypes InferConstant(const RuleContext& c) {
  const std::optional<Tensor> value = EvaluateNode(c, {});
  if (!value) c.Unsupported("a constant of this kind; value, value_int(s) and value_float(s) are known");
  return {{value->dtype(), value->shape()}};
}

NodeTypes InferReshape(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  Shape out = c.Ints(1, "sizes");
  const std::string wanted = ToString(out);
  const bool zero_is_zero = c.node.Int("allowzero", 0) != 0;
  std::int64_t known = 1, infer = -1;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] == 0 && !zero_is_zero) {
      if (i >= x.size()) c.Fail(fmt::format("copies dimension {} of {}", i, ToString(x)));
      out[i] = x[i];
    }
    if (out[i] == -1) {
      if (infer >= 0) c.Fail(fmt::format("sizes {} leave two dimensions open", wanted));
      infer = static_cast<std::int64_t>(i);
    } else if (out[i] < 0 || __builtin_mul_overflow(known, out[i], &known)) {
      c.Fail(fmt::format("cannot reshape {} to {}", ToString(x), wanted));
    }
  }
  const std::int64_t count = NumElements(x);
  if (infer >= 0) out[infer] = known == 0 ? 0 : count / known;
  if (NumElements(out) != count) c.Fail(fmt::format("cannot reshape {} to {}", ToString(x), wanted));
  return {{c.TypeOf(0), out}};
}

NodeTypes InferFlatten(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  std::int64_t axis = c.node.Int("axis", 1);
  const std::int64_t rank = static_cast<std::int64_t>(x.size());
  if (axis < -rank || axis > rank) c.Fail(fmt::format("axis {} of {}", axis, ToString(x)));
  if (axis < 0) axis += rank;
  return {{c.TypeOf(0), {Product(x, 0, axis), Product(x, axis, x.size())}}};
}

NodeTypes InferSqueeze(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const auto axes = c.InputOrAttribute(1, "axes");
  std::vector<bool> drop(x.size(), false);
  for (std::size_t i = 0; i < x.size() && !axes; ++i) drop[i] = x[i] == 1;
  for (const std::int64_t axis : axes.value_or(Ints{})) {
    const std::int64_t at = c.Axis(axis, x.size());
    if (x[at] != 1) c.Fail(fmt::format("axis {} of {} is not 1", axis, ToString(x)));
    drop[at] = true;
  }
  Shape out;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!drop[i]) out.push_back(x[i]);
  }
  return {{c.TypeOf(0), out}};
}

NodeTypes InferUnsqueeze(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const auto axes = c.InputOrAttribute(1, "axes");
  if (!axes) c.Fail("has no axes");
  if (axes->size() > kMaxRank) c.Fail(fmt::format("adds {} axes", axes->size()));
  const std::size_t rank = x.size() + axes->size();
  std::vector<bool> added(rank, false);
  for (const std::int64_t axis : *axes) {
    const std::int64_t at = c.Axis(axis, rank);
    if (added[at]) c.Fail(fmt::format("axis {} is added twice", axis));
    added[at] = true;
  }
  Shape out;
  for (std::size_t i = 0, j = 0; i < rank; ++i) out.push_back(added[i] ? 1 : x[j++]);
  return {{c.TypeOf(0), out}};
}

NodeTypes InferTranspose(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  Ints order = c.node.Ints("perm", {});
  if (order.empty()) {
    for (std::size_t i = x.size(); i-- > 0;) order.push_back(static_cast<std::int64_t>(i));
  }
  Ints sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < std::max(sorted.size(), x.size()); ++i) {
    if (sorted.size() != x.size() || sorted[i] != static_cast<std::int64_t>(i)) {
      c.Fail(fmt::format("perm {} is no order of {} axes", ToString(order), x.size()));
    }
  }
  Shape out;
  for (const std::int64_t axis : order) out.push_back(x[axis]);
  return {{c.TypeOf(0), out}};
}

NodeTypes InferConcat(const RuleContext& c) {
  Shape out = c.ShapeOf(0);
  const std::int64_t axis = c.Axis(c.node.Int("axis", 0), out.size());
  for (std::size_t i = 1; i < c.inputs.size(); ++i) {
    const Shape& part = c.ShapeOf(i);
    bool fits = part.size() == out.size() && c.TypeOf(i) == c.TypeOf(0);
    for (std::size_t j = 0; fits && j < out.size(); ++j)
      fits = static_cast<std::int64_t>(j) == axis || part[j] == out[j];
    if (!fits) {
      c.Fail(fmt::format("'{}' is {} {}, which does not go with {} {} along axis {}", c.node.inputs[i],
                         Name(c.TypeOf(i)), ToString(part), Name(c.TypeOf(0)), ToString(out), axis));
    }
    out[axis] += part[axis];
  }
  return {{c.TypeOf(0), out}};
}

NodeTypes InferSplit(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const std::int64_t axis = c.Axis(c.node.Int("axis", 0), x.size());
  const std::int64_t parts = static_cast<std::int64_t>(c.node.outputs.size());
  auto sizes = c.InputOrAttribute(1, "split");
  if (!sizes) {  // equal parts, the last one smaller
    const std::int64_t part = (x[axis] + parts - 1) / parts;
    sizes = Ints(parts, part);
    sizes->back() = x[axis] - part * (parts - 1);
  }
  std::int64_t sum = 0;
  for (const std::int64_t size : *sizes) {
    if (size < 0 || size > x[axis]) c.Fail(fmt::format("a part of {} of {}", size, x[axis]));
    sum += size;
  }
  if (sum != x[axis] || static_cast<std::int64_t>(sizes->size()) != parts) {
    c.Fail(fmt::format("{} parts of {} in sum for {} outputs of axis {} in {}", sizes->size(), sum, parts,
                       axis, ToString(x)));
  }
  NodeTypes types;
  for (const std::int64_t size : *sizes) {
    types.push_back({c.TypeOf(0), x});
    types.back().shape[axis] = size;
  }
  return types;
}

NodeTypes InferSlice(const RuleContext& c) { return {{c.TypeOf(0), PlanSlice(c).count}}; }

NodeTypes InferGather(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const Shape& indices = c.ShapeOf(1);
  const std::int64_t axis = c.Axis(c.node.Int("axis", 0), x.size());
  Shape out(x.begin(), x.begin() + axis);
  out.insert(out.end(), indices.begin(), indices.end());
  out.insert(out.end(), x.begin() + axis + 1, x.end());
  return {{c.TypeOf(0), out}};
}

NodeTypes InferGatherNd(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const Shape& indices = c.ShapeOf(1);
  const std::int64_t rank = static_cast<std::int64_t>(x.size()), batch = c.node.Int("batch_dims", 0);
  const std::int64_t depth = indices.empty() ? 0 : indices.back();
  if (batch < 0 || batch >= rank || depth < 1 || depth > rank - batch) {
    c.Fail(fmt::format("indices of {} into {}, {} batch dimensions", ToString(indices), ToString(x), batch));
  }
  Shape out(indices.begin(), indices.end() - 1);
  out.insert(out.end(), x.begin() + batch + depth, x.end());
  return {{c.TypeOf(0), out}};
}

NodeTypes InferExpand(const RuleContext& c) {
  return {{c.TypeOf(0), BroadcastShapes(c, c.ShapeOf(0), c.Ints(1, "sizes"))}};
}

NodeTypes InferTile(const RuleContext& c) {
  Shape out = c.ShapeOf(0);
  const Ints repeats = c.Ints(1, "repeats");
  if (repeats.size() != out.size()) c.Fail(fmt::format("{} repeats for {}", repeats.size(), ToString(out)));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (repeats[i] < 0 || __builtin_mul_overflow(out[i], repeats[i], &out[i]))
      c.Fail(fmt::format("{} repeats", repeats[i]));
  }
  return {{c.TypeOf(0), out}};
}

NodeTypes InferPad(const RuleContext& c) {
  Shape out = c.ShapeOf(0);
  const auto pads = c.InputOrAttribute(1, "pads");
  if (!pads) c.Fail("has no pads");
  Ints axes = c.Has(3) ? c.Ints(3, "axes") : Ints{};
  if (axes.empty()) {
    for (std::size_t i = 0; i < out.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  if (pads->size() != 2 * axes.size()) c.Fail(fmt::format("{} pads for {} axes", pads->size(), axes.size()));
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t before = (*pads)[i], after = (*pads)[i + axes.size()];
    if (std::max(std::abs(before), std::abs(after)) > kUnlimited)
      c.Fail(fmt::format("pads of {} and {}", before, after));
    std::int64_t& dim = out[c.Axis(axes[i], out.size())];
    dim += before + after;
    if (dim < 0) c.Fail(fmt::format("pads of {} and {} leave nothing", before, after));
  }
  return {{c.TypeOf(0), out}};
}

NodeTypes InferConstantOfShape(const RuleContext& c) {
  const auto it = c.node.attributes.find("value");
  DType type = DType::kFloat32;
  if (it != c.node.attributes.end()) {
    if (!std::holds_alternative<Tensor>(it->second)) c.Fail("attribute 'value' must be a tensor");
    type = std::get<Tensor>(it->second).dtype();
  }
  return {{type, c.Ints(0, "sizes")}};
}

NodeTypes InferRange(const RuleContext& c) {
  double bound[3];
  for (int i = 0; i < 3; ++i) {
    c.Input(i);
    if (!c.Known(i)) c.Fail(fmt::format("'{}' is not known before the graph runs", c.node.inputs[i]));
    if (NumElements(c.ShapeOf(i)) != 1)
      c.Fail(fmt::format("'{}' is {}, one number is wanted", c.node.inputs[i], ToString(c.ShapeOf(i))));
    bound[i] = c.values[i]->ToVector<double>()[0];
  }
  if (bound[2] == 0.0 || !std::isfinite(bound[0] + bound[1] + bound[2]))
    c.Fail(fmt::format("a step of {}", bound[2]));
  const double count = std::max(std::ceil((bound[1] - bound[0]) / bound[2]), 0.0);
  if (count > static_cast<double>(kUnlimited)) c.Fail(fmt::format("{} numbers", count));
  return {{c.TypeOf(0), {static_cast<std::int64_t>(count)}}};
}

NodeTypes InferBlocks(const RuleContext& c) {
  c.WantRank(0, 4);
  Shape out = c.ShapeOf(0);
  const std::int64_t block = c.node.Int("blocksize", 0);
  if (block < 1 || block > 4096) c.Fail(fmt::format("a blocksize of {}", block));
  const bool to_space = c.node.Is("DepthToSpace");
  const bool divides = to_space ? out[1] % (block * block) == 0 : out[2] % block == 0 && out[3] % block == 0;
  if (!divides) c.Fail(fmt::format("blocks of {} do not divide {}", block, ToString(out)));
  out[1] = to_space ? out[1] / (block * block) : out[1] * block * block;
  for (int i : {2, 3}) out[i] = to_space ? out[i] * block : out[i] / block;
  return {{c.TypeOf(0), out}};
}

}  // namespace

SlicePlan PlanSlice(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const auto starts = c.InputOrAttribute(1, "starts"), ends = c.InputOrAttribute(2, "ends");
  if (!starts || !ends) c.Fail("has no starts or ends");
  auto axes = c.InputOrAttribute(3, "axes");
  if (!axes) {
    axes.emplace();
    for (std::size_t i = 0; i < starts->size(); ++i) axes->push_back(static_cast<std::int64_t>(i));
  }
  const Ints steps = c.Has(4) ? c.Ints(4, "steps") : Ints(starts->size(), 1);
  if (ends->size() != starts->size() || axes->size() != starts->size() || steps.size() != starts->size()) {
    c.Fail(fmt::format("{} starts, {} ends, {} axes and {} steps", starts->size(), ends->size(), axes->size(),
                       steps.size()));
  }
  SlicePlan plan{.start = Ints(x.size(), 0), .step = Ints(x.size(), 1), .count = x};
  for (std::size_t i = 0; i < starts->size(); ++i) {
    const std::int64_t axis = c.Axis((*axes)[i], x.size()), dim = x[axis], step = steps[i];
    if (step == 0 || step == std::numeric_limits<std::int64_t>::min())
      c.Fail(fmt::format("a step of {}", step));
    if (dim == 0) continue;  // nothing to take; the bounds below would cross
    const auto clamp = [&](std::int64_t at, std::int64_t low, std::int64_t high) {
      return std::clamp(at < 0 ? (at < -dim ? -1 : at + dim) : at, low, high);
    };
    const std::int64_t start = step > 0 ? clamp((*starts)[i], 0, dim) : clamp((*starts)[i], 0, dim - 1);
    const std::int64_t end = step > 0 ? clamp((*ends)[i], 0, dim) : clamp((*ends)[i], -1, dim - 1);
    const std::int64_t room = step > 0 ? end - start : start - end, stride = std::abs(step);
    plan.start[axis] = start;
    plan.step[axis] = step;
    plan.count[axis] = room <= 0 ? 0 : 1 + (room - 1) / stride;
  }
  return plan;
}

std::optional<NodeTypes> InferMoves(const RuleContext& c) {
  const std::string& op = c.node.op;
  if (op == "Constant") return InferConstant(c);
  if (op == "Reshape") return InferReshape(c);
  if (op == "Flatten") return InferFlatten(c);
  if (op == "Squeeze") return InferSqueeze(c);
  if (op == "Unsqueeze") return InferUnsqueeze(c);
  if (op == "Transpose") return InferTranspose(c);
  if (op == "Concat") return InferConcat(c);
  if (op == "Split") return InferSplit(c);
  if (op == "Slice") return InferSlice(c);
  if (op == "Gather") return InferGather(c);
  if (op == "GatherND") return InferGatherNd(c);
  if (op == "GatherElements") return NodeTypes{{c.TypeOf(0), c.ShapeOf(1)}};
  if (op == "Expand") return InferExpand(c);
  if (op == "Tile") return InferTile(c);
  if (op == "Pad") return InferPad(c);
  if (op == "ConstantOfShape") return InferConstantOfShape(c);
  if (op == "Range") return InferRange(c);
  if (op == "DepthToSpace" || op == "SpaceToDepth") return InferBlocks(c);
  if (op == "Size") return NodeTypes{{DType::kInt64, {}}};
  if (op == "Shape") {
    const std::optional<Tensor> value = EvaluateNode(c, {});
    return NodeTypes{{DType::kInt64, value->shape()}};
  }
  return std::nullopt;
}

}  // namespace frf
