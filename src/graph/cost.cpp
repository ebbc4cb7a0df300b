// SPDX-License-Identifier: Apache-2.0
// What a graph costs at one size: parameters, multiply-accumulates, memory, receptive field, by layer and in
// sum. Subtle: `macs` counts what papers count (convolutions and linear layers with trained weights);
// products of two activations (attention) and spectral pooling stand in `macs_all` besides, because most
// papers' counters miss them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "graph/shapes.h"

namespace frf {
namespace {

std::int64_t Times(std::int64_t a, std::int64_t b) {
  std::int64_t product;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<std::int64_t>::max() : product;
}

// What one output element sees of the input along each axis: `extent` input pixels, its neighbour `step`
// pixels on.
struct Reach {
  double extent[2] = {1.0, 1.0};
  double step[2] = {1.0, 1.0};
  bool whole = false;  // the whole image
  bool image = false;  // depends on the input at all
};

class Counter {
 public:
  Counter(const Graph& graph, const TypeMap& types) : graph_(graph), types_(types) {
    for (const GraphInput& input : graph.inputs) reach_[input.name].image = true;
    for (const Initializer& initializer : graph.initializers)
      initializers_.emplace(initializer.name, &initializer);
  }

  Cost Run() {
    Cost cost;
    for (const Node& node : graph_.nodes) {
      LayerCost layer = Count(node);
      cost.params += layer.params;
      cost.macs += layer.macs;
      cost.macs_all += layer.macs_all;
      cost.activation_bytes += layer.bytes;
      cost.layers.push_back(std::move(layer));
    }
    cost.peak_bytes = Peak();
    return cost;
  }

 private:
  const Shape& ShapeOf(const Node& node, std::size_t input) const {
    static const Shape none;
    if (input >= node.inputs.size() || node.inputs[input].empty()) return none;
    return TypeOf(node, node.inputs[input]).shape;
  }

  const TensorType& TypeOf(const Node& node, const std::string& value) const {
    const auto it = types_.find(value);
    if (it == types_.end()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format(
              "node '{}' ({}): the shape of '{}' is not among those given; infer shapes of this graph first",
              node.name, node.op, value));
    }
    return it->second;
  }

  std::int64_t BytesOf(const Node& node, const std::string& value) const {
    const TensorType& type = TypeOf(node, value);
    return Times(NumElements(type.shape), static_cast<std::int64_t>(ByteSize(type.dtype)));
  }

  LayerCost Count(const Node& node) {
    LayerCost layer{.node = node.name, .op = node.op};
    if (!node.outputs.empty() && !node.outputs[0].empty()) layer.output = TypeOf(node, node.outputs[0]).shape;
    for (const std::string& output : node.outputs) {
      if (!output.empty()) layer.bytes += BytesOf(node, output);
    }
    const Reach reach = Follow(node);
    layer.params = TakeParameters(node, reach.image);
    layer.macs = Macs(node);
    layer.macs_all = layer.macs + Products(node);
    if (reach.image && !reach.whole) {
      layer.receptive_field =
          static_cast<int>(std::min(1e9, std::ceil(std::max(reach.extent[0], reach.extent[1]) - 1e-6)));
    }
    for (const std::string& output : node.outputs) reach_[output] = reach;
    return layer;
  }

  // Each parameter is counted where it is first read; a weight that passes through a Cast or DequantizeLinear
  // is counted at the layer behind it.
  std::int64_t TakeParameters(const Node& node, bool image) {
    std::int64_t params = 0;
    for (const std::string& input : node.inputs) {
      if (const auto it = carried_.find(input); it != carried_.end()) {
        params += it->second;
        carried_.erase(it);
      }
      const auto it = initializers_.find(input);
      if (it == initializers_.end()) continue;
      if (it->second->role == Role::kParameter) params += NumElements(it->second->value.shape());
      initializers_.erase(it);
    }
    if (image || params == 0 || node.outputs.empty()) return params;
    carried_[node.outputs[0]] = params;
    return 0;
  }

  bool Trained(const std::string& value) const {
    const auto it = reach_.find(value);
    if (it != reach_.end()) return !it->second.image;  // made from initialisers alone
    const Initializer* initializer = graph_.FindInitializer(value);
    return initializer != nullptr && initializer->role != Role::kConstant;
  }

