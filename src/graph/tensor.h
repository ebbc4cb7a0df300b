// SPDX-License-Identifier: Apache-2.0
// A dense tensor: element type, shape, 64-byte aligned storage, row-major (NCHW for maps). Copies share
// storage, as torch's do; Clone() makes an own one. Subtle: a tensor may have a shape and type but no storage
// (`has_data()` is false): that is how an initialiser stands in a graph before weights are drawn or loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frf/error.h"

namespace frf {

enum class DType : std::uint8_t { kFloat32, kFloat16, kFloat64, kUint8, kInt8, kInt32, kInt64, kBool };

std::size_t ByteSize(DType type);            // of one element
const char* Name(DType type);                // "float32"
DType DTypeFromName(std::string_view name);  // throws kInvalidArgument
int OnnxType(DType type);  // ONNX's TensorProto.DataType (Cast's `to`), and back: nothing for those
std::optional<DType> DTypeFromOnnx(std::int64_t code);  // that no graph holds

using Shape = std::vector<std::int64_t>;       // -1 where a dimension is not known
std::int64_t NumElements(const Shape& shape);  // of a fully known shape; checks overflow
std::string ToString(const Shape& shape);      // "1x3x360x480", "?" for -1; "scalar" for {}

template <typename T>
inline constexpr DType kDTypeOf = [] {
  static_assert(sizeof(T) == 0, "no such DType");
  return DType::kBool;
}();
template <>
inline constexpr DType kDTypeOf<float> = DType::kFloat32;
template <>
inline constexpr DType kDTypeOf<double> = DType::kFloat64;
template <>
inline constexpr DType kDTypeOf<std::uint8_t> = DType::kUint8;
template <>
inline constexpr DType kDTypeOf<std::int8_t> = DType::kInt8;
template <>
inline constexpr DType kDTypeOf<std::int32_t> = DType::kInt32;
template <>
inline constexpr DType kDTypeOf<std::int64_t> = DType::kInt64;
template <>
inline constexpr DType kDTypeOf<bool> = DType::kBool;
template <>
inline constexpr DType kDTypeOf<std::uint16_t> = DType::kFloat16;  // raw bits, see base/half.h

class Tensor {
 public:
  Tensor() = default;
  // Type and shape alone.
  static Tensor Described(DType type, Shape shape);
  // With zeroed (or, for Uninitialized, arbitrary) storage. Throws kOutOfMemory.
  static Tensor Zeros(DType type, Shape shape);
  static Tensor Uninitialized(DType type, Shape shape);
  template <typename T>
  static Tensor Of(Shape shape, const std::vector<T>& values) {
    Tensor tensor = Uninitialized(kDTypeOf<T>, std::move(shape));
    tensor.CheckCount(values.size());
    T* out = tensor.data<T>();
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = values[i];
    return tensor;
  }
  template <typename T>
  static Tensor Scalar(T value) {
    return Of<T>({}, {value});
  }

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::int64_t dim(int axis) const { return shape_[axis < 0 ? axis + shape_.size() : axis]; }
  int rank() const { return static_cast<int>(shape_.size()); }
  std::int64_t size() const { return NumElements(shape_); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * ByteSize(dtype_); }
  bool has_data() const { return storage_ != nullptr; }

  // Typed access; throws kInternal when the type does not match or there is no storage.
  template <typename T>
  T* data() {
    return static_cast<T*>(Checked(kDTypeOf<T>));
  }
  template <typename T>
  const T* data() const {
    return static_cast<const T*>(const_cast<Tensor*>(this)->Checked(kDTypeOf<T>));
  }
  void* raw() { return storage_.get(); }
  const void* raw() const { return storage_.get(); }

  Tensor Clone() const;
  Tensor Reshaped(Shape shape) const;  // shares storage; the element count must match
  Tensor Cast(DType type) const;  // converts; float -> half rounds to nearest even, float -> int truncates
  template <typename T>
  std::vector<T> ToVector() const {  // converts from any type
    const Tensor same = dtype_ == kDTypeOf<T> ? *this : Cast(kDTypeOf<T>);
    return std::vector<T>(same.data<T>(), same.data<T>() + same.size());
  }

 private:
  void* Checked(DType wanted);
  void CheckCount(std::size_t count) const;
  DType dtype_ = DType::kFloat32;
  Shape shape_{0};
  std::shared_ptr<std::byte> storage_;
};

}  // namespace frf
