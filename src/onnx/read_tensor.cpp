// SPDX-License-Identifier: Apache-2.0
// TensorProto -> Tensor. A TensorProto may keep its values in raw_data or in one of five typed fields;
// whatever it says about its size is held against the bytes that are there before anything is allocated.
#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "base/text.h"
#include "graph/operators.h"
#include "onnx/proto.h"

namespace frf {
namespace {

[[noreturn]] void Corrupt(const std::string& what, const std::string& message) {
  throw Error(ErrorCode::kCorruptFile, what + " " + message);
}

// The shape, with a product that fits; `limit` is the number of elements that the file's bytes could hold.
Shape CheckedShape(const onnx::TensorProto& proto, const std::string& what) {
  if (proto.dims_size() > kMaxRank)
    Corrupt(what, fmt::format("has {} dimensions, at most {} are read", proto.dims_size(), kMaxRank));
  const Shape shape(proto.dims().begin(), proto.dims().end());
  std::int64_t count = 1;
  for (const std::int64_t dim : shape) {
    if (dim < 0 || __builtin_mul_overflow(count, dim, &count) ||
        count > std::numeric_limits<std::int64_t>::max() / 8) {
      Corrupt(what, "has the impossible shape " + ToString(shape));
    }
  }
  return shape;
}

Tensor FromRaw(DType type, const Shape& shape, const std::string& raw, const std::string& what) {
  const std::uint64_t wanted = static_cast<std::uint64_t>(NumElements(shape)) * ByteSize(type);
  if (raw.size() != wanted) {
    Corrupt(what, fmt::format("({}, {}) wants {} bytes, it has {}; was the file damaged?", ToString(shape),
                              Name(type), wanted, raw.size()));
  }
  Tensor tensor = Tensor::Uninitialized(type, shape);
  if (wanted > 0 && type == DType::kBool) {  // bytes other than 0 and 1 are no bools in C++
    for (std::uint64_t i = 0; i < wanted; ++i) tensor.data<bool>()[i] = raw[i] != 0;
  } else if (wanted > 0) {
    std::memcpy(tensor.raw(), raw.data(), wanted);
  }
  return tensor;
}

template <typename T, typename Field>
Tensor FromField(const Shape& shape, const Field& field, const std::string& what) {
  const std::int64_t wanted = NumElements(shape);
  if (field.size() != wanted) {
    Corrupt(what, fmt::format("({}, {}) wants {} values, it has {}; was the file damaged?", ToString(shape),
                              Name(kDTypeOf<T>), wanted, field.size()));
  }
  Tensor tensor = Tensor::Uninitialized(kDTypeOf<T>, shape);
  for (std::int64_t i = 0; i < wanted; ++i) {
    const auto value = field.Get(static_cast<int>(i));
    if constexpr (std::is_integral_v<T> && sizeof(T) < sizeof(value)) {
      if (value < static_cast<decltype(value)>(std::numeric_limits<T>::min()) ||
          value > static_cast<decltype(value)>(std::numeric_limits<T>::max())) {
        Corrupt(what, fmt::format("holds {}, which is no {}", value, Name(kDTypeOf<T>)));
      }
    }
    tensor.data<T>()[i] = static_cast<T>(value);
  }
  return tensor;
}

}  // namespace

DType TypeFromOnnx(int type, const std::string& what) {
  if (const auto found = DTypeFromOnnx(type)) return *found;
  const bool known = onnx::TensorProto_DataType_IsValid(type) && type != onnx::TensorProto_DataType_UNDEFINED;
  throw Error(
      known ? ErrorCode::kUnsupported : ErrorCode::kCorruptFile,
      fmt::format(
          "{} has element type {}{}, which frf does not read", what, type,
          known ? " (" + onnx::TensorProto_DataType_Name(static_cast<onnx::TensorProto_DataType>(type)) + ")"
                : ""));
}

Tensor TakeTensor(onnx::TensorProto& proto, const std::string& what) {
  if (proto.data_location() == onnx::TensorProto_DataLocation_EXTERNAL || proto.external_data_size() > 0) {
    throw Error(ErrorCode::kUnsupported, what +
                                             " keeps its values in another file; save the model in one file "
                                             "(onnx.save of onnx.load) and try again");
  }
  if (proto.has_segment())
    throw Error(ErrorCode::kUnsupported, what + " is cut into segments, which frf does not read");
  const DType type = TypeFromOnnx(proto.data_type(), what);
  const Shape shape = CheckedShape(proto, what);
  if (proto.has_raw_data()) {
    Tensor tensor = FromRaw(type, shape, proto.raw_data(), what);
    std::string().swap(*proto.mutable_raw_data());
    return tensor;
  }
  switch (type) {
    case DType::kFloat32:
      return FromField<float>(shape, proto.float_data(), what);
    case DType::kFloat64:
      return FromField<double>(shape, proto.double_data(), what);
    case DType::kInt64:
      return FromField<std::int64_t>(shape, proto.int64_data(), what);
    case DType::kInt32:
      return FromField<std::int32_t>(shape, proto.int32_data(), what);
    case DType::kInt8:
      return FromField<std::int8_t>(shape, proto.int32_data(), what);
    case DType::kUint8:
      return FromField<std::uint8_t>(shape, proto.int32_data(), what);
    case DType::kFloat16:
      return FromField<std::uint16_t>(shape, proto.int32_data(), what);
    case DType::kBool:
      return FromField<bool>(shape, proto.int32_data(), what);
  }
  throw Error(ErrorCode::kInternal, what + " has a type without a field");
}

}  // namespace frf
