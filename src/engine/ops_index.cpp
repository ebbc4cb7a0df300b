// SPDX-License-Identifier: Apache-2.0
// Gather, GatherElements, GatherND, ScatterElements, ScatterND. Subtle: every index is checked before
// anything is read or written; negative ones count from the end; of several writes to one place the last
// wins.
#include <cstring>

#include "engine/plain_op.h"

namespace frf::plain {
namespace {

// Input `i` as indices into an axis of `dim`, checked and made non-negative.
std::vector<std::int64_t> CheckedIndices(OpContext& c, std::size_t i, std::int64_t dim) {
  const Tensor& tensor = c.Input(i);
  if (tensor.dtype() != DType::kInt64 && tensor.dtype() != DType::kInt32)
    c.Bad(fmt::format("indices are {}, wanted int64", Name(tensor.dtype())));
  c.memory.Check(static_cast<std::uint64_t>(tensor.size()) * sizeof(std::int64_t), c.node.name);
  std::vector<std::int64_t> indices = tensor.ToVector<std::int64_t>();
  for (std::int64_t& index : indices) {
    if (index < -dim || index >= dim) c.Bad(fmt::format("index {} is out of range for {}", index, dim));
    if (index < 0) index += dim;
  }
  return indices;
}

std::vector<Tensor> Gather(OpContext& c) {
  const Tensor& x = c.Input(0);
  const int axis = c.Axis(c.node.Int("axis", 0), x.rank());
  const std::vector<std::int64_t> indices = CheckedIndices(c, 1, x.dim(axis));
  Shape out(x.shape().begin(), x.shape().begin() + axis);
  out.insert(out.end(), c.Input(1).shape().begin(), c.Input(1).shape().end());
  out.insert(out.end(), x.shape().begin() + axis + 1, x.shape().end());
  Tensor y = c.Allocate(x.dtype(), out);
  if (y.size() == 0) return {y};  // rows of nothing may be any number
  const std::int64_t outer = Product(x.shape(), 0, axis), inner = Product(x.shape(), axis + 1, x.rank());
  const std::size_t row = static_cast<std::size_t>(inner) * ByteSize(x.dtype());
  const auto* src = static_cast<const std::byte*>(x.raw());
  auto* dst = static_cast<std::byte*>(y.raw());
  const auto count = static_cast<std::int64_t>(indices.size());
  ParallelFor(outer * count, y.size(), [&](std::int64_t task) {
    const std::int64_t from = task / count * x.dim(axis) + indices[task % count];
    std::memcpy(dst + task * row, src + from * row, row);
  });
  return {y};
}

// Offset of the element that stands at `position` of `indices` (row-major) with axis `axis` replaced by the
// index.
std::int64_t ElementOffset(std::int64_t position, std::int64_t index, const Shape& indices,
                           const Shape& strides, int axis) {
  std::int64_t offset = index * strides[axis];
  for (int i = static_cast<int>(indices.size()) - 1; i >= 0; --i) {
    if (i != axis) offset += position % indices[i] * strides[i];
    position /= indices[i];
  }
  return offset;
}

void CheckElementShapes(const OpContext& c, const Tensor& x, const Tensor& indices, int axis) {
  bool fits = indices.rank() == x.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || indices.dim(i) <= x.dim(i);
  if (!fits) c.Bad(fmt::format("indices {} do not fit {}", ToString(indices.shape()), ToString(x.shape())));
}

std::vector<Tensor> GatherElements(OpContext& c) {
  const Tensor& x = c.Input(0);
  const int axis = c.Axis(c.node.Int("axis", 0), x.rank());
  CheckElementShapes(c, x, c.Input(1), axis);
  const std::vector<std::int64_t> indices = CheckedIndices(c, 1, x.dim(axis));
  const Shape shape = c.Input(1).shape(), strides = RowMajorStrides(x.shape());
  Tensor y = c.Allocate(x.dtype(), shape);
  ForWidth(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = static_cast<const T*>(x.raw());
    T* dst = static_cast<T*>(y.raw());
    for (std::int64_t i = 0; i < y.size(); ++i)
      dst[i] = src[ElementOffset(i, indices[i], shape, strides, axis)];
  });
  return {y};
}

// How an update meets what is there: none, add, mul, max, min.
template <typename T>
T Reduced(const std::string& how, T there, T update) {
  if (how == "add") return static_cast<T>(there + update);
  if (how == "mul") return static_cast<T>(there * update);
  if (how == "max") return std::max(there, update);
  if (how == "min") return std::min(there, update);
  return update;
}

void CheckReduction(const OpContext& c, const std::string& how) {
  for (const char* known : {"none", "add", "mul", "max", "min"}) {
    if (how == known) return;
  }
  c.Unsupported(fmt::format("reduction '{}' is unknown", how));
}

Tensor CopyOf(OpContext& c, const Tensor& x) {
  Tensor y = c.Allocate(x.dtype(), x.shape());
  std::memcpy(y.raw(), x.raw(), x.bytes());
  return y;
}

std::vector<Tensor> ScatterElements(OpContext& c) {
  const Tensor &x = c.Input(0), &updates = c.Input(2);
  const int axis = c.Axis(c.node.Int("axis", 0), x.rank());
  const std::string how = c.node.String("reduction", "none");
  CheckReduction(c, how);
  CheckElementShapes(c, x, c.Input(1), axis);
  if (updates.shape() != c.Input(1).shape() || updates.dtype() != x.dtype())
    c.Bad("updates do not go with the indices");
  const std::vector<std::int64_t> indices = CheckedIndices(c, 1, x.dim(axis));
  const Shape strides = RowMajorStrides(x.shape());
  Tensor y = CopyOf(c, x);
  const bool known = ForNumber(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = updates.data<T>();
    T* dst = y.data<T>();
    for (std::int64_t i = 0; i < updates.size(); ++i) {
      T& place = dst[ElementOffset(i, indices[i], updates.shape(), strides, axis)];
      place = Reduced(how, place, src[i]);
    }
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  return {y};
}

// Rows of the last axis of `indices` are positions along axes [batch, batch + depth) of x; the offset of each
// slice.
struct Slices {
  std::vector<std::int64_t> offsets;
  std::int64_t size = 0;
};

Slices PlanSlices(OpContext& c, const Tensor& x, const Tensor& indices, int batch) {
  if (indices.rank() < 1 || indices.dtype() != DType::kInt64)
    c.Bad("indices are not int64 with at least one axis");
  const std::int64_t depth = indices.dim(-1);
  if (depth < 1 || batch < 0 || batch >= indices.rank() || batch + depth > x.rank()) {
    c.Bad(fmt::format("indices {} do not fit {}", ToString(indices.shape()), ToString(x.shape())));
  }
  for (int i = 0; i < batch; ++i) {
    if (indices.dim(i) != x.dim(i))
      c.Bad(fmt::format("batch axes of {} and {} differ", ToString(indices.shape()), ToString(x.shape())));
  }
  const Shape strides = RowMajorStrides(x.shape());
  const std::int64_t rows = Product(indices.shape(), 0, indices.rank() - 1);
  const std::int64_t per_batch = Product(indices.shape(), batch, indices.rank() - 1);
  const std::int64_t batch_size = Product(x.shape(), batch, x.rank());
  const std::int64_t* at = indices.data<std::int64_t>();
  Slices slices{{}, Product(x.shape(), batch + static_cast<int>(depth), x.rank())};
  slices.offsets.reserve(rows);
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int64_t offset = r / per_batch * batch_size;
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t dim = x.dim(batch + static_cast<int>(k)), index = at[r * depth + k];
      if (index < -dim || index >= dim) c.Bad(fmt::format("index {} is out of range for {}", index, dim));
      offset += (index < 0 ? index + dim : index) * strides[batch + k];
    }
    slices.offsets.push_back(offset);
  }
  return slices;
}

