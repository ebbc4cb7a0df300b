// SPDX-License-Identifier: Apache-2.0
// Moving data without computing: what Transpose, Slice, Pad, Tile and Expand are made of.
#pragma once

#include <optional>

#include "engine/plain_op.h"

namespace frf::plain {

// Output axis i is input axis permutation[i].
Tensor TransposeTensor(OpContext& c, const Tensor& x, const std::vector<int>& permutation);

// y[i0, i1, ...] = x[table0[i0], table1[i1], ...]; an axis without a table is taken whole, an entry of -1
// takes `fill` (one element of x's type).
using AxisTables = std::vector<std::optional<std::vector<std::int64_t>>>;
Tensor IndexAxes(OpContext& c, const Tensor& x, const AxisTables& tables, const Tensor* fill = nullptr);

// x as `to`, which it must broadcast to.
Tensor ExpandTensor(OpContext& c, const Tensor& x, const Shape& to);

}  // namespace frf::plain
