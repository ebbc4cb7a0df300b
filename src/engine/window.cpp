// SPDX-License-Identifier: Apache-2.0
// Windows of convolutions and pools; see window.h. Subtle: with ceil_mode a last window that would start in
// the trailing padding is dropped, as torch does and as ONNX's newer text says.
#include "engine/window.h"

namespace frf::plain {
namespace {

constexpr std::int64_t kLargest =
    1 << 24;  // no attribute of a real network comes near; keeps products in range

std::array<std::int64_t, 2> Pair(const OpContext& c, const std::string& key, int spatial,
                                 std::int64_t fallback, std::int64_t least) {
  const std::vector<std::int64_t> given = c.node.Ints(key, std::vector<std::int64_t>(spatial, fallback));
  if (static_cast<int>(given.size()) != spatial)
    c.Bad(fmt::format("{} has {} numbers, wanted {}", key, given.size(), spatial));
  for (const std::int64_t value : given) {
    if (value < least || value > kLargest) c.Bad(fmt::format("{} {} is out of range", key, value));
  }
  return spatial == 2 ? std::array{given[0], given[1]} : std::array{fallback, given[0]};
}

}  // namespace

std::array<std::int64_t, 4> MapShape(const OpContext& c, const Tensor& tensor) {
  const Shape& s = tensor.shape();
  if (s.size() == 4) return {s[0], s[1], s[2], s[3]};
  if (s.size() == 3) return {s[0], s[1], 1, s[2]};
  c.Unsupported(fmt::format("input is {}, wanted N x C x H x W (or N x C x W)", ToString(s)));
}

Shape RestoreRank(const Shape& nchw, const Tensor& like) {
  return like.rank() == 3 ? Shape{nchw[0], nchw[1], nchw[3]} : nchw;
}

Window ReadWindow(const OpContext& c, const Tensor& input, const Shape& kernel) {
  const int spatial = input.rank() - 2;
  const std::array<std::int64_t, 4> map = MapShape(c, input);
  Window w;
  if (c.node.Has("kernel_shape")) {
    w.kernel = Pair(c, "kernel_shape", spatial, 1, 1);
  } else if (kernel.empty()) {
    c.Bad("kernel_shape is missing");
  }
  if (!kernel.empty()) {
    const std::array<std::int64_t, 2> own =
        spatial == 2 ? std::array{kernel[0], kernel[1]} : std::array<std::int64_t, 2>{1, kernel[0]};
    if (c.node.Has("kernel_shape") && own != w.kernel) c.Bad("kernel_shape contradicts the weights");
    w.kernel = own;
  }
  w.stride = Pair(c, "strides", spatial, 1, 1);
  w.dilation = Pair(c, "dilations", spatial, 1, 1);
  w.ceil_mode = c.node.Int("ceil_mode", 0) != 0;
  if (w.kernel[0] > kLargest / w.dilation[0] || w.kernel[1] > kLargest / w.dilation[1])
    c.Bad("the dilated kernel is too large");

  const std::string auto_pad = c.node.String("auto_pad", "NOTSET");
  if (auto_pad == "NOTSET" || auto_pad.empty()) {
    const std::vector<std::int64_t> pads = c.node.Ints("pads", std::vector<std::int64_t>(2 * spatial, 0));
    if (static_cast<int>(pads.size()) != 2 * spatial)
      c.Bad(fmt::format("pads has {} numbers, wanted {}", pads.size(), 2 * spatial));
    for (const std::int64_t pad : pads) {
      if (pad < 0 || pad > kLargest) c.Bad(fmt::format("pad {} is out of range", pad));
    }
    for (int i = 0; i < spatial; ++i) {
      w.pad_begin[2 - spatial + i] = pads[i];
      w.pad_end[2 - spatial + i] = pads[spatial + i];
    }
  } else if (auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER") {
    for (int i = 0; i < 2; ++i) {
      const std::int64_t in = map[2 + i], out = (in + w.stride[i] - 1) / w.stride[i];
      const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * w.stride[i] + w.Extent(i) - in);
      w.pad_begin[i] = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
      w.pad_end[i] = total - w.pad_begin[i];
    }
  } else if (auto_pad != "VALID") {
    c.Bad(fmt::format("auto_pad '{}' is unknown", auto_pad));
  }
  return w;
}

std::int64_t OutputSize(const OpContext& c, const Window& w, int axis, std::int64_t in) {
  const std::int64_t room = in + w.pad_begin[axis] + w.pad_end[axis] - w.Extent(axis);
  const std::int64_t slack = w.ceil_mode ? w.stride[axis] - 1 : 0;  // beyond the end
  if (room + slack < 0) {
    c.Bad(fmt::format("a kernel that covers {} does not fit into {} with padding {} and {}", w.Extent(axis),
                      in, w.pad_begin[axis], w.pad_end[axis]));
  }
  std::int64_t out = (room + slack) / w.stride[axis] + 1;
  if (w.ceil_mode && (out - 1) * w.stride[axis] >= in + w.pad_begin[axis]) --out;
  return out;
}

}  // namespace frf::plain
