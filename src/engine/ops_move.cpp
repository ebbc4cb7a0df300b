// SPDX-License-Identifier: Apache-2.0
// Transpose (transpose.cpp moves), Concat, Split, Slice, Pad, Tile, Expand, DepthToSpace, SpaceToDepth.
// Subtle: all but the first three are one kernel, which looks source positions up in a table per axis; axes
// taken whole are merged, so rows are long.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "engine/move.h"

namespace frf::plain {
namespace {

// x of merged axes: trailing axes without a table become one.
struct Merged {
  Shape in, out;
  std::vector<const std::vector<std::int64_t>*> tables;  // null: whole
};

Merged MergeAxes(const Shape& in, const Shape& out, const AxisTables& tables) {
  Merged m;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const bool whole = !tables[i].has_value();
    if (whole && !m.tables.empty() && m.tables.back() == nullptr) {
      m.in.back() *= in[i];
      m.out.back() *= out[i];
    } else {
      m.in.push_back(in[i]);
      m.out.push_back(out[i]);
      m.tables.push_back(whole ? nullptr : &*tables[i]);
    }
  }
  if (m.in.empty()) m = {{1}, {1}, {nullptr}};
  return m;
}

template <typename T>
void CopyRow(const T* src, T* dst, std::int64_t count, const std::vector<std::int64_t>* table, T fill) {
  if (table == nullptr) {
    std::copy_n(src, count, dst);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) dst[i] = (*table)[i] < 0 ? fill : src[(*table)[i]];
}

template <typename T>
void IndexRows(const Merged& m, const T* src, T* dst, T fill) {
  const int last = static_cast<int>(m.out.size()) - 1;
  const std::int64_t row = m.out[last], rows = Product(m.out, 0, last);
  if (row == 0) return;  // of which there may be any number
  const Shape strides = RowMajorStrides(m.in);
  ParallelFor(rows, rows * row, [&](std::int64_t r) {
    std::int64_t rest = r, offset = 0;
    bool outside = false;
    for (int i = last - 1; i >= 0; --i) {
      std::int64_t at = rest % m.out[i];
      rest /= m.out[i];
      if (m.tables[i] != nullptr) at = (*m.tables[i])[at];
      outside |= at < 0;
      offset += at * strides[i];
    }
    if (outside)
      std::fill_n(dst + r * row, row, fill);
    else
      CopyRow(src + offset, dst + r * row, row, m.tables[last], fill);
  });
}

}  // namespace

Tensor IndexAxes(OpContext& c, const Tensor& x, const AxisTables& tables, const Tensor* fill) {
  Shape out = x.shape();
  for (int i = 0; i < x.rank(); ++i) {
    if (tables[i].has_value()) out[i] = static_cast<std::int64_t>(tables[i]->size());
  }
  Tensor y = c.Allocate(x.dtype(), out);
  if (y.size() == 0) return y;
  const Merged m = MergeAxes(x.shape(), out, tables);
  ForWidth(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T value = fill != nullptr ? *static_cast<const T*>(fill->raw()) : T{};
    IndexRows(m, static_cast<const T*>(x.raw()), static_cast<T*>(y.raw()), value);
  });
  return y;
}

Tensor ExpandTensor(OpContext& c, const Tensor& x, const Shape& to) {
  Shape from(to.size() - x.shape().size(), 1);
  from.insert(from.end(), x.shape().begin(), x.shape().end());
  AxisTables tables(to.size());
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (from[i] != to[i]) {
      c.memory.Check(static_cast<std::uint64_t>(to[i]) * sizeof(std::int64_t), c.node.name);
      tables[i] = std::vector<std::int64_t>(to[i], 0);
    }
  }
  return IndexAxes(c, x.Reshaped(from), tables);
}

