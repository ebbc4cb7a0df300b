// SPDX-License-Identifier: Apache-2.0
// The constant matrices behind SpectralPool and AdaptiveAveragePool for one map size. The plain executor
// multiplies by them and the ONNX writer stores them, so a lowered file of fixed size equals the graph to the
// bit:
//
//   SpectralPool:         t = MatMul(x, columns)   [N,C,H,W] x [C,W,1] -> [N,C,H,1]
//                         y = MatMul(rows, t)      [C,1,H] x [N,C,H,1] -> [N,C,1,1]
//   AdaptiveAveragePool:  t = MatMul(x, columns)   [N,C,H,W] x [W,w]   -> [N,C,H,w]
//                         y = MatMul(rows, t)      [h,H] x [N,C,H,w]   -> [N,C,h,w]
//
// Subtle: entries are computed in double and rounded to float once. 1/W stands in `columns`; 1/H and
// SpectralPool's scale (with the factors sqrt 2) stand in `rows`. Width goes first in both: that is the order
// of the arithmetic.
#pragma once

#include <cstdint>

#include "graph/graph.h"

namespace frf {

struct PoolMatrices {
  Tensor rows, columns;  // float32, shapes as above
};

// For a node SpectralPool(x; frequencies, channels, scale) on maps of height x width. Throws kCorruptFile
// naming the node when frequencies and channels do not go together.
PoolMatrices SpectralPoolMatrices(const Node& node, std::int64_t height, std::int64_t width);

// For AdaptiveAveragePool to out_height x out_width: bin i covers floor(i*H/n) .. ceil((i+1)*H/n), also where
// H < n.
PoolMatrices AdaptivePoolMatrices(std::int64_t height, std::int64_t width, std::int64_t out_height,
                                  std::int64_t out_width);

}  // namespace frf
