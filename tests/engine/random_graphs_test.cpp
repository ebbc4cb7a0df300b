// SPDX-License-Identifier: Apache-2.0
// Small networks drawn by chance: whatever the engine fuses, moves, unrolls or writes in place, its scores
// are the plain executor's. A network is a function of its seed alone; one that fails is printed.
//
//   FRF_RANDOM_GRAPHS=5000 frf_test_engine --gtest_filter=RandomGraphs.*         more of them
//   FRF_RANDOM_GRAPHS_SEED=123 [FRF_RANDOM_GRAPHS=7] frf_test_engine ...         this one again [and 6 more]
// Subtle: each node runs plainly as it is drawn, so sizes are known and large results can be tamed. No
// operator that steps is drawn: what differs is rounding (kTolerance) or a fault.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <set>

#include "engine/helpers.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"

namespace frf::test {
namespace {

using Int = std::int64_t;
using Name = std::string;
using Names = std::vector<Name>;
constexpr Int kSeeds = 150;          // of the suite
constexpr double kTolerance = 3e-4;  // of the largest score
constexpr Int kMostElements = 120'000, kMostSide = 96, kMostChannels = 160;
constexpr float kLargest = 6;  // of a value; what exceeds it is tamed

float Largest(const Tensor& tensor) {
  float largest = 0;
  for (const float value : tensor.ToVector<float>()) largest = std::max(largest, std::abs(value));
  return largest;
}

class Network {
 public:
  explicit Network(std::uint64_t seed) : random_(seed) {
    const Int channels = One({3, 3, 3, 3, 1, 4, 16, 20});
    const auto side = [&] { return One({1, 2, 3, 5, 7, 8, 13, 16, 17, 20, 24, 31, 33, 40}); };
    image = RandomTensor({1, channels, side(), side()}, seed);
    graph.inputs.push_back({.name = "image", .shape = {1, channels, -1, -1}});
    values_["image"] = image;
    maps_.push_back("image");
    Name x = Chance(0.8) ? Layer("image", Channels(), false) : "image";
    const Int nodes = Between(3, 22);
    while (static_cast<Int>(graph.nodes.size()) < nodes) x = Tamed(Step(Pick(x)), x);
    End(x);
  }
  Graph graph;
  Tensor image;

