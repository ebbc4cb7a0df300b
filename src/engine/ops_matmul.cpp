// SPDX-License-Identifier: Apache-2.0
// MatMul and Gemm. float32 goes through oneDNN; other numbers (shape arithmetic of foreign files) through a
// plain loop. Subtle: where the right side is one matrix, the left side's batch is rows of one large product.
#include <cstring>

#include "engine/broadcast.h"
#include "engine/onednn.h"
#include "engine/product.h"

namespace frf::plain {
namespace {

constexpr std::size_t kKeptGeometries = 8;

struct ProductState : OpState {
  std::vector<std::unique_ptr<dnn::MatrixProduct>> products;
};

dnn::MatrixProduct& Planned(OpContext& c, const dnn::MatMulGeometry& geometry) {
  auto& kept = c.KeptState<ProductState>().products;
  for (const auto& product : kept) {
    if (product->geometry() == geometry) return *product;
  }
  if (kept.size() == kKeptGeometries) kept.erase(kept.begin());
  kept.push_back(std::make_unique<dnn::MatrixProduct>(geometry));
  return *kept.back();
}

struct Matrices {  // `outer` runs of one geometry, with the offsets (in elements) of each
  dnn::MatMulGeometry geometry;
  std::vector<std::array<std::int64_t, 2>> offsets;
};

Matrices PlanMatrices(const Shape& batch, const Shape& batch_a, const Shape& batch_b,
                      const dnn::MatMulGeometry& one) {
  const BroadcastPlan<2> plan = PlanBroadcast<2>(batch, {batch_a, batch_b});
  const std::int64_t inner = plan.dims.back(), step_a = plan.strides[0].back(),
                     step_b = plan.strides[1].back();
  Matrices m{one, {}};
  std::int64_t per_run = inner;
  if (step_b == 0 && step_a == 1) {
    m.geometry.m *= inner;
  } else if (step_a <= 1 && step_b == 1) {
    m.geometry.batch = inner;
    m.geometry.a_shared = step_a == 0;
  } else {
    per_run = 1;
  }
  const std::int64_t total = NumElements(batch);
  for (std::int64_t run = 0; run < total / per_run; ++run) {
    std::int64_t rest = run * per_run, a = 0, b = 0;
    for (int i = static_cast<int>(plan.dims.size()) - 1; i >= 0; --i) {
      a += rest % plan.dims[i] * plan.strides[0][i];
      b += rest % plan.dims[i] * plan.strides[1][i];
      rest /= plan.dims[i];
    }
    m.offsets.push_back({a * one.m * one.k, b * one.k * one.n});
  }
  return m;
}

void RunFloat(OpContext& c, const Matrices& m, const Tensor& a, const Tensor& b, Tensor& y) {
  dnn::MatrixProduct& product = Planned(c, m.geometry);
  Tensor scratch = c.Allocate(DType::kUint8, {static_cast<std::int64_t>(product.scratch_bytes())});
  float* dst = y.data<float>();
  for (const auto& [offset_a, offset_b] : m.offsets) {
    product.Run(a.data<float>() + offset_a, b.data<float>() + offset_b, dst, scratch.raw());
    dst += m.geometry.batch * m.geometry.m * m.geometry.n;
  }
}

template <typename T>
void RunPlain(const Matrices& m, const Tensor& a, const Tensor& b, Tensor& y) {
  using Sum = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;  // integers wrap
  const auto& g = m.geometry;
  T* dst = y.data<T>();
  for (const auto& [offset_a, offset_b] : m.offsets) {
    for (std::int64_t batch = 0; batch < g.batch; ++batch) {
      const T* left = a.data<T>() + offset_a + (g.a_shared ? 0 : batch * g.m * g.k);
      const T* right = b.data<T>() + offset_b + (g.b_shared ? 0 : batch * g.k * g.n);
      for (std::int64_t i = 0; i < g.m; ++i) {
        for (std::int64_t j = 0; j < g.n; ++j) {
          Sum sum{};
          for (std::int64_t k = 0; k < g.k; ++k)
            sum += static_cast<Sum>(left[i * g.k + k]) * static_cast<Sum>(right[k * g.n + j]);
          *dst++ = static_cast<T>(sum);
        }
      }
    }
  }
}

void CheckInputs(const OpContext& c, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    c.Bad(fmt::format("inputs are {} and {}, wanted one type", Name(a.dtype()), Name(b.dtype())));
  if (a.rank() == 0 || b.rank() == 0) c.Bad("a scalar has no matrix product");
}

}  // namespace

Tensor Multiply(OpContext& c, const Tensor& a, const Tensor& b) {
  CheckInputs(c, a, b);
  Shape left = a.shape(), right = b.shape();
  if (left.size() == 1) left.insert(left.begin(), 1);
  if (right.size() == 1) right.push_back(1);
  dnn::MatMulGeometry one;
  one.m = left[left.size() - 2], one.k = left.back(), one.n = right.back();
  if (right[right.size() - 2] != one.k) {
    c.Bad(fmt::format("{} and {} cannot be multiplied", ToString(a.shape()), ToString(b.shape())));
  }
  const Shape batch_a(left.begin(), left.end() - 2), batch_b(right.begin(), right.end() - 2);
  const Shape batch = Broadcast(c, batch_a, batch_b);
  Shape out = batch;
  if (a.rank() > 1) out.push_back(one.m);
  if (b.rank() > 1) out.push_back(one.n);
  Tensor y = c.Allocate(a.dtype(), out);
  if (y.size() == 0 || one.k == 0) {
    std::memset(y.raw(), 0, y.bytes());
    return y;
  }
  const Matrices matrices = PlanMatrices(batch, batch_a, batch_b, one);
  if (a.dtype() == DType::kFloat32) {
    RunFloat(c, matrices, a, b, y);
  } else if (!ForNumber(a.dtype(), [&](auto zero) { RunPlain<decltype(zero)>(matrices, a, b, y); })) {
    c.Unsupported(fmt::format("inputs are {}, wanted numbers", Name(a.dtype())));
  }
  return y;
}

Tensor Multiply2d(OpContext& c, const Tensor& a, const Tensor& b, bool a_transposed, bool b_transposed) {
  CheckInputs(c, a, b);
  if (a.rank() != 2 || b.rank() != 2) {
    c.Bad(fmt::format("inputs are {} and {}, wanted two matrices", ToString(a.shape()), ToString(b.shape())));
  }
  dnn::MatMulGeometry g;
  g.m = a.dim(a_transposed ? 1 : 0), g.k = a.dim(a_transposed ? 0 : 1), g.n = b.dim(b_transposed ? 0 : 1);
  g.a_transposed = a_transposed, g.b_transposed = b_transposed;
  if (b.dim(b_transposed ? 1 : 0) != g.k) {
    c.Bad(fmt::format("{} and {} cannot be multiplied", ToString(a.shape()), ToString(b.shape())));
  }
  if (a.dtype() != DType::kFloat32)
    c.Unsupported(fmt::format("inputs are {}, wanted float32", Name(a.dtype())));
  Tensor y = c.Allocate(DType::kFloat32, {g.m, g.n});
  if (y.size() == 0 || g.k == 0) {
    std::memset(y.raw(), 0, y.bytes());
  } else {
    RunFloat(c, {g, {{0, 0}}}, a, b, y);
  }
  return y;
}

namespace {

std::vector<Tensor> MatMul(OpContext& c) { return {Multiply(c, c.Input(0), c.Input(1))}; }

// alpha * A' B' + beta * C, C broadcast to the product.
std::vector<Tensor> Gemm(OpContext& c) {
  const float alpha = c.node.Float("alpha", 1.0f), beta = c.node.Float("beta", 1.0f);
  Tensor y =
      Multiply2d(c, c.Input(0), c.Input(1), c.node.Int("transA", 0) != 0, c.node.Int("transB", 0) != 0);
  float* dst = y.data<float>();
  if (alpha != 1.0f) {
    for (std::int64_t i = 0; i < y.size(); ++i) dst[i] *= alpha;
  }
  if (!c.Has(2) || beta == 0.0f) return {y};
  const Tensor& bias = c.Input(2);
  if (Broadcast(c, y.shape(), bias.shape()) != y.shape()) {
    c.Bad(fmt::format("C {} does not broadcast to {}", ToString(bias.shape()), ToString(y.shape())));
  }
  const float* added = c.Floats(2);
  ForBroadcastRows<1>(y.shape(), {bias.shape()}, [&](const BroadcastRow<1>& r) {
    for (std::int64_t i = 0; i < r.count; ++i) dst[r.out + i] += beta * added[r.offset[0] + i * r.step[0]];
  });
  return {y};
}

}  // namespace

void AddMatMulOps(OpTable& table) {
  table.Add("MatMul", MatMul);
  table.Add("Gemm", Gemm);
}

}  // namespace frf::plain
