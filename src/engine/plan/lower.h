// SPDX-License-Identifier: Apache-2.0
// Prepared graph -> operations on values: what is fused, what lies inside what, and what falls back to the
// plain executor's operators. Lowering knows nothing of instruction sets, threads or addresses.
#pragma once

#include "engine/plan/ir.h"
#include "engine/plan/prepare.h"

namespace frf::engine {

// Every graph that the plain executor runs can be lowered.
Lowered Lower(const PreparedGraph& prepared);

// Part of Lower: joins a convolution that runs directly with the element-wise program that alone reads its
// result.
void JoinConvolutionsWithPrograms(Lowered& lowered);

}  // namespace frf::engine
