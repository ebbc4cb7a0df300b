// SPDX-License-Identifier: Apache-2.0
// QuantizeLinear and DequantizeLinear, to the letter of ONNX: divide by the scale, round half to even, add
// the zero point, saturate. Subtle: the quotient is rounded before the zero point is added, and a NaN becomes
// the lowest value.
#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/plain_op.h"

namespace frf::plain {
namespace {

struct Scheme {  // element i belongs to scale and zero point number i / inner % count
  std::int64_t count = 1, inner = 1;
  std::vector<float> scale;
  std::vector<std::int32_t> zero;
};

Scheme ReadScheme(const OpContext& c) {
  const Tensor& x = c.Input(0);
  Scheme s;
  s.scale = c.Input(1).ToVector<float>();
  s.count = static_cast<std::int64_t>(s.scale.size());
  if (c.node.Int("block_size", 0) != 0) c.Unsupported("block_size; scales are per tensor or per channel");
  if (c.Input(1).rank() > 1 || s.count < 1)
    c.Bad(fmt::format("scale is {}, wanted a number or a list", ToString(c.Input(1).shape())));
  s.zero = c.Has(2) ? c.Input(2).ToVector<std::int32_t>() : std::vector<std::int32_t>(s.count, 0);
  if (static_cast<std::int64_t>(s.zero.size()) != s.count) c.Bad("scale and zero point differ in length");
  if (s.count == 1) return s;  // also as a list of one, which ONNX Runtime's quantiser writes
  const int axis = c.Axis(c.node.Int("axis", 1), x.rank());
  if (x.dim(axis) != s.count)
    c.Bad(fmt::format("{} scales for axis {} of {}", s.count, axis, ToString(x.shape())));
  s.inner = Product(x.shape(), axis + 1, x.rank());
  return s;
}

template <typename T>
void QuantizeRow(const float* src, T* dst, std::int64_t count, float scale, std::int32_t zero) {
  constexpr float kLow = std::numeric_limits<T>::lowest(), kHigh = std::numeric_limits<T>::max();
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = std::nearbyint(src[i] / scale) + static_cast<float>(zero);
    dst[i] = !(value > kLow) ? static_cast<T>(kLow)
             : value > kHigh ? static_cast<T>(kHigh)
                             : static_cast<T>(value);
  }
}

DType QuantizedType(const OpContext& c) {
  if (c.Has(2)) return c.Input(2).dtype();
  const std::int64_t code = c.node.Int("output_dtype", 0);  // TensorProto.DataType
  if (code == 0 || code == 2) return DType::kUint8;
  if (code == 3) return DType::kInt8;
  c.Unsupported(fmt::format("output_dtype {}", code));
}

// Rows of one scale: the whole tensor, or one channel of one item.
template <typename Row>
void ForScaleRows(std::int64_t size, const Scheme& s, const Row& row) {
  if (s.count == 1) {
    ParallelChunks(size,
                   [&](std::int64_t begin, std::int64_t end) { row(begin, end - begin, std::int64_t{0}); });
  } else if (s.inner > 0) {
    ParallelFor(size / s.inner, size, [&](std::int64_t r) { row(r * s.inner, s.inner, r % s.count); });
  }
}

std::vector<Tensor> QuantizeLinear(OpContext& c) {
  const Tensor x = c.Cast(c.Input(0), DType::kFloat32);
  const Scheme s = ReadScheme(c);
  Tensor y = c.Allocate(QuantizedType(c), x.shape());
  const float* src = x.data<float>();
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    T* dst = y.data<T>();
    ForScaleRows(x.size(), s, [&](std::int64_t at, std::int64_t count, std::int64_t k) {
      QuantizeRow(src + at, dst + at, count, s.scale[k], s.zero[k]);
    });
  };
  if (y.dtype() == DType::kUint8)
    run(std::uint8_t{});
  else if (y.dtype() == DType::kInt8)
    run(std::int8_t{});
  else
    c.Unsupported(fmt::format("zero point is {}, wanted uint8 or int8", Name(y.dtype())));
  return {y};
}

std::vector<Tensor> DequantizeLinear(OpContext& c) {
  const Tensor& x = c.Input(0);
  const Scheme s = ReadScheme(c);
  Tensor y = c.Allocate(DType::kFloat32, x.shape());
  float* dst = y.data<float>();
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const T* src = x.data<T>();
    ForScaleRows(x.size(), s, [&](std::int64_t at, std::int64_t count, std::int64_t k) {
      for (std::int64_t i = at; i < at + count; ++i) {
        dst[i] = static_cast<float>(static_cast<std::int64_t>(src[i]) - s.zero[k]) * s.scale[k];
      }
    });
  };
  if (x.dtype() == DType::kUint8)
    run(std::uint8_t{});
  else if (x.dtype() == DType::kInt8)
    run(std::int8_t{});
  else if (x.dtype() == DType::kInt32)
    run(std::int32_t{});
  else
    c.Unsupported(fmt::format("input is {}, wanted uint8, int8 or int32", Name(x.dtype())));
  return {y};
}

// As QuantizeLinear and DequantizeLinear behind it: what training differentiates (graph/quantization.h).
std::vector<Tensor> FakeQuantize(OpContext& c) {
  const Tensor& x = c.Input(0);
  Tensor y = c.Allocate(DType::kFloat32, x.shape());
  const float step = c.node.Float("step", 1), zero = static_cast<float>(c.node.Int("zero", 0));
  const float* src = x.data<float>();
  float* dst = y.data<float>();
  ParallelChunks(x.size(), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      dst[i] = (std::clamp(std::nearbyint(src[i] / step) + zero, 0.0f, 255.0f) - zero) * step;
    }
  });
  return {y};
}

std::vector<Tensor> FakeQuantizeWeight(OpContext& c) {
  const Tensor& x = c.Input(0);
  Tensor y = c.Allocate(DType::kFloat32, x.shape());
  const std::int64_t each = x.size() / std::max<std::int64_t>(1, x.dim(0));
  for (std::int64_t o = 0; o < x.dim(0); ++o) {
    const float* src = x.data<float>() + o * each;
    float largest = 0;
    for (std::int64_t i = 0; i < each; ++i) largest = std::max(largest, std::abs(src[i]));
    const float scale = std::max(largest / 127.0f, 1e-12f);
    for (std::int64_t i = 0; i < each; ++i) {
      y.data<float>()[o * each + i] = std::clamp(std::nearbyint(src[i] / scale), -127.0f, 127.0f) * scale;
    }
  }
  return {y};
}

}  // namespace

void AddQuantOps(OpTable& table) {
  table.Add("QuantizeLinear", QuantizeLinear);
  table.Add("DequantizeLinear", DequantizeLinear);
  table.Add("frf.FakeQuantize", FakeQuantize);
  table.Add("frf.FakeQuantizeWeight", FakeQuantizeWeight);
}

}  // namespace frf::plain
