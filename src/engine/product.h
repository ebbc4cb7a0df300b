// SPDX-License-Identifier: Apache-2.0
// The matrix product of two tensors as ONNX's MatMul: batches broadcast, each distinct geometry is one oneDNN
// primitive kept with the node. SpectralPool and AdaptiveAveragePool use the same function as a lowered
// file's MatMul nodes, so their bits agree.
#pragma once

#include "engine/plain_op.h"

namespace frf::plain {

Tensor Multiply(OpContext& c, const Tensor& a, const Tensor& b);

// Both two-dimensional, either transposed.
Tensor Multiply2d(OpContext& c, const Tensor& a, const Tensor& b, bool a_transposed, bool b_transposed);

}  // namespace frf::plain
