// SPDX-License-Identifier: Apache-2.0
// Finds what one kernel can do in place of several nodes: batch norm + ReLU + addition, gates, thresholded
// sums. Subtle: a pattern counts only if nobody else reads what lies within it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "graph/shapes.h"

namespace frf {

struct Pattern {
  enum class Kind { kNorm, kGate, kMaskedSum } kind;
  std::set<int> nodes;              // all of them, the last included
  std::vector<std::string> inputs;  // norm: x, residual or ""; gate: o, l; masked sum: o, y
  const Node* norm = nullptr;
  bool relu = false;
  double threshold = 0;
};

class GraphPatterns {
 protected:
  explicit GraphPatterns(const Graph& graph) : graph_(graph), index_(graph) {}

  // Fills patterns_ and absorbed_; types_ and outputs_ must be set.
  void FindPatterns();

  std::int64_t Channels(const std::string& value) const {
    const auto found = types_.find(value);
    return found != types_.end() && found->second.shape.size() == 4 ? found->second.shape[1] : 0;
  }
  bool Blockable(const std::string& value) const { return Channels(value) > 0 && Channels(value) % 16 == 0; }
  bool IsScalar(const std::string& value) const {
    const Initializer* found = graph_.FindInitializer(value);
    return found != nullptr && found->role == Role::kConstant && found->value.size() == 1;
  }
  std::optional<double> ScalarValue(const std::string& value) const {
    if (!IsScalar(value)) return std::nullopt;
    return graph_.FindInitializer(value)->value.ToVector<double>()[0];
  }
  // The node that makes `value` if it has this operator.
  int Made(const std::string& value, const char* op) const {
    const auto found = index_.producer.find(value);
    return found != index_.producer.end() && graph_.nodes[found->second].op == op ? found->second : -1;
  }
  const Node& At(int node) const { return graph_.nodes[node]; }
  // The only node that reads `value`, or -1.
  int OnlyReader(const std::string& value) const {
    const auto found = index_.consumers.find(value);
    return found != index_.consumers.end() && found->second.size() == 1 && !outputs_.contains(value)
               ? found->second[0]
               : -1;
  }
  static const std::string& Other(const Node& node, const std::string& value) {
    return node.inputs[0] == value ? node.inputs[1] : node.inputs[0];
  }

  const Graph& graph_;
  GraphIndex index_;
  TypeMap types_;
  std::set<std::string> outputs_;
  std::map<int, Pattern> patterns_;  // by last node
  std::set<int> absorbed_;           // nodes of all patterns

 private:
  bool Closed(const std::set<int>& nodes) const;
  std::optional<Pattern> MatchNorm(int i) const;
  std::optional<Pattern> MatchGate(int i) const;
  std::optional<std::pair<std::string, double>> MatchStep(const std::string& mask,
                                                          std::set<int>* nodes) const;
  std::optional<std::pair<std::string, std::string>> MatchWeighted(const std::string& product,
                                                                   std::set<int>* nodes) const;
  std::optional<Pattern> MatchMaskedSum(int i) const;
};

}  // namespace frf
