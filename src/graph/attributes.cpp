// SPDX-License-Identifier: Apache-2.0
// What each operator's attributes may hold: so that no reader has to guard against a stride of 0 or a group
// of -1. Subtle: only what needs no shapes is checked here; what depends on sizes is shape inference's
// business.
#include "graph/attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;
constexpr std::int64_t kMaxWindow = 1 << 20;

class Checker {
 public:
  Checker(const Node& node, const std::string& graph) : node_(node), graph_(graph) {}

  [[noreturn]] void Bad(const std::string& message, ErrorCode code = ErrorCode::kCorruptFile) const {
    throw Error(code, fmt::format("graph '{}': node '{}' ({}): {}", graph_, node_.name, node_.op, message));
  }

  const Node& node() const { return node_; }

  void Int(const char* key, std::int64_t low, std::int64_t high) const {
    if (!Typed<std::int64_t>(key, "an integer")) return;
    const std::int64_t value = node_.Int(key, 0);
    if (value < low || value > high) Bad(fmt::format("{} is {}, {} to {} is allowed", key, value, low, high));
  }

  void Flag(const char* key) const { Int(key, 0, 1); }
  void Axis(const char* key) const { Int(key, -64, 63); }

  void Float(const char* key, float low, float high) const {
    if (!Typed<float>(key, "a float")) return;
    const float value = node_.Float(key, 0);
    if (!(value >= low && value <= high))
      Bad(fmt::format("{} is {}, {} to {} is allowed", key, value, low, high));
  }

  void Ints(const char* key, std::int64_t low, std::int64_t high) const {
    if (!Typed<std::vector<std::int64_t>>(key, "a list of integers")) return;
    for (const std::int64_t value : node_.Ints(key, {})) {
      if (value < low || value > high)
        Bad(fmt::format("{} holds {}, {} to {} is allowed", key, value, low, high));
    }
  }

  void Word(const char* key, std::initializer_list<const char*> known) const {
    if (!Typed<std::string>(key, "a string")) return;
    const std::string value = node_.String(key, "");
    if (std::find(known.begin(), known.end(), value) != known.end()) return;
    Bad(fmt::format("{} is '{}'; {} are known", key, value, fmt::join(known, ", ")), ErrorCode::kUnsupported);
  }

  void Need(const char* key) const {
    if (!node_.Has(key)) Bad(fmt::format("has no attribute {}", key));
  }

 private:
  template <typename T>
  bool Typed(const char* key, const char* wanted) const {
    const auto it = node_.attributes.find(key);
    if (it == node_.attributes.end()) return false;
    if (!std::holds_alternative<T>(it->second)) Bad(fmt::format("{} must be {}", key, wanted));
    return true;
  }

  const Node& node_;
  const std::string& graph_;
};

