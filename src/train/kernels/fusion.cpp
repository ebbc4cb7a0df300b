// SPDX-License-Identifier: Apache-2.0
// See fusion.h. Element-wise passes are cut into runs of fixed length for the threads; maps are independent
// of one another.
#include "train/kernels/fusion.h"

#include <algorithm>
#include <limits>

#include "train/kernels/simd.h"

namespace frf {
namespace {

constexpr std::int64_t kRun = 1 << 13;
using Byte16 = std::uint8_t __attribute__((vector_size(16), aligned(1), may_alias));

FRF_KERNEL void GateRun(const float* __restrict o, const float* __restrict l, float* __restrict y,
                        std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = o[i] + l[i] * VectorSigmoid(o[i]);
}

FRF_KERNEL void GateBackwardRun(const float* __restrict o, const float* __restrict l,
                                const float* __restrict dy, float* __restrict d_o, float* __restrict d_l,
                                std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float s = VectorSigmoid(o[i]), g = dy[i];
    d_l[i] = g * s;
    d_o[i] = g + g * l[i] * s * (1.0f - s);
  }
}

FRF_KERNEL void MaskedSumRun(const float* __restrict o, const float* __restrict y, float threshold,
                             float* __restrict z, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float diff = VectorSigmoid(o[i]) - VectorSigmoid(y[i]);
    z[i] = (diff > threshold ? 2.0f : 1.0f) * o[i] + (-diff > threshold ? 2.0f : 1.0f) * y[i];
  }
}

FRF_KERNEL void MaskedSumBackwardRun(const float* __restrict o, const float* __restrict y, float threshold,
                                     const float* __restrict dz, float* __restrict d_o, float* __restrict d_y,
                                     std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float diff = VectorSigmoid(o[i]) - VectorSigmoid(y[i]);
    d_o[i] = (diff > threshold ? 2.0f : 1.0f) * dz[i];
    d_y[i] = (-diff > threshold ? 2.0f : 1.0f) * dz[i];
  }
}

FRF_KERNEL void SpectralBlock(const float* x, const float* basis, float* d, std::int64_t pixels) {
  Float16 a{}, b{};
  std::int64_t i = 0;
  for (; i + 32 <= pixels * 16; i += 32) {
    a += At(x + i) * At(basis + i);
    b += At(x + i + 16) * At(basis + i + 16);
  }
  if (i < pixels * 16) a += At(x + i) * At(basis + i);
  At(d) = a + b;
}

FRF_KERNEL void SpectralBackwardBlock(const float* d_d, const float* basis, float* dx, std::int64_t pixels) {
  const Float16 g = At(d_d);
  for (std::int64_t i = 0; i < pixels * 16; i += 16) At(dx + i) = g * At(basis + i);
}

// Where a tap of an output row is larger (or NaN, which wins as in torch), its value and place are kept.
// `step`: floats from one column's tap to the next. Subtle: written over memory and lane by lane; comparisons
// of Float16 and of local arrays are split into single lanes before GCC 12 clones the function for its
// targets (30 times slower).
FRF_KERNEL void MaxPoolTap(const float* __restrict x, std::int64_t step, std::uint8_t place,
                           std::int64_t columns, float* __restrict y, std::uint8_t* __restrict chosen) {
  for (std::int64_t column = 0; column < columns; ++column) {
    const float* v = x + column * step;
    float* best = y + column * kLanes;
    std::uint8_t* which = chosen + column * kLanes;
    for (int lane = 0; lane < kLanes; ++lane) {
      const bool larger = (v[lane] > best[lane]) | (v[lane] != v[lane]);
      best[lane] = larger ? v[lane] : best[lane];
      which[lane] = larger ? place : which[lane];
    }
  }
}

// One output row of one map.
void MaxPoolRow(const float* x, float* y, std::uint8_t* chosen, const PoolShape& s, std::int64_t row) {
  float* out = y + row * s.out_width * kLanes;
  std::uint8_t* which = chosen + row * s.out_width * kLanes;
  std::fill_n(out, s.out_width * kLanes, -std::numeric_limits<float>::infinity());
  std::fill_n(which, s.out_width * kLanes, std::uint8_t{0});
  for (std::int64_t i = 0; i < s.kernel_h; ++i) {
    const std::int64_t source_row = row * s.stride_h - s.pad_h + i;
    if (source_row < 0 || source_row >= s.height) continue;
    for (std::int64_t j = 0; j < s.kernel_w; ++j) {
      // The columns whose tap lies inside: 0 <= column * stride + j - pad < width.
      const std::int64_t shift = j - s.pad_w, first = shift < 0 ? (s.stride_w - 1 - shift) / s.stride_w : 0,
                         last = std::min(s.out_width,
                                         s.width > shift ? (s.width - 1 - shift) / s.stride_w + 1 : 0);
      if (first >= last) continue;
      MaxPoolTap(x + (source_row * s.width + first * s.stride_w + shift) * kLanes, s.stride_w * kLanes,
                 static_cast<std::uint8_t>(i * s.kernel_w + j), last - first, out + first * kLanes,
                 which + first * kLanes);
    }
  }
}

