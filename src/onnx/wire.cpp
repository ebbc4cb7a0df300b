// SPDX-License-Identifier: Apache-2.0
// Counts length-delimited records of protobuf's wire format, entering those that are messages in ONNX's
// schema. Subtle: it does not know every message by heart. It enters a field only where onnx.proto has a
// message there and leaves all others closed (names, raw_data, packed numbers), so weights are stepped over,
// not read.
#include "onnx/wire.h"

namespace frf {
namespace {

enum class Kind {
  kLeaf,
  kModel,
  kGraph,
  kNode,
  kAttribute,
  kTensor,
  kValueInfo,
  kType,
  kTensorType,
  kShape,
  kTraining,
  kFunction,
  kOther
};

struct MessageField {
  Kind parent;
  std::uint64_t field;
  Kind kind;
};

// Fields of onnx.proto that hold messages and repeat, directly or further down.
constexpr MessageField kMessageFields[] = {
    {Kind::kModel, 7, Kind::kGraph},      {Kind::kModel, 8, Kind::kOther},
    {Kind::kModel, 14, Kind::kOther},     {Kind::kModel, 20, Kind::kTraining},
    {Kind::kModel, 25, Kind::kFunction},  {Kind::kGraph, 1, Kind::kNode},
    {Kind::kGraph, 5, Kind::kTensor},     {Kind::kGraph, 11, Kind::kValueInfo},
    {Kind::kGraph, 12, Kind::kValueInfo}, {Kind::kGraph, 13, Kind::kValueInfo},
    {Kind::kGraph, 14, Kind::kOther},     {Kind::kGraph, 15, Kind::kOther},
    {Kind::kNode, 5, Kind::kAttribute},   {Kind::kAttribute, 5, Kind::kTensor},
    {Kind::kAttribute, 6, Kind::kGraph},  {Kind::kAttribute, 10, Kind::kTensor},
    {Kind::kAttribute, 11, Kind::kGraph}, {Kind::kAttribute, 14, Kind::kType},
    {Kind::kAttribute, 15, Kind::kType},  {Kind::kTensor, 13, Kind::kOther},
    {Kind::kValueInfo, 2, Kind::kType},   {Kind::kType, 1, Kind::kTensorType},
    {Kind::kTensorType, 2, Kind::kShape}, {Kind::kShape, 1, Kind::kOther},
    {Kind::kTraining, 1, Kind::kGraph},   {Kind::kTraining, 2, Kind::kGraph},
    {Kind::kFunction, 7, Kind::kNode},    {Kind::kFunction, 11, Kind::kAttribute},
};

// The message that stands in field `field` of `parent`; kLeaf where it is text, bytes or numbers.
Kind FieldKind(Kind parent, std::uint64_t field) {
  for (const MessageField& entry : kMessageFields) {
    if (entry.parent == parent && entry.field == field) return entry.kind;
  }
  return Kind::kLeaf;
}

struct Cursor {
  std::string_view bytes;
  std::size_t at = 0;

  bool Varint(std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && at < bytes.size(); shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes[at++]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool Skip(std::uint64_t count) {
    if (count > bytes.size() - at) return false;
    at += count;
    return true;
  }
};

void Count(std::string_view bytes, Kind kind, int depth, std::int64_t limit, std::int64_t& records) {
  Cursor cursor{bytes};
  std::uint64_t tag = 0, value = 0;
  while (records <= limit && cursor.at < bytes.size() && cursor.Varint(tag)) {
    bool good = true;
    switch (tag & 7) {
      case 0:
        good = cursor.Varint(value);
        break;
      case 1:
        good = cursor.Skip(8);
        break;
      case 5:
        good = cursor.Skip(4);
        break;
      case 2: {
        ++records;
        good = cursor.Varint(value);
        const std::size_t begin = cursor.at;
        good = good && cursor.Skip(value);
        const Kind inner = FieldKind(kind, tag >> 3);
        if (good && inner != Kind::kLeaf && depth < 100)
          Count(bytes.substr(begin, value), inner, depth + 1, limit, records);
        break;
      }
      default:
        ++records;  // groups are not in ONNX: unknown fields, kept one by one
    }
    if (!good) return;
  }
}

}  // namespace

std::int64_t CountOnnxRecords(std::string_view bytes, std::int64_t limit) {
  std::int64_t records = 0;
  Count(bytes, Kind::kModel, 0, limit, records);
  return records;
}

}  // namespace frf
