// SPDX-License-Identifier: Apache-2.0
// Transposes of any rank. Subtle: axes that stay neighbours are one, and blocks keep reads and writes in
// whole cache lines.
#include <algorithm>

#include "engine/move.h"

namespace frf::plain {

namespace {

// Output rows of `row` values, `step` apart in the source, beside an output axis `across` whose neighbours
// are neighbours in the source: by blocks, so that every cache line that is read is used whole.
template <typename T>
void TransposeBlocks(const T* src, T* dst, const Shape& dims, const Shape& steps, std::size_t across) {
  constexpr std::int64_t kBlock = 32;
  const Shape places = RowMajorStrides(dims);
  const std::int64_t row = dims.back(), step = steps.back(), width = dims[across],
                     blocks = (width + kBlock - 1) / kBlock;
  const std::int64_t all = places[0] * dims[0];
  ParallelFor(all / row / width * blocks, all, [&](std::int64_t task) {
    std::int64_t rest = task / blocks;
    const std::int64_t begin = task % blocks * kBlock, end = std::min(begin + kBlock, width);
    const T* from = src;
    T* to = dst;
    for (std::size_t i = dims.size() - 1; i-- > 0;) {
      if (i == across) continue;
      from += rest % dims[i] * steps[i];
      to += rest % dims[i] * places[i];
      rest /= dims[i];
    }
    for (std::int64_t first = 0; first < row; first += kBlock) {
      const std::int64_t last = std::min(first + kBlock, row);
      T block[kBlock][kBlock];  // turned here: steps of 2^n would send a block's lines to one cache set
      for (std::int64_t i = first; i < last; ++i) {
        for (std::int64_t a = begin; a < end; ++a) block[a - begin][i - first] = from[i * step + a];
      }
      for (std::int64_t a = begin; a < end; ++a)
        std::copy_n(block[a - begin], last - first, to + a * places[across] + first);
    }
  });
}

}  // namespace

Tensor TransposeTensor(OpContext& c, const Tensor& x, const std::vector<int>& permutation) {
  // Input axes that stay neighbours are one axis.
  const Shape strides = RowMajorStrides(x.shape());
  Shape out, dims, steps;  // dims, steps: merged output axes and their strides in the source
  for (std::size_t i = 0; i < permutation.size(); ++i) {
    const int axis = permutation[i];
    out.push_back(x.dim(axis));
    if (i > 0 && axis == permutation[i - 1] + 1) {
      dims.back() *= x.dim(axis);
      steps.back() = strides[axis];
    } else {
      dims.push_back(x.dim(axis));
      steps.push_back(strides[axis]);
    }
  }
  if (dims.size() <= 1) return x.Reshaped(out);
  Tensor y = c.Allocate(x.dtype(), out);
  if (y.size() == 0) return y;
  const int last = static_cast<int>(dims.size()) - 1;
  const std::int64_t row = dims[last], step = steps[last];
  ForWidth(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = static_cast<const T*>(x.raw());
    T* dst = static_cast<T*>(y.raw());
    const auto neighbours = std::find(steps.begin(), steps.end(), 1);
    if (step != 1 && neighbours != steps.end()) {
      return TransposeBlocks(src, dst, dims, steps, static_cast<std::size_t>(neighbours - steps.begin()));
    }
    ParallelFor(y.size() / row, y.size(), [&](std::int64_t r) {
      std::int64_t rest = r, offset = 0;
      for (int i = last - 1; i >= 0; --i) {
        offset += rest % dims[i] * steps[i];
        rest /= dims[i];
      }
      T* to = dst + r * row;
      const T* from = src + offset;
      if (step == 1)
        std::copy_n(from, row, to);
      else
        for (std::int64_t i = 0; i < row; ++i) to[i] = from[i * step];
    });
  });
  return y;
}

}  // namespace frf::plain
