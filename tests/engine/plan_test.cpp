// SPDX-License-Identifier: Apache-2.0
// Plans against the plain executor: every network of the family, layers of other people's, odd sizes, every
// instruction set; rewrites one by one; memory; results that do not depend on threads.
#include "engine/plan/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "engine/helpers.h"
#include "engine/plan/lower.h"
#include "graph/builder.h"
#include "graph/passes.h"
#include "graph/shapes.h"
#include "nets/nets.h"

namespace frf::test {
namespace {

using engine::ConvChoice;
using engine::Plan;
using engine::PlanOptions;
using engine::PlanOutput;
using engine::WeightStore;

struct Ran {
  std::vector<float> scores;
  std::vector<std::string> kernels;  // of the steps
  int classes = 0, height = 0, width = 0;
};

Tensor Picture(int height, int width, std::uint64_t seed = 3, int channels = 3) {
  return RandomTensor({1, channels, height, width}, seed);
}

Ran RunPlan(const Graph& graph, const Tensor& image, const PlanOptions& options = {.threads = 2}) {
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), image.shape());
  WeightStore weights;
  Plan plan(engine::Lower(prepared), weights, options);
  Ran ran{{}, {}, plan.classes(), plan.output_height(), plan.output_width()};
  const Shape shape = prepared.types.at(prepared.graph.outputs[0].name).shape;
  ran.scores.resize(NumElements(shape));
  plan.Run({.planes = image.data<float>()}, {.scores = ran.scores.data()});
  std::vector<float> again(ran.scores.size(), 0.0f);
  plan.Run({.planes = image.data<float>()},
           {.scores = again.data()});  // nothing is left over from the run before
  EXPECT_EQ(again, ran.scores);
  for (const engine::Step& step : plan.steps()) ran.kernels.push_back(step.kernel);
  // Maps kept in windows or in memory, stored past the caches, however small: the same numbers.
  for (const std::size_t bytes : {std::size_t{0}, std::numeric_limits<std::size_t>::max()}) {
    PlanOptions other = options;
    other.band_bytes = bytes;
    other.past_caches_bytes = bytes;
    WeightStore own;
    Plan banded(engine::Lower(prepared), own, other);
    std::vector<float> scores(ran.scores.size(), 0.0f);
    banded.Run({.planes = image.data<float>()}, {.scores = scores.data()});
    EXPECT_EQ(scores, ran.scores) << (bytes == 0 ? "in windows, past caches" : "in memory, in caches");
  }
  return ran;
}

// Largest difference to the plain executor, relative to the largest score.
double Difference(const Graph& graph, const Tensor& image, const std::vector<float>& scores) {
  PlainExecutor plain(engine::PrepareOnce(graph), {.threads = 2});
  const Tensor wanted = plain.Run({{graph.inputs[0].name, image}}).at(graph.outputs[0].name);
  EXPECT_EQ(wanted.size(), static_cast<std::int64_t>(scores.size()));
  double largest = 1e-12, difference = 0;
  for (std::int64_t i = 0; i < wanted.size(); ++i) {
    const double value = wanted.data<float>()[i];
    largest = std::max(largest, std::abs(value));
    difference = std::max(difference, std::isfinite(scores[i]) ? std::abs(value - scores[i]) : 1e30);
  }
  return difference / largest;
}

void ExpectSame(const Graph& graph, const Tensor& image, double tolerance = 1e-4,
                const PlanOptions& options = {.threads = 2}) {
  EXPECT_LT(Difference(graph, image, RunPlan(graph, image, options).scores), tolerance);
}

Graph Net(const std::string& name, const Json& options, int height, int width) {
  Graph graph = BuildNet(name, options).ForInference();
  InitializeWeights(graph, 7);
  CalibrateBatchNorm(graph, Picture(height, width));
  return graph;
}

Graph Made(Builder&& g) {
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  return graph;
}

bool Has(const Ran& ran, const std::string& kernel) {
  return std::any_of(ran.kernels.begin(), ran.kernels.end(),
                     [&](const std::string& k) { return k.find(kernel) != std::string::npos; });
}

