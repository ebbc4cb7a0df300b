// SPDX-License-Identifier: Apache-2.0
// GraphModule: operators against values worked out by hand and against torch, gradients, values by name,
// dropout by chance, and the channel-blocked kernels against libtorch's operators.
#include "train/module.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "graph/builder.h"
#include "nets/nets.h"
#include "support/support.h"
#include "train/device.h"

namespace frf {
namespace {

torch::Tensor RandomTensor(std::vector<std::int64_t> shape, std::uint64_t seed) {
  torch::Tensor tensor = torch::empty(shape);
  Random random(seed);
  for (std::int64_t i = 0; i < tensor.numel(); ++i)
    tensor.data_ptr<float>()[i] = static_cast<float>(random.Normal());
  return tensor;
}

// One-operator graph from `make`, plain kernels, run on `image`.
torch::Tensor RunOne(const std::function<Value(Builder&, Value)>& make, const torch::Tensor& image,
                     bool training = false) {
  Builder g("one");
  const Value x = g.Input("image", static_cast<int>(image.size(1)));
  g.Output(make(g, x), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 3);
  GraphModule module(graph);
  module.SetKernels(Kernels::kPlain);
  module.train(training);
  return module.Forward(image).at("scores");
}

void ExpectNear(const torch::Tensor& a, const torch::Tensor& b, double bound) {
  ASSERT_EQ(a.sizes(), b.sizes());
  EXPECT_LT((a - b).abs().max().item<double>(), bound);
}

TEST(Module, ArithmeticByHand) {
  const torch::Tensor x = torch::tensor({-2.0f, -0.5f, 0.25f, 3.0f}).reshape({1, 1, 2, 2});
  const auto run = [&](const std::function<Value(Builder&, Value)>& make) {
    return RunOne(make, x).flatten();
  };
  ExpectNear(run([](Builder& g, Value v) { return g.Relu(v); }), torch::tensor({0.0f, 0.0f, 0.25f, 3.0f}),
             1e-7);
  ExpectNear(run([](Builder& g, Value v) { return g.Clip(g.Ceil(v), 0, 1); }),
             torch::tensor({0.0f, 0.0f, 1.0f, 1.0f}), 1e-7);
  ExpectNear(run([](Builder& g, Value v) { return g.Neg(g.Sub(v, g.Scalar(1))); }),
             torch::tensor({3.0f, 1.5f, 0.75f, -2.0f}), 1e-7);
  ExpectNear(run([](Builder& g, Value v) { return g.PRelu(v, "p"); }),
             torch::tensor({-0.5f, -0.125f, 0.25f, 3.0f}), 1e-7);
  ExpectNear(run([](Builder& g, Value v) { return g.Mul(g.Sigmoid(v), g.Scalar(2)); }),
             2 / (1 + (-x.flatten()).exp()), 1e-6);
  ExpectNear(run([](Builder& g, Value v) { return g.GlobalAveragePool(v); }), torch::tensor({0.1875f}), 1e-7);
  ExpectNear(run([](Builder& g, Value v) { return g.ReduceMax(v, 3); }), torch::tensor({-0.5f, 3.0f}), 1e-7);
  ExpectNear(run([](Builder& g, Value v) { return g.Softmax(v, 3); }).slice(0, 0, 2),
             torch::tensor({0.18242552f, 0.81757448f}), 1e-6);
}

TEST(Module, MaxAndMinOfAnyNumber) {
  const torch::Tensor x = torch::tensor({-2.0f, 3.0f}).reshape({1, 1, 1, 2});
  const auto run = [&](const char* op, const std::vector<float>& others) {
    return RunOne(
        [&](Builder& g, Value v) {
          std::vector<Value> values{v};
          for (const float other : others) values.push_back(g.Scalar(other));
          return g.Op(op, values, 1, {});
        },
        x);
  };
  EXPECT_TRUE(torch::equal(run("Max", {}), x));
  ExpectNear(run("Max", {-4, 1}).flatten(), torch::tensor({1.0f, 3.0f}), 1e-7);
  ExpectNear(run("Min", {2, -1}).flatten(), torch::tensor({-2.0f, -1.0f}), 1e-7);
}

// ONNX counts axes and indices from the end where they are negative.
TEST(Module, FlattenAndGatherFromTheEnd) {
  const torch::Tensor x = RandomTensor({2, 3, 4, 5}, 6);
  const auto flatten = [&](std::int64_t axis) {
    return RunOne([=](Builder& g, Value v) { return g.Op("Flatten", {v}, 3, {{"axis", axis}}); }, x);
  };
  EXPECT_TRUE(torch::equal(flatten(-1), x.reshape({24, 5})));
  EXPECT_TRUE(torch::equal(flatten(-4), x.reshape({1, 120})));
  EXPECT_TRUE(torch::equal(flatten(2), x.reshape({6, 20})));
  const torch::Tensor rows = RunOne(
      [](Builder& g, Value v) {
        const Value index = g.Constant("index", Tensor::Of<std::int64_t>({3}, {-1, 0, -5}));
        return g.Op("Gather", {v, index}, 3, {{"axis", std::int64_t{-1}}});
      },
      x);
  EXPECT_TRUE(torch::equal(rows, torch::stack({x.select(3, 4), x.select(3, 0), x.select(3, 0)}, 3)));
}

TEST(Module, ResizeFormsByHand) {
  const torch::Tensor x = torch::tensor({0.0f, 4.0f}).reshape({1, 1, 1, 2});
  const auto run = [&](const std::string& mode, const std::string& coordinates) {
    // The reference map is the input pooled to one row of four: made by a transposed convolution's size.
    return RunOne(
               [&](Builder& g, Value v) {
                 const Value wide = g.ConvTranspose(
                     v, {.name = "wide", .out = 1, .kernel = 2, .kernel_w = 2, .stride = 2, .pad = 0}, 0);
                 return g.ResizeLike(v, wide, mode, coordinates);
               },
               x)
        .flatten();
  };
  ExpectNear(run("linear", "half_pixel").slice(0, 0, 4), torch::tensor({0.0f, 1.0f, 3.0f, 4.0f}), 1e-6);
  ExpectNear(run("linear", "align_corners").slice(0, 0, 4), torch::tensor({0.0f, 4.0f / 3, 8.0f / 3, 4.0f}),
             1e-6);
  ExpectNear(run("linear", "asymmetric").slice(0, 0, 4), torch::tensor({0.0f, 2.0f, 4.0f, 4.0f}), 1e-6);
  ExpectNear(run("nearest", "asymmetric").slice(0, 0, 4), torch::tensor({0.0f, 0.0f, 4.0f, 4.0f}), 1e-6);
}

TEST(Module, UnpoolRestoresTheSizeThatWasPooled) {
  const torch::Tensor x = torch::arange(15, torch::kFloat32).reshape({1, 1, 3, 5});
  const torch::Tensor y = RunOne(
      [](Builder& g, Value v) {
        const auto [pooled, indices] = g.MaxPoolWithIndices(v, {.kernel = 2, .stride = 2});
        return g.Unpool(pooled, indices, v);
      },
      x);
  torch::Tensor wanted = torch::zeros({1, 1, 3, 5});
  wanted[0][0][1][1] = 6;
  wanted[0][0][1][3] = 8;
  ExpectNear(y, wanted, 1e-7);
}

TEST(Module, SpectralPoolByHand) {
  // Channel 0: the mean; channel 1: scale * sqrt 2 * mean(x cos(pi (j + 1/2) / W)).
  const torch::Tensor x = RandomTensor({2, 2, 3, 4}, 8);
  const torch::Tensor y = RunOne(
      [](Builder& g, Value v) {
        return g.SpectralPool(v, {0, 0, 0, 1}, {1, 1}, 7.0f);
      },
      x);
  for (int n = 0; n < 2; ++n) {
    double mean = 0, term = 0;
    for (int i = 0; i < 3; ++i) {
      for (int j = 0; j < 4; ++j) {
        mean += x[n][0][i][j].item<double>() / 12;
        term += 7 * std::sqrt(2.0) * x[n][1][i][j].item<double>() * std::cos(M_PI * (j + 0.5) / 4) / 12;
      }
    }
    EXPECT_NEAR(y[n][0][0][0].item<double>(), mean, 1e-6);
    EXPECT_NEAR(y[n][1][0][0].item<double>(), term, 1e-5);
  }
}

TEST(Module, AdaptivePoolWhereTheMapIsSmallerThanTheGrid) {
  const torch::Tensor x = RandomTensor({1, 2, 2, 5}, 9);
  ExpectNear(RunOne([](Builder& g, Value v) { return g.AdaptiveAveragePool(v, 3, 2); }, x),
             at::adaptive_avg_pool2d(x, {3, 2}), 1e-6);
}

TEST(Module, BatchNormFollowsTorchsRunningRule) {
  Builder g("bn");
  const Value x = g.Input("image", 3);
  g.Output(g.BatchNorm(x, "bn"), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 1);
  GraphModule module(graph);
  module.train();
  const torch::Tensor image = RandomTensor({2, 3, 3, 5}, 4) * 3 + 1;
  module.Forward(image);
  const Graph after = module.Export();
  const torch::Tensor flat = image.permute({1, 0, 2, 3}).reshape({3, -1});
  for (int c = 0; c < 3; ++c) {
    EXPECT_NEAR(after.FindInitializer("bn.running_mean")->value.ToVector<float>()[c],
                0.1 * flat[c].mean().item<double>(), 1e-6);
    EXPECT_NEAR(after.FindInitializer("bn.running_var")->value.ToVector<float>()[c],
                0.9 + 0.1 * flat[c].var(true).item<double>(), 1e-5);
  }
}

// A single image whose deepest map is one pixel: torch's own running variance would be NaN.
TEST(Module, BatchNormOfOneValueKeepsItsStatisticsFinite) {
  Builder g("bn");
  Value x = g.Conv(g.Input("image", 3), {.name = "conv", .out = 16, .kernel = 3});
  x = g.BatchNorm(x, "bn");
  g.Output(x, "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 1);
  for (const Kernels kernels : {Kernels::kPlain, Kernels::kWinograd}) {
    GraphModule module(graph);
    module.SetKernels(kernels);
    module.train();
    module.Forward(RandomTensor({1, 3, 1, 1}, 4)).at("scores").sum().backward();
    for (const float value : module.Export().FindInitializer("bn.running_var")->value.ToVector<float>())
      EXPECT_FLOAT_EQ(value, 0.9f);
  }
}

TEST(Module, CeilStopsTheGradient) {
  Builder g("ceil");
  const Value x = g.Input("image", 1);
  const Value w = g.Conv(x, {.name = "conv", .out = 1, .kernel = 1});
  g.Output(g.Mul(w, g.Clip(g.Ceil(w), 0, 1)), "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  graph.FindInitializer("conv.weight")->value = Tensor::Of<float>({1, 1, 1, 1}, {2.0f});
  GraphModule module(graph);
  module.Forward(torch::tensor({3.0f, -5.0f}).reshape({1, 1, 1, 2})).at("scores").sum().backward();
  EXPECT_FLOAT_EQ(module.Parameters()[0].grad().item<float>(), 3.0f);  // only where the mask is 1
}

TEST(Module, DropoutDerivesFromSeedAndStep) {
  const auto run = [](std::uint64_t seed, std::uint64_t step, bool training) {
    Builder g("drop");
    const Value x = g.Input("image", 64);
    g.Output(g.DropChannels(x, 0.25f), "scores", OutputRole::kScores);
    GraphModule module(std::move(g).Build());
    module.train(training);
    module.SetChance(seed, step);
    return module.Forward(torch::ones({8, 64, 2, 2})).at("scores").contiguous();
  };
  EXPECT_TRUE(torch::equal(run(1, 2, true), run(1, 2, true)));
  EXPECT_FALSE(torch::equal(run(1, 2, true), run(1, 3, true)));
  EXPECT_TRUE(torch::equal(run(1, 2, false), torch::ones({8, 64, 2, 2})));
  const torch::Tensor dropped = run(5, 0, true);
  EXPECT_NEAR((dropped == 0).to(torch::kFloat32).mean().item<double>(), 0.25,
              0.06);  // 512 draws, three deviations
  EXPECT_FLOAT_EQ(dropped.max().item<float>(), 1.0f / 0.75f);
}

TEST(Module, ValuesByNameAndReplacements) {
  Graph graph = BuildNet("frfnet", {{"classes", 5}});
  InitializeWeights(graph, 2);
  GraphModule module(graph);
  module.eval();
  const torch::NoGradGuard guard;
  const torch::Tensor image = RandomTensor({1, 3, 64, 96}, 6);
  auto values = module.Forward(image, {"decoder.ffm.t1", "decoder.ffm.t2", "scores"}, {});
  EXPECT_EQ(values.at("decoder.ffm.t1").sizes(), (std::vector<std::int64_t>{1, 128, 8, 12}));
  const auto same = module.Forward(image, {"scores"}, {{"decoder.ffm.t1", values.at("decoder.ffm.t1")}});
  ExpectNear(same.at("scores"), values.at("scores"), 1e-6);
  const auto flipped =
      module.Forward(image, {"scores"}, {{"decoder.ffm.t1", 1 - values.at("decoder.ffm.t1")}});
  EXPECT_GT((flipped.at("scores") - values.at("scores")).abs().max().item<double>(), 1e-3);
  EXPECT_FRF_ERROR(module.Forward(image, {"stem.conv9"}, {}), ErrorCode::kInvalidArgument, "stem.conv9");
}

TEST(Module, RefusesWeightsWithoutDataAndUnknownOperators) {
  EXPECT_FRF_ERROR(GraphModule(BuildNet("frfnet", {})), ErrorCode::kInternal, "has no data");
  Graph graph;
  graph.inputs.push_back({.name = "image"});
  graph.nodes.push_back({.name = "odd", .op = "QuantizeLinear", .inputs = {"image"}, .outputs = {"scores"}});
  graph.outputs.push_back({.name = "scores"});
  EXPECT_FRF_ERROR(GraphModule{graph}, ErrorCode::kUnsupported, "'odd' (QuantizeLinear)");
}

struct NetCase {
  std::string net;
  Json options;
  int height, width;
};

class Blocked : public testing::TestWithParam<NetCase> {};

double Distance(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a - b).norm() / (b.norm() + 1e-6)).item<double>();
}

// Forward in training and inference, running statistics and every gradient of whole networks against
// libtorch's operators. Bounds are wide because one decision (ReLU, maximum, mask) that falls the other way
// within rounding moves a gradient by a per cent; a wrong layout or pattern moves it by its own size.
// Operators are held tightly in blocked_test.cpp.
TEST_P(Blocked, FollowsPlain) {
  const NetCase& net = GetParam();
  Graph graph = BuildNet(net.net, net.options);
  InitializeWeights(graph, 4);
  const torch::Tensor image = RandomTensor({2, 3, net.height, net.width}, 5);
  GraphModule exact(graph);
  exact.SetKernels(Kernels::kPlain);
  exact.train();
  const auto wanted = exact.ForwardForLoss(image.to(torch::kFloat32));
  std::map<std::string, torch::Tensor> directions;
  torch::Tensor sum = torch::zeros({}, torch::kFloat32);
  for (const auto& [name, value] : wanted) {
    directions[name] = RandomTensor(value.sizes().vec(), 6).to(torch::kFloat32);
    sum = sum + (value * directions[name]).sum();
  }
  sum.backward();
  exact.eval();
  torch::NoGradGuard no_gradients;
  const torch::Tensor inferred = exact.Forward(image.to(torch::kFloat32)).at("scores");
  for (const Kernels kernels : {Kernels::kDirect, Kernels::kWinograd}) {
    GraphModule module(graph);
    module.SetKernels(kernels);
    module.train();
    if (!module.UseBlocked(image)) GTEST_SKIP() << "no blocked kernels here: needs oneDNN 2.x and AVX-512";
    {
      const torch::AutoGradMode gradients(true);
      torch::Tensor total = torch::zeros({});
      for (const auto& [name, value] : module.ForwardForLoss(image)) {
        EXPECT_LT(Distance(value.detach(), wanted.at(name).detach()), 2e-2) << name;
        total = total + (value * directions.at(name).to(torch::kFloat32)).sum();
      }
      total.backward();
    }
    for (std::size_t i = 0; i < module.tensors().size(); ++i) {
      const auto &ours = module.tensors()[i], &theirs = exact.tensors()[i];
      const bool parameter = ours.role == Role::kParameter;
      const torch::Tensor a = parameter ? ours.tensor.grad() : ours.tensor;
      const torch::Tensor b = parameter ? theirs.tensor.grad() : theirs.tensor;
      ASSERT_EQ(a.defined(), b.defined()) << ours.name;
      if (a.defined()) {
        EXPECT_LT(Distance(a, b), parameter ? 0.2 : 2e-2) << ours.name;
      }
    }
    module.eval();
    EXPECT_LT(Distance(module.Forward(image).at("scores"), inferred), 2e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Nets, Blocked,
    testing::Values(NetCase{"frfnet", {{"classes", 11}, {"aux", true}}, 72, 104},
                    NetCase{"frfnet-slim", {{"classes", 19}}, 61, 83},
                    NetCase{"frfnet-danet-slim", {{"classes", 3}}, 64, 64},
                    NetCase{"frfnet", {{"classes", 32}, {"dam", "res2net"}, {"gates", "relu"}}, 64, 96},
                    NetCase{"frfnet", {{"classes", 5}, {"backbone", "resnet18"}, {"head", "none"}}, 64, 96},
                    NetCase{"frfnet", {{"classes", 5}, {"ablation", "baseline"}}, 64, 96}));

}  // namespace
}  // namespace frf
