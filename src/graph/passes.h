// SPDX-License-Identifier: Apache-2.0
// Rewrites that several readers use (engine, gpu, ONNX writer). Each returns a new graph that computes the
// same function; tensors that are not changed are shared with the old one.
#pragma once

#include "graph/graph.h"

namespace frf {

// Folds BatchNormalization into the Conv, ConvTranspose or Gemm before it where that one's result goes
// nowhere else and all numbers are known float32 initialisers. The weight keeps its name; the bias is the
// layer's own or, where it had none, "<weight's name without .weight>.bias". Numbers are computed in double
// and rounded once. Subtle: a batch norm that cannot be folded (after a concatenation, say) stays; a weight
// that two layers share is left.
Graph FoldBatchNorm(const Graph& graph);

}  // namespace frf
