// SPDX-License-Identifier: Apache-2.0
// The optimisers against libtorch's own over several steps, clipping, averaged weights, state by name,
// allocator and scaler.
#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "graph/builder.h"
#include "support/support.h"
#include "train/device.h"

namespace frf {
namespace {

Graph SmallGraph() {
  Builder g("small");
  Value x = g.Input("image", 3);
  x = g.Relu(g.BatchNorm(g.Conv(x, {.name = "conv1", .out = 13, .kernel = 3}), "bn1"));
  x = g.Conv(x, {.name = "classifier", .out = 4, .bias = true, .classifier = true});
  g.Output(x, "scores", OutputRole::kScores);
  Graph graph = std::move(g).Build();
  InitializeWeights(graph, 5);
  return graph;
}

void FillGradients(GraphModule& module, std::uint64_t step) {
  std::uint64_t index = 0;
  for (torch::Tensor parameter : module.Parameters()) {
    torch::Tensor gradient = torch::empty_like(parameter.detach());
    Random random(77, step, index++);
    for (std::int64_t i = 0; i < gradient.numel(); ++i)
      gradient.data_ptr<float>()[i] = static_cast<float>(random.Normal());
    parameter.mutable_grad() = gradient;
  }
}

// Ours and torch's side by side for six steps of changing rates.
template <typename Torch, typename Options>
void Compare(const OptimizerSpec& spec, Options options) {
  GraphModule ours(SmallGraph()), theirs(SmallGraph());
  Optimizer optimizer(ours, spec);
  Torch reference(theirs.Parameters(), options);
  for (int step = 0; step < 6; ++step) {
    const double rate = 1e-2 / (step + 1);
    FillGradients(ours, step);
    FillGradients(theirs, step);
    for (auto& group : reference.param_groups()) static_cast<Options&>(group.options()).lr(rate);
    if (spec.clip_norm > 0) torch::nn::utils::clip_grad_norm_(theirs.Parameters(), spec.clip_norm);
    optimizer.Step({.rate = rate});
    reference.step();
  }
  for (std::size_t i = 0; i < ours.tensors().size(); ++i) {
    const torch::Tensor difference = (ours.tensors()[i].tensor - theirs.tensors()[i].tensor).abs().max();
    EXPECT_LT(difference.item<double>(), 3e-7) << ours.tensors()[i].name;
  }
}

TEST(Optimizer, AdamWEqualsTorch) {
  Compare<torch::optim::AdamW>({.kind = OptimizerKind::kAdamW, .weight_decay = 0.1, .decay_all = true},
                               torch::optim::AdamWOptions(1e-2).weight_decay(0.1));
}

TEST(Optimizer, AdamEqualsTorchWithClipping) {
  Compare<torch::optim::Adam>({.kind = OptimizerKind::kAdam,
                               .beta1 = 0.8,
                               .beta2 = 0.95,
                               .weight_decay = 0.01,
                               .decay_all = true,
                               .clip_norm = 2.5},
                              torch::optim::AdamOptions(1e-2).betas({0.8, 0.95}).weight_decay(0.01));
}

TEST(Optimizer, SgdEqualsTorch) {
  for (const bool nesterov : {false, true}) {
    Compare<torch::optim::SGD>(
        {.kind = OptimizerKind::kSgd,
         .momentum = 0.9,
         .nesterov = nesterov,
         .weight_decay = 0.01,
         .decay_all = true},
        torch::optim::SGDOptions(1e-2).momentum(0.9).nesterov(nesterov).weight_decay(0.01));
  }
}

TEST(Optimizer, DecaysOnlyMatricesUnlessTold) {
  GraphModule module(SmallGraph());
  Optimizer optimizer(module, {.kind = OptimizerKind::kAdamW, .weight_decay = 0.5});
  std::vector<torch::Tensor> before;
  for (torch::Tensor parameter : module.Parameters()) {
    before.push_back(parameter.detach().clone());
    parameter.mutable_grad() = torch::zeros_like(parameter.detach());
  }
  optimizer.Step({.rate = 0.1});
  for (std::size_t i = 0; i < before.size(); ++i) {
    const torch::Tensor wanted = before[i].dim() > 1 ? before[i] * 0.95 : before[i];
    EXPECT_LT((module.Parameters()[i] - wanted).abs().max().item<double>(), 1e-7);
  }
}

TEST(Optimizer, MomentumOfTheScheduleCounts) {
  GraphModule module(SmallGraph());
  Optimizer optimizer(module, {.kind = OptimizerKind::kSgd, .weight_decay = 0});
  for (torch::Tensor parameter : module.Parameters())
    parameter.mutable_grad() = torch::ones_like(parameter.detach());
  const torch::Tensor start = module.Parameters()[0].detach().clone();
  optimizer.Step({.rate = 1, .momentum = 0.5});
  optimizer.Step({.rate = 1, .momentum = 0.25});  // buffers 1, then 0.25 + 1
  EXPECT_LT((start - module.Parameters()[0] - 2.25).abs().max().item<double>(), 1e-6);
}

TEST(Average, FollowsItsFormulaForParametersAndStates) {
  GraphModule module(SmallGraph());
  Optimizer optimizer(module, {.weight_decay = 0});
  Average average(module, 0.15);
  std::vector<torch::Tensor> wanted;
  for (const auto& named : module.tensors()) wanted.push_back(named.tensor.detach().clone());
  for (int t = 0; t < 5; ++t) {
    FillGradients(module, t);
    for (const auto& named : module.tensors()) {
      if (named.role == Role::kState) named.tensor.add_(0.5);  // as a forward pass would
    }
    const double keep = std::min(0.15, (1.0 + t) / (10.0 + t));
    EXPECT_DOUBLE_EQ(average.NextDecay(), keep);
    optimizer.Step({.rate = 0.01}, &average);
    for (std::size_t i = 0; i < wanted.size(); ++i)
      wanted[i] = wanted[i] * keep + module.tensors()[i].tensor.detach() * (1 - keep);
  }
  EXPECT_EQ(average.updates(), 5);
  const torch::Tensor live = module.tensors()[0].tensor.detach().clone();
  {
    const Average::Applied applied(average);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_LT((module.tensors()[i].tensor - wanted[i]).abs().max().item<double>(), 1e-6)
          << module.tensors()[i].name;
    }
  }
  EXPECT_TRUE(torch::equal(module.tensors()[0].tensor.detach(), live));
  EXPECT_NEAR(average.Export().FindInitializer("bn1.running_var")->value.ToVector<float>()[0],
              wanted[4].flatten()[0].item<float>(), 1e-6);
  EXPECT_FRF_ERROR(Average(module, 1.0), ErrorCode::kUsage, "decay");
}

TEST(Optimizer, StateGoesByName) {
  GraphModule module(SmallGraph()), other(SmallGraph());
  Optimizer first(module, {}), second(other, {});
  for (int step = 0; step < 3; ++step) {
    FillGradients(module, step);
    first.Step({.rate = 1e-3});
  }
  for (const auto& [name, value] : first.State()) second.Load(name, value);
  second.set_steps(first.steps());
  for (std::size_t i = 0; i < other.tensors().size(); ++i) {
    const torch::NoGradGuard guard;
    other.tensors()[i].tensor.detach().copy_(module.tensors()[i].tensor);
  }
  FillGradients(module, 9);
  FillGradients(other, 9);
  first.Step({.rate = 1e-3});
  second.Step({.rate = 1e-3});
  for (std::size_t i = 0; i < other.tensors().size(); ++i) {
    EXPECT_TRUE(torch::equal(other.tensors()[i].tensor, module.tensors()[i].tensor))
        << module.tensors()[i].name;
  }
  EXPECT_EQ(first.State()[0].first, "conv1.weight/m");
  EXPECT_FRF_ERROR(second.Load("conv9.weight/m", torch::zeros({1})), ErrorCode::kCorruptFile,
                   "conv9.weight/m");
  EXPECT_FRF_ERROR(second.Load("conv1.weight/m", torch::zeros({1})), ErrorCode::kCorruptFile,
                   "conv1.weight/m");
}

TEST(Optimizer, ThreadsDoNotChangeTheResult) {
  const auto run = [](int threads) {
    at::set_num_threads(threads);
    GraphModule module(SmallGraph());
    Optimizer optimizer(module, {.clip_norm = 0.5});
    for (int step = 0; step < 3; ++step) {
      FillGradients(module, step);
      optimizer.Step({.rate = 1e-2});
    }
    return module.Parameters()[0].detach().clone();
  };
  const torch::Tensor one = run(1), two = run(2);
  EXPECT_TRUE(torch::equal(one, two));
}

TEST(Optimizer, JsonAndChecks) {
  const OptimizerSpec spec{.kind = OptimizerKind::kSgd,
                           .beta1 = 0.1,
                           .beta2 = 0.2,
                           .epsilon = 0.3,
                           .momentum = 0.4,
                           .nesterov = true,
                           .weight_decay = 0.5,
                           .decay_all = true,
                           .clip_norm = 0.6};
  EXPECT_EQ(ToJson(OptimizerSpecFromJson(ToJson(spec), "x")).dump(), ToJson(spec).dump());
  EXPECT_FRF_ERROR(Check({.beta2 = 1}), ErrorCode::kUsage, "beta2 = 1");
  EXPECT_FRF_ERROR(OptimizerKindFromName("lion"), ErrorCode::kUsage, "lion");
}

TEST(Device, AllocatorReusesBlocksAndSurvivesOddSizes) {
  if (!InstallCachingAllocator()) GTEST_SKIP() << "FRF_ALLOCATOR=system: this test is skipped";
  for (const std::int64_t size : {0, 1, 13, 127, 4096, 1 << 20, (1 << 20) + 1, 12345678}) {
    const torch::Tensor x = torch::full({size}, 3.0f);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x.data_ptr()) % 64, 0u) << size;
    EXPECT_EQ(x.sum(torch::kFloat64).item<double>(), 3.0 * static_cast<double>(size));
  }
  const AllocatorStats before = CachingAllocatorStats();
  for (int i = 0; i < 10; ++i) torch::empty({1 << 22});
  const AllocatorStats after = CachingAllocatorStats();
  EXPECT_LE(after.fresh - before.fresh, 1u);
  EXPECT_GE(after.reused - before.reused, 9u);
  EXPECT_EQ(after.bytes_live, before.bytes_live);
  TrimCachingAllocator();
  EXPECT_EQ(CachingAllocatorStats().bytes_kept, 0u);
}

