// SPDX-License-Identifier: Apache-2.0
// BatchNormalization, InstanceNormalization, LayerNormalization, Softmax, LogSoftmax. Subtle: before opset 13
// Softmax flattens everything from its axis on into one axis; and batch norm is x * a + b with a and b
// rounded to float once, so folding it into a convolution differs by rounding only.
#include <algorithm>
#include <cmath>

#include "engine/plain_op.h"

namespace frf::plain {
namespace {

const float* PerChannel(const OpContext& c, std::size_t input, std::int64_t channels) {
  if (c.Input(input).size() != channels) {
    c.Bad(fmt::format("input {} is {}, wanted {} values", input, ToString(c.Input(input).shape()), channels));
  }
  return c.Floats(input);
}

std::vector<Tensor> BatchNormalization(OpContext& c) {
  const Tensor& x = c.Input(0);
  const float* src = c.Floats(0);
  if (x.rank() < 2) c.Bad(fmt::format("input is {}, wanted N x C x ...", ToString(x.shape())));
  if (c.node.Int("training_mode", 0) != 0) c.Unsupported("training_mode 1; the plain executor only infers");
  const std::int64_t channels = x.dim(1), plane = Product(x.shape(), 2, x.rank());
  const float* scale = PerChannel(c, 1, channels);
  const float* bias = PerChannel(c, 2, channels);
  const float* mean = PerChannel(c, 3, channels);
  const float* variance = PerChannel(c, 4, channels);
  const double epsilon = c.node.Float("epsilon", 1e-5f);
  std::vector<float> a(channels), b(channels);
  for (std::int64_t i = 0; i < channels; ++i) {
    const double factor = scale[i] / std::sqrt(variance[i] + epsilon);
    a[i] = static_cast<float>(factor);
    b[i] = static_cast<float>(bias[i] - mean[i] * factor);
  }
  Tensor y = c.Allocate(DType::kFloat32, x.shape());
  if (y.size() == 0) return {y};  // planes of nothing may be any number
  float* dst = y.data<float>();
  ParallelFor(x.dim(0) * channels, x.size(), [&](std::int64_t p) {
    const float factor = a[p % channels], shift = b[p % channels];
    const float* from = src + p * plane;
    float* to = dst + p * plane;
    for (std::int64_t i = 0; i < plane; ++i) to[i] = from[i] * factor + shift;
  });
  return {y};
}

struct Moments {
  double mean, inverse_deviation;
};
Moments MomentsOf(const float* values, std::int64_t count, double epsilon) {
  double sum = 0, squares = 0;
  for (std::int64_t i = 0; i < count; ++i) sum += values[i];
  const double mean = sum / static_cast<double>(count);
  for (std::int64_t i = 0; i < count; ++i) squares += (values[i] - mean) * (values[i] - mean);
  return {mean, 1.0 / std::sqrt(squares / static_cast<double>(count) + epsilon)};
}

std::vector<Tensor> InstanceNormalization(OpContext& c) {
  const Tensor& x = c.Input(0);
  const float* src = c.Floats(0);
  if (x.rank() < 3) c.Bad(fmt::format("input is {}, wanted N x C x ...", ToString(x.shape())));
  const std::int64_t channels = x.dim(1), plane = Product(x.shape(), 2, x.rank());
  const float* scale = PerChannel(c, 1, channels);
  const float* bias = PerChannel(c, 2, channels);
  const double epsilon = c.node.Float("epsilon", 1e-5f);
  Tensor y = c.Allocate(DType::kFloat32, x.shape());
  if (y.size() == 0) return {y};
  float* dst = y.data<float>();
  ParallelFor(x.dim(0) * channels, x.size(), [&](std::int64_t p) {
    const Moments m = MomentsOf(src + p * plane, plane, epsilon);
    const double factor = scale[p % channels] * m.inverse_deviation,
                 shift = bias[p % channels] - m.mean * factor;
    for (std::int64_t i = 0; i < plane; ++i)
      dst[p * plane + i] = static_cast<float>(src[p * plane + i] * factor + shift);
  });
  return {y};
}

std::vector<Tensor> LayerNormalization(OpContext& c) {
  const Tensor& x = c.Input(0);
  const float* src = c.Floats(0);
  const int axis = c.Axis(c.node.Int("axis", -1), x.rank());
  const std::int64_t rows = Product(x.shape(), 0, axis), row = Product(x.shape(), axis, x.rank());
  const float* scale = PerChannel(c, 1, row);
  const float* bias = c.Has(2) ? PerChannel(c, 2, row) : nullptr;
  const double epsilon = c.node.Float("epsilon", 1e-5f);
  Shape statistics = x.shape();
  std::fill(statistics.begin() + axis, statistics.end(), 1);
  Tensor y = c.Allocate(DType::kFloat32, x.shape()), mean = c.Allocate(DType::kFloat32, statistics),
         inverse = c.Allocate(DType::kFloat32, statistics);
  float *dst = y.data<float>(), *means = mean.data<float>(), *inverses = inverse.data<float>();
  ParallelFor(rows, x.size(), [&](std::int64_t r) {
    const Moments m = MomentsOf(src + r * row, row, epsilon);
    means[r] = static_cast<float>(m.mean);
    inverses[r] = static_cast<float>(m.inverse_deviation);
    for (std::int64_t i = 0; i < row; ++i) {
      const double normal = (src[r * row + i] - m.mean) * m.inverse_deviation;
      dst[r * row + i] = static_cast<float>(normal * scale[i] + (bias != nullptr ? bias[i] : 0.0f));
    }
  });
  return {y, mean, inverse};
}

// Over the middle axis of [outer, middle, inner], `count` neighbours of the inner axis at a time.
template <bool kLog>
void SoftmaxColumns(const float* src, float* dst, std::int64_t middle, std::int64_t inner,
                    std::int64_t count) {
  constexpr std::int64_t kLanes = 256;
  float largest[kLanes];
  double sum[kLanes];
  std::copy_n(src, count, largest);
  std::fill_n(sum, count, 0.0);
  for (std::int64_t k = 1; k < middle; ++k) {
    const float* row = src + k * inner;
    for (std::int64_t i = 0; i < count; ++i)
      largest[i] = row[i] > largest[i] || row[i] != row[i] ? row[i] : largest[i];
  }
  for (std::int64_t k = 0; k < middle; ++k) {
    const float* row = src + k * inner;
    float* out = dst + k * inner;
    for (std::int64_t i = 0; i < count; ++i) {
      const float shifted = row[i] - largest[i], power = std::exp(shifted);
      out[i] = kLog ? shifted : power;
      sum[i] += power;
    }
  }
  float norm[kLanes];
  for (std::int64_t i = 0; i < count; ++i)
    norm[i] = static_cast<float>(kLog ? std::log(sum[i]) : 1.0 / sum[i]);
  for (std::int64_t k = 0; k < middle; ++k) {
    float* out = dst + k * inner;
    for (std::int64_t i = 0; i < count; ++i) out[i] = kLog ? out[i] - norm[i] : out[i] * norm[i];
  }
}

// The same where the axis is the last one. A NaN is in the sum, if not in the maximum, and so everywhere in
// the row.
template <bool kLog>
void SoftmaxRow(const float* src, float* dst, std::int64_t count) {
  constexpr std::int64_t kLanes = 16;  // maxima side by side: a single one would be a chain
  float lanes[kLanes];
  for (float& lane : lanes) lane = src[0];
  std::int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    for (std::int64_t i = 0; i < kLanes; ++i) lanes[i] = src[k + i] > lanes[i] ? src[k + i] : lanes[i];
  }
  for (; k < count; ++k) lanes[0] = std::max(lanes[0], src[k]);
  const float largest = *std::max_element(lanes, lanes + kLanes);
  double sum = 0;
  for (k = 0; k < count; ++k) {
    const float shifted = src[k] - largest, power = std::exp(shifted);
    dst[k] = kLog ? shifted : power;
    sum += power;
  }
  const auto norm = static_cast<float>(kLog ? std::log(sum) : 1.0 / sum);
  for (k = 0; k < count; ++k) dst[k] = kLog ? dst[k] - norm : dst[k] * norm;
}

template <bool kLog>
std::vector<Tensor> Softmax(OpContext& c) {
  const Tensor& x = c.Input(0);
  const float* src = c.Floats(0);
  const bool flattens = c.opset < 13;
  const std::int64_t given = c.node.Int("axis", flattens ? 1 : -1);
  int axis = 0;
  if (!(flattens && given == x.rank()))
    axis = c.Axis(given, x.rank());  // flattening may start behind the last axis
  else
    axis = x.rank();
  const std::int64_t outer = Product(x.shape(), 0, axis);
  const std::int64_t middle = flattens ? Product(x.shape(), axis, x.rank()) : x.dim(axis);
  const std::int64_t inner = flattens ? 1 : Product(x.shape(), axis + 1, x.rank());
  Tensor y = c.Allocate(DType::kFloat32, x.shape());
  if (x.size() == 0) return {y};
  float* dst = y.data<float>();
  if (inner == 1) {
    ParallelFor(outer, x.size() * 8,
                [&](std::int64_t row) { SoftmaxRow<kLog>(src + row * middle, dst + row * middle, middle); });
    return {y};
  }
  constexpr std::int64_t kLanes = 256;
  const std::int64_t chunks = (inner + kLanes - 1) / kLanes;
  ParallelFor(outer * chunks, x.size() * 8, [&](std::int64_t task) {
    const std::int64_t begin = task % chunks * kLanes, start = task / chunks * middle * inner + begin;
    SoftmaxColumns<kLog>(src + start, dst + start, middle, inner, std::min(kLanes, inner - begin));
  });
  return {y};
}

}  // namespace

void AddNormOps(OpTable& table) {
  table.Add("BatchNormalization", BatchNormalization);
  table.Add("InstanceNormalization", InstanceNormalization);
  table.Add("LayerNormalization", LayerNormalization);
  table.Add("Softmax", Softmax<false>);
  table.Add("LogSoftmax", Softmax<true>);
}

}  // namespace frf::plain
