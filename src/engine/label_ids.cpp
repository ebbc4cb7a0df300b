// SPDX-License-Identifier: Apache-2.0
#include "engine/label_ids.h"

#include <fmt/format.h>

#include <algorithm>

#include "frf/error.h"

namespace frf {
namespace {

template <typename T>
void CheckIds(const T* ids, std::int64_t count, int classes, const std::string& who) {
  const std::int64_t limit = classes > 0 ? classes : kVoidLabel;
  const auto odd = [&](std::int64_t id) { return (id < 0 || id >= limit) && id != kVoidLabel; };
  int any = 0;
  for (std::int64_t i = 0; i < count; ++i) any |= odd(ids[i]);  // no way out early: it is vectorized
  if (any == 0) return;
  const std::int64_t id = *std::find_if(ids, ids + count, odd);
  throw Error(
      ErrorCode::kCorruptFile,
      fmt::format("{} gives label {}; the model's classes are 0 to {}, and 255 is void", who, id, limit - 1));
}

}  // namespace

Tensor LabelsOf(const Tensor& ids, std::int64_t pixels, int classes, const std::string& who) {
  const DType type = ids.dtype();
  if (ids.size() != pixels || type == DType::kFloat32 || type == DType::kFloat64 || type == DType::kFloat16) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{} is {} {}, neither class scores 1xCxHxW nor labels",
                                                     who, Name(type), ToString(ids.shape())));
  }
  if (type == DType::kUint8) {
    CheckIds(ids.data<std::uint8_t>(), ids.size(), classes, who);
    return ids;
  }
  const Tensor wide = type == DType::kInt64 ? ids : ids.Cast(DType::kInt64);
  CheckIds(wide.data<std::int64_t>(), wide.size(), classes, who);
  return wide.Cast(DType::kUint8);
}

void CheckLabelIds(const LabelView& labels, int classes, const std::string& who) {
  for (int y = 0; y < labels.height; ++y)
    CheckIds(labels.data + y * labels.row_stride, labels.width, classes, who);
}

}  // namespace frf
