// SPDX-License-Identifier: Apache-2.0
// Subtle: a value's channels are traced to the convolutions that make them, which keep their names between
// two networks of a family; positions do not, since one concatenates more maps than the other.
#include "train/prune_channels.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <unordered_map>

namespace frf {
namespace {

struct Origin {
  std::string maker;  // a convolution's node, or the graph's input
  std::int64_t channels = 0;
};
using Origins = std::vector<Origin>;

bool KeepsChannels(const Node& node) {
  static const std::set<std::string> kKeeping{"BatchNormalization",
                                              "Relu",
                                              "LeakyRelu",
                                              "PRelu",
                                              "Sigmoid",
                                              "HardSigmoid",
                                              "HardSwish",
                                              "Tanh",
                                              "MaxPool",
                                              "AveragePool",
                                              "GlobalAveragePool",
                                              "AdaptiveAveragePool",
                                              "ResizeLike",
                                              "Resize",
                                              "SpectralPool",
                                              "DropChannels",
                                              "Identity",
                                              "Clip",
                                              "Ceil",
                                              "Neg",
                                              "Unpool"};
  return kKeeping.contains(node.op);
}

bool Pairs(const Node& node) {
  static const std::set<std::string> kPairing{"Add", "Sub", "Mul", "Div", "Max", "Min"};
  return kPairing.contains(node.op);
}

std::int64_t Count(const Origins& origins) {
  std::int64_t count = 0;
  for (const Origin& origin : origins) count += origin.channels;
  return count;
}

// Where channels come from, and which makers must keep the same ones.
class Trace {
 public:
  explicit Trace(const Graph& graph) : graph_(graph) {
    for (const GraphInput& input : graph.inputs) {
      if (input.shape.size() != 4 || input.shape[1] <= 0) continue;
      values_[input.name] = {{input.name, input.shape[1]}};
      whole_.insert(input.name);
    }
    for (const Node& node : graph.nodes) Read(node);
    for (const GraphOutput& output : graph.outputs) KeepWhole(Of(output.name));
  }

  const Origins& Of(const std::string& value) const {
    static const Origins kUnknown;
    const auto found = values_.find(value);
    return found == values_.end() ? kUnknown : found->second;
  }
  std::string Group(std::string maker) const {
    for (auto next = tied_.find(maker); next != tied_.end(); next = tied_.find(maker)) maker = next->second;
    return maker;
  }
  // Whether something depends on all of the group's channels: they cannot be fewer.
  bool Whole(const std::string& group) const {
    return std::any_of(whole_.begin(), whole_.end(),
                       [&](const std::string& maker) { return Group(maker) == group; });
  }
  // Where channels are told apart by their place (SpectralPool: one frequency for each run of channels), how
  // many there are in each place; empty elsewhere.
  std::vector<std::int64_t> Places(const std::string& maker) const {
    const auto found = places_.find(maker);
    return found == places_.end() ? std::vector<std::int64_t>{} : found->second;
  }

 private:
  void KeepWhole(const Origins& origins) {
    for (const Origin& origin : origins) whole_.insert(origin.maker);
  }

  void Tie(const Origins& a, const Origins& b) {
    if (a.empty() || b.empty()) return;
    const bool alike = std::equal(a.begin(), a.end(), b.begin(), b.end(),
                                  [](const Origin& x, const Origin& y) { return x.channels == y.channels; });
    if (!alike) {
      KeepWhole(a), KeepWhole(b);
      return;
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::string from = Group(a[i].maker), to = Group(b[i].maker);
      if (from != to) tied_[from] = to;
    }
  }

  void Read(const Node& node) {
    if (node.outputs.empty()) return;
    Origins& made = values_[node.outputs[0]];
    if (node.Is("Conv")) {
      const Initializer* weight = graph_.FindInitializer(node.inputs[1]);
      if (weight != nullptr) made = {{node.name, weight->value.dim(0)}};
      return;
    }
    if (KeepsChannels(node)) {
      made = Of(node.inputs[0]);
      if (!node.Is("SpectralPool")) return;
      if (made.size() == 1) {
        places_[made[0].maker] = node.Ints("channels", {});
      } else {
        KeepWhole(made);
      }
      return;
    }
    if (Pairs(node)) {
      const Origins &a = Of(node.inputs[0]), &b = Of(node.inputs[1]);
      Tie(a, b);
      made = a.empty() ? b : a;
      return;
    }
    if (node.Is("Concat") && node.Int("axis", 1) == 1) {
      Origins joined;
      for (const std::string& input : node.inputs) {
        const Origins& part = Of(input);
        if (part.empty()) {
          joined.clear();
          break;
        }
        joined.insert(joined.end(), part.begin(), part.end());
      }
      made = joined;
      if (!joined.empty()) return;
    }
    for (const std::string& input : node.inputs) KeepWhole(Of(input));
  }

