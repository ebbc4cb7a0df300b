// SPDX-License-Identifier: Apache-2.0
// Shape rules of operators that look at a window of a map: convolutions, pooling, resizing, and domain frf.
// Subtle: in ceil mode a last window that would start in the right padding is dropped, as torch does and as
// ONNX says since opset 19; files of older opsets are read the same way.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "graph/shape_rules.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;
constexpr std::int64_t kMaxWindow =
    1 << 20;  // no kernel, stride or pad is larger; keeps the arithmetic below in range

struct Window {
  Ints kernel, strides, dilations, begin, end;  // per spatial axis
  bool same = false, same_lower = false;
};

Ints PerAxis(const RuleContext& c, const char* key, std::size_t count, std::int64_t fallback,
             std::int64_t low) {
  const Ints list = c.node.Ints(key, Ints(count, fallback));
  if (list.size() != count) c.Fail(fmt::format("{} has {} entries, {} are wanted", key, list.size(), count));
  for (const std::int64_t value : list) {
    if (value < low || value > kMaxWindow)
      c.Fail(fmt::format("{} holds {}, {} to {} is allowed", key, value, low, kMaxWindow));
  }
  return list;
}

Window ReadWindow(const RuleContext& c, const Ints& kernel) {
  const std::size_t axes = kernel.size();
  Window w;
  w.kernel = kernel;
  for (const std::int64_t value : kernel) {
    if (value < 1 || value > kMaxWindow) c.Fail(fmt::format("a kernel of {} is out of range", value));
  }
  w.strides = PerAxis(c, "strides", axes, 1, 1);
  w.dilations = PerAxis(c, "dilations", axes, 1, 1);
  const std::string auto_pad = c.node.String("auto_pad", "NOTSET");
  if (auto_pad == "NOTSET") {
    const Ints pads = PerAxis(c, "pads", 2 * axes, 0, 0);
    w.begin.assign(pads.begin(), pads.begin() + axes);
    w.end.assign(pads.begin() + axes, pads.end());
  } else if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    w.same = true;
    w.same_lower = auto_pad == "SAME_LOWER";
    w.begin.assign(axes, 0);
    w.end.assign(axes, 0);
  } else if (auto_pad == "VALID") {
    w.begin.assign(axes, 0);
    w.end.assign(axes, 0);
  } else {
    c.Fail(fmt::format("auto_pad '{}' is unknown", auto_pad));
  }
  return w;
}

std::int64_t WindowOut(const RuleContext& c, const Window& w, std::size_t axis, std::int64_t in,
                       bool ceil_mode) {
  const std::int64_t stride = w.strides[axis];
  if (w.same) return (in + stride - 1) / stride;
  const std::int64_t extent = (w.kernel[axis] - 1) * w.dilations[axis] + 1;
  const std::int64_t room = in + w.begin[axis] + w.end[axis] - extent;
  const std::int64_t slack = ceil_mode ? stride - 1 : 0;  // a window may reach beyond the end by so much
  if (room + slack < 0) {
    c.Fail(fmt::format("a window of {} does not fit into {} with pads {} and {}", extent, in, w.begin[axis],
                       w.end[axis]));
  }
  std::int64_t out = (room + slack) / stride + 1;
  if (ceil_mode && (out - 1) * stride >= in + w.begin[axis]) --out;
  return out;
}

