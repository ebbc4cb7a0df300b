// SPDX-License-Identifier: Apache-2.0
// Tensor storage, names of element types, conversions. Subtle: element counts are multiplied with a check for
// overflow, because shapes may come from a hostile file; and a conversion to an integer saturates instead of
// being undefined.
#include "graph/tensor.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <type_traits>

#include "base/half.h"

namespace frf {
namespace {

struct TypeName {
  DType type;
  const char* name;
  std::size_t bytes;
  int onnx;  // TensorProto.DataType
};
constexpr TypeName kTypes[] = {
    {DType::kFloat32, "float32", 4, 1},  {DType::kFloat16, "float16", 2, 10},
    {DType::kFloat64, "float64", 8, 11}, {DType::kUint8, "uint8", 1, 2},
    {DType::kInt8, "int8", 1, 3},        {DType::kInt32, "int32", 4, 6},
    {DType::kInt64, "int64", 8, 7},      {DType::kBool, "bool", 1, 9},
};

const TypeName& Find(DType type) {
  for (const TypeName& entry : kTypes) {
    if (entry.type == type) return entry;
  }
  throw Error(ErrorCode::kInternal, fmt::format("element type {} is unknown", static_cast<int>(type)));
}

std::shared_ptr<std::byte> Allocate(std::size_t bytes, DType type, const Shape& shape) {
  constexpr std::align_val_t kAlignment{64};
  const std::size_t padded = (bytes + 63) / 64 * 64 + (bytes == 0 ? 64 : 0);
  void* memory = padded >= bytes ? ::operator new(padded, kAlignment, std::nothrow) : nullptr;
  if (memory == nullptr) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("a {} tensor of {} needs {} bytes, which the system refused", Name(type),
                            ToString(shape), bytes));
  }
  return {static_cast<std::byte*>(memory), [](std::byte* p) { ::operator delete (p, std::align_val_t{64}); }};
}

template <typename To>
To FromDouble(double value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != 0.0;
  } else if constexpr (std::is_integral_v<To>) {
    if (std::isnan(value)) return 0;
    constexpr double kLow = static_cast<double>(std::numeric_limits<To>::min());
    constexpr double kHigh = static_cast<double>(std::numeric_limits<To>::max());
    if (value <= kLow) return std::numeric_limits<To>::min();
    if (value >= kHigh) return std::numeric_limits<To>::max();
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

// Half is raw bits in memory, so it is told apart from a 16-bit integer by a tag.
struct HalfBits {
  std::uint16_t bits;
};

template <typename From, typename To>
To Convert(From value) {
  if constexpr (std::is_same_v<From, HalfBits>) {
    return Convert<float, To>(FloatFromHalf(value.bits));
  } else if constexpr (std::is_same_v<To, HalfBits>) {
    return HalfBits{HalfFromFloat(static_cast<float>(value))};
  } else if constexpr (std::is_floating_point_v<From>) {
    return FromDouble<To>(static_cast<double>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else {
    return static_cast<To>(value);  // integer to integer wraps, as ONNX's and torch's casts do
  }
}

template <typename Call>
void WithType(DType type, Call&& call) {
  switch (type) {
    case DType::kFloat32:
      return call(float{});
    case DType::kFloat16:
      return call(HalfBits{});
    case DType::kFloat64:
      return call(double{});
    case DType::kUint8:
      return call(std::uint8_t{});
    case DType::kInt8:
      return call(std::int8_t{});
    case DType::kInt32:
      return call(std::int32_t{});
    case DType::kInt64:
      return call(std::int64_t{});
    case DType::kBool:
      return call(bool{});
  }
}

}  // namespace

std::size_t ByteSize(DType type) { return Find(type).bytes; }

const char* Name(DType type) { return Find(type).name; }

DType DTypeFromName(std::string_view name) {
  for (const TypeName& entry : kTypes) {
    if (name == entry.name) return entry.type;
  }
  throw Error(ErrorCode::kInvalidArgument, fmt::format("element type '{}' is unknown; there are float32, "
                                                       "float16, float64, uint8, int8, int32, int64, bool",
                                                       name));
}

int OnnxType(DType type) { return Find(type).onnx; }

std::optional<DType> DTypeFromOnnx(std::int64_t code) {
  for (const TypeName& entry : kTypes) {
    if (code == entry.onnx) return entry.type;
  }
  return std::nullopt;
}

std::int64_t NumElements(const Shape& shape) {
  std::int64_t count = 1;
  bool zero = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("shape {} is not fully known, so it has no element count", ToString(shape)));
    }
    if (dim == 0)
      zero = true;
    else if (__builtin_mul_overflow(count, dim, &count)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("shape {} has more than 2^63 elements", ToString(shape)));
    }
  }
  return zero ? 0 : count;
}

std::string ToString(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const std::int64_t dim : shape) {
    if (!text.empty()) text += 'x';
    text += dim == -1 ? "?" : std::to_string(dim);
  }
  return text;
}

Tensor Tensor::Described(DType type, Shape shape) {
  Tensor tensor;
  tensor.dtype_ = type;
  tensor.shape_ = std::move(shape);
  return tensor;
}

Tensor Tensor::Uninitialized(DType type, Shape shape) {
  Tensor tensor = Described(type, std::move(shape));
  const std::int64_t count = NumElements(tensor.shape_);
  if (count > std::numeric_limits<std::int64_t>::max() / 8) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("a tensor of {} does not fit into memory", ToString(tensor.shape_)));
  }
  tensor.storage_ = Allocate(static_cast<std::size_t>(count) * ByteSize(type), type, tensor.shape_);
  return tensor;
}

Tensor Tensor::Zeros(DType type, Shape shape) {
  Tensor tensor = Uninitialized(type, std::move(shape));
  std::memset(tensor.raw(), 0, tensor.bytes());
  return tensor;
}

Tensor Tensor::Clone() const {
  if (!has_data()) return *this;
  Tensor copy = Uninitialized(dtype_, shape_);
  std::memcpy(copy.raw(), raw(), bytes());
  return copy;
}

Tensor Tensor::Reshaped(Shape shape) const {
  if (NumElements(shape) != size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a tensor of {} cannot be reshaped to {}", ToString(shape_), ToString(shape)));
  }
  Tensor view = *this;
  view.shape_ = std::move(shape);
  return view;
}

Tensor Tensor::Cast(DType type) const {
  if (!has_data()) return Described(type, shape_);
  if (type == dtype_) return Clone();
  Tensor out = Uninitialized(type, shape_);
  const std::int64_t count = size();
  WithType(dtype_, [&](auto from) {
    using From = decltype(from);
    WithType(type, [&](auto to) {
      using To = decltype(to);
      const From* src = static_cast<const From*>(raw());
      To* dst = static_cast<To*>(out.raw());
      for (std::int64_t i = 0; i < count; ++i) dst[i] = Convert<From, To>(src[i]);
    });
  });
  return out;
}

void* Tensor::Checked(DType wanted) {
  if (wanted != dtype_) {
    throw Error(ErrorCode::kInternal, fmt::format("a {} tensor was read as {}", Name(dtype_), Name(wanted)));
  }
  if (!has_data()) {
    throw Error(ErrorCode::kInternal,
                fmt::format("a {} tensor of {} has no data yet", Name(dtype_), ToString(shape_)));
  }
  return storage_.get();
}

void Tensor::CheckCount(std::size_t count) const {
  if (static_cast<std::int64_t>(count) != size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} values were given for a tensor of {}", count, ToString(shape_)));
  }
}

}  // namespace frf