  std::int64_t Macs(const Node& node) const {
    if (node.Is("Conv") || node.Is("ConvTranspose")) {
      const Shape& weight = ShapeOf(node, 1);
      std::int64_t per_position = 1;  // of the output, or of the input when transposed
      for (std::size_t i = 1; i < weight.size(); ++i) per_position = Times(per_position, weight[i]);
      return Times(NumElements(node.Is("Conv") ? TypeOf(node, node.outputs[0]).shape : ShapeOf(node, 0)),
                   per_position);
    }
    if (node.Is("Gemm")) {
      const Shape& a = ShapeOf(node, 0);
      return Times(NumElements(TypeOf(node, node.outputs[0]).shape), a[node.Int("transA", 0) != 0 ? 0 : 1]);
    }
    if (node.Is("MatMul") && (Trained(node.inputs[0]) || Trained(node.inputs[1])))
      return MatMulProducts(node);
    return 0;
  }

  std::int64_t MatMulProducts(const Node& node) const {
    return Times(NumElements(TypeOf(node, node.outputs[0]).shape), ShapeOf(node, 0).back());
  }

  std::int64_t Products(const Node& node) const {
    if (node.Is("MatMul"))
      return Trained(node.inputs[0]) || Trained(node.inputs[1]) ? 0 : MatMulProducts(node);
    if (node.domain != kFrfDomain || !node.Is("SpectralPool")) return 0;
    const Shape& x = ShapeOf(node, 0);  // along the width first, then along the height
    return Times(x[0] * x[1], Times(x[2], x[3]) + x[2]);
  }

  Reach Joined(const Node& node) const {
    Reach joined;
    joined.step[0] = joined.step[1] = 0.0;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const auto it = reach_.find(node.inputs[i]);
      if (it == reach_.end() || !it->second.image) continue;
      if (i == 1 && node.domain == kFrfDomain && node.Is("ResizeLike")) continue;  // its size alone
      if (node.Is("Shape")) continue;
      joined.image = true;
      joined.whole = joined.whole || it->second.whole;
      for (int a = 0; a < 2; ++a) {
        joined.extent[a] = std::max(joined.extent[a], it->second.extent[a]);
        joined.step[a] = std::max(joined.step[a], it->second.step[a]);
      }
    }
    return joined;
  }

  Reach Follow(const Node& node) const {
    Reach reach = Joined(node);
    if (!reach.image || reach.whole) return reach;
    static constexpr std::string_view kWindows[] = {"Conv", "ConvTranspose", "MaxPool", "AveragePool"};
    if (std::find(std::begin(kWindows), std::end(kWindows), node.op) != std::end(kWindows)) {
      FollowWindow(node, reach);
    } else if (node.op.starts_with("Global") || node.Is("SpectralPool") || node.Is("AdaptiveAveragePool") ||
               node.Is("MatMul") || node.Is("Gemm") || node.Is("InstanceNormalization") ||
               node.Is("GroupNormalization")) {
      reach.whole = true;
    } else if (node.Is("Softmax") || node.Is("LogSoftmax") || node.Is("Hardmax") ||
               node.Is("LayerNormalization") || node.op.starts_with("Reduce") || node.op.starts_with("Arg")) {
      reach.whole = !AlongChannels(node);
    } else if (node.Is("ResizeLike") || node.Is("Resize") || node.Is("Unpool") || node.Is("MaxUnpool") ||
               node.Is("DepthToSpace") || node.Is("SpaceToDepth")) {
      FollowResize(node, reach);
    }
    return reach;
  }

  // A reduction or softmax of a map over its channels sees one pixel.
  bool AlongChannels(const Node& node) const {
    const Shape& x = ShapeOf(node, 0);
    if (x.size() != 4) return false;
    const bool flattens =
        graph_.opset < 13 && (node.Is("Softmax") || node.Is("LogSoftmax") || node.Is("Hardmax"));
    if (flattens || node.Is("LayerNormalization")) return false;  // all axes from the named one on
    const bool last = node.Is("Softmax") || node.Is("LogSoftmax") || node.Is("Hardmax");
    std::vector<std::int64_t> axes{node.Int("axis", last ? -1 : 0)};
    if (node.op.starts_with("Reduce")) {
      axes = node.Ints("axes", {0, 1, 2, 3});
      if (node.inputs.size() > 1 && !node.inputs[1].empty()) {  // an input since opset 13 or 18
        const Initializer* given = graph_.FindInitializer(node.inputs[1]);
        if (given != nullptr) axes = given->value.ToVector<std::int64_t>();
      }
    }
    return std::all_of(axes.begin(), axes.end(),
                       [](std::int64_t axis) { return axis == 1 || axis == -3 || axis == 0; });
  }

