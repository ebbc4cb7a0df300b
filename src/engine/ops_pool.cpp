// SPDX-License-Identifier: Apache-2.0
// MaxPool (with indices), AveragePool, global pools and MaxUnpool. Subtle: indices are ONNX's, flat over the
// whole tensor, and the first of equal values wins; an average counts padding only where asked to, and never
// what lies beyond the padding (a last window of ceil mode reaches there), as torch does.
#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "engine/window.h"

namespace frf::plain {
namespace {

struct PoolPlan {
  Window window;
  std::int64_t planes, in_height, in_width, out_height, out_width;
  Shape out;
  std::int64_t Work() const { return planes * out_height * out_width * window.kernel[0] * window.kernel[1]; }
};

PoolPlan PlanPool(const OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::array<std::int64_t, 4> map = MapShape(c, x);
  PoolPlan p;
  p.window = ReadWindow(c, x, {});
  p.planes = map[0] * map[1], p.in_height = map[2], p.in_width = map[3];
  p.out_height = OutputSize(c, p.window, 0, p.in_height);
  p.out_width = OutputSize(c, p.window, 1, p.in_width);
  p.out = RestoreRank({map[0], map[1], p.out_height, p.out_width}, x);
  return p;
}

// Output columns whose source column o * stride - pad + k * dilation lies inside the input.
struct Range {
  std::int64_t begin, end;
};
Range InsideColumns(const PoolPlan& p, std::int64_t k) {
  const Window& w = p.window;
  const std::int64_t shift = k * w.dilation[1] - w.pad_begin[1], stride = w.stride[1];
  const std::int64_t begin = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  const std::int64_t last = p.in_width - 1 - shift;
  const std::int64_t end = last < 0 ? 0 : std::min(p.out_width, last / stride + 1);
  return {std::min(begin, end), end};
}

// Calls visit(source row, first column, stride, range) for every kernel element that meets output row `y`.
template <typename T, typename Visit>
void ForKernelRows(const PoolPlan& p, const T* plane, std::int64_t y, const Visit& visit) {
  const Window& w = p.window;
  for (std::int64_t ky = 0; ky < w.kernel[0]; ++ky) {
    const std::int64_t row = y * w.stride[0] - w.pad_begin[0] + ky * w.dilation[0];
    if (row < 0 || row >= p.in_height) continue;
    for (std::int64_t kx = 0; kx < w.kernel[1]; ++kx) {
      visit(plane + row * p.in_width + kx * w.dilation[1] - w.pad_begin[1], InsideColumns(p, kx));
    }
  }
}

template <typename T>
void MaxRows(const PoolPlan& p, const T* src, T* dst) {
  constexpr T kLowest = std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                             : std::numeric_limits<T>::lowest();
  const std::int64_t stride = p.window.stride[1];
  ParallelFor(p.planes * p.out_height, p.Work(), [&](std::int64_t task) {
    T* out = dst + task * p.out_width;
    std::fill_n(out, p.out_width, kLowest);
    const auto widen = [&](const T* row, Range range, auto step) {
      for (std::int64_t x = range.begin; x < range.end; ++x)
        out[x] = row[x * step] > out[x] ? row[x * step] : out[x];
    };
    const T* plane = src + task / p.out_height * p.in_height * p.in_width;
    ForKernelRows(p, plane, task % p.out_height, [&](const T* row, Range range) {
      // The usual steps are constants, for the compiler.
      if (stride == 1)
        widen(row, range, std::integral_constant<int, 1>());
      else if (stride == 2)
        widen(row, range, std::integral_constant<int, 2>());
      else
        widen(row, range, stride);
    });
  });
}

template <typename T>
void MaxIndices(const PoolPlan& p, const T* src, T* dst, std::int64_t* indices, bool column_major) {
  const Window& w = p.window;
  const std::int64_t plane_size = p.in_height * p.in_width;
  ParallelFor(p.planes * p.out_height, p.Work(), [&](std::int64_t task) {
    const std::int64_t plane = task / p.out_height, y = task % p.out_height;
    for (std::int64_t x = 0; x < p.out_width; ++x) {
      std::int64_t best = -1, best_index = 0;
      for (std::int64_t ky = 0; ky < w.kernel[0]; ++ky) {
        const std::int64_t row = y * w.stride[0] - w.pad_begin[0] + ky * w.dilation[0];
        if (row < 0 || row >= p.in_height) continue;
        for (std::int64_t kx = 0; kx < w.kernel[1]; ++kx) {
          const std::int64_t column = x * w.stride[1] - w.pad_begin[1] + kx * w.dilation[1];
          if (column < 0 || column >= p.in_width) continue;
          const std::int64_t at = plane * plane_size + row * p.in_width + column;
          if (best >= 0 && !(src[at] > src[best])) continue;
          best = at;
          best_index = column_major ? plane * plane_size + column * p.in_height + row : at;
        }
      }
      dst[task * p.out_width + x] = best >= 0 ? src[best] : std::numeric_limits<T>::lowest();
      indices[task * p.out_width + x] = best_index;
    }
  });
}

std::vector<Tensor> MaxPool(OpContext& c) {
  const Tensor& x = c.Input(0);
  const PoolPlan p = PlanPool(c);
  std::vector<Tensor> outputs{c.Allocate(x.dtype(), p.out)};
  if (c.WantsOutput(1)) outputs.push_back(c.Allocate(DType::kInt64, p.out));
  const bool known = ForNumber(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* dst = outputs[0].data<T>();
    if (outputs.size() == 1)
      MaxRows(p, x.data<T>(), dst);
    else
      MaxIndices(p, x.data<T>(), dst, outputs[1].data<std::int64_t>(), c.node.Int("storage_order", 0) != 0);
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  return outputs;
}

// How many kernel elements along an axis count for output position o: those inside the input, or inside input
// and padding.
std::int64_t Counted(const Window& w, int axis, std::int64_t in, std::int64_t o, bool include_pad) {
  const std::int64_t low = include_pad ? -w.pad_begin[axis] : 0,
                     high = include_pad ? in + w.pad_end[axis] : in;
  std::int64_t count = 0;
  for (std::int64_t k = 0; k < w.kernel[axis]; ++k) {
    const std::int64_t at = o * w.stride[axis] - w.pad_begin[axis] + k * w.dilation[axis];
    count += at >= low && at < high;
  }
  return count;
}

std::vector<Tensor> AveragePool(OpContext& c) {
  const float* src = c.Floats(0);
  const PoolPlan p = PlanPool(c);
  const bool include_pad = c.node.Int("count_include_pad", 0) != 0;
  Tensor y = c.Allocate(DType::kFloat32, p.out);
  float* dst = y.data<float>();
  std::vector<std::int64_t> columns(p.out_width);
  for (std::int64_t x = 0; x < p.out_width; ++x)
    columns[x] = Counted(p.window, 1, p.in_width, x, include_pad);
  const std::int64_t stride = p.window.stride[1];
  ParallelFor(p.planes * p.out_height, p.Work(), [&](std::int64_t task) {
    float* out = dst + task * p.out_width;
    std::fill_n(out, p.out_width, 0.0f);
    const std::int64_t row_index = task % p.out_height;
    ForKernelRows(p, src + task / p.out_height * p.in_height * p.in_width, row_index,
                  [&](const float* row, Range range) {
                    for (std::int64_t x = range.begin; x < range.end; ++x) out[x] += row[x * stride];
                  });
    const std::int64_t rows = Counted(p.window, 0, p.in_height, row_index, include_pad);
    for (std::int64_t x = 0; x < p.out_width; ++x) {
      const std::int64_t count = rows * columns[x];
      if (count > 0) out[x] /= static_cast<float>(count);
    }
  });
  return {y};
}

template <typename Reduce>
std::vector<Tensor> GlobalPool(OpContext& c, const Reduce& reduce) {
  const Tensor& x = c.Input(0);
  const float* src = c.Floats(0);
  if (x.rank() < 2) c.Bad(fmt::format("input is {}, wanted N x C x ...", ToString(x.shape())));
  Shape out(x.rank(), 1);
  out[0] = x.dim(0), out[1] = x.dim(1);
  const std::int64_t plane = plain::Product(x.shape(), 2, x.rank());
  if (plane == 0) c.Bad("the map is empty");
  Tensor y = c.Allocate(DType::kFloat32, out);
  float* dst = y.data<float>();
  ParallelFor(y.size(), x.size(), [&](std::int64_t i) { dst[i] = reduce(src + i * plane, plane); });
  return {y};
}

std::vector<Tensor> GlobalAveragePool(OpContext& c) {
  return GlobalPool(c, [](const float* values, std::int64_t count) {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sum += values[i];
    return static_cast<float>(sum / static_cast<double>(count));
  });
}

std::vector<Tensor> GlobalMaxPool(OpContext& c) {
  return GlobalPool(
      c, [](const float* values, std::int64_t count) { return *std::max_element(values, values + count); });
}

// Output size without output_shape: the inverse of the pool's rule.
Shape UnpooledShape(const OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::array<std::int64_t, 4> map = MapShape(c, x);
  const Window w = ReadWindow(c, x, {});
  Shape out{map[0], map[1], 0, 0};
  for (int i = 0; i < 2; ++i) {
    out[2 + i] = (map[2 + i] - 1) * w.stride[i] - w.pad_begin[i] - w.pad_end[i] + w.kernel[i];
    if (out[2 + i] < 1) c.Bad("the output would be empty");
  }
  return RestoreRank(out, x);
}

std::vector<Tensor> MaxUnpool(OpContext& c) {
  const Tensor &x = c.Input(0), &indices = c.Input(1);
  if (indices.dtype() != DType::kInt64 || indices.shape() != x.shape()) {
    c.Bad(fmt::format("indices are {} {}, wanted int64 {}", Name(indices.dtype()), ToString(indices.shape()),
                      ToString(x.shape())));
  }
  Shape out = UnpooledShape(c);
  if (c.Has(2)) {
    out = c.Integers(2);
    if (static_cast<int>(out.size()) != x.rank()) c.Bad("output_shape has another rank than the input");
    for (const std::int64_t dim : out) {
      if (dim < 0) c.Bad(fmt::format("output_shape is {}", ToString(out)));
    }
  }
  Tensor y = c.Allocate(x.dtype(), out);
  std::memset(y.raw(), 0, y.bytes());
  const std::int64_t* at = indices.data<std::int64_t>();
  const std::int64_t total = y.size();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    if (at[i] < 0 || at[i] >= total) c.Bad(fmt::format("index {} is outside of {}", at[i], ToString(out)));
  }
  ForWidth(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = static_cast<const T*>(x.raw());
    T* dst = static_cast<T*>(y.raw());
    for (std::int64_t i = 0; i < x.size(); ++i) dst[at[i]] = src[i];
  });
  return {y};
}

}  // namespace

void AddPoolOps(OpTable& table) {
  table.Add("MaxPool", MaxPool);
  table.Add("AveragePool", AveragePool);
  table.Add("GlobalAveragePool", GlobalAveragePool);
  table.Add("GlobalMaxPool", GlobalMaxPool);
  table.Add("MaxUnpool", MaxUnpool, HalfMode::kAsIs);
}

}  // namespace frf::plain
