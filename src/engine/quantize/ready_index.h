// SPDX-License-Identifier: Apache-2.0
// Look-ups in a ready graph, and which of its values get a coding. Subtle: a convolution that stays float
// writes and reads floats, unless one on integers reads the same map (or, by a concatenation or a pool, the
// memory it lies in).
//
//   const ReadyIndex index(ready);
//   for (const std::vector<std::string>& group : index.Groups(scheme.float_nodes)) ...
#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/quantize/insert.h"

namespace frf::engine {

class ReadyIndex {
 public:
  explicit ReadyIndex(const ReadyGraph& ready) : ready_(ready), graph_(ready.graph), index_(ready.graph) {}

  const Tensor* ConstantOf(const std::string& name) const;
  bool Quantizable(const Node& node) const;
  const Node* Producer(const std::string& value) const;
  const std::vector<int>& Readers(const std::string& value) const;
  bool IsOutput(const std::string& value) const;

  // Values with a coding, in groups that share one.
  std::vector<std::vector<std::string>> Groups(const std::set<std::string>& float_nodes) const;

 private:
  bool IsMap(const std::string& name) const;
  bool IsPicture(const std::string& name) const;
  bool StandsInMemory(const Node& node, const std::string& value, const std::vector<bool>& floats) const;
  bool LeadsToOutput(const Node& node) const;
  std::vector<bool> ReadersOfFloats(const std::set<std::string>& float_nodes) const;

  const ReadyGraph& ready_;
  const Graph& graph_;
  GraphIndex index_;
};

}  // namespace frf::engine