FRF_KERNEL void MaxPoolBackwardMap(const float* dy, const std::uint8_t* chosen, float* dx,
                                   const PoolShape& s) {
  for (std::int64_t i = 0; i < s.height * s.width * 16; i += 16) At(dx + i) = Float16{};
  for (std::int64_t row = 0; row < s.out_height; ++row) {
    for (std::int64_t column = 0; column < s.out_width; ++column) {
      const Float16 g = At(dy + (row * s.out_width + column) * 16), zero{};
      const Int16x position = __builtin_convertvector(
          *reinterpret_cast<const Byte16*>(chosen + (row * s.out_width + column) * 16), Int16x);
      for (std::int64_t i = 0; i < s.kernel_h; ++i) {
        const std::int64_t source_row = row * s.stride_h - s.pad_h + i;
        if (source_row < 0 || source_row >= s.height) continue;
        for (std::int64_t j = 0; j < s.kernel_w; ++j) {
          const std::int64_t source_column = column * s.stride_w - s.pad_w + j;
          if (source_column < 0 || source_column >= s.width) continue;
          float* target = dx + (source_row * s.width + source_column) * 16;
          At(target) += position == static_cast<std::int32_t>(i * s.kernel_w + j) ? g : zero;
        }
      }
    }
  }
}

// Vertical first into `line` [width][16], then horizontal.
FRF_KERNEL void ResizeRow(const float* low, const float* high, float part, int width, const int* column_low,
                          const int* column_high, const float* column_part, int out_width, float* line,
                          float* y) {
  for (std::int64_t i = 0; i < width * std::int64_t{16}; i += 16)
    At(line + i) = At(low + i) + part * (At(high + i) - At(low + i));
  for (int j = 0; j < out_width; ++j) {
    const Float16 a = At(line + column_low[j] * 16), b = At(line + column_high[j] * 16);
    At(y + j * std::int64_t{16}) = a + column_part[j] * (b - a);
  }
}

FRF_KERNEL void AddScaledRow(float* line, const float* dy, float weight, int width, bool first) {
  if (first) {
    for (std::int64_t i = 0; i < width * std::int64_t{16}; i += 16) At(line + i) = weight * At(dy + i);
  } else {
    for (std::int64_t i = 0; i < width * std::int64_t{16}; i += 16) At(line + i) += weight * At(dy + i);
  }
}

FRF_KERNEL void NarrowRow(const float* line, float* dx, int width, const int* begin, const int* output,
                          const float* weight) {
  for (int j = 0; j < width; ++j) {
    Float16 sum{};
    for (int k = begin[j]; k < begin[j + 1]; ++k) sum += weight[k] * At(line + output[k] * std::int64_t{16});
    At(dx + j * std::int64_t{16}) = sum;
  }
}

}  // namespace

void GateForward(const float* o, const float* l, float* y, std::int64_t size) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < size; i += kRun) GateRun(o + i, l + i, y + i, std::min(kRun, size - i));
}

void GateBackward(const float* o, const float* l, const float* dy, float* d_o, float* d_l,
                  std::int64_t size) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < size; i += kRun)
    GateBackwardRun(o + i, l + i, dy + i, d_o + i, d_l + i, std::min(kRun, size - i));
}

void MaskedSumForward(const float* o, const float* y, float threshold, float* z, std::int64_t size) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < size; i += kRun)
    MaskedSumRun(o + i, y + i, threshold, z + i, std::min(kRun, size - i));
}

void MaskedSumBackward(const float* o, const float* y, float threshold, const float* dz, float* d_o,
                       float* d_y, std::int64_t size) {
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < size; i += kRun) {
    MaskedSumBackwardRun(o + i, y + i, threshold, dz + i, d_o + i, d_y + i, std::min(kRun, size - i));
  }
}

void SpectralForward(const float* x, const float* basis, float* d, const BlockedShape& shape) {
  const std::int64_t run = shape.pixels * 16;
#pragma omp parallel for schedule(static)
  for (std::int64_t item = 0; item < shape.images * shape.blocks; ++item) {
    SpectralBlock(x + item * run, basis + item % shape.blocks * run, d + item * 16, shape.pixels);
  }
}

