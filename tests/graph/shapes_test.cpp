// SPDX-License-Identifier: Apache-2.0
// Shape inference, operator by operator, on sizes worked out by hand; shape arithmetic; and what does not
// fit.
#include "graph/shapes.h"

#include <fmt/format.h>

#include <cmath>

#include "graph/builder.h"
#include "graph/shape_rules.h"
#include "support/support.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;
using Attributes = std::map<std::string, Attribute>;

// One node whose inputs are given as tensors: known where they have data.
struct Call {
  std::string op;
  std::vector<Tensor> inputs;
  Attributes attributes = {};
  int outputs = 1, opset = 17;
  std::string domain = "";

  Graph MakeGraph() const {
    Graph graph;
    graph.opset = opset;
    Node node{.name = "n", .op = op, .domain = domain, .attributes = attributes};
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::string name = fmt::format("i{}", i);
      const bool absent = inputs[i].shape() == Shape{0} && !inputs[i].has_data();
      node.inputs.push_back(absent ? "" : name);
      if (absent) continue;
      if (inputs[i].has_data())
        graph.initializers.push_back({name, Role::kConstant, Init::kGiven, inputs[i], false});
      else
        graph.inputs.push_back({name, inputs[i].dtype(), inputs[i].shape(), {}});
    }
    for (int i = 0; i < outputs; ++i) node.outputs.push_back(fmt::format("o{}", i));
    graph.nodes.push_back(node);
    return graph;
  }
  TensorType Infer(int output = 0) const {
    return InferShapes(MakeGraph(), std::map<std::string, Shape>{}).at(fmt::format("o{}", output));
  }
  Shape operator()() const { return Infer().shape; }
};

Tensor Map(Shape shape) { return Tensor::Described(DType::kFloat32, std::move(shape)); }
Tensor List(const Ints& values) {
  return Tensor::Of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values);
}
Tensor Floats(const std::vector<float>& values) {
  return Tensor::Of<float>({static_cast<std::int64_t>(values.size())}, values);
}
Tensor Scalar(std::int64_t value) { return Tensor::Scalar<std::int64_t>(value); }
const Tensor kAbsent;  // shape {0}, no data

