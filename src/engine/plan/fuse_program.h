// SPDX-License-Identifier: Apache-2.0
// Shortens element-wise programs: each instruction is a pass over a chunk in L1, so fourteen of them around
// two sigmoids cost more than the sigmoids. Scalars become immediates, the gate c + b * sigmoid(a) and
// FRFNet's thresholded sum one instruction each (the gate with one rounding less than what it replaces);
// registers are used again once nobody reads them.
#pragma once

#include "engine/plan/ir.h"

namespace frf::engine {

// Takes and gives a program whose instructions write no register twice and none of its inputs (Lowering
// writes it so); on return registers may be written again. `values` tells which inputs are constant scalars;
// inputs that nobody reads any more are gone.
void FuseProgram(ElementOp& op, const std::vector<Value>& values);

}  // namespace frf::engine
