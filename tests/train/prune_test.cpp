// SPDX-License-Identifier: Apache-2.0
// Pruning: which channels stay, what least squares makes of them, and how a run begins with it.
#include "train/prune.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/files.h"
#include "data/dataset.h"
#include "graph/builder.h"
#include "image/transform.h"
#include "nets/nets.h"
#include "support/support.h"
#include "train/module.h"
#include "train/prune_channels.h"
#include "train/teachers.h"
#include "train/trainer.h"

namespace frf {
namespace {

using testing::ElementsAre;

InputSpec SmallInput() { return {.height = 96, .width = 128}; }

std::unique_ptr<Dataset> Scenes(int count) {
  return OpenDataset({.spec = fmt::format("synth:{}", count), .split = "train", .height = 96, .width = 128});
}

torch::Tensor Seen(const Image& image) {
  torch::Tensor input = torch::empty({1, 3, 96, 128});
  Preprocess(image.view(), SmallInput(), {96, 128, 96, 128}, input.data_ptr<float>());
  return input;
}

// A network whose activations have the spread that a trained one's have.
Graph Drawn(const std::string& net, std::uint64_t seed) {
  Graph graph = BuildNet(net, {{"classes", 11}}).ForInference();
  InitializeWeights(graph, seed);
  const torch::NoGradGuard no_gradients;
  GraphModule module(graph);
  const torch::Tensor seen = Seen(Scenes(1)->Get(0).image);
  for (int i = 0; i < 50; ++i) module.Forward(seen);  // batch norm's running statistics settle
  return module.Export();
}

torch::Tensor Scores(const Graph& graph, const Image& image) {
  const torch::NoGradGuard no_gradients;
  GraphModule module(graph);
  module.eval();
  return module.ForwardForLoss(Seen(image)).at("scores");
}

// Share of the variance of `wanted` that `got` misses.
double Missed(const torch::Tensor& got, const torch::Tensor& wanted) {
  return ((got - wanted).square().sum() / (wanted - wanted.mean({0, 2, 3}, true)).square().sum())
      .item<double>();
}

// stem -> a -> b, c = b + a, d reads [stem, c]; `width` channels of a and b.
Graph Block(int width) {
  Builder g("block");
  const Value image = g.Input("image", 3);
  const Value stem = g.Conv(image, {.name = "stem", .out = 2});
  const Value a = g.Conv(stem, {.name = "a", .out = width, .kernel = 3});
  const Value b = g.Conv(a, {.name = "b", .out = width, .kernel = 3});
  const Value c = g.Add(b, a);
  g.Output(g.Conv(g.Concat({stem, c}), {.name = "d", .out = 4}), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 7);
  return graph;
}

TEST(Prune, KeepsTheChannelsThatLaterConvolutionsWeighMost) {
  Graph wide = Block(4);
  const Graph narrow = Block(2);
  // d, the last reader, ignores channels 0 and 2 of the sum but for a little; so does b of a's.
  for (const char* name : {"d.weight", "b.weight"}) {
    Tensor& weight = wide.FindInitializer(name)->value;
    const std::int64_t in = weight.dim(1), area = weight.dim(2) * weight.dim(3), first = in - 4;
    for (std::int64_t i = 0; i < weight.size(); ++i) {
      const std::int64_t channel = i / area % in - first;
      weight.data<float>()[i] = channel == 1 || channel == 3 ? 1.0f : channel < 0 ? 0.5f : 0.01f;
    }
  }
  const auto chosen = ChoosePrunedChannels(wide, narrow);
  ASSERT_EQ(chosen.size(), 4u);
  EXPECT_EQ(chosen[0].name, "stem");
  EXPECT_THAT(chosen[0].inputs, ElementsAre(0, 1, 2));
  EXPECT_THAT(chosen[0].outputs, ElementsAre(0, 1));
  for (const int added : {1, 2}) EXPECT_THAT(chosen[added].outputs, ElementsAre(1, 3)) << added;
  EXPECT_THAT(chosen[2].inputs, ElementsAre(1, 3));
  // Behind the stem's two, which both have.
  EXPECT_THAT(chosen[3].inputs, ElementsAre(0, 1, 3, 5));
  EXPECT_THAT(chosen[3].outputs, ElementsAre(0, 1, 2, 3));
}

TEST(Prune, LeavesOutWhatIsNotNarrower) {
  const auto chosen = ChoosePrunedChannels(Block(2), Block(4));
  ASSERT_EQ(chosen.size(), 2u);  // a and b would need channels that are not there
  EXPECT_EQ(chosen[0].name, "stem");
  EXPECT_EQ(chosen[1].name, "d");
  EXPECT_THAT(chosen[1].inputs, ElementsAre(0, 1, -1, -1, -1, -1));
}

TEST(Prune, OfANetworkToItselfChangesNothing) {
  const Graph trained = Drawn("frfnet-slim", 1);
  Graph copy = Drawn("frfnet-slim", 2);
  const auto scenes = Scenes(4);
  const Image image = scenes->Get(3).image;
  ASSERT_GT(Missed(Scores(copy, image), Scores(trained, image)), 0.5);
  const PruneReport report =
      Prune(trained, SmallInput(), copy, SmallInput(), *scenes, {.positions = 16384, .progress = false});
  EXPECT_TRUE(report.drawn.empty());
  EXPECT_EQ(report.images, 4);
  for (const PrunedLayer& layer : report.fitted) EXPECT_LT(layer.unexplained, 1e-3) << layer.name;
  EXPECT_LT(Missed(Scores(copy, image), Scores(trained, image)), 1e-2);
}

TEST(Prune, OfAWiderNetworkOfTheSameName) {
  const Graph trained = Drawn("frfnet-slim", 1);
  Graph narrow = BuildNet("frfnet-slim", {{"classes", 11}, {"width", 0.75}}).ForInference();
  InitializeWeights(narrow, 2);
  const auto scenes = Scenes(4);
  const PruneReport report =
      Prune(trained, SmallInput(), narrow, SmallInput(), *scenes, {.positions = 16384, .progress = false});
  EXPECT_TRUE(report.drawn.empty()) << report.drawn.front();
  const auto layer = std::find_if(report.fitted.begin(), report.fitted.end(),
                                  [](const PrunedLayer& one) { return one.name == "decoder.lateral4"; });
  ASSERT_NE(layer, report.fitted.end());
  EXPECT_EQ(layer->kept, 96);
  EXPECT_EQ(layer->of, 128);
  // The network was drawn to fit scene 0; the others count.
  const Image image = scenes->Get(1).image;
  EXPECT_LT(Missed(Scores(narrow, image), Scores(trained, image)), 0.5);

  // What MSC reads keeps its frequency: 44 channels of the mean, then 16 runs of 5 or 6, become 32 and 16
  // of 4.
  for (const PrunedConv& conv : ChoosePrunedChannels(trained, narrow)) {
    if (conv.name != "decoder.lateral4") continue;
    ASSERT_EQ(conv.outputs.size(), 96u);
    EXPECT_LT(conv.outputs[31], 44);
    for (std::size_t run = 0; run < 16; ++run) {
      const std::int64_t begin = 44 + static_cast<std::int64_t>(run / 8) * 42,
                         pair = static_cast<std::int64_t>(run % 8);
      for (std::size_t k = 0; k < 4; ++k) {
        EXPECT_EQ((conv.outputs[32 + 4 * run + k] - begin) * 8 / 42, pair) << run;
      }
    }
  }
}

// Without MSC there are no frequencies to keep to: any channel may stay.
TEST(Prune, OfANetworkWithAttentionToOneWithout) {
  const Graph trained = Drawn("frfnet-slim", 1);
  for (const double width : {1.0, 0.75}) {
    Graph narrow =
        BuildNet("frfnet-slim", {{"classes", 11}, {"msc", false}, {"width", width}}).ForInference();
    InitializeWeights(narrow, 2);
    const auto chosen = ChoosePrunedChannels(trained, narrow);
    for (const char* name : {"decoder.lateral4", "decoder.lateral3", "decoder.conv4"}) {
      const auto conv =
          std::find_if(chosen.begin(), chosen.end(), [&](const PrunedConv& one) { return one.name == name; });
      ASSERT_NE(conv, chosen.end()) << name << " " << width;
      EXPECT_EQ(conv->outputs.size(), width < 1 ? 96u : 128u);
    }
  }
}

// Of random weights nothing is spare, so less is kept than of trained ones (TrainVerb.PrunesShippedWeights).
TEST(Prune, KeepsMoreThanChannelsAlone) {
  const Graph trained = Drawn("frfnet", 1);
  const auto scenes = Scenes(12);
  const Image unseen =
      OpenDataset({.spec = "synth:1", .split = "val", .height = 96, .width = 128})->Get(0).image;
  const torch::Tensor wanted = Scores(trained, unseen);
  Graph fitted = Drawn("frfnet-slim", 2), cut = Drawn("frfnet-slim", 2);
  const PruneReport report =
      Prune(trained, SmallInput(), fitted, SmallInput(), *scenes, {.positions = 16384, .progress = false});
  Prune(trained, SmallInput(), cut, SmallInput(), *scenes,
        {.positions = 16384, .ridge = 1e9, .progress = false});
  const double kept = Missed(Scores(fitted, unseen), wanted), without = Missed(Scores(cut, unseen), wanted);
  EXPECT_LT(kept, 0.9);
  EXPECT_GT(without, 1.2 * kept);
  const auto layer = std::find_if(report.fitted.begin(), report.fitted.end(),
                                  [](const PrunedLayer& one) { return one.name == "stage2.dam.aggregate"; });
  ASSERT_NE(layer, report.fitted.end());
  EXPECT_EQ(layer->kept, 160);
  EXPECT_EQ(layer->of, 192);
}

TEST(Prune, BeginsARunWhoseFirstScoreIsThePrunedNetworks) {
  const test::TempFolder folder;
  Teacher larger{.name = "larger"};
  larger.info.net = "frfnet";
  larger.info.net_options = {{"classes", 11}};
  larger.info.classes = CamVidClasses();
  larger.graph = Drawn("frfnet", 1);
  SaveTeacher(folder / "larger.ckpt", larger);
  TrainOptions options{.train = {.spec = "synth:4", .split = "train", .height = 96, .width = 128},
                       .validation = {.spec = "synth:2", .split = "val", .height = 96, .width = 128},
                       .net = "frfnet-slim",
                       .run = folder / "run",
                       .init = folder / "larger.ckpt",
                       .prune = true,
                       .device = "cpu",
                       .stop_after_steps = 1};
  options.recipe = LoadRecipe("best");
  options.recipe.batch = 2;
  EXPECT_THROW(Train(options), Error);  // stopped and saved
  const std::string log = ReadFile(folder / "run/log.jsonl");
  EXPECT_NE(log.find(R"("type":"validation","epoch":0)"), std::string::npos) << log;
  const Json config = ParseJson(ReadFile(folder / "run/config.json"), "config.json");
  EXPECT_EQ(config.at("model").at("train").at("pruned_from"), "larger");

  // Weights are the run's own from here on.
  std::filesystem::remove(folder / "larger.ckpt");
  TrainOptions again{.run = folder / "run", .resume = true, .device = "cpu", .stop_after_steps = 2};
  EXPECT_FRF_ERROR(Train(again), ErrorCode::kInterrupted, "step 2");
}

TEST(Prune, RefusesWhatItCannotPrune) {
  const test::TempFolder folder;
  TrainOptions options{.train = {.spec = "synth:4", .split = "train", .height = 96, .width = 128},
                       .run = folder / "run",
                       .prune = true,
                       .device = "cpu"};
  options.recipe = LoadRecipe("best");
  EXPECT_FRF_ERROR(Train(options), ErrorCode::kUsage, "--prune wants --init");
  Graph wide = Drawn("frfnet", 1);
  EXPECT_FRF_ERROR(
      Prune(Drawn("frfnet-slim", 1), SmallInput(), wide, SmallInput(), *Scenes(2), {.progress = false}),
      ErrorCode::kUsage, "has 80 channels in stage1.dam.aggregate, frfnet wants 96");
  Graph other = Block(2);
  EXPECT_FRF_ERROR(
      Prune(Drawn("frfnet-slim", 1), SmallInput(), other, SmallInput(), *Scenes(2), {.progress = false}),
      ErrorCode::kUsage, "no convolution of block");
}

}  // namespace
}  // namespace frf