std::vector<Tensor> GatherNd(OpContext& c) {
  const Tensor &x = c.Input(0), &indices = c.Input(1);
  const auto batch = static_cast<int>(c.node.Int("batch_dims", 0));
  const Slices slices = PlanSlices(c, x, indices, batch);
  Shape out(indices.shape().begin(), indices.shape().end() - 1);
  out.insert(out.end(), x.shape().begin() + batch + indices.dim(-1), x.shape().end());
  Tensor y = c.Allocate(x.dtype(), out);
  const std::size_t width = ByteSize(x.dtype()), row = static_cast<std::size_t>(slices.size) * width;
  auto* dst = static_cast<std::byte*>(y.raw());
  for (const std::int64_t offset : slices.offsets) {
    std::memcpy(dst, static_cast<const std::byte*>(x.raw()) + static_cast<std::size_t>(offset) * width, row);
    dst += row;
  }
  return {y};
}

std::vector<Tensor> ScatterNd(OpContext& c) {
  const Tensor &x = c.Input(0), &updates = c.Input(2);
  const std::string how = c.node.String("reduction", "none");
  CheckReduction(c, how);
  const Slices slices = PlanSlices(c, x, c.Input(1), 0);
  if (updates.dtype() != x.dtype() ||
      updates.size() != static_cast<std::int64_t>(slices.offsets.size()) * slices.size) {
    c.Bad(fmt::format("updates {} do not go with the indices", ToString(updates.shape())));
  }
  Tensor y = CopyOf(c, x);
  const bool known = ForNumber(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = updates.data<T>();
    for (const std::int64_t offset : slices.offsets) {
      T* dst = y.data<T>() + offset;
      for (std::int64_t i = 0; i < slices.size; ++i) dst[i] = Reduced(how, dst[i], *src++);
    }
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  return {y};
}

}  // namespace

void AddIndexOps(OpTable& table) {
  table.Add("Gather", Gather, HalfMode::kAsIs);
  table.Add("GatherElements", GatherElements, HalfMode::kAsIs);
  table.Add("GatherND", GatherNd, HalfMode::kAsIs);
  table.Add("ScatterElements", ScatterElements);
  table.Add("ScatterND", ScatterNd);
}

}  // namespace frf::plain