  void FollowWindow(const Node& node, Reach& reach) const {
    const Shape& x = ShapeOf(node, 0);
    if (x.size() != 4) return;
    const bool conv = node.Is("Conv") || node.Is("ConvTranspose");
    const Shape& weight = ShapeOf(node, 1);
    const std::vector<std::int64_t> kernel =
        conv ? std::vector<std::int64_t>{weight[2], weight[3]} : node.Ints("kernel_shape", {1, 1});
    const std::vector<std::int64_t> strides = node.Ints("strides", {1, 1}),
                                    dilations = node.Ints("dilations", {1, 1});
    for (int a = 0; a < 2; ++a) {
      const double extent = static_cast<double>((kernel[a] - 1) * dilations[a] + 1),
                   stride = static_cast<double>(strides[a]);
      if (node.Is("ConvTranspose")) {  // an output pixel reads every stride-th tap
        reach.extent[a] += (std::ceil(extent / stride) - 1.0) * reach.step[a];
        reach.step[a] /= stride;
      } else {
        reach.extent[a] += (extent - 1.0) * reach.step[a];
        reach.step[a] *= stride;
      }
    }
  }

  void FollowResize(const Node& node, Reach& reach) const {
    const Shape& x = ShapeOf(node, 0);
    const Shape& y = TypeOf(node, node.outputs[0]).shape;
    if (x.size() != 4 || y.size() != 4) return;
    const std::string mode = node.String("mode", node.Is("ResizeLike") ? "linear" : "nearest");
    const int others = mode == "linear" ? 1 : mode == "cubic" ? 3 : 0;  // neighbours beside the nearest
    for (int a = 0; a < 2; ++a) {
      if (x[2 + a] == y[2 + a]) continue;
      reach.extent[a] += others * reach.step[a];
      reach.step[a] *= static_cast<double>(x[2 + a]) / static_cast<double>(y[2 + a]);
    }
  }

  // Bytes alive while each node runs: its inputs, its outputs and what later nodes read; graph outputs stay.
  std::int64_t Peak() const {
    std::unordered_map<std::string, int> last;
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      for (const std::string& input : graph_.nodes[i].inputs) last[input] = i;
      for (const std::string& output : graph_.nodes[i].outputs) last.emplace(output, i);
    }
    for (const GraphOutput& output : graph_.outputs)
      last[output.name] = static_cast<int>(graph_.nodes.size());
    std::unordered_map<std::string, std::int64_t> alive;
    std::int64_t now = 0, peak = 0;
    for (const GraphInput& input : graph_.inputs) {
      const TensorType& type = types_.at(input.name);
      now += alive[input.name] =
          Times(NumElements(type.shape), static_cast<std::int64_t>(ByteSize(type.dtype)));
    }
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      const Node& node = graph_.nodes[i];
      for (const std::string& output : node.outputs) {
        if (!output.empty()) now += alive[output] = BytesOf(node, output);
      }
      peak = std::max(peak, now);
      for (const auto* list : {&node.inputs, &node.outputs}) {
        for (const std::string& value : *list) {
          const auto it = alive.find(value);
          if (it == alive.end() || last[value] > i) continue;
          now -= it->second;
          alive.erase(it);
        }
      }
    }
    return peak;
  }

  const Graph& graph_;
  const TypeMap& types_;
  std::unordered_map<std::string, Reach> reach_;
  std::unordered_map<std::string, const Initializer*> initializers_;  // not counted yet
  std::unordered_map<std::string, std::int64_t> carried_;
};

}  // namespace

Cost CountCost(const Graph& graph, const TypeMap& types) { return Counter(graph, types).Run(); }

}  // namespace frf