NodeTypes InferConv(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const Shape& weight = c.ShapeOf(1);
  c.WantAtLeast(0, 3);
  c.WantRank(1, x.size());
  const std::size_t axes = x.size() - 2;
  const bool transposed = c.node.Is("ConvTranspose");
  const std::int64_t groups = c.node.Int("group", 1);
  if (groups < 1 || groups > x[1] || x[1] % groups != 0)
    c.Fail(fmt::format("{} groups do not divide {} channels", groups, x[1]));
  const std::int64_t wanted = transposed ? x[1] : x[1] / groups;
  if (weight[transposed ? 0 : 1] != wanted) {
    c.Fail(fmt::format("weight '{}' is {}, but the map has {} channels in {} groups", c.node.inputs[1],
                       ToString(weight), x[1], groups));
  }
  const Ints kernel(weight.begin() + 2, weight.end());
  if (c.node.Ints("kernel_shape", kernel) != kernel) {
    c.Fail(fmt::format("kernel_shape does not match its weight of {}", ToString(weight)));
  }
  const std::int64_t channels = transposed ? weight[1] * groups : weight[0];
  if (!transposed && channels % groups != 0)
    c.Fail(fmt::format("{} groups do not divide {} outputs", groups, channels));
  if (c.Has(2) && c.ShapeOf(2) != Shape{channels}) {
    c.Fail(fmt::format("bias '{}' is {}, {} values are wanted", c.node.inputs[2], ToString(c.ShapeOf(2)),
                       channels));
  }
  const Window w = ReadWindow(c, kernel);
  Shape out{x[0], channels};
  if (!transposed) {
    for (std::size_t i = 0; i < axes; ++i) out.push_back(WindowOut(c, w, i, x[2 + i], false));
    return {{c.TypeOf(0), out}};
  }
  const Ints extra = PerAxis(c, "output_padding", axes, 0, 0);
  const Ints given = c.node.Ints("output_shape", {});
  if (!given.empty() && given.size() != axes && given.size() != axes + 2)
    c.Fail(fmt::format("output_shape has {} numbers for {} axes", given.size(), axes));
  for (std::size_t i = 0; i < axes; ++i) {
    std::int64_t size = w.strides[i] * (x[2 + i] - 1) + extra[i] + (w.kernel[i] - 1) * w.dilations[i] + 1 -
                        w.begin[i] - w.end[i];
    // A kernel below its stride does not reach so far, and pads are never negative: ONNX's own inference and
    // ONNX Runtime both end there, ONNX's text would have more.
    if (w.same) size = std::min(size, x[2 + i] * w.strides[i]);
    if (given.size() == axes)
      size = given[i];
    else if (given.size() == axes + 2)
      size = given[i + 2];
    if (size < 1) c.Fail(fmt::format("its output would be {} along axis {}", size, i + 2));
    out.push_back(size);
  }
  return {{c.TypeOf(0), out}};
}

NodeTypes InferPool(const RuleContext& c) {
  c.WantAtLeast(0, 3);
  const Shape& x = c.ShapeOf(0);
  const Ints kernel = c.node.Ints("kernel_shape", {});
  if (kernel.size() != x.size() - 2) {
    c.Fail(fmt::format("kernel_shape has {} entries, {} are wanted", kernel.size(), x.size() - 2));
  }
  const Window w = ReadWindow(c, kernel);
  Shape out{x[0], x[1]};
  for (std::size_t i = 0; i < kernel.size(); ++i)
    out.push_back(WindowOut(c, w, i, x[2 + i], c.node.Int("ceil_mode", 0) != 0));
  NodeTypes types{{c.TypeOf(0), out}};
  if (c.node.outputs.size() > 1) types.push_back({c.planar_indices ? DType::kInt32 : DType::kInt64, out});
  return types;
}

NodeTypes InferGlobalPool(const RuleContext& c) {
  c.WantAtLeast(0, 3);
  Shape out = c.ShapeOf(0);
  for (std::size_t i = 2; i < out.size(); ++i) out[i] = 1;
  return {{c.TypeOf(0), out}};
}

NodeTypes InferMaxUnpool(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  if (c.ShapeOf(1) != x)
    c.Fail(fmt::format("indices are {}, values are {}", ToString(c.ShapeOf(1)), ToString(x)));
  if (c.Has(2)) return {{c.TypeOf(0), c.Ints(2, "sizes")}};
  const Ints kernel = c.node.Ints("kernel_shape", {});
  if (kernel.size() + 2 != x.size()) c.Fail("kernel_shape does not match its map");
  const Window w = ReadWindow(c, kernel);
  Shape out{x[0], x[1]};
  for (std::size_t i = 0; i < kernel.size(); ++i) {
    out.push_back((x[2 + i] - 1) * w.strides[i] - w.begin[i] - w.end[i] + kernel[i]);
  }
  return {{c.TypeOf(0), out}};
}

