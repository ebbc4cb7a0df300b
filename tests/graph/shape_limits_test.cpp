// SPDX-License-Identifier: Apache-2.0
// What shape inference refuses for its size, not for its form, and one form that it does not refuse.
#include "graph/operators.h"
#include "graph/shapes.h"
#include "support/support.h"

namespace frf {
namespace {

// The image reshaped to `rank` dimensions: all its elements, then ones.
Graph Reshaped(std::size_t rank) {
  std::vector<std::int64_t> shape(rank, 1);
  shape[0] = -1;
  Graph graph;
  graph.inputs = {{.name = "image", .shape = {1, 3, 8, 8}}};
  graph.initializers = {{.name = "shape",
                         .role = Role::kConstant,
                         .init = Init::kGiven,
                         .value = Tensor::Of({static_cast<std::int64_t>(rank)}, shape)}};
  graph.nodes = {{.name = "wide", .op = "Reshape", .inputs = {"image", "shape"}, .outputs = {"scores"}}};
  graph.outputs = {{.name = "scores"}};
  graph.Validate();
  return graph;
}

TEST(ShapeLimits, TensorsHaveAtMostSixteenDimensions) {
  const std::map<std::string, Shape> image{{"image", {1, 3, 8, 8}}};
  EXPECT_EQ(InferShapes(Reshaped(kMaxRank), image).at("scores").shape.size(), 16u);
  EXPECT_FRF_ERROR(InferShapes(Reshaped(kMaxRank + 1), image), ErrorCode::kInvalidArgument,
                   "node 'wide' (Reshape): its output would have 17 dimensions, at most 16 are known");
  EXPECT_FRF_ERROR(InferShapes(Reshaped(4096), image), ErrorCode::kInvalidArgument, "4096 dimensions");
}

// ONNX Runtime's quantiser writes biases so.
TEST(ShapeLimits, AScaleMayBeAListOfOneBesideAZeroPointThatIsANumber) {
  const auto dequantized = [](const Tensor& scale, const Tensor& zero) {
    Graph graph;
    graph.inputs = {{.name = "image", .dtype = DType::kUint8, .shape = {1, 3, 8, 8}}};
    for (const auto& [name, value] : {std::pair{"scale", scale}, {"zero", zero}}) {
      graph.initializers.push_back(
          {.name = name, .role = Role::kConstant, .init = Init::kGiven, .value = value});
    }
    graph.nodes = {
        {.name = "d", .op = "DequantizeLinear", .inputs = {"image", "scale", "zero"}, .outputs = {"x"}}};
    graph.outputs = {{.name = "x"}};
    return InferShapes(graph, {{"image", {1, 3, 8, 8}}}).at("x").shape;
  };
  const Tensor one = Tensor::Of<float>({1}, {0.5f}), zero = Tensor::Scalar(std::uint8_t{0});
  EXPECT_EQ(dequantized(one, zero), (Shape{1, 3, 8, 8}));
  EXPECT_EQ(dequantized(Tensor::Scalar(0.5f), Tensor::Of<std::uint8_t>({1}, {0})), (Shape{1, 3, 8, 8}));
  EXPECT_FRF_ERROR(dequantized(Tensor::Of<float>({3}, {1, 2, 3}), zero), ErrorCode::kInvalidArgument,
                   "scale is 3, zero point is scalar");
}

}  // namespace
}  // namespace frf