TEST(Shapes, Convolution) {
  const Tensor x = Map({2, 6, 13, 127});
  EXPECT_EQ((Call{"Conv", {x, Map({8, 6, 3, 3})}, {{"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{2, 2}}}}()),
            (Shape{2, 8, 7, 64}));
  EXPECT_EQ((Call{"Conv", {x, Map({8, 6, 3, 1})}, {{"dilations", Ints{4, 1}}}}()), (Shape{2, 8, 5, 127}));
  EXPECT_EQ((Call{"Conv", {x, Map({4, 3, 1, 1}), Map({4})}, {{"group", std::int64_t{2}}}}()),
            (Shape{2, 4, 13, 127}));
  EXPECT_EQ((Call{"Conv",
                  {x, Map({8, 6, 2, 2})},
                  {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}}}()),
            (Shape{2, 8, 7, 64}));
  EXPECT_EQ((Call{"Conv", {Map({1, 4, 9}), Map({2, 4, 3})}}()), (Shape{1, 2, 7})) << "one spatial axis";
}

TEST(Shapes, ConvolutionThatDoesNotFit) {
  const Tensor x = Map({1, 6, 2, 2});
  EXPECT_FRF_ERROR((Call{"Conv", {x, Map({8, 6, 3, 3})}}()), ErrorCode::kInvalidArgument,
                   "node 'n' (Conv): a window of 3");
  EXPECT_FRF_ERROR((Call{"Conv", {x, Map({8, 5, 1, 1})}}()), ErrorCode::kInvalidArgument,
                   "weight 'i1' is 8x5x1x1, but the map has 6");
  EXPECT_FRF_ERROR((Call{"Conv", {x, Map({8, 6, 1, 1}), Map({7})}}()), ErrorCode::kInvalidArgument,
                   "8 values are wanted");
  EXPECT_FRF_ERROR((Call{"Conv", {x, Map({8, 6, 1, 1})}, {{"kernel_shape", Ints{3, 3}}}}()),
                   ErrorCode::kInvalidArgument, "kernel_shape");
  EXPECT_FRF_ERROR((Call{"Conv", {x, Map({8, 6, 1})}}()), ErrorCode::kInvalidArgument,
                   "4 dimensions are wanted");
  EXPECT_FRF_ERROR((Call{"Conv", {x, Map({8, 2, 1, 1})}, {{"group", std::int64_t{4}}}}()),
                   ErrorCode::kInvalidArgument, "4 groups");
}

TEST(Shapes, TransposedConvolution) {
  const Tensor x = Map({1, 6, 13, 7}), w = Map({6, 4, 3, 3});
  // stride * (in - 1) + output_padding + kernel - pads
  EXPECT_EQ((Call{"ConvTranspose",
                  {x, w},
                  {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"output_padding", Ints{1, 1}}}}()),
            (Shape{1, 4, 26, 14}));
  EXPECT_EQ((Call{"ConvTranspose", {x, w}, {{"strides", Ints{2, 2}}}}()), (Shape{1, 4, 27, 15}));
  EXPECT_EQ(
      (Call{
          "ConvTranspose", {x, Map({6, 1, 4, 4})}, {{"strides", Ints{2, 2}}, {"group", std::int64_t{6}}}}()),
      (Shape{1, 6, 28, 16}));
  EXPECT_EQ((Call{"ConvTranspose", {x, w}, {{"strides", Ints{2, 2}}, {"output_shape", Ints{25, 13}}}}()),
            (Shape{1, 4, 25, 13}));
}

TEST(Shapes, PoolingInCeilModeFollowsTorch) {
  const auto pool = [](std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                       bool ceil) {
    return Call{"MaxPool",
                {Map({1, 1, in, in})},
                {{"kernel_shape", Ints{kernel, kernel}},
                 {"strides", Ints{stride, stride}},
                 {"pads", Ints{pad, pad, pad, pad}},
                 {"ceil_mode", std::int64_t{ceil}}}}()[2];
  };
  EXPECT_EQ(pool(7, 2, 2, 0, false), 3);
  EXPECT_EQ(pool(7, 2, 2, 0, true), 4);
  EXPECT_EQ(pool(6, 2, 2, 0, true), 3);
  EXPECT_EQ(pool(13, 3, 2, 1, false), 7);
  EXPECT_EQ(pool(5, 3, 2, 1, true), 3);
  // in 4, kernel 1, stride 3 would start a third window at 6, outside; in 3, kernel 2, stride 2, pad 1 at 3,
  // in the padding.
  EXPECT_EQ(pool(4, 1, 3, 0, true), 2);
  EXPECT_EQ(pool(3, 2, 2, 1, true), 2);
  EXPECT_EQ((Call{"MaxPool", {Map({1, 1, 4, 4})}, {{"kernel_shape", Ints{2, 2}}}, 2}.Infer(1).dtype),
            DType::kInt64);
}

TEST(Shapes, FrfOperators) {
  const Tensor x = Map({1, 6, 13, 7});
  const std::string frf(kFrfDomain);
  EXPECT_EQ((Call{"AdaptiveAveragePool", {x}, {{"out", Ints{20, 2}}}, 1, 17, frf}()), (Shape{1, 6, 20, 2}));
  EXPECT_EQ((Call{"ResizeLike", {x, Map({1, 3, 101, 1})}, {}, 1, 17, frf}()), (Shape{1, 6, 101, 1}));
  EXPECT_EQ((Call{"SpectralPool", {x}, {{"frequencies", Ints{0, 0}}, {"channels", Ints{6}}}, 1, 17, frf}()),
            (Shape{1, 6, 1, 1}));
  EXPECT_FRF_ERROR(
      (Call{"SpectralPool", {x}, {{"frequencies", Ints{0, 0}}, {"channels", Ints{5}}}, 1, 17, frf}()),
      ErrorCode::kInvalidArgument, "5 channels in sum, the map has 6");
  EXPECT_FRF_ERROR((Call{"Unpool", {x, Map({1, 6, 13, 6}), x}, {}, 1, 17, frf}()),
                   ErrorCode::kInvalidArgument, "indices are 1x6x13x6");
}

TEST(Shapes, Broadcast) {
  EXPECT_EQ((Call{"Add", {Map({2, 1, 5}), Map({3, 1})}}()), (Shape{2, 3, 5}));
  EXPECT_EQ((Call{"Mul", {Map({1, 6, 13, 7}), Map({1, 6, 1, 1})}}()), (Shape{1, 6, 13, 7}));
  EXPECT_EQ((Call{"Less", {Map({4}), Tensor::Scalar(1.0f)}}.Infer().dtype), DType::kBool);
  EXPECT_FRF_ERROR((Call{"Add", {Map({2, 3}), Map({2})}}()), ErrorCode::kInvalidArgument,
                   "2x3 and 2 do not broadcast");
  EXPECT_FRF_ERROR((Call{"Add", {Map({2}), List({1, 2})}}()), ErrorCode::kInvalidArgument,
                   "mixes float32 and int64");
}

TEST(Shapes, Products) {
  EXPECT_EQ((Call{"MatMul", {Map({2, 3, 4}), Map({4, 5})}}()), (Shape{2, 3, 5}));
  EXPECT_EQ((Call{"MatMul", {Map({6, 1, 13}), Map({1, 6, 13, 1})}}()), (Shape{1, 6, 1, 1}))
      << "a lowered spectral pool";
  EXPECT_EQ((Call{"MatMul", {Map({4}), Map({4})}}()), Shape{});
  EXPECT_EQ((Call{"Gemm", {Map({3, 4}), Map({5, 4}), Map({5})}, {{"transB", std::int64_t{1}}}}()),
            (Shape{3, 5}));
  EXPECT_FRF_ERROR((Call{"MatMul", {Map({2, 3}), Map({4, 5})}}()), ErrorCode::kInvalidArgument,
                   "2x3 and 4x5 does not fit");
}

TEST(Shapes, Resize) {
  const Tensor x = Map({1, 6, 13, 7});
  EXPECT_EQ((Call{"Resize", {x, kAbsent, kAbsent, List({1, 6, 26, 20})}}()), (Shape{1, 6, 26, 20}));
  EXPECT_EQ((Call{"Resize", {x, kAbsent, Floats({1, 1, 0.5f, 2.5f})}}()), (Shape{1, 6, 6, 17}))
      << "floor(13 / 2), floor(17.5)";
  EXPECT_EQ((Call{"Resize", {x, kAbsent, kAbsent, List({26, 20})}, {{"axes", Ints{2, 3}}}, 1, 18}()),
            (Shape{1, 6, 26, 20}));
  EXPECT_FRF_ERROR((Call{"Resize", {x, kAbsent, Floats({1, 1, 0.01f, 1})}}()), ErrorCode::kInvalidArgument,
                   "resizes");
  EXPECT_FRF_ERROR((Call{"Resize", {x, kAbsent, Floats({1, 1, std::nanf(""), 1})}}()),
                   ErrorCode::kInvalidArgument, "a scale of nan");
}

TEST(Shapes, Moves) {
  const Tensor x = Map({2, 6, 4, 5});
  EXPECT_EQ((Call{"Reshape", {x, List({0, 3, -1, 5})}}()), (Shape{2, 3, 8, 5}));
  EXPECT_EQ((Call{"Flatten", {x}, {{"axis", std::int64_t{2}}}}()), (Shape{12, 20}));
  EXPECT_EQ((Call{"Transpose", {x}}()), (Shape{5, 4, 6, 2}));
  EXPECT_EQ((Call{"Transpose", {x}, {{"perm", Ints{0, 2, 3, 1}}}}()), (Shape{2, 4, 5, 6}));
  EXPECT_EQ((Call{"Squeeze", {Map({1, 3, 1}), List({-1})}}()), (Shape{1, 3}));
  EXPECT_EQ((Call{"Squeeze", {Map({1, 3, 1})}, {{"axes", Ints{0}}}, 1, 11}()), (Shape{3, 1}));
  EXPECT_EQ((Call{"Unsqueeze", {Map({3}), List({0, -1})}}()), (Shape{1, 3, 1}));
  EXPECT_EQ((Call{"Concat", {x, Map({2, 1, 4, 5})}, {{"axis", std::int64_t{-3}}}}()), (Shape{2, 7, 4, 5}));
  EXPECT_EQ((Call{"Split", {x, List({2, 4})}, {{"axis", std::int64_t{1}}}, 2}.Infer(1).shape),
            (Shape{2, 4, 4, 5}));
  EXPECT_EQ((Call{"Split", {x}, {{"axis", std::int64_t{3}}}, 2}.Infer(1).shape), (Shape{2, 6, 4, 2}))
      << "3 and 2 of 5";
  EXPECT_EQ((Call{"Gather", {x, List({1, 0, 1})}, {{"axis", std::int64_t{1}}}}()), (Shape{2, 3, 4, 5}));
  EXPECT_EQ((Call{"Gather", {x, Scalar(0)}}()), (Shape{6, 4, 5}));
  EXPECT_EQ((Call{"Expand", {Map({6, 1}), List({2, 1, 5})}}()), (Shape{2, 6, 5}));
  EXPECT_EQ((Call{"Tile", {x, List({1, 2, 1, 3})}}()), (Shape{2, 12, 4, 15}));
  EXPECT_EQ((Call{"Pad", {x, List({0, 1, 2, 0, 0, 3, 0, -1})}}()), (Shape{2, 10, 6, 4}));
  EXPECT_EQ((Call{"DepthToSpace", {Map({1, 8, 3, 5})}, {{"blocksize", std::int64_t{2}}}}()),
            (Shape{1, 2, 6, 10}));
  EXPECT_EQ((Call{"SpaceToDepth", {Map({1, 2, 6, 10})}, {{"blocksize", std::int64_t{2}}}}()),
            (Shape{1, 8, 3, 5}));
  EXPECT_EQ((Call{"ReduceMean", {x}, {{"axes", Ints{2, 3}}, {"keepdims", std::int64_t{0}}}, 1, 13}()),
            (Shape{2, 6}));
  EXPECT_EQ((Call{"ReduceSum", {x, List({-1})}}()), (Shape{2, 6, 4, 1}));
  EXPECT_EQ((Call{"ArgMax", {x}, {{"axis", std::int64_t{1}}, {"keepdims", std::int64_t{0}}}}()),
            (Shape{2, 4, 5}));
}

TEST(Shapes, GatherScatterAndNorms) {
  const Tensor x = Map({2, 6, 4, 5});
  EXPECT_EQ((Call{"GatherElements", {x, Tensor::Described(DType::kInt64, {2, 6, 1, 5})}}()),
            (Shape{2, 6, 1, 5}));
  EXPECT_EQ((Call{"GatherND", {x, Tensor::Described(DType::kInt64, {7, 2})}}()), (Shape{7, 4, 5}));
  EXPECT_EQ((Call{"ScatterND", {x, Tensor::Described(DType::kInt64, {7, 2}), Map({7, 4, 5})}}()), x.shape());
  EXPECT_EQ((Call{"LayerNormalization", {x, Map({5})}, {}, 2}.Infer(1).shape), (Shape{2, 6, 4, 1}));
  EXPECT_EQ((Call{"ReduceProd", {x, List({0, 1, 2, 3})}, {{"keepdims", std::int64_t{0}}}}()), Shape{});
  EXPECT_EQ((Call{"IsNaN", {x}}.Infer().dtype), DType::kBool);
  EXPECT_EQ((Call{"CastLike", {x, List({1})}}.Infer().dtype), DType::kInt64);
  EXPECT_FRF_ERROR((Call{"GatherND", {x, Tensor::Described(DType::kInt64, {7, 5})}}()),
                   ErrorCode::kInvalidArgument, "indices of 7x5");
}

TEST(Shapes, MovesThatDoNotFit) {
  const Tensor x = Map({2, 6, 4, 5});
  EXPECT_FRF_ERROR((Call{"Reshape", {x, List({-1, -1})}}()), ErrorCode::kInvalidArgument,
                   "two dimensions open");
  EXPECT_FRF_ERROR((Call{"Reshape", {x, List({7, -1})}}()), ErrorCode::kInvalidArgument,
                   "cannot reshape 2x6x4x5 to 7x?");
  EXPECT_FRF_ERROR((Call{"Reshape", {Map({2}), List({1LL << 62, 4})}}()), ErrorCode::kInvalidArgument,
                   "cannot reshape");
  EXPECT_FRF_ERROR((Call{"Reshape", {x, Tensor::Described(DType::kInt64, {2})}}()),
                   ErrorCode::kInvalidArgument, "not known before");
  EXPECT_FRF_ERROR((Call{"Transpose", {x}, {{"perm", Ints{0, 1, 2, 2}}}}()), ErrorCode::kInvalidArgument,
                   "no order of 4 axes");
  EXPECT_FRF_ERROR((Call{"Concat", {x, Map({2, 6, 4, 4})}, {{"axis", std::int64_t{1}}}}()),
                   ErrorCode::kInvalidArgument, "does not go with");
  EXPECT_FRF_ERROR((Call{"Concat", {x}, {{"axis", std::int64_t{4}}}}()), ErrorCode::kInvalidArgument,
                   "axis 4");
  EXPECT_FRF_ERROR((Call{"Split", {x, List({2, 3})}, {{"axis", std::int64_t{1}}}, 2}()),
                   ErrorCode::kInvalidArgument, "2 parts of 5");
  EXPECT_FRF_ERROR((Call{"Squeeze", {x, List({1})}}()), ErrorCode::kInvalidArgument, "is not 1");
  EXPECT_FRF_ERROR((Call{"Tile", {x, List({1, 1LL << 62, 1, 1})}}()), ErrorCode::kInvalidArgument, "repeats");
  EXPECT_FRF_ERROR((Call{"Expand", {Map({1}), List({1LL << 50})}}()), ErrorCode::kInvalidArgument,
                   "larger than 2^40");
  EXPECT_FRF_ERROR((Call{"Expand", {Map({1}), List({-3})}}()), ErrorCode::kInvalidArgument, "would be");
}

TEST(Shapes, SliceAtItsEdges) {
  const auto slice = [](std::int64_t dim, std::int64_t start, std::int64_t end, std::int64_t step) {
    return Call{"Slice", {Map({dim}), List({start}), List({end}), List({0}), List({step})}}()[0];
  };
  EXPECT_EQ(slice(10, 2, 7, 1), 5);
  EXPECT_EQ(slice(10, 2, 7, 2), 3);
  EXPECT_EQ(slice(10, -3, INT64_MAX, 1), 3);
  EXPECT_EQ(slice(10, 7, 2, 1), 0);
  EXPECT_EQ(slice(10, -1, INT64_MIN, -1), 10);
  EXPECT_EQ(slice(10, 100, -100, -3), 4) << "9 6 3 0";
  EXPECT_EQ(slice(10, 20, 30, 1), 0);
  EXPECT_FRF_ERROR(slice(10, 0, 5, 0), ErrorCode::kInvalidArgument, "a step of 0");
}

TEST(Shapes, BackwardSlicesFromBeforeTheFirstElement) {
  const auto count = [](std::int64_t dim, std::int64_t end, std::int64_t step) {
    return Call{"Slice", {Map({2, dim}), List({-100}), List({end}), List({1}), List({step})}}()[1];
  };
  EXPECT_EQ(count(10, -1000, -1), 1) << "the first";
  EXPECT_EQ(count(10, 0, -1), 0);
  EXPECT_EQ(
      (Call{"Slice", {Tensor::Of<float>({2, 0}, {}), List({-100}), List({-1000}), List({1}), List({-1})}}()),
      (Shape{2, 0}))
      << "there is no first";
}

// 40 * 0.7f is 28 in float, as in ONNX Runtime, and 27.9999995 in double.
TEST(Shapes, ScaledSizesAreProductsInFloat) {
  EXPECT_EQ(ScaledSize(40, 0.7f), 28);
  EXPECT_EQ(ScaledSize(40, 1.3f), 52);
  EXPECT_EQ(ScaledSize(40, 0.55f), 22);
  EXPECT_EQ(ScaledSize(5, 0.5f), 2);
  EXPECT_EQ((Call{"Resize", {Map({1, 3, 40, 60}), kAbsent, Floats({1, 1, 0.7f, 1.3f})}}()),
            (Shape{1, 3, 28, 78}));
  EXPECT_FRF_ERROR(
      (Call{"Resize", {Map({1, 3, 40, 60}), kAbsent, Floats({2, 2})}, {{"axes", Ints{2, -2}}}}()),
      ErrorCode::kInvalidArgument, "axis 2 is named twice");
}

// A file may give an old opset's attribute beside the input that replaced it.
TEST(Shapes, InputsCountNotAttributes) {
  const Tensor x = Map({1, 6, 4, 1});
  EXPECT_EQ((Call{"Pad", {x, List(Ints(8, 0))}, {{"pads", Ints{0, 0, 0, 0, 0, 0, 40, 40}}}}()), x.shape());
  const Call split{"Split", {x, List({2, 4})}, {{"axis", std::int64_t{1}}, {"split", Ints{3, 3}}}, 2};
  EXPECT_EQ(split.Infer(1).shape, (Shape{1, 4, 4, 1}));
  EXPECT_EQ((Call{"Squeeze", {x, List({3})}, {{"axes", Ints{0}}}}()), (Shape{1, 6, 4}));
  EXPECT_EQ((Call{"Unsqueeze", {x, List({4})}, {{"axes", Ints{0, 1}}}}()), (Shape{1, 6, 4, 1, 1}));
  EXPECT_EQ((Call{"ReduceSum", {x, List({1})}, {{"axes", Ints{2}}}}()), (Shape{1, 1, 4, 1}));
  EXPECT_EQ((Call{"Slice", {x, List({1}), List({3}), List({1})}, {{"starts", Ints{0}}}}()),
            (Shape{1, 2, 4, 1}));
}

TEST(Shapes, TransposedConvolutionsOutputShape) {
  const auto up = [](Ints shape) {
    return Call{"ConvTranspose", {Map({1, 6, 5, 7}), Map({6, 2, 3, 3})}, {{"output_shape", shape}}}();
  };
  EXPECT_EQ(up({7, 9}), (Shape{1, 2, 7, 9}));
  EXPECT_EQ(up({1, 2, 7, 9}), (Shape{1, 2, 7, 9}));
  EXPECT_FRF_ERROR(up({1, 7, 9}), ErrorCode::kInvalidArgument, "output_shape has 3 numbers for 2 axes");
}

TEST(Shapes, TypeOfQuantizedValues) {
  const Tensor x = Map({1, 6, 4, 5}), scale = Tensor::Described(DType::kFloat32, {});
  EXPECT_EQ((Call{"QuantizeLinear", {x, scale}}.Infer().dtype), DType::kUint8);
  EXPECT_EQ((Call{"QuantizeLinear", {x, scale}, {{"output_dtype", std::int64_t{3}}}}.Infer().dtype),
            DType::kInt8);
  EXPECT_EQ((Call{"QuantizeLinear", {x, scale, Tensor::Described(DType::kInt8, {})}}.Infer().dtype),
            DType::kInt8);
}

// Values, not only shapes: what arithmetic inside the graph gives, seen through a ConstantOfShape or Reshape.
Ints Value(const Call& call) {
  Graph graph = call.MakeGraph();
  graph.nodes.push_back({.name = "seen", .op = "ConstantOfShape", .inputs = {"o0"}, .outputs = {"seen"}});
  return InferShapes(graph, std::map<std::string, Shape>{}).at("seen").shape;
}

TEST(ShapeArithmetic, Evaluates) {
  EXPECT_EQ(Value({"Shape", {Map({2, 3, 5})}}), (Ints{2, 3, 5}));
  EXPECT_EQ(Value({"Shape", {Map({2, 3, 5})}, {{"start", std::int64_t{-2}}}}), (Ints{3, 5}));
  EXPECT_EQ(Value({"Slice", {List({1, 3, 360, 480}), List({2}), List({INT64_MAX})}}), (Ints{360, 480}));
  EXPECT_EQ(Value({"Slice", {List({1, 2, 3}), List({-1}), List({INT64_MIN}), List({0}), List({-1})}}),
            (Ints{3, 2, 1}));
  EXPECT_EQ(Value({"Gather", {List({7, 8, 9}), List({-1, 0})}}), (Ints{9, 7}));
  EXPECT_EQ(Value({"Concat", {List({1, 2}), List({3})}, {{"axis", std::int64_t{0}}}}), (Ints{1, 2, 3}));
  EXPECT_EQ(Value({"Unsqueeze", {Scalar(5), List({0})}}), (Ints{5}));
  EXPECT_EQ(Value({"Cast", {Floats({2.9f, 3.0f})}, {{"to", std::int64_t{7}}}}), (Ints{2, 3}));
  EXPECT_EQ(Value({"Div", {List({7, 9}), List({2, 4})}}), (Ints{3, 2}));
  EXPECT_EQ(Value({"Mod", {List({7, -7}), List({4, 4})}}), (Ints{3, 1}));
  EXPECT_EQ(Value({"Mul", {List({3, 5}), Scalar(2)}}), (Ints{6, 10}));
  EXPECT_EQ(Value({"Max", {List({3, 5}), List({4, 4}), List({1, 9})}}), (Ints{4, 9}));
  EXPECT_EQ(Value({"Range", {Scalar(2), Scalar(9), Scalar(3)}}), (Ints{2, 5, 8}));
  EXPECT_EQ(Value({"ConstantOfShape", {List({3})}, {{"value", List({4})}}}), (Ints{4, 4, 4}));
  EXPECT_EQ(Value({"Constant", {}, {{"value_ints", Ints{6, 7}}}}), (Ints{6, 7}));
  EXPECT_EQ(Value({"Expand", {List({4}), List({3})}}), (Ints{4, 4, 4}));
  EXPECT_EQ(Value({"Where", {Tensor::Of<bool>({2}, {true, false}), List({1, 2}), List({3, 4})}}),
            (Ints{1, 4}));
  EXPECT_EQ(Value({"Reshape", {Scalar(9), List({1})}}), (Ints{9}));
  EXPECT_FRF_ERROR(Value({"Div", {List({7}), List({0})}}), ErrorCode::kInvalidArgument, "divides by zero");
  EXPECT_FRF_ERROR(Value({"Div", {List({INT64_MIN}), List({-1})}}), ErrorCode::kInvalidArgument, "too large");
  EXPECT_FRF_ERROR(Value({"Gather", {List({7}), List({1})}}), ErrorCode::kInvalidArgument, "outside");
}

TEST(ShapeArithmetic, FloatsRoundLikeFloats) {
  // Exporters write sizes as floor(float(h) * scale): 0.1f * 10 is 1 in float, above it in double.
  Graph graph = Call{"Mul", {Floats({10.0f}), Floats({0.1f})}}.MakeGraph();
  graph.nodes.push_back({.name = "ceil", .op = "Ceil", .inputs = {"o0"}, .outputs = {"up"}});
  graph.nodes.push_back({.name = "cast",
                         .op = "Cast",
                         .inputs = {"up"},
                         .outputs = {"size"},
                         .attributes = {{"to", std::int64_t{7}}}});
  graph.nodes.push_back({.name = "seen", .op = "ConstantOfShape", .inputs = {"size"}, .outputs = {"seen"}});
  EXPECT_EQ(InferShapes(graph, std::map<std::string, Shape>{}).at("seen").shape, Shape{1});
}

TEST(ShapeArithmetic, ResolvesAFreeResizeAndRange) {
  // What the ONNX writer makes of ResizeLike and of a spectral pool's axis when the size is free.
  Graph graph;
  graph.inputs = {{"image", DType::kFloat32, {1, 3, -1, -1}, {}},
                  {"low", DType::kFloat32, {1, 8, -1, -1}, {}}};
  const auto constant = [&](const char* name, Tensor value) {
    graph.initializers.push_back({name, Role::kConstant, Init::kGiven, std::move(value), false});
  };
  constant("two", List({2})), constant("four", List({4})), constant("front", List({1, 8}));
  constant("zero", Scalar(0)), constant("one", Scalar(1));
  graph.nodes = {
      {.name = "shape", .op = "Shape", .inputs = {"image"}, .outputs = {"s"}},
      {.name = "slice", .op = "Slice", .inputs = {"s", "two", "four"}, .outputs = {"hw"}},
      {.name = "concat",
       .op = "Concat",
       .inputs = {"front", "hw"},
       .outputs = {"sizes"},
       .attributes = {{"axis", std::int64_t{0}}}},
      {.name = "resize", .op = "Resize", .inputs = {"low", "", "", "sizes"}, .outputs = {"up"}},
      {.name = "height", .op = "Gather", .inputs = {"hw", "zero"}, .outputs = {"h"}},
      {.name = "range", .op = "Range", .inputs = {"zero", "h", "one"}, .outputs = {"r"}},
      {.name = "float",
       .op = "Cast",
       .inputs = {"r"},
       .outputs = {"f"},
       .attributes = {{"to", std::int64_t{1}}}},
      {.name = "cos", .op = "Cos", .inputs = {"f"}, .outputs = {"c"}},
  };
  const TypeMap types = InferShapes(graph, {{"image", {1, 3, 361, 127}}, {"low", {1, 8, 91, 32}}});
  EXPECT_EQ(types.at("up").shape, (Shape{1, 8, 361, 127}));
  EXPECT_EQ(types.at("c").shape, Shape{361});
  EXPECT_EQ(types.at("c").dtype, DType::kFloat32);
}

TEST(InferShapes, Inputs) {
  Builder g("net");
  g.Output(g.Relu(g.Input("image", 3)), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  EXPECT_EQ(InferShapes(graph, 13, 127).at("scores").shape, (Shape{1, 3, 13, 127}));
  EXPECT_FRF_ERROR(InferShapes(graph, std::map<std::string, Shape>{}), ErrorCode::kInvalidArgument,
                   "give its whole size");
  EXPECT_FRF_ERROR(InferShapes(graph, 0, 5), ErrorCode::kInvalidArgument, "1x3x0x5");
  EXPECT_FRF_ERROR(InferShapes(graph, {{"image", {1, 4, 8, 8}}}), ErrorCode::kInvalidArgument,
                   "input 'image' is ?x3x?x?, 1x4x8x8");
  EXPECT_FRF_ERROR(InferShapes(graph, {{"picture", {1, 3, 8, 8}}}), ErrorCode::kInvalidArgument,
                   "no input 'picture'");
  graph.inputs[0].shape = {1, 3, 360, 480};
  EXPECT_FRF_ERROR(InferShapes(graph, 512, 1024), ErrorCode::kInvalidArgument,
                   "1x3x360x480, 1x3x512x1024 does not fit");
  graph.nodes[0].inputs[0] = "nothing";
  EXPECT_FRF_ERROR(InferShapes(graph, 360, 480), ErrorCode::kInvalidArgument, "reads 'nothing'");
}

}  // namespace
}  // namespace frf