TEST(Plan, FamilyEqualsThePlainExecutor) {
  // FFM's masks flip where rounding moves a difference across the threshold: without them scores can be
  // compared.
  for (const char* net : {"frfnet", "frfnet-slim"}) {
    for (const auto& [height, width] : {std::pair{96, 128}, {77, 131}, {33, 65}}) {
      SCOPED_TRACE(testing::Message() << net << " " << height << "x" << width);
      const Graph graph = Net(net, {{"classes", 11}, {"ffm", "masks-off"}}, height, width);
      const Tensor image = Picture(height, width);
      const Ran ran = RunPlan(graph, image);
      EXPECT_LT(Difference(graph, image, ran.scores), 1e-3);
      EXPECT_FALSE(Has(ran, "plain")) << "every step has a kernel of its own";
    }
  }
}

TEST(Plan, MasksAndOptionsEqualThePlainExecutorsLabels) {
  const Json cases[] = {{{"classes", 19}},
                        {{"classes", 19}, {"gates", "relu"}, {"sfm", "o+sigmoid(l1)"}},
                        {{"classes", 5}, {"dam", "res2net"}},
                        {{"classes", 7}, {"dam", "osa"}, {"head", "none"}},
                        {{"classes", 3}, {"backbone", "resnet18"}},
                        {{"classes", 4}, {"ablation", "baseline"}}};
  for (const Json& options : cases) {
    SCOPED_TRACE(options.dump());
    const Graph graph = Net("frfnet", options, 90, 122);
    const Tensor image = Picture(90, 122);
    const Ran ran = RunPlan(graph, image);
    PlainExecutor plain(graph, {.threads = 2});
    const Tensor wanted = plain.Run({{"image", image}}).at("scores");
    const std::int64_t pixels = 90 * 122;
    std::int64_t different = 0;
    for (std::int64_t i = 0; i < pixels; ++i) {
      const auto best = [&](const float* scores) {
        int label = 0;
        for (int c = 1; c < ran.classes; ++c)
          label = scores[c * pixels + i] > scores[label * pixels + i] ? c : label;
        return label;
      };
      different += best(wanted.data<float>()) != best(ran.scores.data());
    }
    EXPECT_LE(different, pixels / 100) << "masks flip here and there; a wrong one would change most";
  }
}

TEST(Plan, DanetRunsWithPlainOperatorsBetween) {
  const Graph graph = Net("frfnet-danet-slim", {{"classes", 6}, {"ffm", "masks-off"}}, 64, 96);
  const Tensor image = Picture(64, 96);
  const Ran ran = RunPlan(graph, image);
  EXPECT_TRUE(Has(ran, "plain Softmax"));
  EXPECT_LT(Difference(graph, image, ran.scores), 1e-3);
}

TEST(Plan, EveryInstructionSetAndEveryChoice) {
  const Graph graph = Net("frfnet-slim", {{"classes", 11}, {"ffm", "masks-off"}}, 50, 70);
  const Tensor image = Picture(50, 70);
  for (const kernels::Kernels* k : kernels::AllKernels()) {
    for (const ConvChoice choice : {ConvChoice::kDirect, ConvChoice::kWinograd4, ConvChoice::kWinograd6}) {
      SCOPED_TRACE(testing::Message() << k->isa << " " << static_cast<int>(choice));
      PlanOptions options{.threads = 2, .kernels = k};
      for (const engine::NamedOperation& op :
           engine::Lower(engine::Prepare(engine::PrepareOnce(graph), image.shape())).ops) {
        options.choices[op.name] = choice;
      }
      const Ran ran = RunPlan(graph, image, options);
      EXPECT_EQ(Has(ran, "winograd"), choice != ConvChoice::kDirect);
      EXPECT_LT(Difference(graph, image, ran.scores), choice == ConvChoice::kDirect ? 1e-4 : 1e-3);
    }
  }
}

