// SPDX-License-Identifier: Apache-2.0
// Node attributes, look-ups, deep copies and the drawing of fresh weights.
// Subtle: every initialiser has a random stream of its own, keyed by (seed, hash of its name), so that adding
// a layer or changing the order of construction leaves all other weights as they were.
#include "graph/graph.h"

#include <fmt/format.h>

#include <cmath>

#include "base/random.h"

namespace frf {
namespace {

template <typename T>
T Get(const Node& node, const std::string& key, T fallback, const char* wanted) {
  const auto it = node.attributes.find(key);
  if (it == node.attributes.end()) return fallback;
  if (const T* value = std::get_if<T>(&it->second)) return *value;
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("node '{}' ({}): attribute '{}' must be {}", node.name, node.op, key, wanted));
}

// FNV-1a, 64 bits: stable across machines, unlike std::hash.
std::uint64_t HashName(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : name) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
  return hash;
}

Tensor Filled(const Shape& shape, float value) {
  Tensor tensor = Tensor::Uninitialized(DType::kFloat32, shape);
  float* data = tensor.data<float>();
  std::fill(data, data + tensor.size(), value);
  return tensor;
}

}  // namespace

std::int64_t Node::Int(const std::string& key, std::int64_t fallback) const {
  return Get(*this, key, fallback, "an integer");
}
float Node::Float(const std::string& key, float fallback) const {
  return Get(*this, key, fallback, "a float");
}
std::string Node::String(const std::string& key, const std::string& fallback) const {
  return Get(*this, key, fallback, "a string");
}
std::vector<std::int64_t> Node::Ints(const std::string& key, std::vector<std::int64_t> fallback) const {
  return Get(*this, key, std::move(fallback), "a list of integers");
}
std::vector<float> Node::Floats(const std::string& key, std::vector<float> fallback) const {
  return Get(*this, key, std::move(fallback), "a list of floats");
}

const Initializer* Graph::FindInitializer(std::string_view key) const {
  for (const Initializer& initializer : initializers) {
    if (initializer.name == key) return &initializer;
  }
  return nullptr;
}

Initializer* Graph::FindInitializer(std::string_view key) {
  return const_cast<Initializer*>(std::as_const(*this).FindInitializer(key));
}

const Node* Graph::Producer(std::string_view value) const {
  if (value.empty()) return nullptr;
  for (const Node& node : nodes) {
    for (const std::string& output : node.outputs) {
      if (output == value) return &node;
    }
  }
  return nullptr;
}

Graph Graph::DeepCopy() const {
  Graph copy = *this;
  for (Initializer& initializer : copy.initializers) initializer.value = initializer.value.Clone();
  for (Node& node : copy.nodes) {
    for (auto& [key, attribute] : node.attributes) {
      if (Tensor* tensor = std::get_if<Tensor>(&attribute)) *tensor = tensor->Clone();
    }
  }
  return copy;
}

std::int64_t Graph::ParameterCount() const {
  std::int64_t count = 0;
  for (const Initializer& initializer : initializers) {
    if (initializer.role == Role::kParameter) count += initializer.value.size();
  }
  return count;
}

GraphIndex::GraphIndex(const Graph& graph) {
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) {
    for (const std::string& output : graph.nodes[i].outputs) {
      if (!output.empty()) producer.emplace(output, i);
    }
    for (const std::string& input : graph.nodes[i].inputs) {
      if (input.empty()) continue;
      std::vector<int>& list = consumers[input];
      if (list.empty() || list.back() != i) list.push_back(i);  // Mul(x, x) consumes x once
    }
  }
  for (int i = 0; i < static_cast<int>(graph.initializers.size()); ++i)
    initializer.emplace(graph.initializers[i].name, i);
}

Tensor DrawInitializer(const Initializer& initializer, std::uint64_t seed) {
  const Shape& shape = initializer.value.shape();
  switch (initializer.init) {
    case Init::kZeros:
      return Filled(shape, 0.0f);
    case Init::kOnes:
      return Filled(shape, 1.0f);
    case Init::kQuarter:
      return Filled(shape, 0.25f);
    case Init::kKaimingFanOut: {
      // Fan out as torch counts it: first dimension times the kernel's area.
      double fan_out = shape.empty() ? 1.0 : static_cast<double>(shape[0]);
      for (std::size_t i = 2; i < shape.size(); ++i) fan_out *= static_cast<double>(shape[i]);
      const double deviation = std::sqrt(2.0 / std::max(fan_out, 1.0));
      Tensor tensor = Tensor::Uninitialized(DType::kFloat32, shape);
      Random random(seed, 0, HashName(initializer.name));
      float* data = tensor.data<float>();
      const std::int64_t count = tensor.size();
      for (std::int64_t i = 0; i < count; ++i) data[i] = static_cast<float>(deviation * random.Normal());
      return tensor;
    }
    case Init::kGiven:
      break;
  }
  throw Error(ErrorCode::kInternal,
              fmt::format("initialiser '{}' is given, so it cannot be drawn; it has {} data",
                          initializer.name, initializer.value.has_data() ? "its" : "no"));
}

void InitializeWeights(Graph& graph, std::uint64_t seed) {
  for (Initializer& initializer : graph.initializers) {
    if (!initializer.value.has_data()) initializer.value = DrawInitializer(initializer, seed);
  }
}

}  // namespace frf
