// SPDX-License-Identifier: Apache-2.0
// Costs worked out by hand: multiply-accumulates, bytes alive, receptive fields.
#include "graph/builder.h"
#include "graph/shapes.h"
#include "support/support.h"

namespace frf {
namespace {

Cost CostOf(Builder&& g, int height, int width) {
  const Graph graph = std::move(g).Build();
  return CountCost(graph, InferShapes(graph, height, width));
}

const LayerCost& Layer(const Cost& cost, const std::string& node) {
  for (const LayerCost& layer : cost.layers) {
    if (layer.node == node) return layer;
  }
  throw std::out_of_range(node);
}

TEST(Cost, Convolutions) {
  Builder g("net");
  const Value x = g.Input("image", 4);
  g.Conv(x, {.name = "plain", .out = 8, .kernel = 3, .bias = true});
  g.Conv(x, {.name = "grouped", .out = 8, .kernel = 3, .groups = 4});
  g.ConvTranspose(x, {.name = "up", .out = 6, .kernel = 3, .stride = 2, .pad = 1}, 1);
  g.Output(g.BatchNorm(x, "bn"), "scores", OutputRole::kScores);
  const Cost cost = CostOf(std::move(g), 5, 7);
  EXPECT_EQ(Layer(cost, "plain").macs, 8 * 4 * 9 * 35);
  EXPECT_EQ(Layer(cost, "plain").params, 8 * 4 * 9 + 8);
  EXPECT_EQ(Layer(cost, "grouped").macs, 8 * 1 * 9 * 35);
  EXPECT_EQ(Layer(cost, "up").macs, 35 * 4 * 6 * 9) << "each input pixel meets every weight";
  EXPECT_EQ(Layer(cost, "bn").params, 8) << "running statistics are no parameters";
  EXPECT_EQ(Layer(cost, "bn").macs, 0);
  EXPECT_EQ(cost.params, 296 + 72 + 216 + 8);
  EXPECT_EQ(cost.macs, cost.macs_all);
}

TEST(Cost, ProductsStandApart) {
  Builder g("net");
  const Value x = g.Input("image", 4);
  const Value flat = g.Reshape(x, {0, 4, -1}, 4);
  g.MatMul(flat, g.Transpose(flat, {0, 2, 1}, 0), 4);                             // attention: 4 x 35 x 4
  g.MatMul(x, g.Parameter("w", {7, 3}, Init::kKaimingFanOut, 0), 4);              // trained: 4*5 x 7 x 3
  g.MatMul(x, g.Constant("table", Tensor::Zeros(DType::kFloat32, {7, 2})), 4);    // a table: 4*5 x 7 x 2
  g.Output(g.SpectralPool(x, {0, 0}, {4}, 1.0f), "scores", OutputRole::kScores);  // 4 * (35 + 5)
  const Cost cost = CostOf(std::move(g), 5, 7);
  EXPECT_EQ(cost.macs, 4 * 5 * 7 * 3);
  EXPECT_EQ(cost.macs_all - cost.macs, 4 * 35 * 4 + 4 * 5 * 7 * 2 + 4 * (35 + 5));
  EXPECT_EQ(cost.params, 21);
}

TEST(Cost, SharedWeightsCountOnce) {
  Builder g("net");
  const Value x = g.Input("image", 4);
  const Value w = g.Parameter("shared", {4, 4, 3, 3}, Init::kKaimingFanOut, 4);
  const ConvSpec first{.name = "first", .out = 4, .kernel = 3},
      second{.name = "second", .out = 4, .kernel = 3};
  g.Output(g.ConvShared(g.ConvShared(x, w, {}, first), w, {}, second), "scores", OutputRole::kScores);
  const Cost cost = CostOf(std::move(g), 5, 7);
  EXPECT_EQ(cost.params, 144);
  EXPECT_EQ(cost.macs, 2 * 144 * 35);
}

TEST(Cost, WeightsBehindACastBelongToTheLayer) {
  Builder g("net");
  const Value x = g.Input("image", 4);
  const Value half = g.Parameter("w", {2, 4, 1, 1}, Init::kKaimingFanOut, 2);
  const Value w = g.Op("Cast", {half}, 2, {{"to", std::int64_t{1}}});
  g.Output(g.Op("Conv", {x, w}, 2), "scores", OutputRole::kScores);
  const Cost cost = CostOf(std::move(g), 5, 7);
  EXPECT_EQ(cost.layers[0].params, 0);
  EXPECT_EQ(cost.layers[1].params, 8);
  EXPECT_EQ(cost.layers[1].macs, 8 * 35);
  EXPECT_EQ(cost.params, 8);
}

TEST(Cost, ReceptiveFields) {
  Builder g("net");
  const Value image = g.Input("image", 3);
  const Value a = g.Conv(image, {.name = "a", .out = 4, .kernel = 3, .stride = 2});  // 3
  const Value b = g.Conv(a, {.name = "b", .out = 4, .kernel = 3, .dilation = 3});    // 3 + 6 * 2 = 15
  const Value c = g.MaxPool(b, {.kernel = 2, .stride = 2});                          // 15 + 2 = 17
  const Value d =
      g.ConvTranspose(c, {.name = "d", .out = 4, .kernel = 4, .stride = 2, .pad = 1}, 0);  // 17 + 1 * 4 = 21
  const Value e = g.ResizeLike(c, a);  // 17 + 4 = 21, two neighbours 4 apart
  const Value f = g.Conv(e, {.name = "f", .out = 4, .kernel = 1, .kernel_w = 5});  // 21 + 4 * 2 = 29 across
  const Value pooled = g.GlobalAveragePool(a);
  g.Mul(a, pooled);
  g.Add(d, g.Softmax(e, 1));
  g.Output(f, "scores", OutputRole::kScores);
  const Cost cost = CostOf(std::move(g), 64, 64);
  EXPECT_EQ(Layer(cost, "a").receptive_field, 3);
  EXPECT_EQ(Layer(cost, "b").receptive_field, 15);
  EXPECT_EQ(Layer(cost, "maxpool").receptive_field, 17);
  EXPECT_EQ(Layer(cost, "d").receptive_field, 21);
  EXPECT_EQ(Layer(cost, "resizelike").receptive_field, 21);
  EXPECT_EQ(Layer(cost, "f").receptive_field, 29);
  EXPECT_EQ(Layer(cost, "softmax").receptive_field, 21) << "over channels: one pixel";
  EXPECT_EQ(Layer(cost, "add").receptive_field, 21);
  EXPECT_EQ(Layer(cost, "globalaveragepool").receptive_field, 0) << "the whole image";
  EXPECT_EQ(Layer(cost, "mul").receptive_field, 0);
}

TEST(Cost, PeakIsWhatIsAliveAtOnce) {
  Builder g("net");
  const Value image = g.Input("image", 1);                 // 1 unit of 4 * 35 bytes
  const Value a = g.Conv(image, {.name = "a", .out = 3});  // 3; image dies
  const Value b = g.Conv(a, {.name = "b", .out = 2});      // 2
  const Value c = g.Conv(b, {.name = "c", .out = 3});      // 3; b dies; a still lives: 3 + 2 + 3
  g.Output(g.Add(a, c), "scores", OutputRole::kScores);    // 3 more while a and c live
  const Cost cost = CostOf(std::move(g), 5, 7);
  EXPECT_EQ(cost.activation_bytes, (3 + 2 + 3 + 3) * 140);
  EXPECT_EQ(cost.peak_bytes, 9 * 140);
}

TEST(Cost, WantsTheGraphsOwnTypes) {
  Builder g("net");
  g.Output(g.Relu(g.Input("image", 3)), "scores", OutputRole::kScores);
  const Graph graph = std::move(g).Build();
  EXPECT_FRF_ERROR(CountCost(graph, {}), ErrorCode::kInvalidArgument, "node 'relu' (Relu)");
}

TEST(Cost, OverChannelsIsOnePixelWhereverTheAxesStand) {
  const auto field = [](const char* op, int opset, std::vector<std::int64_t> axes, bool as_input,
                        std::int64_t axis) {
    Graph graph;
    graph.name = "net";
    graph.opset = opset;
    graph.inputs.push_back({.name = "image", .shape = {1, 3, -1, -1}});
    Node node{.name = "n", .op = op, .inputs = {"image"}, .outputs = {"scores"}};
    if (as_input) {
      graph.initializers.push_back({.name = "axes", .value = Tensor::Of<std::int64_t>({1}, axes)});
      node.inputs.push_back("axes");
    } else if (!axes.empty()) {
      node.attributes["axes"] = axes;
    } else {
      node.attributes["axis"] = axis;
    }
    if (node.Is("LayerNormalization")) {
      graph.initializers.push_back({.name = "factor", .value = Tensor::Zeros(DType::kFloat32, {8})});
      node.inputs.push_back("factor");
    }
    graph.nodes = {node};
    graph.outputs.push_back({.name = "scores"});
    return CountCost(graph, InferShapes(graph, 8, 8)).layers.at(0).receptive_field;
  };
  EXPECT_EQ(field("ReduceMax", 18, {1}, true, 0), 1);
  EXPECT_EQ(field("ReduceMax", 13, {1}, false, 0), 1);
  EXPECT_EQ(field("ReduceMax", 18, {3}, true, 0), 0);
  EXPECT_EQ(field("LogSoftmax", 13, {}, false, 3), 0);
  EXPECT_EQ(field("LogSoftmax", 13, {}, false, 1), 1);
  EXPECT_EQ(field("Softmax", 11, {}, false, 1), 0) << "flattens what follows";
  EXPECT_EQ(field("LayerNormalization", 17, {}, false, 3), 0);
}

}  // namespace
}  // namespace frf