// Resize(x, roi, scales, sizes): sizes, or scales (ScaledSize).
NodeTypes InferResize(const RuleContext& c) {
  const Shape& x = c.ShapeOf(0);
  const std::string policy = c.node.String("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch")
    c.Unsupported(fmt::format("keep_aspect_ratio_policy '{}'; stretch is known", policy));
  Ints axes = c.node.Ints("axes", {});
  if (axes.empty()) {
    for (std::size_t i = 0; i < x.size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  std::vector<bool> named(x.size(), false);
  for (std::int64_t& axis : axes) {
    axis = c.Axis(axis, x.size());
    if (named[axis]) c.Fail(fmt::format("axis {} is named twice", axis));
    named[axis] = true;
  }
  Shape out = x;
  if (c.Has(3) && c.ShapeOf(3) != Shape{0}) {
    const Ints sizes = c.Ints(3, "sizes");
    if (sizes.size() != axes.size()) c.Fail(fmt::format("{} sizes for {} axes", sizes.size(), axes.size()));
    for (std::size_t i = 0; i < axes.size(); ++i) out[axes[i]] = sizes[i];
  } else {
    c.Input(2);
    if (!c.Known(2)) c.Fail("its scales are not known before the graph runs");
    const std::vector<float> scales = c.values[2]->ToVector<float>();
    if (scales.size() != axes.size())
      c.Fail(fmt::format("{} scales for {} axes", scales.size(), axes.size()));
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (!(scales[i] > 0.0f && scales[i] < 65536.0f)) c.Fail(fmt::format("a scale of {}", scales[i]));
      out[axes[i]] = ScaledSize(x[axes[i]], scales[i]);
    }
  }
  for (const std::int64_t dim : out) {
    if (dim < 1) c.Fail(fmt::format("resizes {} to {}", ToString(x), ToString(out)));
  }
  return {{c.TypeOf(0), out}};
}

NodeTypes InferFrf(const RuleContext& c) {
  c.WantRank(0, 4);
  const Shape& x = c.ShapeOf(0);
  if (c.node.Is("AdaptiveAveragePool")) {
    const Ints out = c.node.Ints("out", {});
    if (out.size() != 2 || out[0] < 1 || out[1] < 1) c.Fail("out must be height and width");
    return {{c.TypeOf(0), {x[0], x[1], out[0], out[1]}}};
  }
  if (c.node.Is("ResizeLike")) {
    c.WantRank(1, 4);
    return {{c.TypeOf(0), {x[0], x[1], c.ShapeOf(1)[2], c.ShapeOf(1)[3]}}};
  }
  if (c.node.Is("Unpool")) {
    if (c.ShapeOf(1) != x)
      c.Fail(fmt::format("indices are {}, values are {}", ToString(c.ShapeOf(1)), ToString(x)));
    c.WantRank(2, 4);
    return {{c.TypeOf(0), {x[0], x[1], c.ShapeOf(2)[2], c.ShapeOf(2)[3]}}};
  }
  if (c.node.Is("SpectralPool")) {
    std::int64_t sum = 0;
    for (const std::int64_t count : c.node.Ints("channels", {})) sum += count;
    if (sum != x[1]) c.Fail(fmt::format("its groups have {} channels in sum, the map has {}", sum, x[1]));
    return {{c.TypeOf(0), {x[0], x[1], 1, 1}}};
  }
  if (c.node.Is("DropChannels") || c.node.Is("FakeQuantize") || c.node.Is("FakeQuantizeWeight"))
    return {{c.TypeOf(0), x}};
  c.Unsupported("no shape rule for this operator of domain frf");
}

}  // namespace

std::int64_t ScaledSize(std::int64_t size, float scale) {
  return static_cast<std::int64_t>(std::floor(static_cast<float>(size) * scale));
}

std::optional<NodeTypes> InferWindow(const RuleContext& c) {
  const std::string& op = c.node.op;
  if (c.node.domain == kFrfDomain) return InferFrf(c);
  if (!c.node.domain.empty()) return std::nullopt;
  if (op == "Conv" || op == "ConvTranspose") return InferConv(c);
  if (op == "MaxPool" || op == "AveragePool") return InferPool(c);
  if (op == "GlobalAveragePool" || op == "GlobalMaxPool") return InferGlobalPool(c);
  if (op == "MaxUnpool") return InferMaxUnpool(c);
  if (op == "Resize") return InferResize(c);
  return std::nullopt;
}

}  // namespace frf
