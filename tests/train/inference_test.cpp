// SPDX-License-Identifier: Apache-2.0
// Inference as it is deployed on a device, here on the CPU: the labels of the module that trained.
#include "train/inference.h"

#include <gtest/gtest.h>

#include "data/synth.h"
#include "nets/nets.h"
#include "train/evaluate.h"

namespace frf {
namespace {

double Equal(const std::uint8_t* labels, const LabelImage& wanted) {
  std::int64_t equal = 0;
  for (std::size_t i = 0; i < wanted.ids.size(); ++i) equal += labels[i] == wanted.ids[i];
  return static_cast<double>(equal) / static_cast<double>(wanted.ids.size());
}

TEST(Inference, LabelsOfTheModuleThatTrained) {
  Graph graph = BuildNet("frfnet-slim", {{"classes", 11}, {"aux", true}});
  InitializeWeights(graph, 3);
  const Sample first = DrawScene(1, {.height = 64, .width = 96}),
               second = DrawScene(2, {.height = 64, .width = 96});
  GraphModule module(graph);
  const EvaluateOptions options{.input = {}};
  const LabelImage wanted = Predict(module, second.image, options);
  Inference inference(graph, {}, torch::kCPU, torch::kFloat32, 64, 96);
  EXPECT_FALSE(inference.captured());
  inference.Run(first.image.pixels.data());  // what a frame leaves behind must not show in the next
  EXPECT_GE(Equal(inference.Run(second.image.pixels.data()), wanted), 0.999);
  EXPECT_EQ(inference.Scores().sizes(), (std::vector<std::int64_t>{1, 11, 64, 96}));
  Inference short_numbers(graph, {}, torch::kCPU, torch::kBFloat16, 64, 96);
  EXPECT_GE(Equal(short_numbers.Run(second.image.pixels.data()), wanted),
            0.9);  // eight bits of precision, random weights
}

}  // namespace
}  // namespace frf
