// SPDX-License-Identifier: Apache-2.0
// Graph::Validate and ForInference: each way to be wrong has a message that names the node.
#include <functional>
#include <limits>

#include "graph/builder.h"
#include "support/support.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;

Graph Small() {
  Builder g("small");
  Value x = g.Conv(g.Input("image", 3), {.name = "conv", .out = 4, .kernel = 3});
  x = g.MaxPool(g.Relu(x), {.kernel = 2, .stride = 2});
  x = g.DropChannels(x, 0.5f);
  g.Output(g.Conv(x, {.name = "classifier", .out = 2, .bias = true}), "scores", OutputRole::kScores);
  return std::move(g).Build();
}

struct Mistake {
  const char* name;
  std::function<void(Graph&)> make;
  const char* part;
  ErrorCode code = ErrorCode::kCorruptFile;
};

class ValidateTest : public testing::TestWithParam<Mistake> {};

TEST_P(ValidateTest, NamesTheNode) {
  Graph graph = Small();
  graph.Validate();
  GetParam().make(graph);
  EXPECT_FRF_ERROR(graph.Validate(), GetParam().code, GetParam().part);
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, ValidateTest,
    testing::Values(
        Mistake{"UnknownOperator", [](Graph& g) { g.nodes[1].op = "Einsum"; }, "node 'relu' is a 'Einsum'",
                ErrorCode::kUnsupported},
        Mistake{"UnknownDomain", [](Graph& g) { g.nodes[1].domain = "com.example"; }, "'com.example.Relu'",
                ErrorCode::kUnsupported},
        Mistake{"TwiceNamedNode", [](Graph& g) { g.nodes[1].name = "conv"; }, "two nodes are named 'conv'"},
        Mistake{"NoName", [](Graph& g) { g.nodes[1].name.clear(); }, "makes 'relu' has no name"},
        Mistake{"TwiceMade", [](Graph& g) { g.nodes[1].outputs[0] = "conv"; },
                "node 'relu' (Relu) makes 'conv'"},
        Mistake{"MissingInput", [](Graph& g) { g.nodes[1].inputs[0] = "nothing"; },
                "node 'relu' (Relu) reads 'nothing', which nothing"},
        Mistake{"NotSorted", [](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); }, "not sorted"},
        Mistake{"ReadsItself", [](Graph& g) { g.nodes[1].inputs[0] = "relu"; }, "not sorted"},
        Mistake{"TooFewInputs", [](Graph& g) { g.nodes[0].inputs.resize(1); },
                "node 'conv' (Conv) has 1 inputs, 2 to 3 are wanted"},
        Mistake{"TooManyInputs", [](Graph& g) { g.nodes[1].inputs.push_back("image"); },
                "has 2 inputs, 1 are wanted"},
        Mistake{"LeftOutInput", [](Graph& g) { g.nodes[0].inputs[1].clear(); }, "leaves out input 2"},
        Mistake{"NoOutputs", [](Graph& g) { g.nodes[1].outputs.clear(); }, "has 0 outputs, 1 are wanted"},
        Mistake{"EmptyOutput", [](Graph& g) { g.nodes[1].outputs[0].clear(); },
                "leaves out its first output"},
        Mistake{"OutputNotMade", [](Graph& g) { g.outputs[0].name = "labels"; },
                "output 'labels' is made by no node"},
        Mistake{"NoGraphOutputs", [](Graph& g) { g.outputs.clear(); }, "has no outputs"},
        Mistake{"OutputTwice", [](Graph& g) { g.outputs.push_back(g.outputs[0]); }, "listed twice"},
        Mistake{"InitializerTwice", [](Graph& g) { g.initializers.push_back(g.initializers[0]); },
                "'conv.weight'"},
        Mistake{"InputHidesInitializer", [](Graph& g) { g.inputs[0].name = "conv.weight"; },
                "name of another value"},
        Mistake{"GivenWithoutData", [](Graph& g) { g.initializers[0].init = Init::kGiven; },
                "'conv.weight' is given but holds no data"},
        Mistake{"ZeroStride",
                [](Graph& g) {
                  g.nodes[0].attributes["strides"] = Ints{0, 1};
                },
                "node 'conv' (Conv): strides holds 0"},
        Mistake{"NegativePad",
                [](Graph& g) {
                  g.nodes[0].attributes["pads"] = Ints{-1, 1, 1, 1};
                },
                "pads holds -1"},
        Mistake{"ShortPads",
                [](Graph& g) {
                  g.nodes[0].attributes["pads"] = Ints{1, 1};
                },
                "pads has 2 entries, 4 are wanted"},
        Mistake{"HugeDilation",
                [](Graph& g) {
                  g.nodes[0].attributes["dilations"] = Ints{INT64_MAX, 1};
                },
                "dilations holds"},
        Mistake{"NoGroup", [](Graph& g) { g.nodes[0].attributes["group"] = std::int64_t{0}; }, "group is 0"},
        Mistake{"WrongType", [](Graph& g) { g.nodes[0].attributes["group"] = 1.0f; },
                "group must be an integer"},
        Mistake{"OddAutoPad", [](Graph& g) { g.nodes[0].attributes["auto_pad"] = std::string("SOME"); },
                "auto_pad is 'SOME'", ErrorCode::kUnsupported},
        Mistake{"PoolWithAnEmptyKernel", [](Graph& g) { g.nodes[2].attributes["kernel_shape"] = Ints{}; },
                "kernel_shape has no entries"},
        Mistake{"PoolWithEmptyDilations", [](Graph& g) { g.nodes[2].attributes["dilations"] = Ints{}; },
                "dilations has 0 entries"},
        Mistake{"PoolWithoutKernel", [](Graph& g) { g.nodes[2].attributes.erase("kernel_shape"); },
                "has no attribute kernel_shape"},
        Mistake{"PadAboveKernel",
                [](Graph& g) {
                  g.nodes[2].attributes["pads"] = Ints{2, 0, 0, 0};
                },
                "a pad of 2 for a kernel of 2"},
        Mistake{"NanAttribute",
                [](Graph& g) { g.nodes[1].attributes["alpha"] = std::numeric_limits<float>::quiet_NaN(); },
                "alpha is not a finite number"},
        Mistake{"DropAll", [](Graph& g) { g.nodes[3].attributes["p"] = 1.0f; }, "p is 1"},
        Mistake{"NegativeDim", [](Graph& g) { g.inputs[0].shape[1] = 0; }, "input 'image' is ?x0x?x?"},
        Mistake{"OldOpset", [](Graph& g) { g.opset = 9; }, "opset 9; 11 to 21", ErrorCode::kUnsupported}),
    [](const auto& info) { return info.param.name; });

