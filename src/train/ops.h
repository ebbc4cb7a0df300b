// SPDX-License-Identifier: Apache-2.0
// The torch form of every operator: plain libtorch calls, any device, differentiable. Attributes are read
// once, when the module is made, so a malformed node fails there and not in the middle of a run.
//
//   TorchOp run = CompileOp(node, graph);
//   OpCall call{.in = {x, weight}, .training = true};
//   run(call);                                        // results in call.out
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "graph/graph.h"

namespace frf {

class ChannelMasks;
class Distributed;
struct OpCall {
  std::vector<torch::Tensor> in, out;  // by position; an optional input left out is an undefined tensor
  bool training = false;
  std::uint64_t node = 0;
  ChannelMasks* masks = nullptr;       // dropout's, by `node`; null: nothing is dropped
  Distributed* distributed = nullptr;  // null in a process that trains alone; else x is a slice of the batch
};
using TorchOp = std::function<void(OpCall&)>;

// Throws kUnsupported for an operator without a torch form, kCorruptFile for attributes out of range.
TorchOp CompileOp(const Node& node, const Graph& graph);

// momentum of torch's batch_norm for ONNX's attribute: 0.9 -> 0.1, without float32's digits.
double TorchMomentum(const Node& batch_norm);
double TorchEpsilon(const Node& batch_norm);  // 1e-5 as a double's nearest, not float's

}  // namespace frf