TEST(Plan, ResultsDoNotDependOnThreads) {
  const Graph graph = Net("frfnet", {{"classes", 11}}, 60, 84);
  const Tensor image = Picture(60, 84);
  const Ran one = RunPlan(graph, image, {.threads = 1});
  for (const int threads : {2, 3, 5})
    EXPECT_EQ(RunPlan(graph, image, {.threads = threads}).scores, one.scores) << threads;
}

TEST(Plan, RunningSumsAreUnrolled) {
  const Graph graph = Net("frfnet", {{"classes", 11}, {"ffm", "masks-off"}}, 64, 64);
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), {1, 3, 64, 64});
  const Node* concat = nullptr;
  for (const Node& node : prepared.graph.nodes) {
    if (node.name == "stage2.dam.concat") concat = &node;
  }
  ASSERT_NE(concat, nullptr);
  const std::vector<std::string> wanted{"stage2.transition.concat", "stage2.dam.conv1.relu",
                                        "stage2.dam.conv2.relu", "stage2.dam.conv3.relu",
                                        "stage2.dam.conv4.relu"};
  EXPECT_EQ(concat->inputs, wanted);
}

TEST(Plan, RunningSumsUnrolledAreTheSameFunction) {
  Builder g("dam");
  const Value x = g.Input("image", 16);
  std::vector<Value> parts{x};
  for (int i = 0; i < 4; ++i) {
    const Value f = g.Relu(g.Conv(parts.back(), {.name = fmt::format("conv{}", i), .out = 24, .kernel = 3}));
    parts.push_back(i > 0 ? g.Add(f, parts.back()) : f);
  }
  g.Output(g.Conv(g.Concat(parts), {.name = "aggregate", .out = 32}), "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g));
  const engine::PreparedGraph prepared = engine::Prepare(graph, {1, 16, 20, 30});
  const Tensor image = Picture(20, 30, 1, 16);
  PlainExecutor after(prepared.graph);
  const Tensor scores = after.Run({{"image", image}}).at("scores");
  EXPECT_LT(Difference(graph, image, scores.ToVector<float>()), 1e-5);
  ExpectSame(graph, image, 1e-4);
}

TEST(Plan, RunningSumsStayWhereSomebodyElseReadsTheConcatenation) {
  Builder g("shared");
  const Value x = g.Input("image", 16);
  const Value f1 = g.Relu(g.Conv(x, {.name = "a", .out = 16, .kernel = 3}));
  const Value f2 = g.Add(g.Relu(g.Conv(f1, {.name = "b", .out = 16, .kernel = 3})), f1);
  const Value all = g.Concat({x, f1, f2});
  g.Output(g.Add(g.Conv(all, {.name = "c", .out = 48}), g.Relu(all)), "scores", OutputRole::kScores);
  ExpectSame(Made(std::move(g)), Picture(9, 11, 1, 16));
}

TEST(Plan, RunningSumsStayWhereTheConcatenationIsAnOutput) {
  Builder g("features");
  const Value x = g.Input("image", 16);
  const Value f1 = g.Relu(g.Conv(x, {.name = "a", .out = 16, .kernel = 3}));
  const Value f2 = g.Add(g.Relu(g.Conv(f1, {.name = "b", .out = 16, .kernel = 3})), f1);
  const Value all = g.Named(g.Concat({x, f1, f2}), "features");
  g.Output(g.Conv(all, {.name = "c", .out = 48}), "scores", OutputRole::kScores);
  Graph graph = Made(std::move(g));
  EXPECT_NE(UnrollRunningSums(graph, InferShapes(graph, 9, 11)).Producer("features")->inputs,
            graph.Producer("features")->inputs);
  graph.outputs.push_back({.name = "features", .shape = {1, 48, -1, -1}});
  const Graph kept = UnrollRunningSums(graph, InferShapes(graph, 9, 11));
  EXPECT_EQ(kept.Producer("features")->inputs, graph.Producer("features")->inputs);
}

TEST(Plan, RunningSumsStayWhereAnotherConvolutionHasTheWeights) {
  Builder g("shared weights");
  const Value x = g.Input("image", 16);
  const Value f1 = g.Relu(g.Conv(x, {.name = "a", .out = 16, .kernel = 3}));
  const Value f2 = g.Add(g.Relu(g.Conv(f1, {.name = "b", .out = 16, .kernel = 3})), f1);
  const Value w = g.Parameter("w", {8, 48, 1, 1}, Init::kKaimingFanOut, 8);
  const Value all = g.ConvShared(g.Concat({x, f1, f2}), w, {}, {.name = "c", .out = 8});
  g.Output(g.Add(all, g.ConvShared(g.Concat({f1, x, x}), w, {}, {.name = "d", .out = 8})), "scores",
           OutputRole::kScores);
  ExpectSame(Made(std::move(g)), Picture(9, 11, 1, 16));
}

TEST(Plan, ConcatenationsWithGapsNestingAndRepeats) {
  Builder g("concats");
  const Value x = g.Input("image", 3);
  const Value a = g.Conv(x, {.name = "a", .out = 5, .kernel = 3, .bias = true}),
              b = g.Conv(x, {.name = "b", .out = 20, .kernel = 3});
  const Value gaps = g.Concat({a, b, x, a});  // read by a convolution alone
  const Value c = g.Relu(g.Conv(gaps, {.name = "c", .out = 24}));
  const Value d = g.Concat({g.Concat({c, b}), a, g.Sigmoid(c)});  // nested, and read by a pool
  const Value e = g.MaxPool(d, {.kernel = 3, .stride = 1, .pad = 1});
  g.Output(g.Conv(e, {.name = "e", .out = 7, .kernel = 3}), "scores", OutputRole::kScores);
  for (const auto& [height, width] : {std::pair{8, 8}, {5, 13}, {1, 1}})
    ExpectSame(Made(Builder(g)), Picture(height, width));
}

TEST(Plan, ResidualBlocks) {
  Builder g("residual");
  const Value x = g.Input("image", 3);
  Value y = g.Relu(g.Conv(x, {.name = "stem", .out = 24, .kernel = 7, .stride = 2, .bias = true}));
  const Value z =
      g.Conv(g.Relu(g.Conv(y, {.name = "a", .out = 24, .kernel = 3})), {.name = "b", .out = 24, .kernel = 3});
  y = g.Relu(g.Add(z, y));  // before the activation
  y = g.Add(g.Relu(g.Conv(y, {.name = "c", .out = 24, .kernel = 3, .dilation = 2})), y);  // after it
  const Value s =
      g.Conv(y, {.name = "s", .out = 40, .stride = 2});  // the shortcut comes later than the branch
  y = g.Relu(g.Add(g.Conv(y, {.name = "d", .out = 40, .kernel = 3, .stride = 2}), s));
  g.Output(g.ResizeLike(y, x), "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g));
  const Ran ran = RunPlan(graph, Picture(31, 45));
  EXPECT_FALSE(Has(ran, "elementwise")) << "additions belong to the convolutions";
  EXPECT_LT(Difference(graph, Picture(31, 45), ran.scores), 1e-4);
}

TEST(Plan, WidePointwiseConvolutionsTakeSevenProductsOfEight) {
  Builder g("wide");
  const Value x = g.Input("image", 3);
  const Value a = g.Relu(g.Conv(x, {.name = "a", .out = 50, .kernel = 3})),
              b = g.Relu(g.Conv(a, {.name = "b", .out = 60, .kernel = 3}));
  const Value wide = g.Relu(g.Conv(g.Concat({a, b}), {.name = "w", .out = 128, .bias = true}));  // with gaps
  const Value gated = g.Mul(g.Sigmoid(g.Conv(wide, {.name = "g", .out = 128})), wide);
  g.Output(g.Conv(gated, {.name = "s", .out = 5}), "scores", OutputRole::kScores);
  const Graph graph = Made(std::move(g));
  const Tensor image = Picture(72, 77);
  const Ran ran = RunPlan(graph, image, {.threads = 1, .strassen = true});
  for (const std::string kernel : {"strassen 1x1", "strassen 1x1+elementwise"})
    EXPECT_EQ(std::count(ran.kernels.begin(), ran.kernels.end(), kernel), 1) << kernel;
  EXPECT_LT(Difference(graph, image, ran.scores), 1e-5);
  EXPECT_EQ(RunPlan(graph, image, {.threads = 3, .strassen = true}).scores, ran.scores);
  for (const kernels::Kernels* isa : kernels::AllKernels())
    ExpectSame(graph, image, 1e-5, {.threads = 2, .kernels = isa, .strassen = true});
}

TEST(Plan, AttentionResizesAndPools) {
  Builder g("attention");
  const Value x = g.Input("image", 3);
  const Value y = g.HardSwish(g.Conv(x, {.name = "a", .out = 36, .kernel = 3, .stride = 2}));
  const Value squeeze =
      g.Sigmoid(g.Conv(g.Relu(g.Conv(g.GlobalAveragePool(y), {.name = "r", .out = 9, .bias = true})),
                       {.name = "e", .out = 36, .bias = true}));
  const Value gated = g.Mul(y, squeeze);
  const Value spatial = g.Mul(gated, g.Sigmoid(g.Conv(gated, {.name = "m", .out = 1, .kernel = 3})));
  const Value pooled =
      g.AveragePool(spatial, {.kernel = 3, .stride = 2, .pad = 1, .count_include_pad = true});
  const Value small = g.AdaptiveAveragePool(pooled, 2, 3);
  Value up = g.Add(g.ResizeLike(g.Conv(small, {.name = "p", .out = 36}), pooled, "linear", "align_corners"),
                   g.ResizeLike(pooled, pooled, "nearest", "asymmetric"));
  up = g.Elu(g.PRelu(up, "slope"), 0.5f);
  up = g.LeakyRelu(g.AveragePool(up, {.kernel = 2, .stride = 1, .pad = 0, .ceil_mode = true}), 0.2f);
  g.Output(g.ResizeLike(up, x), "scores", OutputRole::kScores);
  for (const auto& [height, width] : {std::pair{32, 48}, {19, 27}})
    ExpectSame(Made(Builder(g)), Picture(height, width));
}

TEST(Plan, TransposedGroupedAndShuffled) {
  Builder g("others");
  const Value x = g.Input("image", 3);
  Value y = g.Relu(g.Conv(x, {.name = "a", .out = 32, .kernel = 3, .stride = 2}));
  y = g.Relu(g.Conv(y, {.name = "dw", .out = 32, .kernel = 3, .groups = 32}));
  y = g.Relu(g.Conv(y, {.name = "grouped", .out = 64, .kernel = 3, .groups = 2}));
  y = g.Conv(g.ShuffleChannels(y, 4), {.name = "odd", .out = 24, .kernel = 3, .groups = 4});
  y = g.Relu(
      g.ConvTranspose(y, {.name = "up", .out = 20, .kernel = 3, .stride = 2, .pad = 1, .bias = true}, 1));
  y = g.ConvTranspose(y, {.name = "up2", .out = 8, .kernel = 2, .stride = 2}, 0);
  g.Output(g.Softmax(y, 1), "scores", OutputRole::kScores);
  ExpectSame(Made(std::move(g)), Picture(18, 26));
}

TEST(Plan, TransposedConvolutionsOfFewerPixelsThanTheStride) {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 5}, {4, 1}}) {
    SCOPED_TRACE(testing::Message() << height << "x" << width);
    Builder g("small");
    const Value x = g.Input("image", 3);
    const Value y = g.ConvTranspose(x, {.name = "up", .out = 5, .kernel = 4, .stride = 4, .pad = 1}, 0);
    g.Output(g.Relu(y), "scores", OutputRole::kScores);
    ExpectSame(Made(std::move(g)), Picture(height, width));
  }
}

