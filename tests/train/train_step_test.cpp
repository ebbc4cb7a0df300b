// SPDX-License-Identifier: Apache-2.0
// A step's two passes, and what a captured step relies on: dropout's masks keep their memory, losses their
// weights. The capture itself wants a GPU; here the same code runs operator by operator.
#include "train/train_step.h"

#include <gtest/gtest.h>

#include "nets/nets.h"
#include "train/optimizer.h"

namespace frf {
namespace {

TEST(ChannelMasks, AreDrawnAnewWhereTheyWere) {
  ChannelMasks masks;
  const torch::Tensor x = torch::ones({4, 32, 2, 3});
  masks.Draw(7, 0);
  const torch::Tensor mask = masks.Of(3, 0.25, x), first = mask.clone(), other = masks.Of(4, 0.25, x).clone();
  EXPECT_EQ(mask.sizes(), (std::vector<std::int64_t>{4, 32, 1, 1}));
  EXPECT_FALSE(torch::equal(first, other));  // each node its own
  EXPECT_TRUE(((mask == 0) | (mask == 1.0f / 0.75f)).all().item<bool>());
  masks.Draw(7, 1);
  EXPECT_FALSE(torch::equal(mask, first));  // without another call of Of
  EXPECT_EQ(masks.Of(3, 0.25, x).data_ptr(), mask.data_ptr());
  masks.Draw(7, 0);
  EXPECT_TRUE(torch::equal(mask, first));
  // Channel-blocked values, doubles, another batch: the same draws, or as many as there are channels.
  EXPECT_TRUE(torch::equal(masks.Of(3, 0.25, torch::ones({4, 2, 5, 5, 16})).reshape({4, 32, 1, 1}), first));
  EXPECT_TRUE(torch::equal(masks.Of(3, 0.25, x.to(torch::kFloat64)).to(torch::kFloat32), first));
  EXPECT_EQ(masks.Of(3, 0.25, torch::ones({2, 32, 1, 1})).size(0), 2);
  // A process that has the batch's last two images drops what one process would have.
  ChannelMasks slice;
  slice.SetFirstImage(2);
  slice.Draw(7, 0);
  EXPECT_TRUE(torch::equal(slice.Of(3, 0.25, torch::ones({2, 32, 1, 1})), first.narrow(0, 2, 2)));
}

TEST(TrainStep, IsForwardLossAndBackward) {
  ConfigureCpu(2);
  Graph graph = BuildNet("frfnet-slim", {{"classes", 4}, {"aux", true}, {"dropout", 0.1}});
  InitializeWeights(graph, 3);
  const torch::Tensor images = torch::randn({2, 3, 64, 96});
  const torch::Tensor labels = torch::randint(0, 4, {2, 64, 96}, torch::kUInt8);
  const auto loss = std::make_shared<const Loss>(
      LossSpec{.kind = LossKind::kCrossEntropyLovasz, .class_weights = {1, 2, 0.5f, 1}}, graph);

  GraphModule module(graph), reference(graph);
  module.train(true);
  reference.train(true);
  TrainStep step(module, torch::kCPU, Precision::kFloat32, /*capture=*/true);
  EXPECT_FALSE(step.captured());  // no CUDA device
  Optimizer optimizer(module, {}), other(reference, {});
  for (std::uint64_t n = 0; n < 4; ++n) {
    const double scale = n == 1 ? 4.0 : 1.0;  // as for float16
    // A teacher's answers, from the third step on.
    const torch::Tensor targets = n < 2 ? torch::Tensor() : at::softmax(torch::randn({2, 4, 16, 24}), 1);
    module.SetChance(5, n);
    const double value = step.Forward(images, labels, loss, targets).item<double>();
    step.Backward(scale);
    reference.SetChance(5, n);
    const torch::Tensor wanted = (*loss)(reference.ForwardForLoss(images), labels, targets);
    (wanted * scale).backward();
    EXPECT_EQ(value, wanted.item<double>());
    for (std::size_t i = 0; i < module.Parameters().size(); ++i) {
      ASSERT_TRUE(module.Parameters()[i].grad().defined());
      EXPECT_TRUE(torch::equal(module.Parameters()[i].grad(), reference.Parameters()[i].grad())) << i;
    }
    optimizer.Step({.rate = 1e-3}, nullptr, 1 / scale);
    other.Step({.rate = 1e-3}, nullptr, 1 / scale);
    optimizer.ZeroGrad();
    other.ZeroGrad();
  }
}

}  // namespace
}  // namespace frf
