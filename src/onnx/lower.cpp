// SPDX-License-Identifier: Apache-2.0
// LowerToOnnx: the operators of domain "frf" in standard ONNX (opset 17).
//
//   operator              fixed size                        free size
//   ResizeLike            Resize with constant sizes        Resize, sizes = Concat([1,C], Slice(Shape(ref)))
//   SpectralPool          two MatMul with constant tables   Range, Cos, Mul make the tables
//   AdaptiveAveragePool   two MatMul with constant tables   Range and comparisons with the bins' borders make
//   them Unpool                MaxUnpool, constant shape         MaxUnpool, shape as for ResizeLike Shape a
//   constant                        Shape
//
// Subtle: in a fixed file the tables are the very ones that the plain executor multiplies by
// (graph/spectral.h), in the same order, so a lowered graph gives the same bits there. Tables that are made
// from the shape agree within rounding. Subtle: MaxPool's indices count within one plane in a Graph, from the
// first element of the batch in ONNX. They flow from MaxPool to MaxUnpool and nowhere else, so no node is
// needed for the difference.
#include <fmt/format.h>

#include <numbers>
#include <unordered_map>
#include <unordered_set>

#include "graph/image_size.h"
#include "graph/shapes.h"
#include "graph/spectral.h"
#include "onnx/internal.h"
#include "onnx/onnx_file.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute>;
using Size = std::pair<int, int>;

// What shapes are inferred at where the size is free: two sizes tell which output dimensions follow the
// input's.
constexpr Size kProbe{256, 320}, kSecondProbe{288, 416};

// SpectralPool's channels one by one: vertical and horizontal frequency, and what the mean is multiplied by.
struct SpectralChannels {
  std::vector<float> u, v, factor;  // u and v already times pi
};

SpectralChannels ExpandSpectralChannels(const Node& node) {
  const Ints frequencies = node.Ints("frequencies", {}), channels = node.Ints("channels", {});
  const double scale = node.Float("scale", 1.0f);
  (void)SpectralPoolMatrices(node, 1, 1);  // for its checks
  SpectralChannels result;
  for (std::size_t g = 0; g < channels.size(); ++g) {
    const std::int64_t u = frequencies[2 * g], v = frequencies[2 * g + 1];
    const double root = std::numbers::sqrt2;
    const double factor = u == 0 && v == 0 ? 1.0 : scale * (u > 0 ? root : 1.0) * (v > 0 ? root : 1.0);
    for (std::int64_t c = 0; c < channels[g]; ++c) {
      result.u.push_back(static_cast<float>(std::numbers::pi * static_cast<double>(u)));
      result.v.push_back(static_cast<float>(std::numbers::pi * static_cast<double>(v)));
      result.factor.push_back(static_cast<float>(factor));
    }
  }
  return result;
}

class Lowering {
 public:
  Lowering(Graph source, std::optional<Size> size) : source_(std::move(source)), size_(size) {
    for (const GraphInput& input : source_.inputs) taken_.insert(input.name);
    for (const Initializer& initializer : source_.initializers) taken_.insert(initializer.name);
    for (const Node& node : source_.nodes) {
      taken_.insert(node.outputs.begin(), node.outputs.end());
      node_names_.insert(node.name);
    }
  }

  Graph Run() {
    DeclareInput();
    types_ = InferAt(size_.value_or(kProbe));
    out_.name = source_.name;
    out_.opset = source_.opset;
    out_.metadata = source_.metadata;
    out_.initializers = source_.initializers;
    for (const Node& node : source_.nodes) LowerNode(node);
    DeclareOutputs();
    out_.inputs = source_.inputs;
    std::unordered_set<std::string> needed;
    for (const Node& node : out_.nodes) needed.insert(node.inputs.begin(), node.inputs.end());
    for (const GraphOutput& output : out_.outputs) needed.insert(output.name);
    std::erase_if(out_.initializers, [&](const Initializer& value) { return !needed.contains(value.name); });
    return std::move(out_);
  }