namespace {

std::vector<Tensor> Transpose(OpContext& c) {
  const Tensor& x = c.Input(0);
  std::vector<int> permutation(x.rank());
  for (int i = 0; i < x.rank(); ++i) permutation[i] = x.rank() - 1 - i;
  if (c.node.Has("perm")) {
    const std::vector<std::int64_t> given = c.node.Ints("perm", {});
    permutation.assign(given.begin(), given.end());
    std::vector<int> sorted = permutation, wanted(x.rank());
    std::sort(sorted.begin(), sorted.end());
    std::iota(wanted.begin(), wanted.end(), 0);
    if (sorted != wanted) c.Bad(fmt::format("perm is no permutation of {} axes", x.rank()));
  }
  return {TransposeTensor(c, x, permutation)};
}

std::vector<Tensor> Concat(OpContext& c) {
  const Tensor& first = c.Input(0);
  const int axis = c.Axis(c.node.Int("axis", 1), first.rank());
  Shape out = first.shape();
  out[axis] = 0;
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    Shape shape = c.Input(i).shape();
    bool fits = static_cast<int>(shape.size()) == first.rank() && c.Input(i).dtype() == first.dtype();
    if (fits) {
      out[axis] += shape[axis];
      shape[axis] = first.dim(axis);
      fits = shape == first.shape();
    }
    if (!fits) {
      c.Bad(fmt::format("input {} is {} {}, the first is {} {}", i, Name(c.Input(i).dtype()),
                        ToString(c.Input(i).shape()), Name(first.dtype()), ToString(first.shape())));
    }
  }
  Tensor y = c.Allocate(first.dtype(), out);
  const std::int64_t outer = Product(out, 0, axis);
  const std::size_t inner =
      static_cast<std::size_t>(Product(out, axis + 1, first.rank())) * ByteSize(first.dtype());
  const std::size_t row = static_cast<std::size_t>(out[axis]) * inner;
  std::size_t start = 0;
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    const auto* src = static_cast<const std::byte*>(c.Input(i).raw());
    auto* dst = static_cast<std::byte*>(y.raw()) + start;
    const std::size_t part = static_cast<std::size_t>(c.Input(i).dim(axis)) * inner;
    constexpr std::size_t kChunk = 1 << 16;  // bytes
    const auto chunks = static_cast<std::int64_t>((part + kChunk - 1) / kChunk);
    ParallelFor(outer * chunks, outer * static_cast<std::int64_t>(part) / 4, [&](std::int64_t task) {
      const std::size_t begin = static_cast<std::size_t>(task % chunks) * kChunk,
                        o = static_cast<std::size_t>(task / chunks);
      std::memcpy(dst + o * row + begin, src + o * part + begin, std::min(kChunk, part - begin));
    });
    start += part;
  }
  return {y};
}

std::vector<std::int64_t> SplitSizes(const OpContext& c, std::int64_t total) {
  const std::vector<std::int64_t> given = c.Has(1) ? c.Integers(1) : c.node.Ints("split", {});
  const auto count = static_cast<std::int64_t>(c.node.outputs.size());
  if (given.empty()) {
    const std::int64_t part = (total + count - 1) / count;
    std::vector<std::int64_t> sizes(count, part);
    sizes.back() = total - part * (count - 1);
    if (sizes.back() < 0) c.Bad(fmt::format("{} cannot be split into {} parts", total, count));
    return sizes;
  }
  std::int64_t sum = 0;
  for (const std::int64_t size : given) {
    if (size < 0 || size > total) c.Bad(fmt::format("a part of {} out of {}", size, total));
    sum += size;
  }
  if (static_cast<std::int64_t>(given.size()) != count || sum != total) {
    c.Bad(fmt::format("{} parts of {} in all for {} outputs of {}", given.size(), sum, count, total));
  }
  return given;
}

std::vector<Tensor> Split(OpContext& c) {
  const Tensor& x = c.Input(0);
  const int axis = c.Axis(c.node.Int("axis", 0), x.rank());
  std::vector<Tensor> outputs;
  std::int64_t start = 0;
  for (const std::int64_t size : SplitSizes(c, x.dim(axis))) {
    AxisTables tables(x.rank());
    tables[axis].emplace(size);
    std::iota(tables[axis]->begin(), tables[axis]->end(), start);
    outputs.push_back(IndexAxes(c, x, tables));
    start += size;
  }
  return outputs;
}

