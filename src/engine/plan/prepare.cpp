// SPDX-License-Identifier: Apache-2.0
#include "engine/plan/prepare.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/plain.h"
#include "frf/error.h"
#include "graph/output.h"
#include "graph/passes.h"
#include "onnx/onnx_file.h"

namespace frf::engine {
namespace {

bool HasOwnOperators(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(),
                     [](const Node& node) { return node.domain == kFrfDomain; });
}

}  // namespace

Graph FixShapes(const Graph& graph, const TypeMap& types) {
  Graph fixed = graph;
  fixed.nodes.clear();
  for (const Node& node : graph.nodes) {
    const bool shape = node.domain.empty() && node.Is("Shape"), size = node.domain.empty() && node.Is("Size");
    const auto known = shape || size ? types.find(node.inputs[0]) : types.end();
    if (known == types.end()) {
      fixed.nodes.push_back(node);
      continue;
    }
    const Shape& dims = known->second.shape;
    Initializer constant{.name = node.outputs[0], .role = Role::kConstant, .init = Init::kGiven};
    if (size) {
      constant.value = Tensor::Scalar<std::int64_t>(NumElements(dims));
    } else {
      const auto rank = static_cast<std::int64_t>(dims.size());
      const auto clamp = [&](std::int64_t at) {
        return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank);
      };
      const std::int64_t begin = clamp(node.Int("start", 0)),
                         end = std::max(begin, clamp(node.Int("end", rank)));
      constant.value = Tensor::Of<std::int64_t>({end - begin}, {dims.begin() + begin, dims.begin() + end});
    }
    fixed.initializers.push_back(std::move(constant));
  }
  return fixed;
}

Graph PrepareOnce(const Graph& graph) { return FoldBatchNorm(FoldConstants(WithMainOutputOnly(graph))); }

PreparedGraph Prepare(const Graph& graph, const Shape& input) {
  if (graph.inputs.size() != 1) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{}: a network of one input is wanted, {} are declared",
                                                     graph.name, graph.inputs.size()));
  }
  Graph ready = graph;
  if (HasOwnOperators(ready)) {
    ready = LowerToOnnx(ready, std::pair{static_cast<int>(input.at(2)), static_cast<int>(input.at(3))});
  }
  ready.inputs[0].shape = input;
  ready = FixShapes(ready, InferShapes(ready, {{ready.inputs[0].name, input}}));
  ready = FoldConstants(ready);
  auto quantization = std::make_shared<Quantization>();
  ready = TakeQuantization(ready, *quantization);  // after all that may rename values
  TypeMap types = InferShapes(ready, {{ready.inputs[0].name, input}});
  if (!quantization->empty()) return {std::move(ready), std::move(types), std::move(quantization)};
  // Values that are rounded must not be summed in another order; whoever quantised a file has unrolled its
  // sums.
  ready = UnrollRunningSums(ready, types).ForInference();  // the last sum has no reader any more
  return {std::move(ready), std::move(types), nullptr};
}

}  // namespace frf::engine
