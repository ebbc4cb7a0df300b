// SPDX-License-Identifier: Apache-2.0
// Memory meter, operator table and the helpers that operators share. Subtle: the meter counts storage, not
// values, since a reshape shares its input's storage; a buffer is given back when the last value that lives
// in it is dropped.
#include "engine/plain_op.h"

#include <algorithm>

#include "base/system.h"

namespace frf::plain {

void MemoryMeter::Check(std::uint64_t bytes, const std::string& who) const {
  if (bytes <= limit_ && alive_ <= limit_ - bytes) return;
  throw Error(ErrorCode::kOutOfMemory,
              fmt::format("{}: {} more would pass the limit of {} ({} in use); a smaller size or a "
                          "larger max_memory helps",
                          who, FormatBytes(bytes), FormatBytes(limit_), FormatBytes(alive_)));
}

void MemoryMeter::Reserve(std::uint64_t bytes, const std::string& who) {
  Check(bytes, who);
  alive_ += bytes;
  peak_ = std::max(peak_, alive_);
}

Tensor MemoryMeter::Allocate(DType type, Shape shape, const std::string& who) {
  const std::int64_t count = NumElements(shape);
  if (count > (std::int64_t{1} << 56)) Check(~std::uint64_t{0}, who);
  const std::uint64_t bytes = static_cast<std::uint64_t>(count) * ByteSize(type);
  Check(bytes, who);
  return Adopt(Tensor::Uninitialized(type, std::move(shape)));
}

Tensor MemoryMeter::Adopt(Tensor tensor) {
  const std::uint64_t bytes = tensor.bytes();
  // A temporary that an operator has let go of may have left its address to this one.
  if (const auto old = entries_.find(tensor.raw()); old != entries_.end()) alive_ -= old->second.bytes;
  entries_[tensor.raw()] = {bytes, 0};
  fresh_.push_back(tensor.raw());
  alive_ += bytes;
  peak_ = std::max(peak_, alive_);
  return tensor;
}

void MemoryMeter::Hold(const Tensor& tensor) {
  const auto found = entries_.find(tensor.raw());
  if (found != entries_.end()) ++found->second.holders;
}

void MemoryMeter::Drop(const Tensor& tensor) {
  const auto found = entries_.find(tensor.raw());
  if (found == entries_.end() || --found->second.holders > 0) return;
  alive_ -= found->second.bytes;
  entries_.erase(found);
}

void MemoryMeter::ReleaseTemporaries() {
  for (const void* storage : fresh_) {
    const auto found = entries_.find(storage);
    if (found == entries_.end() || found->second.holders > 0) continue;
    alive_ -= found->second.bytes;
    entries_.erase(found);
  }
  fresh_.clear();
}

void OpContext::Fail(ErrorCode code, const std::string& message) const {
  const std::string domain = node.domain.empty() ? "" : node.domain + ".";
  throw Error(code,
              fmt::format("{} ({}{}): {}", node.name.empty() ? "node" : node.name, domain, node.op, message));
}

const Tensor& OpContext::Input(std::size_t i) const {
  if (!Has(i)) Bad(fmt::format("input {} is missing", i));
  return inputs_[i];
}

const float* OpContext::Floats(std::size_t i) const {
  const Tensor& tensor = Input(i);
  if (tensor.dtype() != DType::kFloat32) {
    Unsupported(fmt::format("input {} is {}, wanted float32", i, Name(tensor.dtype())));
  }
  return tensor.data<float>();
}

std::vector<std::int64_t> OpContext::Integers(std::size_t i) const {
  const Tensor& tensor = Input(i);
  if (tensor.dtype() != DType::kInt64 && tensor.dtype() != DType::kInt32) {
    Bad(fmt::format("input {} is {}, wanted int64", i, Name(tensor.dtype())));
  }
  if (tensor.rank() > 1) Bad(fmt::format("input {} is {}, wanted a list", i, ToString(tensor.shape())));
  return tensor.ToVector<std::int64_t>();
}

Tensor OpContext::Cast(const Tensor& tensor, DType type) {
  if (tensor.dtype() == type) return tensor;
  memory.Check(static_cast<std::uint64_t>(tensor.size()) * ByteSize(type), node.name);
  return memory.Adopt(tensor.Cast(type));
}

int OpContext::Axis(std::int64_t axis, int rank) const {
  if (axis < -rank || axis >= rank) Bad(fmt::format("axis {} is out of range for {} dimensions", axis, rank));
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

std::vector<int> OpContext::Axes(std::size_t index, int rank) const {
  const std::vector<std::int64_t> given = Has(index) ? Integers(index) : node.Ints("axes", {});
  std::vector<int> axes;
  for (const std::int64_t axis : given) axes.push_back(Axis(axis, rank));
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) Bad("an axis is named twice");
  return axes;
}

const OpTable::Entry* OpTable::Find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

namespace {

const OpTable& Table() {
  static const OpTable table = [] {
    OpTable t;
    for (const auto add :
         {AddUnaryOps, AddBinaryOps, AddConvOps, AddMatMulOps, AddNormOps, AddPoolOps, AddReduceOps,
          AddResizeOps, AddShapeOps, AddMoveOps, AddIndexOps, AddQuantOps, AddFrfOps}) {
      add(t);
    }
    return t;
  }();
  return table;
}

const OpTable::Entry* Lookup(const Node& node) {
  if (node.domain.empty() || node.domain == "ai.onnx") return Table().Find(node.op);
  return Table().Find(node.domain + "." + node.op);
}

}  // namespace

bool IsSupported(const Node& node) { return Lookup(node) != nullptr; }

std::vector<Tensor> RunOp(OpContext& context) {
  const OpTable::Entry* entry = Lookup(context.node);
  if (entry == nullptr) context.Unsupported("the plain executor has no such operator");
  bool widened = false;
  if (entry->half == HalfMode::kWiden) {
    for (std::size_t i = 0; i < context.input_count(); ++i) {
      if (!context.Has(i) || context.Input(i).dtype() != DType::kFloat16) continue;
      context.Replace(i, context.Cast(context.Input(i), DType::kFloat32));
      widened = true;
    }
  }
  std::vector<Tensor> outputs;
  try {
    outputs = entry->function(context);
  } catch (const Error& error) {
    const std::string text = error.what();
    if (text.find(context.node.name) != std::string::npos) throw;
    context.Fail(error.code(), text);
  }
  if (widened) {
    for (Tensor& output : outputs) {
      if (output.has_data() && output.dtype() == DType::kFloat32)
        output = context.Cast(output, DType::kFloat16);
    }
  }
  return outputs;
}

std::int64_t Product(const Shape& shape, int begin, int end) {
  std::int64_t product = 1;
  for (int i = begin; i < end; ++i) product *= shape[i];
  return product;
}

Shape RowMajorStrides(const Shape& shape) {
  Shape strides(shape.size());
  std::int64_t stride = 1;
  for (int i = static_cast<int>(shape.size()) - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

Shape Broadcast(const OpContext& context, const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.size(), b.size());
  Shape out(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t da = i + a.size() < rank ? 1 : a[i + a.size() - rank];
    const std::int64_t db = i + b.size() < rank ? 1 : b[i + b.size() - rank];
    if (da != db && da != 1 && db != 1) {
      context.Bad(fmt::format("{} and {} do not broadcast", ToString(a), ToString(b)));
    }
    out[i] = da == 1 ? db : da;
  }
  return out;
}

Shape BroadcastStrides(const Shape& from, const Shape& to) {
  const Shape own = RowMajorStrides(from);
  Shape strides(to.size(), 0);
  const std::size_t lead = to.size() - from.size();
  for (std::size_t i = 0; i < from.size(); ++i) strides[lead + i] = from[i] == 1 ? 0 : own[i];
  return strides;
}

}  // namespace frf::plain
