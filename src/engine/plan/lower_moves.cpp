// SPDX-License-Identifier: Apache-2.0
// Pools, concatenations, slices.
#include <algorithm>

#include "engine/plan/lowering.h"

namespace frf::engine {

using kernels::PaddedChannels;

bool Lowering::TryPool(const Node& node) {
  const bool average = node.Is("AveragePool");
  if (!average && !node.Is("MaxPool")) return false;
  if (!IsMap(node.inputs[0]) || !IsMap(node.outputs[0])) return false;
  if (node.outputs.size() > 1 && !node.outputs[1].empty()) return false;  // indices
  if (node.String("auto_pad", "NOTSET") != "NOTSET") return false;
  const auto kernel = node.Ints("kernel_shape", {1, 1}), strides = node.Ints("strides", {1, 1});
  const auto pads = node.Ints("pads", {0, 0, 0, 0}), dilations = node.Ints("dilations", {1, 1});
  // The largest byte stands for the largest number.
  const bool same = !average && CodingOf(node.inputs[0]) == CodingOf(node.outputs[0]);
  PoolOp op{.src = same ? DenseMapOf(node.inputs[0]) : FloatMapOf(node.inputs[0])};
  kernels::Pool& g = op.geometry;
  g.kernel_h = static_cast<int>(kernel[0]), g.kernel_w = static_cast<int>(kernel[1]);
  g.stride_h = static_cast<int>(strides[0]), g.stride_w = static_cast<int>(strides[1]);
  g.dilation_h = static_cast<int>(dilations[0]), g.dilation_w = static_cast<int>(dilations[1]);
  g.pad_top = static_cast<int>(pads[0]), g.pad_left = static_cast<int>(pads[1]);
  g.pad_bottom = static_cast<int>(pads[2]), g.pad_right = static_cast<int>(pads[3]);
  g.average = average;
  g.count_padding = average && node.Int("count_include_pad", 0) != 0;
  const int dst = op.dst = same ? NewMap(node.outputs[0]) : FloatResult(node.outputs[0]);
  Emit(node.name, std::move(op));
  if (!same) RoundResult(node.outputs[0], dst);
  return true;
}

bool Lowering::TryGlobalPool(const Node& node) {
  const bool global = node.Is("GlobalAveragePool");
  if (!global && !node.Is("ReduceMean")) return false;
  if (!IsMap(node.inputs[0]) || !IsMap(node.outputs[0])) return false;
  const Shape &src = ShapeOf(node.inputs[0]), &dst = ShapeOf(node.outputs[0]);
  if (dst[1] != src[1] || dst[2] != 1 || dst[3] != 1) return false;
  if (!global) {  // exactly the two axes of the picture; an axis of size 1 may be left out or not
    std::vector<std::int64_t> axes = node.Ints("axes", {});
    if (node.inputs.size() > 1 && !node.inputs[1].empty()) {
      const Tensor* given = ConstantOf(node.inputs[1]);
      if (!given) return false;
      axes = given->ToVector<std::int64_t>();
    }
    for (std::int64_t& axis : axes) axis += axis < 0 ? 4 : 0;
    std::sort(axes.begin(), axes.end());
    if (axes != std::vector<std::int64_t>{2, 3}) return false;
  }
  WeightedPoolOp op{.src = DenseMapOf(node.inputs[0])};
  op.scale = 1.0f / static_cast<float>(src[2] * src[3]);
  const int result = op.dst = FloatResult(node.outputs[0]);
  Emit(node.name, std::move(op));
  RoundResult(node.outputs[0], result);
  return true;
}

// MatMul(rows [C,1,H], MatMul(x [1,C,H,W], columns [C,W,1])): spectral pooling as the writer lowers it.
bool Lowering::TryWeightedPool(int n) {
  const Node& across = graph_.nodes[n];
  if (!across.Is("MatMul") || !IsMap(across.inputs[0]) || !IsMap(across.outputs[0])) return false;
  const Tensor* columns = ConstantOf(across.inputs[1]);
  const Node* along = OnlyReader(across.outputs[0]);
  if (!columns || !along || !along->Is("MatMul") || along->inputs[1] != across.outputs[0] ||
      !IsMap(along->outputs[0]))
    return false;
  const Tensor* rows = ConstantOf(along->inputs[0]);
  if (!rows) return false;
  const Shape& src = ShapeOf(across.inputs[0]);
  const auto is = [](const Tensor& tensor, std::int64_t c, std::int64_t h, std::int64_t w) {
    Shape shape = tensor.shape();
    if (shape.size() == 4 && shape[0] == 1) shape.erase(shape.begin());
    return shape == Shape{c, h, w} && tensor.dtype() == DType::kFloat32;
  };
  if (!is(*columns, src[1], src[3], 1) || !is(*rows, src[1], 1, src[2]) || CodingOf(across.outputs[0]))
    return false;
  WeightedPoolOp op{.src = DenseMapOf(across.inputs[0])};
  const int padded = PaddedChannels(static_cast<int>(src[1]));
  const auto transpose = [&](const Tensor& table, std::int64_t length) {
    std::vector<float> turned(static_cast<std::size_t>(length) * padded, 0.0f);
    for (std::int64_t c = 0; c < src[1]; ++c) {
      for (std::int64_t i = 0; i < length; ++i) turned[i * padded + c] = table.data<float>()[c * length + i];
    }
    return turned;
  };
  op.rows = transpose(*rows, src[2]);
  op.columns = transpose(*columns, src[3]);
  const int dst = op.dst = FloatResult(along->outputs[0]);
  done_[along - graph_.nodes.data()] = true;
  Emit(along->name, std::move(op));
  RoundResult(along->outputs[0], dst);
  return true;
}

bool Lowering::TryConcat(int n) {
  const Node& node = graph_.nodes[n];
  if (!node.Is("Concat") || !IsMap(node.outputs[0])) return false;
  const std::int64_t axis = node.Int("axis", 0);
  if (axis != 1 && axis != -3) return false;
  if (!std::all_of(node.inputs.begin(), node.inputs.end(),
                   [&](const std::string& input) { return IsMap(input); }))
    return false;
  const bool planned = maps_.contains(node.outputs[0]);
  const int whole = planned ? maps_.at(node.outputs[0]) : FloatResult(node.outputs[0]);
  const std::optional<kernels::Coding> coding = lowered_.values[whole].coding;
  const bool gaps = !lowered_.values[whole].parts.empty();
  int offset = 0;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const int part = planned ? DenseMapOf(node.inputs[i]) : FloatMapOf(node.inputs[i]);
    const Value value = lowered_.values[part];
    const int channels = value.channels;
    const bool in_place = planned && value.parent == whole && value.offset == offset;
    if (!in_place && value.coding != coding) {  // planned parts begin at whole blocks
      const int slice = NewMapLike(node.outputs[0] + ".part", channels, value.height, value.width);
      lowered_.values[slice].coding = coding;
      lowered_.values[slice].parent = whole;
      lowered_.values[slice].offset = offset;
      EmitCopy(node.name, part, slice);
    } else if (!in_place) {
      const bool tail = gaps || i + 1 == node.inputs.size();
      Emit(node.name, CopyChannelsOp{part, whole, 0, offset, channels, tail});
    }
    offset += planned ? PaddedChannels(channels) : channels;
  }
  if (!planned) RoundResult(node.outputs[0], whole);
  return true;
}

// Slices and splits along the channels at multiples of 16 are views.
bool Lowering::TrySlice(const Node& node) {
  if (!node.Is("Split") || !IsMap(node.inputs[0])) return false;
  const std::int64_t axis = node.Int("axis", 0);
  if (axis != 1 && axis != -3) return false;
  int offset = 0;
  for (const std::string& output : node.outputs) {
    if (output.empty() || !IsMap(output) || offset % kernels::kBlock != 0) return false;
    if (slots_.contains(output)) return false;  // it has to be copied there
    if (CodingOf(output) != CodingOf(node.inputs[0])) return false;
    offset += static_cast<int>(ShapeOf(output)[1]);
  }
  const int whole = DenseMapOf(node.inputs[0]);
  if (whole == lowered_.picture || lowered_.values[whole].constant.has_data()) return false;
  offset = 0;
  for (const std::string& output : node.outputs) {
    const int id = NewMap(output);
    lowered_.values[id].parent = whole;
    lowered_.values[id].offset = offset;
    offset += static_cast<int>(ShapeOf(output)[1]);
  }
  return true;
}

}  // namespace frf::engine