void SpectralBackward(const float* d_d, const float* basis, float* dx, const BlockedShape& shape) {
  const std::int64_t run = shape.pixels * 16;
#pragma omp parallel for schedule(static)
  for (std::int64_t item = 0; item < shape.images * shape.blocks; ++item) {
    SpectralBackwardBlock(d_d + item * 16, basis + item % shape.blocks * run, dx + item * run, shape.pixels);
  }
}

void MaxPoolForward(const float* x, float* y, std::uint8_t* chosen, const PoolShape& shape) {
  const std::int64_t in = shape.height * shape.width * 16, out = shape.out_height * shape.out_width * 16;
#pragma omp parallel for schedule(static)
  for (std::int64_t map = 0; map < shape.maps; ++map) {
    for (std::int64_t row = 0; row < shape.out_height; ++row)
      MaxPoolRow(x + map * in, y + map * out, chosen + map * out, shape, row);
  }
}

void MaxPoolBackward(const float* dy, const std::uint8_t* chosen, float* dx, const PoolShape& shape) {
  const std::int64_t in = shape.height * shape.width * 16, out = shape.out_height * shape.out_width * 16;
#pragma omp parallel for schedule(static)
  for (std::int64_t map = 0; map < shape.maps; ++map)
    MaxPoolBackwardMap(dy + map * out, chosen + map * out, dx + map * in, shape);
}

Taps::Taps(int in, int out) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  std::vector<std::vector<std::pair<int, float>>> adjoint(static_cast<std::size_t>(in));
  for (int i = 0; i < out; ++i) {
    const float source =
        in == out ? static_cast<float>(i) : std::max(scale * (static_cast<float>(i) + 0.5f) - 0.5f, 0.0f);
    const int first = std::min(static_cast<int>(source), in - 1), second = std::min(first + 1, in - 1);
    const float share = std::clamp(source - static_cast<float>(first), 0.0f, 1.0f);
    low.push_back(first);
    high.push_back(second);
    part.push_back(share);
    adjoint[static_cast<std::size_t>(first)].emplace_back(i, 1.0f - share);
    adjoint[static_cast<std::size_t>(second)].emplace_back(i, share);
  }
  for (const auto& list : adjoint) {
    begin.push_back(static_cast<int>(output.size()));
    for (const auto& [position, share] : list) {
      output.push_back(position);
      weight.push_back(share);
    }
  }
  begin.push_back(static_cast<int>(output.size()));
}

void ResizeForward(const float* x, float* y, const ResizeShape& shape) {
  const Taps rows(shape.height, shape.out_height), columns(shape.width, shape.out_width);
  const std::int64_t in_row = shape.width * std::int64_t{16}, out_row = shape.out_width * std::int64_t{16};
#pragma omp parallel for schedule(static)
  for (std::int64_t map = 0; map < shape.maps; ++map) {
    std::vector<float> line(static_cast<std::size_t>(in_row));
    const float* source = x + map * shape.height * in_row;
    for (int row = 0; row < shape.out_height; ++row) {
      ResizeRow(source + rows.low[row] * in_row, source + rows.high[row] * in_row, rows.part[row],
                shape.width, columns.low.data(), columns.high.data(), columns.part.data(), shape.out_width,
                line.data(), y + (map * shape.out_height + row) * out_row);
    }
  }
}

void ResizeBackward(const float* dy, float* dx, const ResizeShape& shape) {
  const Taps rows(shape.height, shape.out_height), columns(shape.width, shape.out_width);
  const std::int64_t in_row = shape.width * std::int64_t{16}, out_row = shape.out_width * std::int64_t{16};
#pragma omp parallel for schedule(static)
  for (std::int64_t map = 0; map < shape.maps; ++map) {
    std::vector<float> line(static_cast<std::size_t>(out_row));
    for (int row = 0; row < shape.height; ++row) {
      const int first = rows.begin[row], last = rows.begin[row + 1];
      if (first == last) std::fill(line.begin(), line.end(), 0.0f);  // shrinking: a row that nobody reads
      for (int k = first; k < last; ++k) {
        AddScaledRow(line.data(), dy + (map * shape.out_height + rows.output[k]) * out_row, rows.weight[k],
                     shape.out_width, k == first);
      }
      NarrowRow(line.data(), dx + (map * shape.height + row) * in_row, shape.width, columns.begin.data(),
                columns.output.data(), columns.weight.data());
    }
  }
}

}  // namespace frf