void CheckWindow(const Checker& c) {
  c.Ints("kernel_shape", 1, kMaxWindow);
  c.Ints("strides", 1, kMaxWindow);
  c.Ints("dilations", 1, kMaxWindow);
  c.Ints("pads", 0, kMaxWindow);
  c.Word("auto_pad", {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"});
  const std::size_t axes = c.node().Ints("kernel_shape", {}).size();
  for (const char* key : {"strides", "dilations", "pads"}) {
    const std::size_t wanted = axes * (std::string(key) == "pads" ? 2 : 1),
                      seen = c.node().Ints(key, {}).size();
    if (axes > 0 && c.node().Has(key) && seen != wanted)
      c.Bad(fmt::format("{} has {} entries, {} are wanted", key, seen, wanted));
  }
}

void CheckConv(const Checker& c) {
  CheckWindow(c);
  c.Int("group", 1, kMaxWindow);
  c.Ints("output_padding", 0, kMaxWindow);
  c.Ints("output_shape", 1, kMaxWindow);
}

void CheckPool(const Checker& c) {
  c.Need("kernel_shape");
  CheckWindow(c);
  if (c.node().Ints("kernel_shape", {}).empty()) c.Bad("kernel_shape has no entries");
  c.Flag("ceil_mode");
  c.Flag("count_include_pad");
  c.Flag("storage_order");
  if (c.node().Int("storage_order", 0) != 0)
    c.Bad("storage_order 1 (column-major indices)", ErrorCode::kUnsupported);
  const Ints pads = c.node().Ints("pads", {}), kernel = c.node().Ints("kernel_shape", {}),
             dilations = c.node().Ints("dilations", Ints(kernel.size(), 1));
  for (std::size_t i = 0; i < pads.size(); ++i) {  // a window must meet the map
    const std::size_t axis = i % kernel.size();
    if (pads[i] > (kernel[axis] - 1) * dilations[axis])
      c.Bad(fmt::format("a pad of {} for a kernel of {}", pads[i], kernel[axis]));
  }
}

void CheckNorm(const Checker& c) {
  c.Float("epsilon", 0.0f, 1.0f);
  c.Float("momentum", 0.0f, 1.0f);
  if (c.node().Int("training_mode", 0) != 0)
    c.Bad("training_mode 1; export the network for inference", ErrorCode::kUnsupported);
}

// stash_type names the type that moments are taken in: double, here, is no worse than any of them.
void CheckGroupNorm(const Checker& c) {
  c.Need("num_groups");
  c.Int("num_groups", 1, kMaxWindow);
  c.Float("epsilon", 0.0f, 1.0f);
  c.Int("stash_type", 1, 16);
  const std::int64_t stash = c.node().Int("stash_type", 1);
  if (stash != 1 && stash != 10 && stash != 11 && stash != 16)
    c.Bad(fmt::format("stash_type {} is no type of real numbers", stash));
}

void CheckPermutation(const Checker& c) {
  Ints order = c.node().Ints("perm", {});
  std::sort(order.begin(), order.end());
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<std::int64_t>(i)) c.Bad("perm is no permutation");
  }
}

void CheckConstant(const Checker& c) {
  for (const char* key : {"value", "value_int", "value_ints", "value_float", "value_floats"}) {
    const auto it = c.node().attributes.find(key);
    if (it == c.node().attributes.end()) continue;
    const Tensor* tensor = std::get_if<Tensor>(&it->second);
    if (std::string(key) == "value" && (tensor == nullptr || !tensor->has_data()))
      c.Bad("value must be a tensor");
    return;
  }
  c.Bad("holds no value; value, value_int(s) and value_float(s) are known", ErrorCode::kUnsupported);
}

void CheckFilled(const Checker& c) {
  const auto it = c.node().attributes.find("value");
  if (it == c.node().attributes.end()) return;
  const Tensor* tensor = std::get_if<Tensor>(&it->second);
  if (tensor == nullptr || !tensor->has_data() || tensor->size() != 1)
    c.Bad("value must be a tensor of one element");
}

