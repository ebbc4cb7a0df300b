// SPDX-License-Identifier: Apache-2.0
// Subtle: resizes keep constants (their weights sum to 1), so what is added before one has been added behind
// it.
#include "cli/class_bias.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <sstream>

#include "frf/error.h"
#include "graph/output.h"

namespace frf::cli {
namespace {

// Between the classifier and the output there may stand what keeps the classes apart and their order.
const std::set<std::string> kPassed{"Resize", "ResizeLike", "Identity", "ArgMax",
                                    "Cast",   "Squeeze",    "Softmax"};

// The bias of the convolution that the output which is used comes from; a copy of its own where other layers
// read it too.
Initializer& BiasOf(Graph& graph, int classes) {
  const Node* node = graph.Producer(MainOutput(graph).name);
  while (node != nullptr && kPassed.contains(node->op)) node = graph.Producer(node->inputs.at(0));
  if (node != nullptr && node->Is("Conv") && node->inputs.size() > 2) {
    Initializer* bias = graph.FindInitializer(node->inputs[2]);
    if (bias != nullptr && bias->value.has_data() && bias->value.dtype() == DType::kFloat32 &&
        bias->value.size() == classes) {
      std::size_t readers = 0;
      for (const Node& other : graph.nodes)
        readers += std::count(other.inputs.begin(), other.inputs.end(), bias->name);
      for (const GraphOutput& output : graph.outputs) readers += output.name == bias->name;
      if (readers == 1) return *bias;
      Initializer own = *bias;
      while (own.name == bias->name || graph.FindInitializer(own.name) || graph.Producer(own.name))
        own.name += ".class_bias";
      Node& classifier = graph.nodes[node - graph.nodes.data()];
      classifier.inputs[2] = own.name;
      graph.initializers.push_back(std::move(own));
      return graph.initializers.back();
    }
  }
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("--class-bias: the scores come from {}, not from a convolution with a float32 bias "
                  "for each of {} classes",
                  node == nullptr ? "an input" : fmt::format("'{}' ({})", node->name, node->op), classes));
}

}  // namespace

std::vector<float> ParseClassBias(const std::string& text, const Classes& classes) {
  std::vector<float> bias(classes.names.size(), 0.0f);
  std::set<std::string> seen;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    const std::size_t equals = part.rfind('=');
    const std::string name = part.substr(0, equals);
    const auto found = std::find(classes.names.begin(), classes.names.end(), name);
    if (equals == std::string::npos || found == classes.names.end()) {
      throw Error(ErrorCode::kUsage, fmt::format("--class-bias '{}': NAME=NUMBER is wanted; classes are {}",
                                                 part, fmt::join(classes.names, ", ")));
    }
    float value = 0;
    const char *begin = part.data() + equals + 1, *end = part.data() + part.size();
    const bool plus = *begin == '+' && begin[1] != '-';  // which from_chars does not know
    const auto [stop, error] = std::from_chars(begin + plus, end, value);
    if (error != std::errc() || stop != end || !std::isfinite(value) || std::abs(value) > 100)
      throw Error(ErrorCode::kUsage,
                  fmt::format("--class-bias '{}': '{}' is not a number from -100 to 100", part, begin));
    if (!seen.insert(name).second)
      throw Error(ErrorCode::kUsage, fmt::format("--class-bias: '{}' is given twice", name));
    bias[found - classes.names.begin()] = value;
  }
  return bias;
}

void AddClassBias(Model& model, const std::vector<float>& bias) {
  Initializer& own = BiasOf(model.graph, static_cast<int>(bias.size()));
  own.value = own.value.Clone();
  for (std::size_t c = 0; c < bias.size(); ++c) own.value.data<float>()[c] += bias[c];
  Json noted = Json::object();
  if (model.info.train.is_object())
    noted = model.info.train.value("class_bias", noted);  // of an earlier export
  for (std::size_t c = 0; c < bias.size(); ++c) {
    const std::string& name = model.info.classes.names[c];
    if (bias[c] != 0) noted[name] = noted.value(name, 0.0f) + bias[c];
  }
  model.info.train["class_bias"] = noted;
  model.info.eval = Json::array();
}

}  // namespace frf::cli
