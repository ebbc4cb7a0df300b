// SPDX-License-Identifier: Apache-2.0
// ONNX's generated protobuf classes (ONNX_ML and ONNX_NAMESPACE come from CMake) and our types' names in
// them. Only read.cpp, write.cpp and their helpers include it.
#pragma once

#include <onnx/onnx_pb.h>

#include "graph/tensor.h"

namespace frf {

// onnx::TensorProto_DataType of a type.
inline int OnnxType(DType type) {
  switch (type) {
    case DType::kFloat32:
      return onnx::TensorProto_DataType_FLOAT;
    case DType::kFloat16:
      return onnx::TensorProto_DataType_FLOAT16;
    case DType::kFloat64:
      return onnx::TensorProto_DataType_DOUBLE;
    case DType::kUint8:
      return onnx::TensorProto_DataType_UINT8;
    case DType::kInt8:
      return onnx::TensorProto_DataType_INT8;
    case DType::kInt32:
      return onnx::TensorProto_DataType_INT32;
    case DType::kInt64:
      return onnx::TensorProto_DataType_INT64;
    case DType::kBool:
      return onnx::TensorProto_DataType_BOOL;
  }
  throw Error(ErrorCode::kInternal, "a type without an ONNX name");
}

// The type of an onnx::TensorProto_DataType; `what` starts the error for those that no graph holds.
DType TypeFromOnnx(int type, const std::string& what);

// Values of a tensor with every size checked; `what` starts errors. Takes the bytes out of `proto` to free
// memory.
Tensor TakeTensor(onnx::TensorProto& proto, const std::string& what);

}  // namespace frf
