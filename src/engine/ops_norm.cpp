// SPDX-License-Identifier: Apache-2.0
// BatchNormalization, InstanceNormalization, GroupNormalization, LayerNormalization, Softmax, LogSoftmax.
// Subtle: before opset 13 Softmax flattens everything from its axis on into one axis; GroupNormalization's
// scales are one a group in opset 18 to 20, one a channel since; and batch norm is x * a + b with a and b
// rounded to float once, so folding it into a convolution differs by rounding only.
#include <algorithm>
#include <cmath>
#include <numeric>

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
  double mean, squares;  // squares: the sum of squared differences from the mean
  double InverseDeviation(std::int64_t count, double epsilon) const {
    return 1.0 / std::sqrt(squares / static_cast<double>(count) + epsilon);
  }
};
Moments MomentsOf(const float* values, std::int64_t count) {
  constexpr std::int64_t kLanes = 8;  // sums side by side: a single one would be a chain
  const auto sum_of = [&](auto term) {
    double lanes[kLanes] = {};
    std::int64_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(values[i + lane]);
    }
    for (; i < count; ++i) lanes[i % kLanes] += term(values[i]);
    return std::accumulate(lanes, lanes + kLanes, 0.0);
  };
  const double mean = sum_of([](double value) { return value; }) / static_cast<double>(count);
  return {mean, sum_of([=](double value) { return (value - mean) * (value - mean); })};
}

// The moments of `together` neighbouring planes of the same size as one's.
Moments Joined(const Moments* planes, std::int64_t together, std::int64_t plane) {
  Moments joined{0.0, 0.0};
  for (std::int64_t i = 0; i < together; ++i) joined.mean += planes[i].mean / static_cast<double>(together);
  for (std::int64_t i = 0; i < together; ++i) {
    const double apart = planes[i].mean - joined.mean;
    joined.squares += planes[i].squares + apart * apart * static_cast<double>(plane);
  }
  return joined;
}

// Each group of channels to mean 0 and deviation 1, then scale and shift, which stand once in `per_factor`
// channels. Moments are taken by plane and then joined, so a single group of many planes keeps all threads
// busy, and results do not depend on which way it went.
std::vector<Tensor> NormalizeGroups(OpContext& c, std::int64_t groups, std::int64_t per_factor) {
  const Tensor& x = c.Input(0);
  const float* src = c.Floats(0);
  const std::int64_t channels = x.dim(1), plane = Product(x.shape(), 2, x.rank()),
                     together = channels / groups, planes = x.dim(0) * channels;
  const float* scale = PerChannel(c, 1, channels / per_factor);
  const float* bias = PerChannel(c, 2, channels / per_factor);
  const double epsilon = c.node.Float("epsilon", 1e-5f);
  Tensor y = c.Allocate(DType::kFloat32, x.shape());
  if (y.size() == 0) return {y};
  float* dst = y.data<float>();
  std::vector<Moments> moments(planes);
  const auto measure = [&](std::int64_t p) { moments[p] = MomentsOf(src + p * plane, plane); };
  const auto write = [&](std::int64_t p, const Moments& m) {
    const std::int64_t slot = p % channels / per_factor;
    const double factor = scale[slot] * m.InverseDeviation(together * plane, epsilon),
                 shift = bias[slot] - m.mean * factor;
    for (std::int64_t i = 0; i < plane; ++i)
      dst[p * plane + i] = static_cast<float>(src[p * plane + i] * factor + shift);
  };
  constexpr std::int64_t kPlenty = 32;  // groups that give every thread some; else its planes are shared out
  const std::int64_t all = planes / together;
  if (together == 1 || all >= kPlenty) {
    ParallelFor(all, x.size(), [&](std::int64_t g) {  // one pass: the group is still in the cache
      for (std::int64_t p = g * together; p < (g + 1) * together; ++p) measure(p);
      const Moments m = Joined(&moments[g * together], together, plane);
      for (std::int64_t p = g * together; p < (g + 1) * together; ++p) write(p, m);
    });
    return {y};
  }
  ParallelFor(planes, x.size(), measure);
  std::vector<Moments> joined(all);
  for (std::int64_t g = 0; g < all; ++g) joined[g] = Joined(&moments[g * together], together, plane);
  ParallelFor(planes, x.size(), [&](std::int64_t p) { write(p, joined[p / together]); });
  return {y};
}

std::vector<Tensor> InstanceNormalization(OpContext& c) {
  const Tensor& x = c.Input(0);
  if (x.rank() < 3) c.Bad(fmt::format("input is {}, wanted N x C x ...", ToString(x.shape())));
  return NormalizeGroups(c, std::max<std::int64_t>(x.dim(1), 1), 1);
}

std::vector<Tensor> GroupNormalization(OpContext& c) {
  const Tensor& x = c.Input(0);
  if (x.rank() < 2) c.Bad(fmt::format("input is {}, wanted N x C x ...", ToString(x.shape())));
  const std::int64_t groups = c.node.Int("num_groups", 0);
  if (groups < 1 || x.dim(1) < groups || x.dim(1) % groups != 0)
    c.Bad(fmt::format("{} groups do not divide {} channels", groups, x.dim(1)));
  return NormalizeGroups(c, groups, c.opset < 21 ? x.dim(1) / groups : 1);
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
    const Moments m = MomentsOf(src + r * row, row);
    const double inverse_deviation = m.InverseDeviation(row, epsilon);
    means[r] = static_cast<float>(m.mean);
    inverses[r] = static_cast<float>(inverse_deviation);
    for (std::int64_t i = 0; i < row; ++i) {
      const double normal = (src[r * row + i] - m.mean) * inverse_deviation;
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
  table.Add("GroupNormalization", GroupNormalization);
  table.Add("LayerNormalization", LayerNormalization);
  table.Add("Softmax", Softmax<false>);
  table.Add("LogSoftmax", Softmax<true>);
}

}  // namespace frf::plain