  const Graph& graph_;
  std::unordered_map<std::string, Origins> values_;
  std::map<std::string, std::string> tied_;
  std::set<std::string> whole_;
  std::map<std::string, std::vector<std::int64_t>> places_;
};

// How much each channel of a value counts for the convolutions that read it, however they are reached.
using Readers = std::unordered_map<std::string, std::vector<double>>;

void Accumulate(std::vector<double>& sum, const double* values, std::size_t count) {
  if (sum.empty()) sum.resize(count);
  if (sum.size() != count) return;  // a broadcast operand
  for (std::size_t c = 0; c < count; ++c) sum[c] += values[c];
}

// Norm of what a convolution makes of each channel, a kernel's area counting once.
std::vector<double> InputNorms(const Tensor& weight) {
  const std::int64_t out = weight.dim(0), in = weight.dim(1), area = weight.dim(2) * weight.dim(3);
  std::vector<double> norms(static_cast<std::size_t>(in));
  const float* w = weight.data<float>();
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t i = 0; i < in * area; ++i) {
      const double value = w[o * in * area + i];
      norms[static_cast<std::size_t>(i / area)] += value * value;
    }
  }
  for (double& norm : norms) norm = std::sqrt(norm / static_cast<double>(area));
  return norms;
}

Readers WeighReaders(const Graph& graph, const Trace& trace) {
  Readers readers;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (node->outputs.empty()) continue;
    if (node->Is("Conv")) {
      const Initializer* weight = graph.FindInitializer(node->inputs[1]);
      if (weight == nullptr || node->Int("group", 1) != 1) continue;
      const std::vector<double> norms = InputNorms(weight->value);
      Accumulate(readers[node->inputs[0]], norms.data(), norms.size());
      continue;
    }
    const auto found = readers.find(node->outputs[0]);
    if (found == readers.end()) continue;
    const std::vector<double> own = found->second;  // a copy: the map grows below
    std::size_t offset = 0;
    for (const std::string& input : node->inputs) {
      const auto channels = static_cast<std::size_t>(Count(trace.Of(input)));
      if (channels == 0) continue;
      if (node->Is("Concat")) {
        if (offset + channels <= own.size()) Accumulate(readers[input], own.data() + offset, channels);
        offset += channels;
      } else if (channels == own.size()) {
        Accumulate(readers[input], own.data(), channels);
      }
    }
  }
  return readers;
}

// Of each run of channels (`wide` of them, one run after another) the `few` that score most, in order.
std::vector<std::int64_t> Best(const std::vector<double>& scores, const std::vector<std::int64_t>& wide,
                               const std::vector<std::int64_t>& few) {
  std::vector<std::int64_t> best;
  std::int64_t first = 0;
  for (std::size_t run = 0; run < wide.size(); ++run) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(wide[run]));
    std::iota(order.begin(), order.end(), first);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::int64_t a, std::int64_t b) { return scores[a] > scores[b]; });
    order.resize(static_cast<std::size_t>(few[run]));
    std::sort(order.begin(), order.end());
    best.insert(best.end(), order.begin(), order.end());
    first += wide[run];
  }
  return best;
}

// Whether `few` channels can be had of `wide` in each run.
bool Holds(const std::vector<std::int64_t>& wide, const std::vector<std::int64_t>& few) {
  return std::equal(wide.begin(), wide.end(), few.begin(), few.end(), std::greater_equal<>());
}

const std::vector<std::int64_t> kZeros{0, 0, 0, 0}, kOnes{1, 1};

bool SameWindow(const Node& a, const Tensor& wa, const Node& b, const Tensor& wb) {
  return wa.dim(2) == wb.dim(2) && wa.dim(3) == wb.dim(3) && a.Int("group", 1) == 1 &&
         b.Int("group", 1) == 1 && a.Ints("strides", kOnes) == b.Ints("strides", kOnes) &&
         a.Ints("pads", kZeros) == b.Ints("pads", kZeros) &&
         a.Ints("dilations", kOnes) == b.Ints("dilations", kOnes) && !a.Has("auto_pad") && !b.Has("auto_pad");
}

struct Pair {
  const Node *trained, *narrow;
  std::int64_t wide, few;  // channels of the results
};

