// SPDX-License-Identifier: Apache-2.0
// The operators that a graph may hold: ONNX's that the readers know, and those of domain "frf", each with how
// many inputs and outputs it takes. One table, read by Validate() and shape inference. And how many
// dimensions a tensor may have.
#pragma once

#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace frf {

struct OperatorInfo {
  std::string_view name;
  std::string_view domain;     // "" = ONNX
  int min_inputs, max_inputs;  // max_inputs -1: any number
  int min_outputs, max_outputs;
};

// Dimensions of a tensor, in a file and in a graph. Networks have 6 at most; without a limit a file of 240 kB
// could ask for shapes of 200 MB.
inline constexpr int kMaxRank = 16;

const std::vector<OperatorInfo>& Operators();
const OperatorInfo* FindOperator(std::string_view name, std::string_view domain);  // nullptr when unknown

// Whether the node is ONNX's operator of that name.
inline bool IsOnnx(const Node& node, std::string_view op) { return node.domain.empty() && node.Is(op); }

}  // namespace frf
