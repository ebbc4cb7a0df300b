// SPDX-License-Identifier: Apache-2.0
// Rounding to 8 bits and what a gradient makes of it, over floats in any order.
#pragma once

#include <cstdint>

namespace frf {

// y = (clamp(round(x / step) + zero, 0, 255) - zero) * step; ties to even, as QuantizeLinear.
void FakeQuantizeForward(const float* x, float step, int zero, float* y, std::int64_t size);
// dx = dy where x was rounded, 0 where it was clipped.
void FakeQuantizeBackward(const float* x, float step, int zero, const float* dy, float* dx,
                          std::int64_t size);

}  // namespace frf