 private:
  [[noreturn]] void Fail(const Node& node, const std::string& message) const {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("node '{}' ({}) cannot be written as ONNX: {}", node.name, node.op, message));
  }

  void DeclareInput() {
    GraphInput& image = ImageInput(source_);
    if (image.shape.size() != 4 || (image.shape[0] != -1 && image.shape[0] != 1)) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("input '{}' is {}, 1 x channels x height x width is wanted", image.name,
                              ToString(image.shape)));
    }
    image.shape[0] = 1;
    image.dim_names.resize(4);
    image.dim_names[0].clear();
    const char* names[] = {"height", "width"};
    const std::string fixed = FixedSidesText(FixedSides(source_));
    for (int i = 0; i < 2; ++i) {
      std::int64_t& dim = image.shape[2 + i];
      const int wanted = size_ ? (i == 0 ? size_->first : size_->second) : -1;
      if (dim != -1 && size_ && dim != wanted) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("input '{}' is fixed at {}, {}x{} is asked for; start from the run or a "
                                "file with free size",
                                image.name, fixed, size_->first, size_->second));
      }
      if (dim != -1) continue;
      dim = wanted;
      image.dim_names[2 + i] = size_ ? "" : names[i];
    }
  }

  TypeMap InferAt(Size size) const {
    const GraphInput& image = ImageInput(source_);
    Shape shape = image.shape;
    if (shape[2] == -1) shape[2] = size.first;
    if (shape[3] == -1) shape[3] = size.second;
    return InferShapes(source_, {{image.name, shape}});
  }

  const Shape& ShapeOf(const Node& node, const std::string& value) const {
    const auto it = types_.find(value);
    if (it == types_.end()) Fail(node, "the shape of '" + value + "' is not known");
    return it->second.shape;
  }
  const Shape& MapShape(const Node& node, const std::string& value) const {
    const Shape& shape = ShapeOf(node, value);
    if (shape.size() != 4)
      Fail(node, fmt::format("'{}' is {}, a map of four dimensions is wanted", value, ToString(shape)));
    return shape;
  }

  std::string Fresh(std::string name, std::unordered_set<std::string>& used) {
    const std::string base = name;
    for (int i = 2; !used.insert(name).second; ++i) name = fmt::format("{}_{}", base, i);
    return name;
  }

  std::string Constant(const std::string& name, Tensor value) {
    out_.initializers.push_back(
        {Fresh(name, taken_), Role::kConstant, Init::kGiven, std::move(value), false});
    return out_.initializers.back().name;
  }
  // Small tables that many nodes share.
  std::string SharedInts(const std::string& name, Ints values, bool scalar = false) {
    auto [it, fresh] = shared_.try_emplace(name);
    if (fresh) {
      it->second = Constant(
          name, scalar ? Tensor::Scalar<std::int64_t>(values[0])
                       : Tensor::Of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values));
    }
    return it->second;
  }

  void Push(const std::string& name, const std::string& op, std::vector<std::string> inputs,
            std::vector<std::string> outputs, Attributes attributes = {}) {
    out_.nodes.push_back({name, op, "", std::move(inputs), std::move(outputs), std::move(attributes)});
  }
  std::string Emit(const std::string& name, const std::string& op, std::vector<std::string> inputs,
                   Attributes attributes = {}) {
    const std::string value = Fresh(name, taken_);
    Push(Fresh(name, node_names_), op, std::move(inputs), {value}, std::move(attributes));
    return value;
  }

  // int64[2]: height and width of a map, free sizes only. One Shape a value, however many resizes read it.
  std::string SpatialSize(const std::string& value) {
    auto [it, fresh] = spatial_.try_emplace(value);
    if (fresh) {
      const std::string shape = Emit(value + ".shape", "Shape", {value});
      it->second =
          Emit(value + ".size", "Slice", {shape, SharedInts("onnx.two", {2}), SharedInts("onnx.four", {4})});
    }
    return it->second;
  }

  // int64[4]: the shape of `x` with the height and width of `ref`.
  std::string SizesLike(const Node& node, const std::string& x, const std::string& ref) {
    const Shape shape = MapShape(node, x);
    const Shape& target = MapShape(node, ref);
    if (size_)
      return Constant(node.name + ".sizes",
                      Tensor::Of<std::int64_t>({4}, {shape[0], shape[1], target[2], target[3]}));
    const std::string front =
        Constant(node.name + ".channels", Tensor::Of<std::int64_t>({2}, {shape[0], shape[1]}));
    return Emit(node.name + ".sizes", "Concat", {front, SpatialSize(ref)}, {{"axis", std::int64_t{0}}});
  }

  // nearest_mode as the plain executor has it: asymmetric floors as torch's "nearest", the others are
  // "nearest-exact".
  void LowerResize(const Node& node) {
    const std::string mode = node.String("mode", "linear"),
                      coordinates = node.String("coordinates", "half_pixel");
    Attributes attributes{{"mode", mode}, {"coordinate_transformation_mode", coordinates}};
    if (mode == "nearest")
      attributes["nearest_mode"] = std::string(coordinates == "asymmetric" ? "floor" : "round_prefer_ceil");
    const std::string sizes = SizesLike(node, node.inputs[0], node.inputs[1]);
    Push(node.name, "Resize", {node.inputs[0], "", "", sizes}, node.outputs, std::move(attributes));
  }

  void LowerUnpool(const Node& node) {
    const Node* pool = source_.Producer(node.inputs[1]);
    if (pool == nullptr || !pool->Is("MaxPool")) Fail(node, "its indices do not come from a MaxPool");
    Attributes attributes;
    for (const char* key : {"kernel_shape", "strides", "pads"}) {
      if (const auto it = pool->attributes.find(key); it != pool->attributes.end()) attributes.insert(*it);
    }
    const std::string sizes = SizesLike(node, node.inputs[0], node.inputs[2]);
    Push(node.name, "MaxUnpool", {node.inputs[0], node.inputs[1], sizes}, node.outputs,
         std::move(attributes));
  }

  // x by columns, then rows by that; see graph/spectral.h for the order.
  void PushProducts(const Node& node, const std::string& rows, const std::string& columns) {
    const std::string across = Emit(node.name + ".across", "MatMul", {node.inputs[0], columns});
    Push(node.name, "MatMul", {rows, across}, node.outputs);
  }

  struct Axis {                 // one axis of a map of free size
    std::string count, length;  // int64 and float scalars
    std::string positions;      // int64[length]: 0, 1, ...
  };
  Axis MakeAxis(const std::string& value, int axis) {
    auto [it, fresh] = axes_.try_emplace(fmt::format("{} {}", value, axis));
    if (fresh) {
      const std::string stem = value + (axis == 0 ? ".height" : ".width");
      const std::string index = SharedInts(axis == 0 ? "onnx.zero" : "onnx.one", {axis}, true);
      Axis& made = it->second;
      made.count = Emit(stem, "Gather", {SpatialSize(value), index}, {{"axis", std::int64_t{0}}});
      made.length = Emit(stem + ".float", "Cast", {made.count}, {{"to", kOnnxFloat}});
      made.positions =
          Emit(stem + ".range", "Range",
               {SharedInts("onnx.zero", {0}, true), made.count, SharedInts("onnx.one", {1}, true)});
    }
    return it->second;
  }

  // cos(f_c * (i + 1/2) / n) * factor_c / n, as [C,1,n] or, for `column`, [C,n,1].
  std::string CosineTable(const Node& node, const Axis& axis, const std::vector<float>& frequencies,
                          const std::vector<float>& factors, bool column) {
    const std::string stem = node.name + (column ? ".columns" : ".rows");
    const std::int64_t channels = static_cast<std::int64_t>(frequencies.size());
    std::string position = Emit(stem + ".position", "Cast", {axis.positions}, {{"to", kOnnxFloat}});
    position =
        Emit(stem + ".centre", "Add", {position, Constant(stem + ".half", Tensor::Scalar<float>(0.5f))});
    position = Emit(stem + ".fraction", "Div", {position, axis.length});
    if (column) position = Emit(stem + ".column", "Unsqueeze", {position, SharedInts("onnx.axis_one", {1})});
    const std::string angle =
        Emit(stem + ".angle", "Mul",
             {Constant(stem + ".frequency", Tensor::Of<float>({channels, 1, 1}, frequencies)), position});
    const std::string cosine = Emit(stem + ".cosine", "Cos", {angle});
    const std::string scale =
        Emit(stem + ".scale", "Div",
             {Constant(stem + ".factor", Tensor::Of<float>({channels, 1, 1}, factors)), axis.length});
    return Emit(stem, "Mul", {cosine, scale});
  }

  void LowerSpectral(const Node& node) {
    if (size_) {
      const Shape& shape = MapShape(node, node.inputs[0]);
      PoolMatrices tables = SpectralPoolMatrices(node, shape[2], shape[3]);
      const std::string rows = Constant(node.name + ".rows", std::move(tables.rows));
      PushProducts(node, rows, Constant(node.name + ".columns", std::move(tables.columns)));
      return;
    }
    const SpectralChannels channels = ExpandSpectralChannels(node);
    const std::vector<float> ones(channels.u.size(), 1.0f);
    const std::string rows =
        CosineTable(node, MakeAxis(node.inputs[0], 0), channels.u, channels.factor, false);
    PushProducts(node, rows, CosineTable(node, MakeAxis(node.inputs[0], 1), channels.v, ones, true));
  }

  // [bins, n], or for `column` [n, bins]: 1 / (size of the bin) inside the bin, 0 outside.
  std::string BinTable(const Node& node, const Axis& axis, std::int64_t bins, bool column) {
    const std::string stem = node.name + (column ? ".columns" : ".rows");
    const Shape shape = column ? Shape{bins} : Shape{bins, 1};
    Ints index(bins), next(bins);
    for (std::int64_t i = 0; i < bins; ++i) {
      index[i] = i;
      next[i] = i + 1;
    }
    const std::string count = Constant(stem + ".bins", Tensor::Scalar<std::int64_t>(bins));
    const std::string scaled =
        Emit(stem + ".scaled", "Mul", {Constant(stem + ".index", Tensor::Of(shape, index)), axis.count});
    const std::string begin = Emit(stem + ".begin", "Div", {scaled, count});
    const std::string after =
        Emit(stem + ".after", "Mul", {Constant(stem + ".next", Tensor::Of(shape, next)), axis.count});
    const std::string rounded = Emit(
        stem + ".rounded", "Add", {after, Constant(stem + ".round", Tensor::Scalar<std::int64_t>(bins - 1))});
    const std::string end = Emit(stem + ".end", "Div", {rounded, count});
    const std::string position =
        column ? Emit(stem + ".position", "Unsqueeze", {axis.positions, SharedInts("onnx.axis_one", {1})})
               : axis.positions;
    const std::string from = Emit(stem + ".from", "GreaterOrEqual", {position, begin});
    const std::string to = Emit(stem + ".to", "Less", {position, end});
    const std::string inside = Emit(stem + ".inside", "And", {from, to});
    const std::string weight = Emit(stem + ".weight", "Cast", {inside}, {{"to", kOnnxFloat}});
    const std::string width = Emit(stem + ".width", "Sub", {end, begin});
    return Emit(stem, "Div", {weight, Emit(stem + ".divisor", "Cast", {width}, {{"to", kOnnxFloat}})});
  }

  void LowerAdaptivePool(const Node& node) {
    const Ints bins = node.Ints("out", {});
    if (bins.size() != 2 || bins[0] < 1 || bins[1] < 1)
      Fail(node, "attribute 'out' must be two positive numbers");
    if (size_) {
      const Shape& shape = MapShape(node, node.inputs[0]);
      PoolMatrices tables = AdaptivePoolMatrices(shape[2], shape[3], bins[0], bins[1]);
      const std::string rows = Constant(node.name + ".rows", std::move(tables.rows));
      PushProducts(node, rows, Constant(node.name + ".columns", std::move(tables.columns)));
      return;
    }
    const std::string rows = BinTable(node, MakeAxis(node.inputs[0], 0), bins[0], false);
    PushProducts(node, rows, BinTable(node, MakeAxis(node.inputs[0], 1), bins[1], true));
  }

  void LowerShape(const Node& node) {
    const Shape& shape = ShapeOf(node, node.inputs[0]);
    if (!size_ || node.Has("start") || node.Has("end") || IsOutput(node.outputs[0])) {
      out_.nodes.push_back(node);
      return;
    }
    out_.initializers.push_back({node.outputs[0], Role::kConstant, Init::kGiven,
                                 Tensor::Of<std::int64_t>({static_cast<std::int64_t>(shape.size())}, shape),
                                 false});
  }

  bool IsOutput(const std::string& value) const {
    for (const GraphOutput& output : source_.outputs) {
      if (output.name == value) return true;
    }
    return false;
  }

  void LowerNode(const Node& node) {
    if (node.domain.empty()) {
      if (node.Is("Shape")) return LowerShape(node);
      out_.nodes.push_back(node);
      return;
    }
    if (node.domain == kFrfDomain) {
      if (node.Is("ResizeLike")) return LowerResize(node);
      if (node.Is("SpectralPool")) return LowerSpectral(node);
      if (node.Is("AdaptiveAveragePool")) return LowerAdaptivePool(node);
      if (node.Is("Unpool")) return LowerUnpool(node);
      if (node.Is("DropChannels")) return Push(node.name, "Identity", node.inputs, node.outputs);
    }
    Fail(node, fmt::format("no form of '{}.{}' in standard ONNX is known", node.domain, node.op));
  }

  void DeclareOutputs() {
    const GraphInput& image = ImageInput(source_);
    std::optional<TypeMap> second;
    if (image.shape[2] == -1 || image.shape[3] == -1) second = InferAt(kSecondProbe);
    for (GraphOutput output : source_.outputs) {
      const TensorType& type = types_.at(output.name);
      output.dtype = type.dtype;
      output.shape = type.shape;
      output.dim_names.assign(output.shape.size(), "");
      for (std::size_t i = 0; second && i < output.shape.size(); ++i) {
        if (second->at(output.name).shape[i] == type.shape[i]) continue;
        // It varies with the size: by the input's name where it is the input's own, without a name otherwise.
        const int axis = i < 2 ? -1 : static_cast<int>(i) - 2;
        const bool height = axis == 0 && type.shape[i] == kProbe.first &&
                            second->at(output.name).shape[i] == kSecondProbe.first;
        const bool width = axis == 1 && type.shape[i] == kProbe.second &&
                           second->at(output.name).shape[i] == kSecondProbe.second;
        output.shape[i] = -1;
        output.dim_names[i] = height ? image.dim_names[2] : width ? image.dim_names[3] : "";
      }
      out_.outputs.push_back(std::move(output));
    }
  }

  Graph source_, out_;
  std::optional<Size> size_;
  TypeMap types_;
  std::unordered_set<std::string> taken_, node_names_;
  std::unordered_map<std::string, std::string> shared_, spatial_;
  std::unordered_map<std::string, Axis> axes_;
};

}  // namespace

GraphInput& ImageInput(Graph& graph) { return const_cast<GraphInput&>(ImageInput(std::as_const(graph))); }

const GraphInput& ImageInput(const Graph& graph) {
  for (const GraphInput& input : graph.inputs) {
    if (input.name == "image") return input;
  }
  if (graph.inputs.empty())
    throw Error(ErrorCode::kInvalidArgument, "graph '" + graph.name + "' has no input");
  return graph.inputs.front();
}

bool IsLowered(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (!node.domain.empty()) return false;
  }
  return true;
}

Graph LowerToOnnx(const Graph& graph, std::optional<std::pair<int, int>> size) {
  return Lowering(graph.ForInference(), size).Run();
}

}  // namespace frf
