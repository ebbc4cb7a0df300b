// SPDX-License-Identifier: Apache-2.0
// Rounding that training sees and gradients do not (straight-through: Bengio et al. 2013; Jacob et al. 2018):
// the float that the 8-bit file will hold goes forward, the gradient goes back as if nothing had been
// rounded, and stops where a number was clipped.
#pragma once

#include <torch/torch.h>

namespace frf {

// (clamp(round(x / step) + zero, 0, 255) - zero) * step, of any shape, layout and float type.
torch::Tensor FakeQuantize(const torch::Tensor& x, double step, int zero);

// By output channel (the first dimension) to [-127, 127] steps of max|w| / 127. The largest weight sets the
// step, so nothing is clipped and the whole gradient passes.
torch::Tensor FakeQuantizeWeight(const torch::Tensor& weight);

}  // namespace frf