// Convolutions of both, in narrow's order.
std::vector<Pair> PairsByName(const Graph& trained, const Graph& narrow) {
  std::unordered_map<std::string, const Node*> by_name;
  for (const Node& node : trained.nodes) {
    if (node.Is("Conv")) by_name[node.name] = &node;
  }
  std::vector<Pair> pairs;
  for (const Node& node : narrow.nodes) {
    const auto found = node.Is("Conv") ? by_name.find(node.name) : by_name.end();
    if (found == by_name.end()) continue;
    const Initializer *own = narrow.FindInitializer(node.inputs[1]),
                      *theirs = trained.FindInitializer(found->second->inputs[1]);
    if (own == nullptr || theirs == nullptr) continue;
    if (SameWindow(*found->second, theirs->value, node, own->value))
      pairs.push_back({found->second, &node, theirs->value.dim(0), own->value.dim(0)});
  }
  return pairs;
}

}  // namespace

const Node* BatchNormBehind(const Graph& graph, const GraphIndex& index, const Node& conv) {
  const auto readers = index.consumers.find(conv.outputs[0]);
  if (readers == index.consumers.end()) return nullptr;
  for (const int reader : readers->second) {
    if (graph.nodes[reader].Is("BatchNormalization")) return &graph.nodes[reader];
  }
  return nullptr;
}

std::vector<PrunedConv> ChoosePrunedChannels(const Graph& trained, const Graph& narrow) {
  const Trace wide_trace(trained), trace(narrow);
  const Readers readers = WeighReaders(trained, wide_trace);
  const GraphIndex index(trained);

  struct Group {
    std::vector<double> scores;
    std::int64_t few = 0;
    bool fits = true;
    std::vector<std::int64_t> wide_places, few_places;  // both empty: any channel may stay for any
    std::vector<std::int64_t> kept;
  };
  std::map<std::string, Group> groups;
  const std::vector<Pair> pairs = PairsByName(trained, narrow);
  for (const Pair& pair : pairs) {
    Group& group = groups[trace.Group(pair.narrow->name)];
    if (group.scores.empty()) group.scores.resize(static_cast<std::size_t>(pair.wide)), group.few = pair.few;
    if (group.scores.size() != static_cast<std::size_t>(pair.wide) || pair.few > pair.wide) {
      group.fits = false;
      continue;
    }
    const auto wide_places = wide_trace.Places(pair.trained->name);
    const auto few_places = trace.Places(pair.narrow->name);
    if (!wide_places.empty() && !few_places.empty())
      group.wide_places = wide_places, group.few_places = few_places;
    const auto read = readers.find(pair.trained->outputs[0]);
    const Node* norm = BatchNormBehind(trained, index, *pair.trained);
    const Initializer* factors = norm != nullptr ? trained.FindInitializer(norm->inputs[1]) : nullptr;
    for (std::size_t c = 0; c < group.scores.size(); ++c) {
      const double weight =
          read != readers.end() && read->second.size() == group.scores.size() ? read->second[c] : 0.0;
      group.scores[c] += weight * (factors != nullptr ? std::abs(factors->value.data<float>()[c]) : 1.0);
    }
  }
  for (auto& [name, group] : groups) {
    const auto wide = static_cast<std::int64_t>(group.scores.size());
    if (wide != group.few && trace.Whole(name)) group.fits = false;
    if (group.wide_places.empty()) group.wide_places = {wide}, group.few_places = {group.few};
    group.fits = group.fits && Holds(group.wide_places, group.few_places);
    if (group.fits) group.kept = Best(group.scores, group.wide_places, group.few_places);
  }

  std::vector<PrunedConv> chosen;
  for (const Pair& pair : pairs) {
    const Group& group = groups.at(trace.Group(pair.narrow->name));
    if (!group.fits) continue;
    PrunedConv conv{.name = pair.narrow->name, .outputs = group.kept, .inputs = {}};
    for (const Origin& origin : trace.Of(pair.narrow->inputs[0])) {
      std::int64_t offset = 0;
      const Origin* theirs = nullptr;
      for (const Origin& other : wide_trace.Of(pair.trained->inputs[0])) {
        if (other.maker == origin.maker) {
          theirs = &other;
          break;
        }
        offset += other.channels;
      }
      const auto from = groups.find(trace.Group(origin.maker));
      for (std::int64_t c = 0; c < origin.channels; ++c) {
        std::int64_t position = -1;
        if (theirs != nullptr && from != groups.end() && from->second.fits)
          position = offset + from->second.kept[static_cast<std::size_t>(c)];
        else if (theirs != nullptr && from == groups.end() && theirs->channels == origin.channels)
          position = offset + c;  // the image
        conv.inputs.push_back(position);
      }
    }
    const std::int64_t reads = narrow.FindInitializer(pair.narrow->inputs[1])->value.dim(1);
    if (conv.inputs.empty()) conv.inputs.assign(static_cast<std::size_t>(reads), -1);
    chosen.push_back(std::move(conv));
  }
  return chosen;
}

}  // namespace frf