std::vector<std::int64_t> SliceTable(const OpContext& c, std::int64_t start, std::int64_t end,
                                     std::int64_t step, std::int64_t dim) {
  if (step == 0) c.Bad("a step of 0");
  const auto clamp = [&](std::int64_t at, std::int64_t low, std::int64_t high) {
    if (at < 0) at = at < -dim ? -1 : at + dim;
    return std::clamp(at, low, high);
  };
  std::vector<std::int64_t> table;
  if (dim == 0) return table;
  if (step > 0) {
    const std::int64_t stop = clamp(end, 0, dim);
    for (std::int64_t i = clamp(start, 0, dim); i<stop; i = step> dim ? stop : i + step) table.push_back(i);
  } else {
    const std::int64_t stop = end < -dim ? -1 : clamp(end, -1, dim - 1);
    // ONNX clamps a start before the first element to it, an end to the place before it.
    for (std::int64_t i = clamp(start, 0, dim - 1); i > stop; i = step < -dim ? stop : i + step)
      table.push_back(i);
  }
  return table;
}

std::vector<Tensor> Slice(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::vector<std::int64_t> starts = c.Integers(1), ends = c.Integers(2);
  std::vector<std::int64_t> axes(starts.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (c.Has(3)) axes = c.Integers(3);
  const std::vector<std::int64_t> steps =
      c.Has(4) ? c.Integers(4) : std::vector<std::int64_t>(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    c.Bad("starts, ends, axes and steps differ in length");
  }
  AxisTables tables(x.rank());
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const int axis = c.Axis(axes[i], x.rank());
    if (tables[axis].has_value()) c.Bad(fmt::format("axis {} is named twice", axis));
    tables[axis] = SliceTable(c, starts[i], ends[i], steps[i], x.dim(axis));
  }
  return {IndexAxes(c, x, tables)};
}

std::vector<std::int64_t> PadTable(const OpContext& c, const std::string& mode, std::int64_t begin,
                                   std::int64_t end, std::int64_t dim) {
  constexpr std::int64_t kLargest = std::int64_t{1} << 30;
  if (begin < -kLargest || begin > kLargest || end < -kLargest || end > kLargest || dim + begin + end < 0) {
    c.Bad(fmt::format("pads {} and {} are out of range for {}", begin, end, dim));
  }
  if (dim == 0 && mode != "constant") c.Bad("an empty axis can only be padded with a constant");
  c.memory.Check(static_cast<std::uint64_t>(dim + begin + end) * sizeof(std::int64_t), c.node.name);
  std::vector<std::int64_t> table(dim + begin + end);
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(table.size()); ++i) {
    std::int64_t at = i - begin;
    if (at < 0 || at >= dim) {
      if (mode == "constant") {
        at = -1;
      } else if (mode == "edge") {
        at = std::clamp<std::int64_t>(at, 0, dim - 1);
      } else if (mode == "reflect") {
        const std::int64_t period = std::max<std::int64_t>(1, 2 * (dim - 1));
        at = (at % period + period) % period;
        if (at >= dim) at = period - at;
      } else if (mode == "wrap") {
        at = (at % dim + dim) % dim;
      } else {
        c.Unsupported(fmt::format("mode '{}' is unknown", mode));
      }
    }
    table[i] = at;
  }
  return table;
}

std::vector<Tensor> Pad(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::string mode = c.node.String("mode", "constant");
  const std::vector<std::int64_t> pads = c.Has(1) ? c.Integers(1) : c.node.Ints("pads", {});
  std::vector<std::int64_t> axes(x.rank());
  std::iota(axes.begin(), axes.end(), 0);
  if (c.Has(3)) axes = c.Integers(3);
  if (pads.size() != 2 * axes.size()) c.Bad(fmt::format("{} pads for {} axes", pads.size(), axes.size()));
  Tensor fill = Tensor::Zeros(x.dtype(), {1});
  if (c.Has(2)) {
    if (c.Input(2).size() != 1 || c.Input(2).dtype() != x.dtype())
      c.Bad("constant_value is not one number of the input's type");
    fill = c.Input(2);
  } else if (c.node.Has("value")) {
    fill = Tensor::Of<float>({1}, {c.node.Float("value", 0)}).Cast(x.dtype());
  }
  AxisTables tables(x.rank());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const int axis = c.Axis(axes[i], x.rank());
    const std::int64_t begin = pads[i], end = pads[axes.size() + i];
    if (begin != 0 || end != 0) tables[axis] = PadTable(c, mode, begin, end, x.dim(axis));
  }
  return {IndexAxes(c, x, tables, &fill)};
}

