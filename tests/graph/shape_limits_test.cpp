// SPDX-License-Identifier: Apache-2.0
// What shape inference refuses for its size, not for its form.
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

}  // namespace
}  // namespace frf