// Dilated convolutions run as Winograd on every phase; paddings that are no multiple of the dilation shift
// the phases.
TEST(Plan, DilatedConvolutions) {
  for (const auto& [dilation, pad] : {std::pair{2, 2}, {3, 3}, {6, 6}, {12, 12}, {2, 1}, {3, 4}, {4, 0}}) {
    SCOPED_TRACE(testing::Message() << "dilation " << dilation << " pad " << pad);
    Builder g("dilated");
    const Value x = g.Input("image", 16);
    const Value y = g.Relu(
        g.Conv(x, {.name = "a", .out = 48, .kernel = 3, .dilation = dilation, .pad = pad, .bias = true}));
    g.Output(g.Conv(y, {.name = "b", .out = 5}), "scores", OutputRole::kScores);
    const Graph graph = Made(std::move(g));
    for (const auto& [height, width] : {std::pair{24, 31}, {9, 10}, {25, 25}}) {
      if (height + 2 * pad <= 2 * dilation || width + 2 * pad <= 2 * dilation) continue;  // no output left
      const Tensor image = Picture(height, width, 1, 16);
      for (const ConvChoice choice : {ConvChoice::kDirect, ConvChoice::kWinograd4, ConvChoice::kWinograd6}) {
        ExpectSame(graph, image, 1e-4, {.threads = 2, .choices = {{"a+Relu", choice}}});
      }
    }
  }
}

