// SPDX-License-Identifier: Apache-2.0
// Conv and ConvTranspose by one oneDNN primitive each. Planned convolutions and packed weights are kept with
// the node for the last four input sizes, so repeated runs only execute. Subtle: weights that are not
// initialisers are packed at every run; output_padding of a transposed convolution is a trailing pad that is
// smaller, even negative.
#include <cstring>

#include "engine/onednn.h"
#include "engine/window.h"

namespace frf::plain {
namespace {

constexpr std::size_t kKeptSizes = 4;

struct ConvState : OpState {
  struct Entry {
    std::unique_ptr<dnn::Convolution> convolution;
    Tensor packed;  // empty until packed; only for constant weights
  };
  std::vector<Entry> entries;  // oldest first
};

ConvState::Entry& Planned(OpContext& c, const dnn::ConvGeometry& geometry) {
  auto& entries = c.KeptState<ConvState>().entries;
  for (ConvState::Entry& entry : entries) {
    if (entry.convolution->geometry() == geometry) return entry;
  }
  if (entries.size() == kKeptSizes) {
    if (entries.front().packed.has_data()) c.memory.Drop(entries.front().packed);
    entries.erase(entries.begin());
  }
  entries.push_back({std::make_unique<dnn::Convolution>(geometry), Tensor()});
  return entries.back();
}

Tensor Packed(OpContext& c, ConvState::Entry& entry) {
  if (c.IsConstant(1) && entry.packed.has_data()) return entry.packed;
  Tensor packed = c.Allocate(DType::kUint8, {static_cast<std::int64_t>(entry.convolution->packed_bytes())});
  entry.convolution->PackWeights(c.Floats(1), packed.raw());
  if (c.IsConstant(1)) {
    entry.packed = packed;
    c.memory.Hold(packed);
  }
  return packed;
}

std::vector<Tensor> Execute(OpContext& c, const dnn::ConvGeometry& g) {
  const float* src = c.Floats(0);
  const float* bias = g.bias ? c.Floats(2) : nullptr;
  Tensor y = c.Allocate(DType::kFloat32,
                        RestoreRank({g.batch, g.out_channels, g.out_height, g.out_width}, c.Input(0)));
  if (y.size() == 0) return {y};
  ConvState::Entry& entry = Planned(c, g);
  const Tensor packed = Packed(c, entry);
  Tensor scratch = c.Allocate(DType::kUint8, {static_cast<std::int64_t>(entry.convolution->scratch_bytes())});
  entry.convolution->Run(src, packed.raw(), bias, y.data<float>(), scratch.raw());
  return {y};
}

// What both kinds share: channels, groups, bias and the window. `out_axis` is where the weights count output
// channels.
dnn::ConvGeometry ReadGeometry(const OpContext& c, Window& window, bool transposed) {
  const Tensor &x = c.Input(0), &w = c.Input(1);
  const std::array<std::int64_t, 4> map = MapShape(c, x);
  if (w.rank() != x.rank())
    c.Bad(fmt::format("weights are {} for an input of {}", ToString(w.shape()), ToString(x.shape())));
  window = ReadWindow(c, x, Shape(w.shape().begin() + 2, w.shape().end()));
  dnn::ConvGeometry g;
  g.transposed = transposed;
  g.groups = c.node.Int("group", 1);
  g.batch = map[0], g.in_channels = map[1], g.in_height = map[2], g.in_width = map[3];
  const std::int64_t first = w.dim(0), second = w.dim(1);
  if (g.groups < 1 || g.groups > std::max(first, g.in_channels))
    c.Bad(fmt::format("group {} is out of range", g.groups));
  g.out_channels = transposed ? second * g.groups : first;
  const std::int64_t wanted_in = transposed ? first : second * g.groups;
  if (wanted_in != g.in_channels || g.in_channels % g.groups != 0 || g.out_channels % g.groups != 0 ||
      wanted_in == 0 || g.out_channels == 0) {
    c.Bad(fmt::format("input {} and weights {} do not go together in {} groups", ToString(x.shape()),
                      ToString(w.shape()), g.groups));
  }
  for (const std::int64_t dim : w.shape()) {
    if (dim < 1) c.Bad(fmt::format("weights are {}", ToString(w.shape())));
  }
  g.kernel_height = window.kernel[0], g.kernel_width = window.kernel[1];
  g.stride_height = window.stride[0], g.stride_width = window.stride[1];
  g.dilation_height = window.dilation[0], g.dilation_width = window.dilation[1];
  g.bias = c.Has(2);
  if (g.bias && c.Input(2).shape() != Shape{g.out_channels}) {
    c.Bad(fmt::format("bias is {}, wanted {}", ToString(c.Input(2).shape()), g.out_channels));
  }
  return g;
}

std::vector<Tensor> Conv(OpContext& c) {
  Window window;
  dnn::ConvGeometry g = ReadGeometry(c, window, false);
  g.out_height = OutputSize(c, window, 0, g.in_height);
  g.out_width = OutputSize(c, window, 1, g.in_width);
  g.pad_top = window.pad_begin[0], g.pad_left = window.pad_begin[1];
  // What the last window leaves over is cut, so that oneDNN's own rule gives this output size.
  g.pad_bottom = (g.out_height - 1) * g.stride_height + window.Extent(0) - g.in_height - g.pad_top;
  g.pad_right = (g.out_width - 1) * g.stride_width + window.Extent(1) - g.in_width - g.pad_left;
  return Execute(c, g);
}

// Output size and pads along one axis from output_shape, auto_pad, pads and output_padding, in ONNX's order
// of precedence.
struct TransposedAxis {
  std::int64_t out, pad_begin, pad_end;
};

TransposedAxis PlanTransposed(const OpContext& c, const Window& w, int axis, std::int64_t in) {
  const int spatial = c.Input(0).rank() - 2, index = axis - (2 - spatial);
  const std::string auto_pad = c.node.String("auto_pad", "NOTSET");
  const std::vector<std::int64_t> none(spatial, 0);
  const std::vector<std::int64_t> padding = c.node.Ints("output_padding", none),
                                  shape = c.node.Ints("output_shape", {});
  std::int64_t extra = 0;
  if (index >= 0) {
    if (static_cast<int>(padding.size()) != spatial || padding[index] < 0 || padding[index] > (1 << 20)) {
      c.Bad("output_padding is out of range");
    }
    extra = padding[index];
  }
  const std::int64_t full = w.stride[axis] * (in - 1) + extra + w.Extent(axis);
  std::int64_t out = full - w.pad_begin[axis] - w.pad_end[axis];
  bool given = false;
  if (!shape.empty() && index >= 0) {
    const auto count = static_cast<int>(shape.size());  // the picture's axes alone, or all of them
    if (count != spatial && count != spatial + 2)
      c.Bad(fmt::format("output_shape has {} numbers for {} axes", count, spatial));
    out = shape[shape.size() - spatial + index];
    given = true;
  } else if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    out = std::min(full, in * w.stride[axis]);  // of a kernel below its stride no more (shape_window.cpp)
    given = true;
  }
  if (out < 1 || out > (1 << 24)) c.Bad(fmt::format("output size {} is out of range", out));
  TransposedAxis result{out, w.pad_begin[axis], 0};
  if (given) {
    const std::int64_t total = std::max<std::int64_t>(0, full - out);
    result.pad_begin = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
  }
  // oneDNN's rule: out = stride * (in - 1) + extent - pad_begin - pad_end.
  result.pad_end = full - extra - out - result.pad_begin;
  return result;
}

std::vector<Tensor> ConvTranspose(OpContext& c) {
  Window window;
  dnn::ConvGeometry g = ReadGeometry(c, window, true);
  const TransposedAxis y = PlanTransposed(c, window, 0, g.in_height),
                       x = PlanTransposed(c, window, 1, g.in_width);
  g.out_height = y.out, g.pad_top = y.pad_begin, g.pad_bottom = y.pad_end;
  g.out_width = x.out, g.pad_left = x.pad_begin, g.pad_right = x.pad_end;
  return Execute(c, g);
}

}  // namespace

void AddConvOps(OpTable& table) {
  table.Add("Conv", Conv);
  table.Add("ConvTranspose", ConvTranspose);
}

}  // namespace frf::plain
