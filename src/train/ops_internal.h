// SPDX-License-Identifier: Apache-2.0
// Shared between the files that hold torch forms; nothing else includes it.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "train/ops.h"

namespace frf {

[[noreturn]] void FailNode(const Node& node, ErrorCode code, const std::string& message);

// The initialiser at input `position`; throws kUnsupported where the input is computed.
const Tensor& ConstantOf(const Node& node, const Graph& graph, std::size_t position);

// Cosine tables of a SpectralPool node by map size: a_u(i) b_v(j) / (H W), made once.
class SpectralTable {
 public:
  explicit SpectralTable(Node node) : node_(std::move(node)) {}
  torch::Tensor Basis(std::int64_t height, std::int64_t width, torch::Device device);  // C x H x W
  torch::Tensor Blocked(std::int64_t height, std::int64_t width);  // C/16 x H x W x 16, CPU

 private:
  Node node_;
  std::mutex mutex_;
  std::map<std::pair<std::int64_t, std::int64_t>, torch::Tensor> plain_, blocked_;
};

// Shapes, moves and reductions; empty for other operators.
TorchOp CompileShapeOp(const Node& node, const Graph& graph);

}  // namespace frf
