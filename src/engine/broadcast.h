// SPDX-License-Identifier: Apache-2.0
// Walks several tensors that broadcast together, row by row: axes along which every operand moves evenly are
// merged first, so a bias over a map is one row per channel and two equal shapes are one row in all.
#pragma once

#include <algorithm>
#include <array>

#include "engine/plain_op.h"

namespace frf::plain {

template <int kOperands>
struct BroadcastRow {
  std::int64_t out = 0;                          // offset of the first element
  std::int64_t count = 0;                        // elements
  std::array<std::int64_t, kOperands> offset{};  // of each operand's first element
  std::array<std::int64_t, kOperands> step{};    // from one element to the next: 0 or 1, seldom more
};

template <int kOperands>
struct BroadcastPlan {
  Shape dims;                            // merged, outermost first; at least one
  std::array<Shape, kOperands> strides;  // as long as dims
};

template <int kOperands>
BroadcastPlan<kOperands> PlanBroadcast(const Shape& out, const std::array<Shape, kOperands>& shapes) {
  std::array<Shape, kOperands> full;
  for (int k = 0; k < kOperands; ++k) full[k] = BroadcastStrides(shapes[k], out);
  BroadcastPlan<kOperands> plan;
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] == 1) continue;
    bool merges = !plan.dims.empty();
    for (int k = 0; merges && k < kOperands; ++k) merges = plan.strides[k].back() == full[k][i] * out[i];
    if (merges) {
      plan.dims.back() *= out[i];
      for (int k = 0; k < kOperands; ++k) plan.strides[k].back() = full[k][i];
    } else {
      plan.dims.push_back(out[i]);
      for (int k = 0; k < kOperands; ++k) plan.strides[k].push_back(full[k][i]);
    }
  }
  if (plan.dims.empty()) {
    plan.dims.push_back(1);
    for (Shape& strides : plan.strides) strides.push_back(0);
  }
  return plan;
}

// Calls row(BroadcastRow) for rows that cover `out` once, on several threads.
template <int kOperands, typename Row>
void ForBroadcastRows(const Shape& out, const std::array<Shape, kOperands>& shapes, const Row& row) {
  const std::int64_t total = NumElements(out);
  if (total == 0) return;
  const BroadcastPlan<kOperands> plan = PlanBroadcast<kOperands>(out, shapes);
  constexpr std::int64_t kChunk = 1 << 14;
  const std::int64_t inner = plan.dims.back(), chunks = (inner + kChunk - 1) / kChunk;
  ParallelFor(total / inner * chunks, total, [&](std::int64_t task) {
    const std::int64_t begin = task % chunks * kChunk;
    BroadcastRow<kOperands> r;
    r.count = std::min(kChunk, inner - begin);
    r.out = task / chunks * inner + begin;
    for (int k = 0; k < kOperands; ++k) {
      r.step[k] = plan.strides[k].back();
      r.offset[k] = begin * r.step[k];
    }
    std::int64_t rest = task / chunks;
    for (int i = static_cast<int>(plan.dims.size()) - 2; i >= 0; --i) {
      for (int k = 0; k < kOperands; ++k) r.offset[k] += rest % plan.dims[i] * plan.strides[k][i];
      rest /= plan.dims[i];
    }
    row(r);
  });
}

// y = f(a, b) element by element, with the common cases as loops that the compiler vectorises.
template <typename In, typename Out, typename F>
void Zip(const Tensor& a, const Tensor& b, Tensor& y, const F& f) {
  const In* left = static_cast<const In*>(a.raw());
  const In* right = static_cast<const In*>(b.raw());
  Out* dst = static_cast<Out*>(y.raw());
  ForBroadcastRows<2>(y.shape(), {a.shape(), b.shape()}, [&](const BroadcastRow<2>& r) {
    const In* p = left + r.offset[0];
    const In* q = right + r.offset[1];
    Out* out = dst + r.out;
    if (r.step[0] == 1 && r.step[1] == 1) {
      for (std::int64_t i = 0; i < r.count; ++i) out[i] = static_cast<Out>(f(p[i], q[i]));
    } else if (r.step[0] == 1 && r.step[1] == 0) {
      const In fixed = *q;
      for (std::int64_t i = 0; i < r.count; ++i) out[i] = static_cast<Out>(f(p[i], fixed));
    } else if (r.step[0] == 0 && r.step[1] == 1) {
      const In fixed = *p;
      for (std::int64_t i = 0; i < r.count; ++i) out[i] = static_cast<Out>(f(fixed, q[i]));
    } else {
      for (std::int64_t i = 0; i < r.count; ++i)
        out[i] = static_cast<Out>(f(p[i * r.step[0]], q[i * r.step[1]]));
    }
  });
}

}  // namespace frf::plain
