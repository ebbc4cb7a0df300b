// SPDX-License-Identifier: Apache-2.0
// Resizing by tables of taps, one table an axis; see resize.h. Bilinear resizing of maps, which every network
// here ends with, has a path of its own that keeps two horizontally resized rows and blends them: the same
// arithmetic.
#include "engine/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace frf::plain {
namespace {

double SourceCoordinate(const OpContext& c, const ResizeSpec& spec, const ResizeAxis& axis, std::int64_t in,
                        std::int64_t o) {
  const double out = static_cast<double>(axis.out), x = static_cast<double>(o), n = static_cast<double>(in);
  const auto unscale = [&](double value) { return axis.scale > 0 ? value / axis.scale : value * n / out; };
  const std::string& mode = spec.coordinates;
  if (mode == "half_pixel") return unscale(x + 0.5) - 0.5;
  if (mode == "pytorch_half_pixel") return axis.out > 1 ? unscale(x + 0.5) - 0.5 : 0.0;
  if (mode == "asymmetric") return unscale(x);
  if (mode == "align_corners") return axis.out > 1 ? x * (n - 1) / (out - 1) : 0.0;
  if (mode == "tf_half_pixel_for_nn") return unscale(x + 0.5);
  if (mode == "half_pixel_symmetric") {
    const double exact = axis.scale > 0 ? axis.scale * n : out;
    return n / 2 * (1 - out / exact) + unscale(x + 0.5) - 0.5;
  }
  if (mode == "tf_crop_and_resize") {
    if (axis.out > 1)
      return axis.roi_begin * (n - 1) + x * (axis.roi_end - axis.roi_begin) * (n - 1) / (out - 1);
    return 0.5 * (axis.roi_begin + axis.roi_end) * (n - 1);
  }
  c.Unsupported(fmt::format("coordinate_transformation_mode '{}' is unknown", mode));
}

double RoundNearest(const OpContext& c, const std::string& how, double x) {
  if (how == "round_prefer_floor") return std::ceil(x - 0.5);
  if (how == "round_prefer_ceil") return std::floor(x + 0.5);
  if (how == "floor") return std::floor(x);
  if (how == "ceil") return std::ceil(x);
  c.Unsupported(fmt::format("nearest_mode '{}' is unknown", how));
}

double CubicWeight(double a, double distance) {
  const double d = std::abs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

void AddTap(Taps& taps, std::int64_t at, double weight) {
  taps.index.push_back(std::clamp<std::int64_t>(at, 0, taps.in - 1));
  taps.weight.push_back(static_cast<float>(weight));
}

// Weights of `taps.count` neighbours from `first` on, normalised where some are left out or the filter is
// widened.
void AddFiltered(Taps& taps, const ResizeSpec& spec, double x, std::int64_t first, double stretch) {
  std::vector<double> weights(taps.count);
  double sum = 0;
  for (std::int64_t t = 0; t < taps.count; ++t) {
    const double distance = (static_cast<double>(first + t) - x) / stretch;
    weights[t] =
        spec.mode == "cubic" ? CubicWeight(spec.cubic_a, distance) : std::max(0.0, 1 - std::abs(distance));
    const bool out = first + t < 0 || first + t >= taps.in;
    if (spec.exclude_outside && out) weights[t] = 0;
    sum += weights[t];
  }
  const double norm = (spec.exclude_outside || stretch > 1) && sum != 0 ? sum : 1;
  for (std::int64_t t = 0; t < taps.count; ++t) AddTap(taps, first + t, weights[t] / norm);
}

}  // namespace

Taps MakeTaps(const OpContext& c, const ResizeSpec& spec, const ResizeAxis& axis, std::int64_t in) {
  Taps taps{.in = in, .out = axis.out};
  if (in < 1 || axis.out < 1) c.Bad(fmt::format("an axis of {} cannot be resized to {}", in, axis.out));
  const bool crops = spec.coordinates == "tf_crop_and_resize";
  if (in == axis.out && !crops && (axis.scale == 0 || axis.scale == 1)) {
    taps.identity = true;
    return taps;
  }
  const double ratio =
      axis.scale > 0 ? 1 / axis.scale : static_cast<double>(in) / static_cast<double>(axis.out);
  const double stretch = spec.antialias ? std::max(1.0, ratio) : 1.0;
  const bool cubic = spec.mode == "cubic", filtered = cubic || stretch > 1;
  const double support = (cubic ? 2 : 1) * stretch;
  if (spec.mode != "nearest")
    taps.count = filtered && stretch > 1 ? static_cast<std::int64_t>(std::ceil(2 * support)) + 1
                 : cubic                 ? 4
                                         : 2;
  const std::uint64_t entries = static_cast<std::uint64_t>(axis.out) * static_cast<std::uint64_t>(taps.count);
  c.memory.Check(entries * (sizeof(std::int64_t) + sizeof(float)), c.node.name);
  taps.index.reserve(entries);
  taps.weight.reserve(entries);
  for (std::int64_t o = 0; o < axis.out; ++o) {
    const double x = SourceCoordinate(c, spec, axis, in, o);
    if (crops) taps.outside.push_back(x < 0 || x > static_cast<double>(in - 1));
    if (spec.mode == "nearest") {
      AddTap(taps, static_cast<std::int64_t>(RoundNearest(c, spec.nearest, x)), 1);
    } else if (stretch > 1) {
      AddFiltered(taps, spec, x, static_cast<std::int64_t>(std::ceil(x - support)), stretch);
    } else if (cubic) {
      AddFiltered(taps, spec, x, static_cast<std::int64_t>(std::floor(x)) - 1, 1);
    } else {
      const double inside = std::clamp(x, 0.0, static_cast<double>(in - 1));
      const auto low = static_cast<std::int64_t>(inside);
      const auto fraction = static_cast<float>(inside - static_cast<double>(low));
      AddTap(taps, low, 1.0f - fraction);
      AddTap(taps, low + 1, fraction);
    }
  }
  return taps;
}

namespace {

// One axis: src [outer, in, inner] -> dst [outer, out, inner].
void FilterAxis(const float* src, float* dst, std::int64_t outer, std::int64_t inner, const Taps& taps) {
  ParallelFor(outer * taps.out, outer * taps.out * inner * taps.count, [&](std::int64_t task) {
    const std::int64_t o = task % taps.out;
    const float* from = src + task / taps.out * taps.in * inner;
    const std::int64_t* index = &taps.index[o * taps.count];
    const float* weight = &taps.weight[o * taps.count];
    float* to = dst + task * inner;
    for (std::int64_t i = 0; i < inner; ++i) to[i] = weight[0] * from[index[0] * inner + i];
    for (std::int64_t t = 1; t < taps.count; ++t) {
      const float* row = from + index[t] * inner;
      for (std::int64_t i = 0; i < inner; ++i) to[i] += weight[t] * row[i];
    }
  });
}

template <typename T>
void PickAxis(const T* src, T* dst, std::int64_t outer, std::int64_t inner, const Taps& taps) {
  ParallelFor(outer * taps.out, outer * taps.out * inner, [&](std::int64_t task) {
    const T* from = src + task / taps.out * taps.in * inner + taps.index[task % taps.out] * inner;
    std::copy_n(from, inner, dst + task * inner);
  });
}

// Both map axes linear: rows are resized horizontally once and blended.
void BilinearMaps(const float* src, float* dst, std::int64_t planes, const Taps& rows, const Taps& columns) {
  constexpr std::int64_t kBlock = 64;  // output rows a task; each task resizes its own source rows
  const std::int64_t blocks = (rows.out + kBlock - 1) / kBlock, width = columns.out;
  ParallelFor(planes * blocks, planes * rows.out * width * 4, [&](std::int64_t task) {
    const float* plane = src + task / blocks * rows.in * columns.in;
    const std::int64_t begin = task % blocks * kBlock, end = std::min(rows.out, begin + kBlock);
    std::vector<float> buffer(2 * width);
    std::int64_t held[2] = {-1, -1};  // source row in each half of the buffer
    const auto resized = [&](std::int64_t row) -> const float* {
      float* into = &buffer[row % 2 * width];
      if (held[row % 2] != row) {
        held[row % 2] = row;
        const float* from = plane + row * columns.in;
        for (std::int64_t x = 0; x < width; ++x) {
          into[x] = columns.weight[2 * x] * from[columns.index[2 * x]] +
                    columns.weight[2 * x + 1] * from[columns.index[2 * x + 1]];
        }
      }
      return into;
    };
    for (std::int64_t y = begin; y < end; ++y) {
      const float* upper = resized(rows.index[2 * y]);
      const float* lower = resized(rows.index[2 * y + 1]);
      const float a = rows.weight[2 * y], b = rows.weight[2 * y + 1];
      float* out = dst + (task / blocks * rows.out + y) * width;
      for (std::int64_t x = 0; x < width; ++x) out[x] = a * upper[x] + b * lower[x];
    }
  });
}

void FillOutside(Tensor& y, const std::vector<Taps>& taps, float value) {
  float* dst = y.data<float>();
  for (std::size_t axis = 0; axis < taps.size(); ++axis) {
    if (taps[axis].outside.empty()) continue;
    const std::int64_t inner = Product(y.shape(), static_cast<int>(axis) + 1, y.rank()), out = taps[axis].out;
    for (std::int64_t row = 0; row < y.size() / inner; ++row) {
      if (taps[axis].outside[row % out] != 0) std::fill_n(dst + row * inner, inner, value);
    }
  }
}

bool IsBilinear(const std::vector<Taps>& taps, const ResizeSpec& spec) {
  if (spec.mode != "linear" || taps.size() != 4) return false;
  return taps[0].identity && taps[1].identity && taps[2].count == 2 && taps[3].count == 2 &&
         !taps[2].identity && !taps[3].identity;
}

}  // namespace

Tensor ResizeTensor(OpContext& c, const Tensor& x, const std::vector<ResizeAxis>& axes,
                    const ResizeSpec& spec) {
  const bool nearest = spec.mode == "nearest";
  if (!nearest && spec.mode != "linear" && spec.mode != "cubic")
    c.Unsupported(fmt::format("mode '{}' is unknown", spec.mode));
  const bool crops = spec.coordinates == "tf_crop_and_resize";
  if ((!nearest || crops) && x.dtype() != DType::kFloat32) {
    c.Unsupported(fmt::format("input is {}, wanted float32", Name(x.dtype())));
  }
  // The output is refused before tables for it are made.
  Shape out_shape;
  for (const ResizeAxis& axis : axes) out_shape.push_back(axis.out);
  c.memory.Check(static_cast<std::uint64_t>(NumElements(out_shape)) * ByteSize(x.dtype()), c.node.name);
  std::vector<Taps> taps;
  for (int i = 0; i < x.rank(); ++i) taps.push_back(MakeTaps(c, spec, axes[i], x.dim(i)));

  if (IsBilinear(taps, spec)) {
    Tensor y = c.Allocate(DType::kFloat32, out_shape);
    BilinearMaps(x.data<float>(), y.data<float>(), x.dim(0) * x.dim(1), taps[2], taps[3]);
    if (crops) FillOutside(y, taps, spec.extrapolation);
    return y;
  }
  Tensor y = x;
  for (int i = x.rank() - 1; i >= 0; --i) {
    if (taps[i].identity) continue;
    const Tensor from = y;
    Shape shape = from.shape();
    shape[i] = taps[i].out;
    y = c.Allocate(x.dtype(), shape);
    const std::int64_t outer = Product(shape, 0, i), inner = Product(shape, i + 1, from.rank());
    if (nearest) {
      ForWidth(x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        PickAxis(static_cast<const T*>(from.raw()), static_cast<T*>(y.raw()), outer, inner, taps[i]);
      });
    } else {
      FilterAxis(from.data<float>(), y.data<float>(), outer, inner, taps[i]);
    }
  }
  if (crops) FillOutside(y, taps, spec.extrapolation);
  return y;
}

}  // namespace frf::plain