std::vector<Tensor> Tile(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::vector<std::int64_t> repeats = c.Integers(1);
  if (static_cast<int>(repeats.size()) != x.rank())
    c.Bad(fmt::format("{} repeats for {} axes", repeats.size(), x.rank()));
  AxisTables tables(x.rank());
  for (int i = 0; i < x.rank(); ++i) {
    if (repeats[i] == 1) continue;
    if (repeats[i] < 0 || repeats[i] > (std::int64_t{1} << 30))
      c.Bad(fmt::format("repeat {} is out of range", repeats[i]));
    c.memory.Check(static_cast<std::uint64_t>(repeats[i]) * x.dim(i) * sizeof(std::int64_t), c.node.name);
    tables[i].emplace(repeats[i] * x.dim(i));
    for (std::size_t k = 0; k < tables[i]->size(); ++k)
      (*tables[i])[k] = static_cast<std::int64_t>(k) % x.dim(i);
  }
  return {IndexAxes(c, x, tables)};
}

std::vector<Tensor> Expand(OpContext& c) {
  const Tensor& x = c.Input(0);
  const Shape wanted = c.Integers(1);
  for (const std::int64_t dim : wanted) {
    if (dim < 0) c.Bad(fmt::format("shape {} has a negative size", ToString(wanted)));
  }
  return {ExpandTensor(c, x, Broadcast(c, x.shape(), wanted))};
}

// Both directions are a reshape to six axes, a transpose and a reshape.
std::vector<Tensor> DepthToSpace(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::int64_t b = c.node.Int("blocksize", 0);
  if (x.rank() != 4 || b < 1 || b > (1 << 15) || x.dim(1) % (b * b) != 0)
    c.Bad(fmt::format("{} with blocksize {}", ToString(x.shape()), b));
  const std::int64_t n = x.dim(0), depth = x.dim(1) / (b * b), h = x.dim(2), w = x.dim(3);
  const Tensor moved = c.node.String("mode", "DCR") == "CRD"
                           ? TransposeTensor(c, x.Reshaped({n, depth, b, b, h, w}), {0, 1, 4, 2, 5, 3})
                           : TransposeTensor(c, x.Reshaped({n, b, b, depth, h, w}), {0, 3, 4, 1, 5, 2});
  return {moved.Reshaped({n, depth, h * b, w * b})};
}

std::vector<Tensor> SpaceToDepth(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::int64_t b = c.node.Int("blocksize", 0);
  if (x.rank() != 4 || b < 1 || b > (1 << 15) || x.dim(2) % b != 0 || x.dim(3) % b != 0) {
    c.Bad(fmt::format("{} with blocksize {}", ToString(x.shape()), b));
  }
  const std::int64_t n = x.dim(0), depth = x.dim(1), h = x.dim(2) / b, w = x.dim(3) / b;
  return {TransposeTensor(c, x.Reshaped({n, depth, h, b, w, b}), {0, 3, 5, 1, 2, 4})
              .Reshaped({n, depth * b * b, h, w})};
}

}  // namespace

void AddMoveOps(OpTable& table) {
  table.Add("Transpose", Transpose, HalfMode::kAsIs);
  table.Add("Concat", Concat, HalfMode::kAsIs);
  table.Add("Split", Split, HalfMode::kAsIs);
  table.Add("Slice", Slice, HalfMode::kAsIs);
  table.Add("Pad", Pad, HalfMode::kAsIs);
  table.Add("Tile", Tile, HalfMode::kAsIs);
  table.Add("Expand", Expand, HalfMode::kAsIs);
  table.Add("DepthToSpace", DepthToSpace, HalfMode::kAsIs);
  table.Add("SpaceToDepth", SpaceToDepth, HalfMode::kAsIs);
}

}  // namespace frf::plain
