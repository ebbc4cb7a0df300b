// SPDX-License-Identifier: Apache-2.0
// The executor: feeds in the middle, memory counted before it is taken, sizes that change between runs, the
// same bits every time; constant folding, batch-norm folding, calibration; shapes as inferred, for FRFNet.
#include "engine/plain.h"

#include <cmath>

#include "engine/helpers.h"
#include "engine/plain_op.h"
#include "graph/builder.h"
#include "graph/operators.h"
#include "graph/shapes.h"
#include "nets/nets.h"

namespace frf::test {
namespace {

Node Named(const std::string& op, std::vector<std::string> inputs, std::vector<std::string> outputs,
           Attributes attributes = {}) {
  return {.name = outputs.at(0) + ".node",
          .op = op,
          .inputs = std::move(inputs),
          .outputs = std::move(outputs),
          .attributes = std::move(attributes)};
}

Initializer Constant(const std::string& name, Tensor value) {
  return {.name = name, .role = Role::kConstant, .init = Init::kGiven, .value = std::move(value)};
}

// image -> conv 3x3 s2 + batch norm + relu -> 1x1 -> up to the image's size
Graph SmallNet() {
  Builder g("small");
  const Value x = g.Input("image", 3);
  Value y = g.Relu(g.BatchNorm(g.Conv(x, {.name = "a", .out = 13, .kernel = 3, .stride = 2}), "a.bn"));
  y = g.Conv(y, {.name = "b", .out = 5, .kernel = 1, .bias = true});
  g.Output(g.ResizeLike(y, x), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 1);
  return graph;
}

TEST(Plain, RunsEveryOperatorThatAGraphMayHold) {
  EXPECT_GT(Operators().size(), 80u);
  for (const OperatorInfo& known : Operators()) {
    const Node node{.op = std::string(known.name), .domain = std::string(known.domain)};
    EXPECT_TRUE(plain::IsSupported(node)) << known.domain << " " << known.name;
  }
}

TEST(Plain, SizesMayChangeAndBitsDoNot) {
  PlainExecutor executor(SmallNet(), {.threads = 2});
  const Tensor small = RandomTensor({1, 3, 13, 17}, 1), large = RandomTensor({2, 3, 30, 40}, 2);
  const Tensor first = executor.Run({{"image", small}}).at("scores");
  EXPECT_EQ(first.shape(), (Shape{1, 5, 13, 17}));
  EXPECT_EQ(executor.Run({{"image", large}}).at("scores").shape(), (Shape{2, 5, 30, 40}));
  for (int i = 0; i < 3; ++i) ExpectTensor(executor.Run({{"image", small}}).at("scores"), first);
  PlainExecutor other(SmallNet(), {.threads = 2});
  ExpectTensor(other.Run({{"image", small}}).at("scores"), first);
}

TEST(Plain, IntermediateValuesCanBeFedAndWanted) {
  Graph graph;
  graph.inputs = {{.name = "x", .shape = {-1}}};
  graph.outputs = {{.name = "z"}};
  graph.nodes = {Named("Neg", {"x"}, {"y"}), Named("Add", {"y", "c"}, {"z"})};
  graph.initializers = {Constant("c", F({1}, {10}))};
  PlainExecutor executor(graph);
  ExpectTensor(executor.Run({{"x", F({2}, {1, 2})}}).at("z"), F({2}, {9, 8}));
  const TensorMap both = executor.Run({{"x", F({2}, {1, 2})}}, {"y", "z"});
  ExpectTensor(both.at("y"), F({2}, {-1, -2}));
  // y is fed: x is not needed; a constant can be replaced as well.
  ExpectTensor(executor.Run({{"y", F({1}, {5})}}).at("z"), F({1}, {15}));
  ExpectTensor(executor.Run({{"y", F({1}, {5})}, {"c", F({1}, {1})}}).at("z"), F({1}, {6}));
  ExpectTensor(executor.Run({{"y", F({1}, {5})}}).at("z"), F({1}, {15}));
  EXPECT_FRF_ERROR(executor.Run({}), ErrorCode::kInvalidArgument, "'x' was not fed");
  EXPECT_FRF_ERROR(executor.Run({{"w", F({1}, {5})}}), ErrorCode::kInvalidArgument, "'w'");
  EXPECT_FRF_ERROR(executor.Run({{"x", F({1}, {5})}}, {"w"}), ErrorCode::kInvalidArgument, "'w'");
  EXPECT_FRF_ERROR(executor.Run({{"x", I({1}, {5})}}), ErrorCode::kInvalidArgument, "wants float32");
  EXPECT_FRF_ERROR(executor.Run({{"x", F({1, 1}, {5})}}), ErrorCode::kInvalidArgument, "saw float32 1x1");
}

TEST(Plain, PackedWeightsFollowAFeed) {
  Graph graph = SmallNet();
  PlainExecutor executor(graph);
  const Tensor image = RandomTensor({1, 3, 8, 8}, 1);
  const Tensor before = executor.Run({{"image", image}}).at("scores");
  const Tensor zeros = Tensor::Zeros(DType::kFloat32, {5, 13, 1, 1});
  const Tensor fed = executor.Run({{"image", image}, {"b.weight", zeros}}).at("scores");
  for (std::int64_t i = 0; i < fed.size(); ++i) ASSERT_EQ(fed.data<float>()[i], 0);
  ExpectTensor(executor.Run({{"image", image}}).at("scores"), before);
}

TEST(Plain, MemoryIsCountedBeforeItIsTaken) {
  // Ten 4 MiB values in a row, two alive at a time.
  Graph graph;
  graph.inputs = {{.name = "v0"}};
  graph.outputs = {{.name = "v10"}};
  for (int i = 0; i < 10; ++i)
    graph.nodes.push_back(Named("Neg", {fmt::format("v{}", i)}, {fmt::format("v{}", i + 1)}));
  const Tensor x = Tensor::Zeros(DType::kFloat32, {1 << 20});
  PlainExecutor enough(graph, {.max_memory = std::uint64_t{8} << 20});
  enough.Run({{"v0", x}});
  enough.Run({{"v0", x}});
  EXPECT_EQ(enough.peak_bytes(), std::uint64_t{8} << 20);
  PlainExecutor short_of(graph, {.max_memory = (std::uint64_t{8} << 20) - 1});
  EXPECT_FRF_ERROR(short_of.Run({{"v0", x}}), ErrorCode::kOutOfMemory, "larger max_memory");
  // Nothing is left behind by a refused run: a smaller input still fits.
  EXPECT_NO_THROW(short_of.Run({{"v0", Tensor::Zeros(DType::kFloat32, {1 << 18})}}));
  EXPECT_FRF_ERROR(RunNode(MakeNode("ConstantOfShape", 1), {List({std::int64_t{1} << 40, 4})}, 17,
                           {.max_memory = 1 << 20}),
                   ErrorCode::kOutOfMemory, "TiB");
  EXPECT_FRF_ERROR(RunNode(MakeNode("Expand", 2), {F({}, {1}), List({std::int64_t{1} << 40})}, 17,
                           {.max_memory = 1 << 20}),
                   ErrorCode::kOutOfMemory, "more");
}

TEST(Plain, WeightsWithoutDataAreNamed) {
  Builder g("bare");
  g.Output(g.Conv(g.Input("image", 3), {.name = "c", .out = 2}), "scores", OutputRole::kScores);
  PlainExecutor executor(std::move(g).Build());
  EXPECT_FRF_ERROR(executor.Run({{"image", RandomTensor({1, 3, 4, 4}, 1)}}), ErrorCode::kInvalidArgument,
                   "'c.weight' has no data");
}

TEST(FoldConstants, FoldsWhatIsKnownAndNothingElse) {
  Graph graph;
  graph.inputs = {{.name = "x", .shape = {-1}}};
  graph.outputs = {{.name = "y"}, {.name = "w"}};
  graph.initializers = {Constant("a", F({2}, {1, 2})), Constant("b", F({2}, {3, 4})),
                        Constant("q", Tensor::Of<std::int8_t>({2}, {1, 2})), Constant("s", F({}, {2}))};
  graph.nodes = {Named("Constant", {}, {"k"}, {{"value_float", 2.0f}}),
                 Named("Add", {"a", "b"}, {"ab"}),
                 Named("Mul", {"ab", "k"}, {"abk"}),
                 Named("DequantizeLinear", {"q", "s"}, {"d"}),
                 Named("Add", {"x", "abk"}, {"xabk"}),
                 Named("Add", {"xabk", "d"}, {"y"}),
                 Named("Neg", {"a"}, {"w"})};
  const Graph folded = FoldConstants(graph);
  std::vector<std::string> ops;
  for (const Node& node : folded.nodes) ops.push_back(node.op);
  EXPECT_EQ(ops, (std::vector<std::string>{"DequantizeLinear", "Add", "Add", "Neg"}));
  ASSERT_NE(folded.FindInitializer("abk"), nullptr);
  ExpectTensor(folded.FindInitializer("abk")->value, F({2}, {8, 12}));
  EXPECT_EQ(folded.FindInitializer("ab"), nullptr);
  EXPECT_EQ(folded.FindInitializer("b"), nullptr);
  EXPECT_NE(folded.FindInitializer("a"), nullptr);  // the output w still needs it
  const Tensor x = F({2}, {1, 1});
  const TensorMap before = PlainExecutor(graph).Run({{"x", x}}),
                  after = PlainExecutor(folded).Run({{"x", x}});
  ExpectTensor(after.at("y"), before.at("y"));
  ExpectTensor(after.at("w"), before.at("w"));
}

TEST(FoldConstants, LeavesWhatWouldGrowTooLarge) {
  Graph graph;
  graph.outputs = {{.name = "y"}};
  graph.initializers = {Constant("shape", List({1 << 20}))};
  graph.nodes = {Named("ConstantOfShape", {"shape"}, {"large"}), Named("ReduceSum", {"large"}, {"y"})};
  EXPECT_EQ(FoldConstants(graph, 1 << 20).nodes.size(), 2u);
  EXPECT_EQ(FoldConstants(graph, 1 << 22).nodes.size(), 1u);
}

TEST(FoldBatchNorm, ComputesTheSame) {
  Graph graph = SmallNet();
  CalibrateBatchNorm(graph, RandomTensor({1, 3, 33, 47}, 4));
  const Graph folded = FoldBatchNorm(graph);
  EXPECT_EQ(folded.nodes.size() + 1, graph.nodes.size());
  const Tensor image = RandomTensor({1, 3, 21, 35}, 5);
  ExpectTensor(PlainExecutor(folded).Run({{"image", image}}).at("scores"),
               PlainExecutor(graph).Run({{"image", image}}).at("scores"), 1e-5);
}

TEST(CalibrateBatchNorm, NormalisesEveryChannel) {
  Graph graph = SmallNet();
  const Graph untouched = graph;  // shares storage, which calibration must not write to
  const Tensor image = RandomTensor({1, 3, 33, 47}, 6);
  CalibrateBatchNorm(graph, image);
  std::string value;
  for (const Node& node : graph.nodes) {
    if (node.Is("BatchNormalization")) value = node.outputs[0];
  }
  const Tensor y = PlainExecutor(graph).Run({{"image", image}}, {value}).at(value);
  const std::int64_t plane = y.dim(2) * y.dim(3);
  for (std::int64_t c = 0; c < y.dim(1); ++c) {
    double sum = 0, squares = 0;
    for (std::int64_t i = 0; i < plane; ++i) {
      const double v = y.data<float>()[c * plane + i];
      sum += v;
      squares += v * v;
    }
    EXPECT_NEAR(sum / static_cast<double>(plane), 0, 1e-5);
    EXPECT_NEAR(squares / static_cast<double>(plane), 1, 1e-3);
  }
  for (const Initializer& state : untouched.initializers) {
    if (state.role != Role::kState || !state.name.ends_with("mean")) continue;
    EXPECT_EQ(state.value.data<float>()[0], 0) << state.name;
  }
}

// Every network there is: each value has the shape and type that were inferred, at a size that is no multiple
// of 32.
TEST(Networks, RunWithTheInferredShapes) {
  for (const NetEntry& entry : ListNets()) {
    Graph graph = BuildNet(entry.name, {{"classes", 5}}).ForInference();
    InitializeWeights(graph, 3);
    constexpr int kHeight = 66, kWidth = 93;
    const TypeMap types = InferShapes(graph, kHeight, kWidth);
    std::vector<std::string> values;
    for (const Node& node : graph.nodes) {
      for (const std::string& output : node.outputs) {
        if (!output.empty()) values.push_back(output);
      }
    }
    const TensorMap seen =
        PlainExecutor(graph).Run({{"image", RandomTensor({1, 3, kHeight, kWidth}, 7)}}, values);
    for (const std::string& value : values) {
      EXPECT_EQ(ToString(seen.at(value).shape()), ToString(types.at(value).shape))
          << entry.name << " " << value;
      EXPECT_STREQ(Name(seen.at(value).dtype()), Name(types.at(value).dtype)) << entry.name << " " << value;
    }
  }
}

// Batch norm folded or not, FRFNet gives the same scores.
TEST(Frfnet, FoldingKeepsTheFunction) {
  for (const auto& [height, width] : std::vector<std::pair<int, int>>{{64, 96}, {90, 127}}) {
    Graph graph = BuildNet("frfnet", {{"classes", 11}}).ForInference();
    InitializeWeights(graph, 3);
    const Tensor image = RandomTensor({1, 3, height, width}, 7);
    CalibrateBatchNorm(graph, image);
    std::vector<std::string> values{graph.outputs.at(0).name};
    for (const Node& node : graph.nodes) {
      if (node.Is("Clip")) values.push_back(node.outputs[0]);
    }
    const TensorMap seen = PlainExecutor(graph).Run({{"image", image}}, values);
    const Tensor& scores = seen.at(graph.outputs.at(0).name);
    for (std::int64_t i = 0; i < scores.size(); ++i) ASSERT_TRUE(std::isfinite(scores.data<float>()[i]));
    // Folding keeps the function, given the same masks: one element of FFM's threshold may flip by rounding.
    TensorMap feeds{{"image", image}};
    for (const Node& node : graph.nodes) {
      if (node.Is("Clip")) feeds[node.outputs[0]] = seen.at(node.outputs[0]);
    }
    EXPECT_EQ(feeds.size(), 3u);
    const Tensor folded = PlainExecutor(FoldBatchNorm(graph)).Run(feeds).begin()->second;
    double largest = 0;
    for (std::int64_t i = 0; i < scores.size(); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(scores.data<float>()[i])));
    // The maps at 1/32 hold a handful of pixels, so calibrated deviations are small and rounding is
    // magnified.
    ExpectTensor(folded, scores, 5e-4 * largest);
  }
}

}  // namespace
}  // namespace frf::test
