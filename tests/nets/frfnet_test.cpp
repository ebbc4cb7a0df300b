// SPDX-License-Identifier: Apache-2.0
// The FRFNet family: published counts, every option, sizes that are no multiple of anything, the masks'
// names.
#include <cmath>
#include <set>

#include "graph/shapes.h"
#include "nets/nets.h"
#include "support/support.h"

namespace frf {
namespace {

Cost CostAt(const std::string& net, const std::string& options, int height, int width) {
  const Graph graph = BuildNet(net, ParseNetOptions(net, options)).ForInference();
  return CountCost(graph, InferShapes(graph, height, width));
}

struct Published {
  const char *net, *options;
  std::int64_t params;   // exactly
  double million, giga;  // as the design states them, at 512x1024 with 19 classes
  double paper_giga;     // 0: not in the paper
};

class CountsTest : public testing::TestWithParam<Published> {};

TEST_P(CountsTest, AreThosePublished) {
  const Published& wanted = GetParam();
  const Cost cost = CostAt(wanted.net, wanted.options, 512, 1024);
  EXPECT_EQ(cost.params, wanted.params);
  EXPECT_NEAR(static_cast<double>(cost.params) / 1e6, wanted.million, 0.0006);
  EXPECT_NEAR(static_cast<double>(cost.macs) / 1e9, wanted.giga, 0.0006);
  if (wanted.paper_giga > 0) {
    EXPECT_NEAR(static_cast<double>(cost.macs) / 1e9 / wanted.paper_giga, 1.0, 0.003);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Family, CountsTest,
    testing::Values(Published{"frfnet", "", 4016339, 4.016, 16.049, 16.01},
                    Published{"frfnet-slim", "", 2792499, 2.793, 11.380, 11.38},
                    Published{"frfnet", "dam=res2net", 4018003, 4.018, 16.044, 16.01},
                    Published{"frfnet", "head=none", 4018067, 4.018, 16.003, 16.01},
                    Published{"frfnet", "dam=osa", 4016339, 4.016, 16.049, 16.01},
                    // 0.05 G of 1x1 convolutions more; the paper's counter did not see them
                    Published{"frfnet-danet", "", 4053527, 4.0535, 16.1013, 0},
                    Published{"frfnet-danet-slim", "", 2829687, 2.8297, 11.4329, 0}),
    [](const auto& info) {
      std::string name = std::string(info.param.net) + "_" + info.param.options;
      for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
      return name;
    });

TEST(FrfNet, ParametersAreWithinThreePerMilleOfTable4) {
  EXPECT_NEAR(static_cast<double>(CostAt("frfnet", "classes=11", 360, 480).params) / 4.02e6, 1.0, 0.003);
}

TEST(FrfNet, StemByHand) {
  // 32 x (3*3*3) weights at 256x512 positions.
  const Cost cost = CostAt("frfnet", "", 512, 1024);
  EXPECT_EQ(cost.layers[0].node, "stem.conv1");
  EXPECT_EQ(cost.layers[0].macs, 32 * 27 * 256 * 512);
  EXPECT_EQ(cost.layers[0].params, 864);
  EXPECT_EQ(cost.layers[0].bytes, 32 * 256 * 512 * 4);
  EXPECT_EQ(cost.layers[0].receptive_field, 3);
}

TEST(FrfNet, AblationRowsCost) {
  // The row with masks off is there because FFM's convolutions alone are 1.34 G.
  const double msc = static_cast<double>(CostAt("frfnet", "ablation=msc", 512, 1024).macs);
  const double off = static_cast<double>(CostAt("frfnet", "ablation=ffm-masks-off", 512, 1024).macs);
  EXPECT_NEAR((off - msc) / 1e9, 1.34, 0.005);
  EXPECT_EQ(CostAt("frfnet", "ablation=ffm", 512, 1024).macs, CostAt("frfnet", "", 512, 1024).macs);
}

class SizesTest : public testing::TestWithParam<const char*> {};

TEST_P(SizesTest, ScoresHaveTheImagesSize) {
  for (const std::string net : {"frfnet", "frfnet-slim", "frfnet-danet", "frfnet-danet-slim"}) {
    const std::string text = GetParam();
    if (net.ends_with("slim") && text.find("backbone=resnet18") != std::string::npos) continue;  // refused
    const Json options = ParseNetOptions(net, text);
    const Graph graph = BuildNet(net, options);
    graph.Validate();
    const Graph inference = graph.ForInference();
    inference.Validate();
    ASSERT_EQ(inference.outputs.size(), 1u);
    for (const auto& [height, width] : {std::pair{360, 480}, {1, 1}, {33, 31}, {127, 13}, {180, 241}}) {
      const TypeMap types = InferShapes(graph, height, width);
      for (const GraphOutput& output : graph.outputs) {
        EXPECT_EQ(types.at(output.name).shape, (Shape{1, 19, height, width})) << net << " " << output.name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryOption, SizesTest,
                         testing::Values("", "backbone=resnet18", "dam=osa", "dam=res2net", "gates=relu",
                                         "msc=off", "ffm=masks-off", "ffm=sum", "ffm.threshold=0.2",
                                         "ffm.threshold=none", "sfm=o+sigmoid(l1)", "sfm=sum", "head=none",
                                         "ablation=baseline", "ablation=msc", "ablation=ffm-masks-off",
                                         "ablation=ffm", "dropout=0.1,aux=on",
                                         "dam=res2net,head=none,gates=relu", "width=0.25", "width=1.4",
                                         "width=4", "width=0.5,backbone=resnet18"));

// 16.05 G grow with the square of the width, but for rounding and what reads or makes pictures and scores.
TEST(FrfNet, WidthScalesEveryLayer) {
  const Cost one = CostAt("frfnet", "", 512, 1024), two = CostAt("frfnet", "width=2", 512, 1024);
  EXPECT_EQ(CostAt("frfnet", "width=1", 512, 1024).macs, one.macs);
  EXPECT_NEAR(static_cast<double>(two.macs) / static_cast<double>(one.macs), 4.0, 0.05);
  EXPECT_NEAR(static_cast<double>(two.params) / static_cast<double>(one.params), 4.0, 0.05);
  const auto channels = [](double width, const std::string& name) {
    return BuildNet("frfnet", {{"width", width}}).FindInitializer(name + ".weight")->value.dim(0);
  };
  EXPECT_EQ(channels(1.4, "stage1.dam.conv1"), 64);       // 67.2
  EXPECT_EQ(channels(1.4, "stage4.dam.aggregate"), 624);  // 627.2
  EXPECT_EQ(channels(1.4, "decoder.lateral4"), 176);      // 179.2
  EXPECT_EQ(channels(0.25, "stem.left1"), 16);            // no less
}

TEST(FrfNet, SizesAreCeiledHalves) {
  const Graph graph = BuildNet("frfnet", {{"classes", 11}});
  const TypeMap types = InferShapes(graph, 361, 479);
  EXPECT_EQ(types.at("stage1.dam.aggregate.relu").shape, (Shape{1, 96, 91, 120}));
  EXPECT_EQ(types.at("stage2.dam.aggregate.relu").shape, (Shape{1, 192, 46, 60}));
  EXPECT_EQ(types.at("stage3.dam.aggregate.relu").shape, (Shape{1, 320, 23, 30}));
  EXPECT_EQ(types.at("stage4.dam.aggregate.relu").shape, (Shape{1, 448, 12, 15}));
}

TEST(FrfNet, KeysReadWell) {
  const Graph graph = BuildNet("frfnet", {{"classes", 11}});
  for (const char* key :
       {"stem.conv1.weight", "stage1.dam.conv2.weight", "stage1.dam.conv2.bn.weight",
        "stage1.dam.conv2.bn.bias", "stage1.dam.conv2.bn.running_mean", "stage1.dam.conv2.bn.running_var",
        "decoder.lateral3.weight", "decoder.msc4.reduce.weight", "decoder.ffm.conv1.weight",
        "head.conv.weight", "classifier.weight", "classifier.bias"}) {
    EXPECT_NE(graph.FindInitializer(key), nullptr) << key;
  }
  EXPECT_TRUE(graph.FindInitializer("classifier.weight")->classifier);
  EXPECT_TRUE(graph.FindInitializer("classifier.bias")->classifier);
  EXPECT_FALSE(graph.FindInitializer("head.conv.weight")->classifier);
  EXPECT_EQ(graph.FindInitializer("stem.conv1.bn.running_var")->role, Role::kState);
  EXPECT_EQ(graph.FindInitializer("decoder.ffm.threshold")->role, Role::kConstant);
}

TEST(FrfNet, MasksAreFoundByName) {
  const Graph graph = BuildNet("frfnet", {});
  for (const char* mask : {"decoder.ffm.t1", "decoder.ffm.t2"}) {
    const Node* node = graph.Producer(mask);
    ASSERT_NE(node, nullptr) << mask;
    EXPECT_EQ(node->op, "Clip");
    EXPECT_EQ(node->name, mask);
  }
  EXPECT_FLOAT_EQ(graph.FindInitializer("decoder.ffm.threshold")->value.data<float>()[0], 0.4f);
  EXPECT_FLOAT_EQ(BuildNet("frfnet", {{"ffm.threshold", 0.2}})
                      .FindInitializer("decoder.ffm.threshold")
                      ->value.data<float>()[0],
                  0.2f);
  EXPECT_EQ(BuildNet("frfnet", {{"ffm.threshold", "none"}}).Producer("decoder.ffm.t1"), nullptr);
  EXPECT_EQ(BuildNet("frfnet", {{"ffm", "masks-off"}}).Producer("decoder.ffm.t1"), nullptr);
  EXPECT_NE(BuildNet("frfnet", {{"ffm", "masks-off"}}).FindInitializer("decoder.ffm.conv2.weight"), nullptr);
  EXPECT_EQ(BuildNet("frfnet", {{"ffm", "sum"}}).FindInitializer("decoder.ffm.conv2.weight"), nullptr);
}

TEST(FrfNet, LinearGatesHaveNoReluBeforeASigmoid) {
  for (const bool relu : {false, true}) {
    const Graph graph = BuildNet("frfnet", {{"gates", relu ? "relu" : "linear"}});
    const GraphIndex index(graph);
    int sigmoids = 0, rectified = 0;
    for (const Node& node : graph.nodes) {
      if (!node.Is("Sigmoid") || node.name.find("msc") != std::string::npos) continue;
      ++sigmoids;
      const Node* before = &graph.nodes[index.producer.at(node.inputs[0])];
      if (before->Is("ResizeLike")) before = &graph.nodes[index.producer.at(before->inputs[0])];
      rectified += before->Is("Relu");
    }
    EXPECT_EQ(sigmoids, 3);
    EXPECT_EQ(rectified, relu ? 3 : 0);
  }
}

TEST(FrfNet, SpectralGroupsFollowTheRule) {
  // 128 channels: parts of 44, 42, 42; channel k of a part of 42 has frequency floor(8k / 42).
  const Graph graph = BuildNet("frfnet", {});
  const Node* node = graph.Producer("decoder.msc4.spectralpool");
  ASSERT_NE(node, nullptr);
  EXPECT_EQ(node->Ints("channels", {}),
            (std::vector<std::int64_t>{44, 6, 5, 5, 5, 6, 5, 5, 5, 6, 5, 5, 5, 6, 5, 5, 5}));
  const auto frequencies = node->Ints("frequencies", {});
  ASSERT_EQ(frequencies.size(), 34u);
  EXPECT_EQ((std::vector<std::int64_t>(frequencies.begin(), frequencies.begin() + 6)),
            (std::vector<std::int64_t>{0, 0, 0, 1, 6, 0}));
  EXPECT_EQ((std::vector<std::int64_t>(frequencies.end() - 4, frequencies.end())),
            (std::vector<std::int64_t>{2, 2, 4, 6}));
  EXPECT_FLOAT_EQ(node->Float("scale", 0), 7.0f);
}

TEST(FrfNet, AuxiliaryHeadsGoForInference) {
  const Graph graph = BuildNet("frfnet", {{"aux", true}, {"dropout", 0.1}});
  ASSERT_EQ(graph.outputs.size(), 3u);
  EXPECT_EQ(graph.outputs[1].name, "aux8");
  EXPECT_EQ(graph.outputs[2].name, "aux16");
  EXPECT_EQ(graph.outputs[2].role, OutputRole::kAuxiliary);
  EXPECT_TRUE(graph.FindInitializer("aux8_head.classifier.weight")->classifier);
  const Graph inference = graph.ForInference(), plain = BuildNet("frfnet", {}).ForInference();
  EXPECT_EQ(inference.ParameterCount(), plain.ParameterCount());
  EXPECT_EQ(inference.nodes.size(), plain.nodes.size());
  for (const Node& node : inference.nodes) EXPECT_NE(node.op, "DropChannels");
  EXPECT_EQ(inference.initializers.size(), plain.initializers.size());
}

TEST(FrfNet, DanetStartsAsTheIdentity) {
  Graph graph = BuildNet("frfnet-danet", {});
  InitializeWeights(graph, 0);
  for (const char* key : {"decoder.danet4.position.gamma", "decoder.danet3.channel.gamma"}) {
    ASSERT_NE(graph.FindInitializer(key), nullptr) << key;
    EXPECT_EQ(graph.FindInitializer(key)->value.data<float>()[0], 0.0f);
  }
  // Attention's products stand apart: 2 * 2048^2 * 144 at 1/16 of 512x1024, and so on (numbers.md's
  // formulas).
  const Cost with = CostAt("frfnet-danet", "", 512, 1024),
             without = CostAt("frfnet-danet", "msc=off", 512, 1024);
  std::int64_t products = 0;
  for (const std::int64_t n : {2048, 512}) products += n * n * 16 + n * n * 128 + 2 * 128 * 128 * n;
  EXPECT_EQ((with.macs_all - with.macs) - (without.macs_all - without.macs), products);
  EXPECT_EQ(with.params - without.params, 2 * (2 * (128 * 16 + 16) + 128 * 128 + 128 + 2));
}

TEST(FrfNet, WeightsDependOnSeedAndNameAlone) {
  Graph a = BuildNet("frfnet", {{"aux", true}}), b = BuildNet("frfnet", {}), c = BuildNet("frfnet", {});
  InitializeWeights(a, 7);
  InitializeWeights(b, 7);
  InitializeWeights(c, 8);
  const auto values = [](const Graph& g, const char* key) {
    return g.FindInitializer(key)->value.ToVector<float>();
  };
  EXPECT_EQ(values(a, "head.conv.weight"), values(b, "head.conv.weight"));
  EXPECT_NE(values(b, "head.conv.weight"), values(c, "head.conv.weight"));
  // Kaiming, fan out: sqrt(2 / (64 * 9)) over 64*128*9 draws.
  double sum = 0, squares = 0;
  const std::vector<float> weights = values(a, "head.conv.weight");
  for (const float w : weights) sum += w, squares += static_cast<double>(w) * w;
  EXPECT_NEAR(sum / static_cast<double>(weights.size()), 0.0, 0.001);
  EXPECT_NEAR(std::sqrt(squares / static_cast<double>(weights.size())), std::sqrt(2.0 / 576.0), 0.0005);
}

}  // namespace
}  // namespace frf
