// SPDX-License-Identifier: Apache-2.0
// ONNX's generated protobuf classes (ONNX_ML and ONNX_NAMESPACE come from CMake) and our types' names in
// them. Only read.cpp, write.cpp and their helpers include it.
#pragma once

#include <onnx/onnx_pb.h>

#include "graph/tensor.h"

namespace frf {

// The type of an onnx::TensorProto_DataType; `what` starts the error for those that no graph holds.
DType TypeFromOnnx(int type, const std::string& what);

// Values of a tensor with every size checked; `what` starts errors. Takes the bytes out of `proto` to free
// memory.
Tensor TakeTensor(onnx::TensorProto& proto, const std::string& what);

}  // namespace frf