TEST(Attributes, WrongTypeNamesNodeAndAttribute) {
  Node node{.name = "n", .op = "Conv", .attributes = {{"group", std::string("two")}}};
  EXPECT_FRF_ERROR(node.Int("group", 1), ErrorCode::kCorruptFile,
                   "node 'n' (Conv): attribute 'group' must be an integer");
  EXPECT_EQ(node.Int("absent", 7), 7);
  EXPECT_EQ(node.String("group", ""), "two");
}

TEST(ForInference, RemovesDropoutAndWhatNothingNeeds) {
  Graph graph = Small();
  graph.nodes.push_back({.name = "unused", .op = "Sigmoid", .inputs = {"relu"}, .outputs = {"unused"}});
  const Graph inference = graph.ForInference();
  inference.Validate();
  std::vector<std::string> ops;
  for (const Node& node : inference.nodes) ops.push_back(node.op);
  EXPECT_EQ(ops, (std::vector<std::string>{"Conv", "Relu", "MaxPool", "Conv"}));
  EXPECT_EQ(inference.nodes[3].inputs[0], "maxpool");
}

TEST(ForInference, IdentityBeforeAnOutputHandsItsNameOn) {
  Builder g("net");
  const Value x = g.Relu(g.Input("image", 3));
  g.Sigmoid(x);
  g.Output(g.DropChannels(x, 0.1f), "scores", OutputRole::kScores);
  const Graph inference = std::move(g).Build().ForInference();
  inference.Validate();
  ASSERT_EQ(inference.nodes.size(), 1u);
  EXPECT_EQ(inference.nodes[0].op, "Relu");
  EXPECT_EQ(inference.nodes[0].outputs[0], "scores");
}

TEST(ForInference, IdentityOfTheInputStays) {
  Builder g("net");
  g.Output(g.DropChannels(g.Input("image", 3), 0.1f), "scores", OutputRole::kScores);
  const Graph inference = std::move(g).Build().ForInference();
  inference.Validate();
  ASSERT_EQ(inference.nodes.size(), 1u);
  EXPECT_EQ(inference.nodes[0].op, "Identity");
}

TEST(ForInference, TwoOutputsOfOneValue) {
  Builder g("net");
  const Value x = g.Relu(g.Input("image", 3));
  g.Output(g.DropChannels(x, 0.1f), "scores", OutputRole::kScores);
  g.Output(g.DropChannels(x, 0.2f), "more", OutputRole::kScores);
  const Graph inference = std::move(g).Build().ForInference();
  inference.Validate();
  EXPECT_EQ(inference.outputs.size(), 2u);
  EXPECT_EQ(inference.nodes.size(), 2u) << "one keeps an Identity";
}

TEST(ForInference, NeedsScores) {
  Graph graph = Small();
  graph.outputs[0].role = OutputRole::kAuxiliary;
  EXPECT_FRF_ERROR(graph.ForInference(), ErrorCode::kInvalidArgument, "no output of role scores");
}

TEST(Graph, DeepCopySharesNothing) {
  Graph graph = Small();
  InitializeWeights(graph, 0);
  const Graph shared = graph, copy = graph.DeepCopy();
  const float before = copy.FindInitializer("conv.weight")->value.data<float>()[0];
  graph.FindInitializer("conv.weight")->value.data<float>()[0] = before + 1.0f;
  EXPECT_EQ(shared.FindInitializer("conv.weight")->value.data<float>()[0], before + 1.0f);
  EXPECT_EQ(copy.FindInitializer("conv.weight")->value.data<float>()[0], before);
}

TEST(Graph, IndexFindsMakersAndReaders) {
  Builder g("net");
  const Value x = g.Relu(g.Input("image", 3));
  g.Output(g.Mul(x, x), "scores", OutputRole::kScores);
  const Graph graph = std::move(g).Build();
  const GraphIndex index(graph);
  EXPECT_EQ(index.producer.at("relu"), 0);
  EXPECT_EQ(index.consumers.at("relu"), std::vector<int>{1}) << "Mul(x, x) reads x once";
  EXPECT_EQ(index.consumers.at("image"), std::vector<int>{0});
}

}  // namespace
}  // namespace frf
