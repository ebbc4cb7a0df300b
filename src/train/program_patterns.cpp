// SPDX-License-Identifier: Apache-2.0
// The patterns of program_patterns.h, each matched backwards from its last node (batch norm: forwards from
// its first).
#include "train/program_patterns.h"

namespace frf {

void GraphPatterns::FindPatterns() {
  for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
    std::optional<Pattern> pattern;
    if (At(i).op == "BatchNormalization") pattern = MatchNorm(i);
    if (At(i).op == "Add") pattern = MatchMaskedSum(i);
    if (At(i).op == "Add" && !pattern) pattern = MatchGate(i);
    if (!pattern) continue;
    bool free = true;
    for (const int node : pattern->nodes) free = free && !absorbed_.contains(node);
    if (!free) continue;
    absorbed_.insert(pattern->nodes.begin(), pattern->nodes.end());
    patterns_.emplace(*pattern->nodes.rbegin(), std::move(*pattern));
  }
}

// Everything but the last node is read within the pattern alone.
bool GraphPatterns::Closed(const std::set<int>& nodes) const {
  for (const int node : nodes) {
    if (node == *nodes.rbegin()) continue;
    for (const std::string& output : At(node).outputs) {
      if (output.empty()) continue;
      if (outputs_.contains(output)) return false;
      const auto readers = index_.consumers.find(output);
      if (readers == index_.consumers.end()) continue;
      for (const int reader : readers->second) {
        if (!nodes.contains(reader)) return false;
      }
    }
  }
  return true;
}

std::optional<Pattern> GraphPatterns::MatchNorm(int i) const {
  const Node& norm = At(i);
  if (!Blockable(norm.inputs[0])) return std::nullopt;
  Pattern pattern{.kind = Pattern::Kind::kNorm, .nodes = {i}, .inputs = {norm.inputs[0], ""}, .norm = &norm};
  std::string value = norm.outputs[0];
  int next = OnlyReader(value);
  if (next >= 0 && At(next).op == "Relu") {
    pattern.nodes.insert(next);
    pattern.relu = true;
    value = At(next).outputs[0];
    next = OnlyReader(value);
  }
  if (next >= 0 && At(next).op == "Add" && !absorbed_.contains(next)) {
    const std::string& other = Other(At(next), value);
    if (other != value && types_.contains(other) && types_.at(other).shape == types_.at(value).shape) {
      pattern.nodes.insert(next);
      pattern.inputs[1] = other;
    }
  }
  return pattern;
}

// Add(o, Mul(l, Sigmoid(o))), operands in any order.
std::optional<Pattern> GraphPatterns::MatchGate(int i) const {
  for (int side = 0; side < 2; ++side) {
    const std::string &o = At(i).inputs[side], &product = At(i).inputs[1 - side];
    const int mul = Made(product, "Mul");
    if (mul < 0 || !Blockable(o)) continue;
    for (int factor = 0; factor < 2; ++factor) {
      const int sigmoid = Made(At(mul).inputs[factor], "Sigmoid");
      const std::string& l = At(mul).inputs[1 - factor];
      if (sigmoid < 0 || At(sigmoid).inputs[0] != o || types_.at(l).shape != types_.at(o).shape) continue;
      Pattern pattern{.kind = Pattern::Kind::kGate, .nodes = {i, mul, sigmoid}, .inputs = {o, l}};
      if (Closed(pattern.nodes)) return pattern;
    }
  }
  return std::nullopt;
}

// Clip(Ceil(Sub(value, threshold)), 0, 1): adds its nodes and gives (value, threshold).
std::optional<std::pair<std::string, double>> GraphPatterns::MatchStep(const std::string& mask,
                                                                       std::set<int>* nodes) const {
  const int clip = Made(mask, "Clip");
  const int ceil = clip < 0 ? -1 : Made(At(clip).inputs[0], "Ceil");
  const int sub = ceil < 0 ? -1 : Made(At(ceil).inputs[0], "Sub");
  if (sub < 0 || At(clip).inputs.size() < 3) return std::nullopt;
  const auto low = ScalarValue(At(clip).inputs[1]), high = ScalarValue(At(clip).inputs[2]),
             threshold = ScalarValue(At(sub).inputs[1]);
  if (low != 0.0 || high != 1.0 || !threshold) return std::nullopt;
  nodes->insert({clip, ceil, sub});
  return std::pair(At(sub).inputs[0], *threshold);
}

// Mul(value, Add(mask, 1)): gives (value, mask).
std::optional<std::pair<std::string, std::string>> GraphPatterns::MatchWeighted(const std::string& product,
                                                                                std::set<int>* nodes) const {
  const int mul = Made(product, "Mul");
  if (mul < 0) return std::nullopt;
  for (int side = 0; side < 2; ++side) {
    const int add = Made(At(mul).inputs[side], "Add");
    if (add < 0 || ScalarValue(At(add).inputs[1]) != 1.0) continue;
    nodes->insert({mul, add});
    return std::pair(At(mul).inputs[1 - side], At(add).inputs[0]);
  }
  return std::nullopt;
}

// o * (1 + [s(o) - s(y) > t]) + y * (1 + [-(s(o) - s(y)) > t])
std::optional<Pattern> GraphPatterns::MatchMaskedSum(int i) const {
  Pattern pattern{.kind = Pattern::Kind::kMaskedSum, .nodes = {i}};
  const auto first = MatchWeighted(At(i).inputs[0], &pattern.nodes),
             second = MatchWeighted(At(i).inputs[1], &pattern.nodes);
  if (!first || !second || !Blockable(first->first)) return std::nullopt;
  const auto t1 = MatchStep(first->second, &pattern.nodes), t2 = MatchStep(second->second, &pattern.nodes);
  if (!t1 || !t2 || t1->second != t2->second) return std::nullopt;
  const int neg = Made(t2->first, "Neg"), sub = Made(t1->first, "Sub");
  if (neg < 0 || sub < 0 || At(neg).inputs[0] != t1->first) return std::nullopt;
  const int left = Made(At(sub).inputs[0], "Sigmoid"), right = Made(At(sub).inputs[1], "Sigmoid");
  if (left < 0 || right < 0 || At(left).inputs[0] != first->first || At(right).inputs[0] != second->first)
    return std::nullopt;
  pattern.nodes.insert({neg, sub, left, right});
  pattern.inputs = {first->first, second->first};
  pattern.threshold = t1->second;
  return Closed(pattern.nodes) ? std::optional(pattern) : std::nullopt;
}

}  // namespace frf