TEST(Plan, SplitsAreViewsWhereTheyCanBe) {
  Builder g("split");
  const Value x = g.Input("image", 3);
  const Value y = g.Conv(x, {.name = "a", .out = 48, .kernel = 3});
  const std::vector<Value> even = g.Split(y, {16, 32}), odd = g.Split(y, {7, 41});
  const Value z = g.Concat({g.Conv(even[1], {.name = "b", .out = 16, .kernel = 3}), even[0],
                            g.Conv(odd[0], {.name = "c", .out = 16}), odd[1]});
  g.Output(g.Conv(z, {.name = "d", .out = 9}), "scores", OutputRole::kScores);
  ExpectSame(Made(std::move(g)), Picture(10, 14));
}

TEST(Plan, MemoryIsRefusedBeforeItIsTaken) {
  const Graph graph = Net("frfnet-slim", {{"classes", 11}}, 64, 64);
  const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), {1, 3, 8192, 8192});
  WeightStore weights;
  try {
    Plan plan(engine::Lower(prepared), weights, {.threads = 1, .max_memory = std::uint64_t{1} << 30});
    FAIL() << "8192x8192 fits in 1 GiB?";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    EXPECT_NE(std::string(error.what()).find("larger max_memory"), std::string::npos) << error.what();
  }
  EXPECT_EQ(weights.bytes(), 0u);
}

TEST(Plan, BuffersNeverOverlapInTimeAndPlace) {
  Random random(4);
  for (int round = 0; round < 50; ++round) {
    std::vector<engine::Lifetime> buffers;
    for (int i = 0; i < 40; ++i) {
      const int first = static_cast<int>(random.Below(30));
      buffers.push_back({16 * static_cast<std::size_t>(random.Between(1, 20)), first,
                         first + static_cast<int>(random.Below(8))});
    }
    std::size_t total = 0, sum = 0;
    const std::vector<std::size_t> at = engine::PlaceBuffers(buffers, total);
    for (std::size_t a = 0; a < buffers.size(); ++a) {
      sum += buffers[a].floats;
      ASSERT_LE(at[a] + buffers[a].floats, total);
      for (std::size_t b = 0; b < a; ++b) {
        const bool time = buffers[a].first <= buffers[b].last && buffers[b].first <= buffers[a].last;
        const bool place = at[a] < at[b] + buffers[b].floats && at[b] < at[a] + buffers[a].floats;
        ASSERT_FALSE(time && place);
      }
    }
    EXPECT_LT(total, sum);
  }
}

}  // namespace
}  // namespace frf::test