 private:
  template <typename T>
  T Any(const std::vector<T>& of) {
    return of[random_.Below(static_cast<Int>(of.size()))];
  }
  Int One(const Ints& choices) { return Any(choices); }
  std::string Word(const std::vector<std::string>& choices) { return Any(choices); }
  bool Chance(double probability) { return random_.Chance(probability); }
  Int Between(Int low, Int high) { return random_.Between(low, high); }
  float Real(double low, double high) { return static_cast<float>(random_.Uniform(low, high)); }
  Int Channels() { return One({1, 2, 3, 5, 8, 13, 16, 16, 16, 17, 24, 32, 32, 40, 48, 64}); }
  const Shape& ShapeOf(const Name& name) const { return values_.at(name).shape(); }
  Name Pick(const Name& latest) { return Chance(0.6) ? latest : Any(maps_); }
  Shape Tail(const Name& name, int from) { return {ShapeOf(name).begin() + from, ShapeOf(name).end()}; }
  // Another value of the same [channels,] height and width; "": there is none.
  Name Like(const Name& x, int from) {
    Names found;
    for (const Name& name : maps_)
      if (name != x && Tail(name, from) == Tail(x, from)) found.push_back(name);
    return found.empty() ? "" : Any(found);
  }
  Name Constant(const Tensor& value) {
    const Name name = fmt::format("c{}", graph.initializers.size());
    graph.initializers.push_back({.name = name, .value = values_[name] = value});
    return name;
  }
  Name Numbers(const Ints& numbers) { return Constant(List(numbers)); }
  Name Scalar(float value) { return Constant(F(Any<Shape>({{}, {1}, {1, 1, 1, 1}}), {value})); }
  Name Drawn(const Shape& shape, float low, float high) {
    Tensor tensor = Tensor::Uninitialized(DType::kFloat32, shape);
    for (Int i = 0; i < tensor.size(); ++i) tensor.data<float>()[i] = Real(low, high);
    return Constant(tensor);
  }
  Name Weights(const Shape& shape) {  // what comes out is about as large as what goes in
    const float bound = std::sqrt(3.0f * shape[0] / NumElements(shape));
    return Drawn(shape, -bound, bound);
  }
  Names Emit(const std::string& op, const Names& inputs, Attributes attributes = {}, Int outputs = 1) {
    Node node = MakeNode(op, 0, std::move(attributes), 0);
    node.name = fmt::format("{}_{}", node.op, graph.nodes.size());
    node.inputs = inputs;
    for (Int i = 0; i < outputs; ++i) node.outputs.push_back(fmt::format("v{}_{}", graph.nodes.size(), i));
    graph.nodes.push_back(node);
    std::vector<Tensor> tensors;
    for (const Name& input : inputs) tensors.push_back(input.empty() ? None() : values_.at(input));
    read_.insert(inputs.begin(), inputs.end());
    const std::vector<Tensor> results = RunNode(node, tensors, graph.opset, {.threads = 1});
    for (Int i = 0; i < outputs; ++i) {
      values_[node.outputs[i]] = results.at(i);
      if (results[i].rank() == 4) maps_.push_back(node.outputs[i]);
    }
    return node.outputs;
  }
  Name Make(const Name& op, const Names& in, const Attributes& with = {}) { return Emit(op, in, with)[0]; }
  Name Side(const Names& parts) { return Make("Concat", parts, {{"axis", Int{1}}}); }
  // Large values are brought back; what cannot be drawn ("") leaves `before`.
  Name Tamed(const Name& x, const Name& before) {
    if (x.empty()) return before;
    if (ShapeOf(x)[1] > kMostChannels || values_.at(x).size() > kMostElements) return Conv(x, 8, true, 1);
    const float largest = Largest(values_.at(x));
    if (largest <= kLargest) return x;
    return Chance(0.5) ? Make("Tanh", {x}) : Make("Mul", {x, Scalar(1 / largest)});
  }
  // Of any window that fits; `same` keeps height and width. Weights are those of an earlier one at times.
  Name Conv(const Name& x, Int out, bool same, Int size = 0) {
    const Int in = ShapeOf(x)[1], square = size ? size : One({1, 1, 3, 3, 3, 5, 2, 4});
    Ints kernel{square, square}, gaps(2), pads(4);
    if (!size && Chance(0.1)) kernel[Between(0, 1)] = One({1, 3, 7});
    Int group = size || Chance(0.7) ? 1 : out == in && Chance(0.9) ? in : One({2, 4});
    if (in % group != 0 || out % group != 0) group = 1;
    Name weight;
    for (const Name& shared : weights_)
      if (ShapeOf(shared)[0] == out && ShapeOf(shared)[1] * group == in && Chance(0.2)) weight = shared;
    if (!weight.empty()) kernel = {ShapeOf(weight)[2], ShapeOf(weight)[3]};
    const Int stride = same || Chance(0.6) ? 1 : Between(2, 3), dilation = Chance(0.8) ? 1 : Between(2, 3);
    for (int axis = 0; axis < 2; ++axis) {
      gaps[axis] = Chance(0.95) ? dilation : Between(1, 2);
      const Int extent = (kernel[axis] - 1) * gaps[axis];
      pads[axis] = same || Chance(0.7) ? extent / 2 : Between(0, extent);
      pads[axis + 2] = same ? extent - pads[axis] : Chance(0.7) ? pads[axis] : Between(0, extent);
      if (ShapeOf(x)[2 + axis] + pads[axis] + pads[axis + 2] <= extent) return Make("Relu", {x});
    }
    if (weight.empty()) weight = Weights({out, in / group, kernel[0], kernel[1]});
    weights_.push_back(weight);
    Names inputs{x, weight};
    if (Chance(0.6)) inputs.push_back(Drawn({out}, -0.3f, 0.3f));
    const Attributes all{{"dilations", gaps}, {"pads", pads}, {"group", group}, {"strides", Ints(2, stride)}};
    return Make("Conv", inputs, all);
  }
  // Convolution [normalised] [activated].
  Name Layer(const Name& x, Int out, bool same, Int size = 0) {
    Name y = Conv(x, out, same, size);
    const auto near = [&](float to) { return Drawn({ShapeOf(y)[1]}, to - 0.4f, to + 0.4f); };
    if (Chance(0.4)) y = Make("BatchNormalization", {y, near(1), near(0), near(0), near(1)});
    return Chance(0.7) ? Unary(y) : y;
  }
  Name Unary(const Name& x) {
    const std::string op =
        Word({"Relu", "Relu", "Relu", "Clip", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "HardSigmoid",
              "HardSwish", "Elu", "Softplus", "Neg", "Abs", "Erf", "Softsign", "Identity", "Softmax"});
    Attributes attributes;
    Names inputs{x};
    if (op == "LeakyRelu" || op == "Elu") attributes["alpha"] = Real(0.05, 0.4);
    if (op == "HardSigmoid") attributes = {{"alpha", Real(0.1, 0.4)}, {"beta", Real(0.3, 0.7)}};
    if (op == "Softmax") attributes["axis"] = Chance(0.8) ? 1 : Between(-1, 3);
    if (op == "PRelu") inputs.push_back(Drawn({Chance(0.8) ? ShapeOf(x)[1] : 1, 1, 1}, -0.2f, 0.5f));
    if (op == "Clip") inputs = {x, Chance(0.7) ? Scalar(Real(-1, 0.1)) : "", Scalar(Real(0.2, 2))};
    if (op == "Clip" && Chance(0.3)) inputs.pop_back();
    return Make(op, inputs, attributes);
  }
  // What x can be combined with: another value, itself, a constant, a gate.
  Name Operand(const Name& x) {
    Shape shape = ShapeOf(x);
    const Int channels = shape[1], kind = Between(0, 9);
    const Name like = Like(x, 1);
    if (kind < 3) return like.empty() ? Resized(Conv(Pick(x), channels, true), x) : like;
    if (kind == 3) return Layer(x, channels, true);
    if (kind == 4) {  // squeeze and excite
      const Name mean = Make(Word({"GlobalAveragePool", "GlobalMaxPool"}), {x});
      const Name less = Make("Relu", {Conv(mean, 1 + channels / 4, true, 1)});
      return Make(channels > 16 ? "HardSigmoid" : "Sigmoid", {Conv(less, channels, true, 1)});
    }
    if (kind == 5) return Make("Sigmoid", {Conv(x, 1, true)});  // one number a pixel
    if (kind == 6) return Chance(0.5) ? x : Resize(x, "", Numbers(shape));
    if (kind == 7) return Scalar(Real(0.4, 1.5));
    for (Int& dim : shape) dim = Chance(0.5) ? 1 : dim;
    while (!shape.empty() && shape[0] == 1 && Chance(0.5)) shape.erase(shape.begin());
    const float sign = Chance(0.5) ? 1.0f : -1.0f;
    return Drawn(shape, sign * 0.4f, sign * 1.5f);  // a divisor as well
  }
  Name Binary(const Name& x) {
    const std::string op = Word({"Add", "Add", "Add", "Mul", "Mul", "Sub", "Div", "Max", "Min"});
    Name a = x, b = Operand(x);
    if (Chance(0.3)) std::swap(a, b);
    if (op == "Div" && b[0] != 'c') b = Make("Add", {Make("Sigmoid", {b}), Scalar(0.5f)});
    const Name y = Make(op, {a, b});
    return Chance(0.2) ? Make("Add", {y, Chance(0.5) ? x : y}) : y;
  }
  Name Pool(const Name& x) {
    const bool average = Chance(0.5);
    Ints kernel(2), strides(2), pads(4);
    for (int axis = 0; axis < 2; ++axis) {
      kernel[axis] = Between(1, 4), strides[axis] = Between(1, 3);
      for (const int side : {axis, axis + 2}) pads[side] = Chance(0.5) ? 0 : Between(0, kernel[axis] - 1);
      if (ShapeOf(x)[2 + axis] + pads[axis] + pads[axis + 2] < kernel[axis]) return Unary(x);
    }
    Attributes attributes{{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}};
    attributes["ceil_mode"] = Between(0, 1);
    if (average) attributes["count_include_pad"] = Between(0, 1);
    return Make(average ? "AveragePool" : "MaxPool", {x}, attributes);
  }
  Name ConvTranspose(const Name& x) {
    const Int in = ShapeOf(x)[1], out = Channels(), stride = Between(1, 3), kernel = Between(stride, 4);
    Ints pads(4), extra(2);
    for (int axis = 0; axis < 2; ++axis) {
      const Int full = stride * (ShapeOf(x)[2 + axis] - 1) + kernel;
      if (full > kMostSide) return "";
      for (const int side : {axis, axis + 2}) pads[side] = std::min((full - 1) / 2, Between(0, kernel - 1));
      extra[axis] = Chance(0.7) ? 0 : Between(0, stride - 1);
    }
    Names inputs{x, Weights({in, out, kernel, kernel})};
    if (Chance(0.5)) inputs.push_back(Drawn({out}, -0.3f, 0.3f));
    const Ints strides{stride, stride};
    return Make("ConvTranspose", inputs, {{"pads", pads}, {"strides", strides}, {"output_padding", extra}});
  }
  Name Resize(const Name& x, const Name& scales, const Name& sizes) {
    Attributes attributes{{"mode", Word({"linear", "linear", "linear", "nearest", "cubic"})}};
    attributes["nearest_mode"] = Word({"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"});
    attributes["coordinate_transformation_mode"] =
        Word({"half_pixel", "half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"});
    return Make("Resize", {x, "", scales, sizes}, attributes);
  }
  // To the height and width of `like`, which may be its own.
  Name Resized(const Name& x, const Name& like) {
    const Shape from = ShapeOf(x), to = ShapeOf(like);
    if (from[2] == to[2] && from[3] == to[3] && Chance(0.8)) return x;
    if (Chance(0.5)) return Resize(x, "", Numbers({1, from[1], to[2], to[3]}));
    return Make("frf.ResizeLike", {x, like},
                {{"mode", Word({"linear", "linear", "nearest"})},
                 {"coordinates", Word({"half_pixel", "align_corners", "asymmetric"})}});
  }
  Name Scaled(const Name& x) {
    const float high = Any<float>({0.5f, 0.7f, 1, 1.3f, 2, 2, 3}), wide = Chance(0.9) ? high : 1;
    const float height = ShapeOf(x)[2] * high, width = ShapeOf(x)[3] * wide;
    if (std::min(height, width) < 1 || std::max(height, width) > kMostSide) return "";
    return Resize(x, Constant(F({4}, {1, 1, high, wide})), "");
  }
  Name Concat(const Name& x) {
    Names parts{x};
    for (Int count = Between(1, 4); count > 0; --count) {
      Name part = Chance(0.95) ? Like(x, 2) : x;
      if (part.empty()) part = Chance(0.5) ? Resized(Any(maps_), x) : Conv(x, Channels(), true);
      parts.insert(parts.begin() + Between(0, static_cast<Int>(parts.size())), part);
    }
    const Int size = One({0, 0, 1, 1, 3}), out = Channels();
    return size ? Layer(Side(parts), out, true, size) : Side(parts);
  }
  Name Split(const Name& x) {
    const Int axis = Chance(0.8) ? 1 : Between(2, 3), size = ShapeOf(x)[axis];
    if (size < 2) return "";
    const Int first = size > 16 && Chance(0.6) ? 16 : Between(1, size - 1);
    return Any(Emit("Split", {x, Numbers({first, size - first})}, {{"axis", axis}}, 2));
  }
  // Rows, columns or channels taken, turned or added at the edges.
  Name Move(const Name& x) {
    const Shape s = ShapeOf(x);
    const Int axis = Between(1, 3), from = Between(0, s[axis] - 1), to = Between(from + 1, s[axis]);
    if (Chance(0.4)) return Make("Slice", {x, Numbers({from}), Numbers({to}), Numbers({axis})});
    if (Chance(0.2)) return Make("Slice", {x, Numbers({-1}), Numbers({-99}), Numbers({axis}), Numbers({-1})});
    const std::string mode = Word({"constant", "constant", "edge", "reflect"});
    Ints pads(8);
    for (const int side : {2, 3, 6, 7})
      pads[side] = std::min<Int>(Between(0, 3), mode == "reflect" ? s[side % 4] - 1 : 3);
    if (mode == "constant" && Chance(0.2)) pads[5] = Between(1, 8);
    return Make("Pad", {x, Numbers(pads), Constant(F({}, {0.5f}))}, {{"mode", mode}});
  }
  // Layers that read one another, in running sums or side by side, and a 1x1 convolution over all of them.
  Name Dense(const Name& x, bool running) {
    const Int width = Channels(), out = Channels();
    Names parts{Layer(x, width, true)};
    for (Int layer = Between(1, 3); layer > 0; --layer) {
      const Name next = Layer(!running && Chance(0.5) ? Side(parts) : parts.back(), width, true);
      const Names terms = Chance(0.5) ? Names{next, parts.back()} : Names{parts.back(), next};
      parts.push_back(running && Chance(0.9) ? Make("Add", terms) : next);
    }
    return Layer(Side(parts), out, true, 1);
  }
  Name Step(const Name& x) {
    const Int kind = Between(0, 19), channels = ShapeOf(x)[1], out = Chance(0.3) ? channels : Channels();
    if (kind < 4) return Layer(x, out, Chance(0.6));
    if (kind < 9) return kind < 6 ? Unary(x) : Binary(x);
    if (kind < 11) return kind == 9 ? Pool(x) : ConvTranspose(x);
    if (kind < 13) return kind == 11 ? Scaled(x) : Resized(Make("GlobalAveragePool", {x}), x);
    if (kind < 17) return kind < 15 ? Concat(x) : kind == 15 ? Split(x) : Move(x);
    if (kind < 19) return Dense(x, Chance(0.7));
    const Name inner = Layer(x, channels, true);  // residual
    const Name sum = Make("Add", {Chance(0.5) ? inner : Conv(inner, channels, true), x});
    return Chance(0.7) ? Unary(sum) : sum;
  }
  // What nobody reads yet is joined, most of it; then scores, at times beside an output that engines drop.
  void End(Name x) {
    for (const Name& name : Names(maps_)) {
      if (name == x || read_.contains(name) || Chance(0.1)) continue;
      const Name part = Resized(name, x);
      const std::string op = Word({"Add", "Mul"});
      x = Tamed(Chance(0.5) ? Side({x, part}) : Make(op, {Conv(part, ShapeOf(x)[1], true), x}), x);
    }
    const Int end = Between(0, 9);
    if (end < 7) x = Conv(x, Channels(), true, end % 2 == 0 ? 1 : 3);
    if (end < 4) x = Resized(x, "image");
    if (end == 4 || end == 7) x = Unary(x);
    if (end == 8) x = Make("Flatten", {x});
    if (x == "image" || read_.contains(x)) x = Make("Relu", {x});
    graph.outputs.push_back({.name = "scores"});
    const Name other = Any(maps_);
    if (Chance(0.2) && other != x && other != "image") graph.outputs.insert(graph.outputs.begin(), {other});
    for (Node& node : graph.nodes) std::replace(node.outputs.begin(), node.outputs.end(), x, Name("scores"));
  }

