// SPDX-License-Identifier: Apache-2.0
// Sharpness-aware steps: how far and where to weights climb, and that all but the gradient comes back to the
// bit. Whole runs with them: trainer_test.cpp, distributed_run_test.cpp.
#include "train/sharpness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nets/nets.h"
#include "train/device.h"
#include "train/losses.h"
#include "train/train_step.h"

namespace frf {
namespace {

class Sharpness : public ::testing::Test {
 protected:
  Sharpness() : module_(Net()) {
    module_.train(true);
    module_.SetChance(5, 3);
  }

  static Graph Net() {
    ConfigureCpu(2);
    torch::manual_seed(1);
    Graph graph = BuildNet("frfnet-slim", {{"classes", 4}, {"aux", true}, {"dropout", 0.1}});
    InitializeWeights(graph, 3);
    return graph;
  }

  double Pass() {
    const double value = step_.Forward(images_, labels_, loss_).item<double>();
    step_.Backward();
    return value;
  }

  std::vector<torch::Tensor> Values() const {
    std::vector<torch::Tensor> values;
    for (const auto& named : module_.tensors()) values.push_back(named.tensor.detach().clone());
    return values;
  }

  GraphModule module_;
  const torch::Tensor images_ = torch::randn({2, 3, 64, 96});
  const torch::Tensor labels_ = torch::randint(0, 4, {2, 64, 96}, torch::kUInt8);
  const std::shared_ptr<const Loss> loss_ = std::make_shared<const Loss>(LossSpec{}, module_.graph());
  TrainStep step_{module_, torch::kCPU, Precision::kFloat32, false};
  SharpnessStep sharpness_{module_};
};

// Kwon et al. 2021, equation 5 with T_w = |w| + 0.01, in double precision.
TEST_F(Sharpness, ClimbsByTheFormula) {
  Pass();
  const std::vector<torch::Tensor> before = Values();
  std::vector<torch::Tensor> gradients;
  double squares = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const auto& named = module_.tensors()[i];
    gradients.push_back(named.role == Role::kParameter ? named.tensor.grad().clone() : torch::Tensor());
    if (!gradients[i].defined()) continue;
    const torch::Tensor scale = before[i].to(torch::kFloat64).abs() + 0.01;
    squares += (scale * gradients[i].to(torch::kFloat64)).square().sum().item<double>();
  }
  ASSERT_TRUE(sharpness_.Climb(0.3));
  double relative = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const torch::Tensor moved = module_.tensors()[i].tensor.detach().to(torch::kFloat64) - before[i];
    if (!gradients[i].defined()) {
      EXPECT_EQ(moved.abs().max().item<double>(), 0) << module_.tensors()[i].name;
      continue;
    }
    const torch::Tensor scale = before[i].to(torch::kFloat64).abs() + 0.01;
    const torch::Tensor wanted =
        scale.square() * gradients[i].to(torch::kFloat64) * (0.3 / std::sqrt(squares));
    EXPECT_LT((moved - wanted).abs().max().item<double>(), 1e-6) << module_.tensors()[i].name;
    relative += (moved / scale).square().sum().item<double>();
    EXPECT_FALSE(module_.tensors()[i].tensor.grad().defined());  // the next backward writes
  }
  EXPECT_NEAR(std::sqrt(relative), 0.3, 1e-3);
}

TEST_F(Sharpness, OnlyTheGradientOfUphillStays) {
  const double value = Pass();
  const std::vector<torch::Tensor> before = Values();
  const torch::Tensor level = module_.Parameters()[0].grad().clone();
  ASSERT_TRUE(sharpness_.Climb(0.05));
  const std::vector<torch::Tensor> uphill = Values();
  EXPECT_GT(Pass(), value);
  const std::vector<torch::Tensor> seen = Values();  // batch norm has seen uphill's maps
  const torch::Tensor gradient = module_.Parameters()[0].grad().clone();
  sharpness_.Return();
  const std::vector<torch::Tensor> after = Values();
  bool learnt = false;
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(torch::equal(after[i], before[i])) << module_.tensors()[i].name;
    if (module_.tensors()[i].role == Role::kState) learnt = learnt || !torch::equal(seen[i], uphill[i]);
  }
  EXPECT_TRUE(learnt);
  EXPECT_TRUE(torch::equal(module_.Parameters()[0].grad(), gradient));
  EXPECT_FALSE(torch::equal(gradient, level));
}

// A loss scale cancels but for rounding; what is not finite moves nothing, nor does a flat place.
TEST_F(Sharpness, ScalesAndWhatIsNoGradient) {
  Pass();
  ASSERT_TRUE(sharpness_.Climb(0.3));
  const torch::Tensor once = module_.Parameters()[0].detach().clone();
  sharpness_.Return();
  EXPECT_FALSE(sharpness_.Climb(0.3));  // no gradients
  module_.SetChance(5, 3);
  std::vector<torch::Tensor> parameters = module_.Parameters();
  step_.Forward(images_, labels_, loss_);
  step_.Backward(1024);
  ASSERT_TRUE(sharpness_.Climb(0.3));
  EXPECT_LT((module_.Parameters()[0].detach() - once).abs().max().item<double>(), 1e-6);
  sharpness_.Return();
  for (torch::Tensor& parameter : parameters)
    parameter.mutable_grad() = torch::zeros_like(parameter.detach());
  EXPECT_FALSE(sharpness_.Climb(0.3));
  parameters[2].mutable_grad().fill_(std::numeric_limits<float>::infinity());
  const torch::Tensor untouched = parameters[2].detach().clone();
  EXPECT_FALSE(sharpness_.Climb(0.3));
  EXPECT_TRUE(parameters[2].grad().defined());  // for whoever asks whether it is finite
  EXPECT_TRUE(torch::equal(parameters[2].detach(), untouched));
}

}  // namespace
}  // namespace frf
