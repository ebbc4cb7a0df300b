// SPDX-License-Identifier: Apache-2.0
// Shared between the files that hold torch forms; nothing else includes it.
#pragma once

#include <string>

#include "train/ops.h"

namespace frf {

[[noreturn]] void FailNode(const Node& node, ErrorCode code, const std::string& message);

// The initialiser at input `position`; throws kUnsupported where the input is computed.
const Tensor& ConstantOf(const Node& node, const Graph& graph, std::size_t position);

// Shapes, moves and reductions; empty for other operators.
TorchOp CompileShapeOp(const Node& node, const Graph& graph);

}  // namespace frf