TEST(Device, NamesAndPrecisions) {
  EXPECT_TRUE(ParseDevice("cpu").is_cpu());
  EXPECT_FRF_ERROR(ParseDevice("gpu"), ErrorCode::kUsage, "gpu");
  EXPECT_FRF_ERROR(ParseDevice("cuda:99"), ErrorCode::kUsage, "cuda:99");
  EXPECT_EQ(ResolvePrecision("auto", torch::kCPU), Precision::kFloat32);
  EXPECT_FRF_ERROR(ResolvePrecision("f16", torch::kCPU), ErrorCode::kUsage, "f16");
  EXPECT_FRF_ERROR(ResolvePrecision("int8", torch::kCPU), ErrorCode::kUsage, "int8");
}

TEST(Device, AutocastOnTheCpuEndsWithItsScope) {
  const torch::Tensor a = torch::ones({4, 4});
  {
    const Autocast cast(torch::kCPU, Precision::kBfloat16);
    EXPECT_EQ(at::matmul(a, a).scalar_type(), torch::kBFloat16);
  }
  EXPECT_EQ(at::matmul(a, a).scalar_type(), torch::kFloat32);
}

TEST(Device, LossScaleHalvesAndDoubles) {
  LossScaler scaler(Precision::kFloat16);
  const double start = scaler.scale();
  EXPECT_FALSE(scaler.Update(INFINITY));
  EXPECT_EQ(scaler.scale(), start / 2);
  for (int i = 0; i < 2000; ++i) EXPECT_TRUE(scaler.Update(1.0));
  EXPECT_EQ(scaler.scale(), start);
  // A scaler that goes on from another's state doubles at the same step.
  for (int i = 0; i < 1500; ++i) scaler.Update(1.0);
  LossScaler resumed(Precision::kFloat16);
  resumed.set_state(scaler.state());
  for (int i = 0; i < 499; ++i) resumed.Update(1.0);
  EXPECT_EQ(resumed.scale(), start);
  resumed.Update(1.0);
  EXPECT_EQ(resumed.scale(), start * 2);
  LossScaler off(Precision::kFloat32);
  off.set_state(scaler.state());
  EXPECT_TRUE(off.Update(NAN));
  EXPECT_EQ(off.scale(), 1.0);
}

}  // namespace
}  // namespace frf
