// SPDX-License-Identifier: Apache-2.0
// Resize (opset 11 to 21): reads sizes or scales, axes, region of interest and policies; resize.cpp does the
// work. Subtle: with `scales` the output has ScaledSize elements and coordinates use the given scale;
// with `sizes` they use the exact ratio.
#include <algorithm>
#include <cmath>

#include "engine/resize.h"
#include "graph/shapes.h"

namespace frf::plain {
namespace {

std::vector<int> ResizedAxes(const OpContext& c, int rank) {
  std::vector<int> axes;
  if (c.node.Has("axes")) {
    for (const std::int64_t given : c.node.Ints("axes", {})) {
      const int axis = c.Axis(given, rank);
      if (std::find(axes.begin(), axes.end(), axis) != axes.end())
        c.Bad(fmt::format("axis {} is named twice", axis));
      axes.push_back(axis);  // their order counts
    }
  } else {
    for (int i = 0; i < rank; ++i) axes.push_back(i);
  }
  return axes;
}

void TakeScales(const OpContext& c, const Shape& x, const std::vector<int>& which,
                std::vector<ResizeAxis>& axes) {
  const std::vector<float> scales = c.Input(2).ToVector<float>();
  if (scales.size() != which.size())
    c.Bad(fmt::format("{} scales were given for {} axes", scales.size(), which.size()));
  for (std::size_t i = 0; i < which.size(); ++i) {
    const std::int64_t in = x.at(which[i]);
    if (!(scales[i] > 0) || static_cast<double>(in) * scales[i] > 1e9)
      c.Bad(fmt::format("scale {} is out of range", scales[i]));
    axes[which[i]].out = ScaledSize(in, scales[i]);
    axes[which[i]].scale = scales[i];
  }
}

void TakeSizes(const OpContext& c, const Shape& x, const std::vector<int>& which,
               std::vector<ResizeAxis>& axes) {
  const std::vector<std::int64_t> sizes = c.Integers(3);
  if (sizes.size() != which.size())
    c.Bad(fmt::format("{} sizes were given for {} axes", sizes.size(), which.size()));
  const std::string policy = c.node.String("keep_aspect_ratio_policy", "stretch");
  double common = 0;
  for (std::size_t i = 0; i < which.size(); ++i) {
    if (sizes[i] < 1 || sizes[i] > (std::int64_t{1} << 30))
      c.Bad(fmt::format("size {} is out of range", sizes[i]));
    const double scale = static_cast<double>(sizes[i]) / static_cast<double>(x.at(which[i]));
    const bool better = policy == "not_larger" ? scale < common : scale > common;
    if (i == 0 || better) common = scale;
    axes[which[i]].out = sizes[i];
  }
  if (policy == "stretch") return;
  if (policy != "not_larger" && policy != "not_smaller")
    c.Bad(fmt::format("keep_aspect_ratio_policy '{}' is unknown", policy));
  for (const int axis : which) {
    axes[axis].out = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::nearbyint(common * static_cast<double>(x.at(axis)))));
    axes[axis].scale = common;
  }
}

std::vector<Tensor> Resize(OpContext& c) {
  ResizeSpec spec;
  const std::vector<ResizeAxis> axes = ReadResize(c, c.Input(0).shape(), spec);
  return {ResizeTensor(c, c.Input(0), axes, spec)};
}

}  // namespace

std::vector<ResizeAxis> ReadResize(const OpContext& c, const Shape& x, ResizeSpec& spec) {
  spec.mode = c.node.String("mode", "nearest");
  spec.coordinates = c.node.String("coordinate_transformation_mode", "half_pixel");
  spec.nearest = c.node.String("nearest_mode", "round_prefer_floor");
  spec.cubic_a = c.node.Float("cubic_coeff_a", -0.75f);
  spec.extrapolation = c.node.Float("extrapolation_value", 0.0f);
  spec.exclude_outside = c.node.Int("exclude_outside", 0) != 0;
  spec.antialias = c.node.Int("antialias", 0) != 0;

  const std::vector<int> which = ResizedAxes(c, static_cast<int>(x.size()));
  std::vector<ResizeAxis> axes(static_cast<int>(x.size()));
  for (int i = 0; i < static_cast<int>(x.size()); ++i) axes[i].out = x[i];
  const bool has_scales = c.Has(2) && c.Input(2).size() > 0, has_sizes = c.Has(3) && c.Input(3).size() > 0;
  if (has_scales == has_sizes) c.Bad("wants either scales or sizes");
  if (has_scales)
    TakeScales(c, x, which, axes);
  else
    TakeSizes(c, x, which, axes);
  if (spec.coordinates == "tf_crop_and_resize") {
    const std::vector<float> roi = c.Input(1).ToVector<float>();
    if (roi.size() != 2 * which.size()) c.Bad("roi wants two numbers an axis");
    for (std::size_t i = 0; i < which.size(); ++i) {
      axes[which[i]].roi_begin = roi[i];
      axes[which[i]].roi_end = roi[which.size() + i];
    }
  }
  return axes;
}

void AddResizeOps(OpTable& table) { table.Add("Resize", Resize); }

}  // namespace frf::plain