  Random random_;
  std::map<Name, Tensor> values_;
  std::set<Name> read_;
  Names maps_, weights_;
};

// A line a node: its name, inputs and outputs with their shapes, attributes.
std::string Describe(const Graph& graph, const Shape& image) {
  const TypeMap types = InferShapes(graph, {{"image", image}});
  std::string text;
  for (const Node& node : graph.nodes) {
    text += "\n" + node.name;
    for (const Names& side : {node.inputs, node.outputs}) {
      text += " (";
      for (const Name& n : side) text += n.empty() ? "-, " : n + " " + ToString(types.at(n).shape) + ", ";
      text += ")";
    }
    for (const auto& [k, held] : node.attributes) {
      if (const auto* number = std::get_if<Int>(&held)) text += fmt::format(" {}={}", k, *number);
      if (const auto* word = std::get_if<std::string>(&held)) text += " " + k + "=" + *word;
      if (const auto* list = std::get_if<Ints>(&held))
        text += fmt::format(" {}={}", k, fmt::join(*list, ","));
    }
  }
  return text;
}

// What the engine does otherwise than the plain executor, or than itself; "": nothing.
std::string Fault(const Graph& graph, const Tensor& image, std::uint64_t seed) {
  const Tensor wanted = PlainExecutor(graph, {.threads = 1}).Run({{"image", image}}).at("scores");
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), image.shape());
  const engine::Lowered lowered = engine::Lower(prepared);
  if (const Shape shape = prepared.types.at("scores").shape; shape != wanted.shape())
    return fmt::format("inferred {}, is {}", ToString(shape), ToString(wanted.shape()));
  const double largest = std::max(1e-2f, Largest(wanted));
  std::string faults;
  std::vector<float> first;
  const auto hold = [&](const char* what, const engine::PlanOptions& options, bool bits = true) {
    engine::WeightStore weights;
    engine::Plan plan(lowered, weights, options);
    std::vector<float> scores(wanted.size());
    for (const Tensor& picture : {RandomTensor(image.shape(), 1), image})  // nothing of the first is left
      plan.Run({.planes = picture.data<float>()}, {.scores = scores.data()});
    if (first.empty()) first = scores;
    double apart = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      const double difference = std::abs(double{scores[i]} - wanted.data<float>()[i]) / largest;
      apart = std::max(apart, std::isfinite(difference) ? difference : HUGE_VAL);
    }
    if (apart < kTolerance && (!bits || scores == first)) return;
    faults += fmt::format("{}: {:.2g} of the largest score apart, or other bits\n", what, apart);
  };
  hold("one thread", {.threads = 1});
  if (seed % 3 == 1) hold("two threads", {.threads = 2});  // which wait for one another on busy cores
  hold("in windows, past caches", {.threads = 1, .band_bytes = 0, .past_caches_bytes = 0});
  hold("in memory, in caches", {.threads = 1, .band_bytes = ~0UL, .past_caches_bytes = ~0UL});
  engine::PlanOptions asked{.threads = 1};
  const auto tile = seed % 2 == 0 ? engine::ConvChoice::kWinograd4 : engine::ConvChoice::kWinograd6;
  for (const engine::NamedOperation& named : lowered.ops) asked.choices[named.name] = tile;
  hold("Winograd's tiles", asked, false);
  if (seed % 3 != 0) return faults;
  for (const kernels::Kernels* k : kernels::AllKernels())
    hold(fmt::format("{} lanes", k->lanes).c_str(), {.threads = 1, .kernels = k}, false);
  return faults;
}

TEST(RandomGraphs, EqualThePlainExecutor) {
  const char *given = std::getenv("FRF_RANDOM_GRAPHS_SEED"), *more = std::getenv("FRF_RANDOM_GRAPHS");
  const Int first = given ? std::atoll(given) : 0, count = more ? std::atoll(more) : given ? 1 : kSeeds;
  for (Int seed = first; seed < first + count; ++seed) {
    if (more) fmt::print(stderr, "\rseed {} ", seed);  // should it end the program
    std::string fault, text;
    try {
      const Network network(seed);
      network.graph.Validate();
      text = Describe(network.graph, network.image.shape());
      fault = Fault(network.graph, network.image, seed);
    } catch (const std::exception& error) {
      fault = error.what();
    }
    if (!fault.empty()) ADD_FAILURE() << "FRF_RANDOM_GRAPHS_SEED=" << seed << ": " << fault << "\n" << text;
  }
}

}  // namespace
}  // namespace frf::test
