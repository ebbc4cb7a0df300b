// SPDX-License-Identifier: Apache-2.0
// Rewrites that several readers use (engine, gpu, train, ONNX writer). Each returns a new graph that computes
// the same function; tensors that are not changed are shared with the old one.
#pragma once

#include "graph/graph.h"
#include "graph/shapes.h"

namespace frf {

// Folds BatchNormalization into the Conv, ConvTranspose or Gemm before it where that one's result goes
// nowhere else and all numbers are known float32 initialisers. The weight keeps its name; the bias is the
// layer's own or, where it had none, "<weight's name without .weight>.bias". Numbers are computed in double
// and rounded once. Subtle: a batch norm that cannot be folded (after a concatenation, say) stays; a weight
// that two layers share is left.
Graph FoldBatchNorm(const Graph& graph);

// A 1x1 convolution over concat(x, f_1 .. f_n) with f_i = r_i + f_(i-1), f_1 = r_1, equals one over
// concat(x, r_1 .. r_n) with weights W'_j = sum of W_i for i >= j: every part of the concatenation is then a
// plain convolution's output, which can be written in place and rounded by itself. The sums that nobody reads
// any more stay; ForInference() drops them.
Graph UnrollRunningSums(const Graph& graph, const TypeMap& types);

// Weights and biases of convolutions that something else reads too: all convolutions but the first, and that
// one too where other nodes than convolutions read them, get copies of their own, "<node>.weight",
// "<node>.bias", so that each can be rounded by itself.
Graph OwnConvolutionWeights(const Graph& graph);

}  // namespace frf