void CheckResize(const Checker& c) {
  c.Word("mode", {"nearest", "linear", "cubic"});
  c.Word("coordinate_transformation_mode",
         {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
          "tf_half_pixel_for_nn", "tf_crop_and_resize"});
  c.Word("nearest_mode", {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
  c.Word("keep_aspect_ratio_policy", {"stretch"});
  c.Flag("antialias");
  c.Flag("exclude_outside");
  c.Float("cubic_coeff_a", -16.0f, 16.0f);
  c.Float("extrapolation_value", -1e30f, 1e30f);
}

void CheckSpectral(const Checker& c) {
  c.Need("frequencies");
  c.Need("channels");
  c.Ints("frequencies", 0, 4096);
  c.Ints("channels", 0, kMaxWindow);
  c.Float("scale", -1e6f, 1e6f);
  const std::size_t pairs = c.node().Ints("frequencies", {}).size(),
                    groups = c.node().Ints("channels", {}).size();
  if (pairs != 2 * groups || groups == 0)
    c.Bad(fmt::format("{} frequencies for {} groups; two each are wanted", pairs, groups));
}

void CheckSplit(const Checker& c) {
  c.Axis("axis");
  c.Ints("split", 0, std::int64_t{1} << 40);
  c.Int("num_outputs", 1, 1 << 20);
}

void CheckReduce(const Checker& c) {
  c.Axis("axis");
  c.Ints("axes", -64, 63);
  c.Flag("keepdims");
  c.Flag("noop_with_empty_axes");
  c.Flag("select_last_index");
}

using Check = std::function<void(const Checker&)>;

const std::unordered_map<std::string, Check>& Checks() {
  static const std::unordered_map<std::string, Check> checks{
      {"Conv", CheckConv},
      {"ConvTranspose", CheckConv},
      {"MaxPool", CheckPool},
      {"AveragePool", CheckPool},
      {"MaxUnpool", [](const Checker& c) { c.Need("kernel_shape"), CheckWindow(c); }},
      {"BatchNormalization", CheckNorm},
      {"InstanceNormalization", CheckNorm},
      {"GroupNormalization", CheckGroupNorm},
      {"Resize", CheckResize},
      {"Transpose", CheckPermutation},
      {"Constant", CheckConstant},
      {"ConstantOfShape", CheckFilled},
      {"Split", CheckSplit},
      {"Concat", [](const Checker& c) { c.Need("axis"), c.Axis("axis"); }},
      {"Cast", [](const Checker& c) { c.Need("to"), c.Int("to", 1, 32); }},
      {"Softmax", [](const Checker& c) { c.Axis("axis"); }},
      {"LogSoftmax", [](const Checker& c) { c.Axis("axis"); }},
      {"Gather", [](const Checker& c) { c.Axis("axis"); }},
      {"Flatten", [](const Checker& c) { c.Int("axis", -64, 64); }},
      {"QuantizeLinear", [](const Checker& c) { c.Axis("axis"); }},
      {"DequantizeLinear", [](const Checker& c) { c.Axis("axis"); }},
      {"Squeeze", [](const Checker& c) { c.Ints("axes", -64, 63); }},
      {"Unsqueeze", [](const Checker& c) { c.Ints("axes", -64, 63); }},
      {"ReduceMean", CheckReduce},
      {"ReduceMax", CheckReduce},
      {"ReduceMin", CheckReduce},
      {"ReduceSum", CheckReduce},
      {"ReduceProd", CheckReduce},
      {"ReduceSumSquare", CheckReduce},
      {"ReduceLogSum", CheckReduce},
      {"ReduceLogSumExp", CheckReduce},
      {"GatherElements", [](const Checker& c) { c.Axis("axis"); }},
      {"ScatterElements", [](const Checker& c) { c.Axis("axis"); }},
      {"LayerNormalization", [](const Checker& c) { c.Axis("axis"), c.Float("epsilon", 0.0f, 1.0f); }},
      {"ArgMax", CheckReduce},
      {"Pad",
       [](const Checker& c) {
         c.Word("mode", {"constant", "reflect", "edge"});
       }},
      {"DepthToSpace",
       [](const Checker& c) {
         c.Need("blocksize"), c.Int("blocksize", 1, 4096), c.Word("mode", {"DCR", "CRD"});
       }},
      {"SpaceToDepth", [](const Checker& c) { c.Need("blocksize"), c.Int("blocksize", 1, 4096); }},
      {"Gemm", [](const Checker& c) { c.Flag("transA"), c.Flag("transB"); }},
      {"frf.AdaptiveAveragePool",
       [](const Checker& c) {
         c.Need("out"), c.Ints("out", 1, kMaxWindow);
         if (c.node().Ints("out", {}).size() != 2) c.Bad("out must be height and width");
       }},
      {"frf.ResizeLike",
       [](const Checker& c) {
         c.Word("mode", {"linear", "nearest"}),
             c.Word("coordinates", {"half_pixel", "align_corners", "asymmetric"});
       }},
      {"frf.SpectralPool", CheckSpectral},
      {"frf.DropChannels",
       [](const Checker& c) {
         c.Need("p"), c.Float("p", 0.0f, 1.0f);
         if (c.node().Float("p", 0.0f) == 1.0f) c.Bad("p is 1: nothing would be left");
       }},
  };
  return checks;
}

}  // namespace

void CheckAttributes(const Node& node, const std::string& graph_name) {
  const Checker checker(node, graph_name);
  for (const auto& [key, attribute] : node.attributes) {
    const float* number = std::get_if<float>(&attribute);
    if (number != nullptr && !std::isfinite(*number))
      checker.Bad(fmt::format("{} is not a finite number", key));
  }
  const auto it = Checks().find(node.domain.empty() ? node.op : node.domain + "." + node.op);
  if (it != Checks().end()) it->second(checker);
}

}  // namespace frf
