// SPDX-License-Identifier: Apache-2.0
// A network of four classes with random weights, as a file would bring it, and pictures for it.
#pragma once

#include <string>

#include "engine/helpers.h"
#include "frf/image.h"
#include "nets/nets.h"
#include "onnx/onnx_file.h"

namespace frf::test {

inline std::string MakeModelBytes(const std::string& net = "frfnet-slim", InputSpec input = {},
                                  const WriteOptions& write = {}) {
  const Json options{{"classes", 4}, {"ffm", "masks-off"}};
  Model model;
  model.graph = BuildNet(net, options).ForInference();
  InitializeWeights(model.graph, 9);
  CalibrateBatchNorm(model.graph, RandomTensor({1, 3, 96, 128}, 1));
  model.info.net = net;
  model.info.net_options = CompleteOptions(net, options);
  model.info.classes = {{"a", "b", "c", "d"}, {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}}, {}};
  model.info.input = input;
  model.stamped = false;
  return SerializeOnnx(model, write);
}

inline Model MakeModel(const std::string& net = "frfnet-slim", const InputSpec& input = {},
                       const WriteOptions& write = {}) {
  return ParseOnnx(MakeModelBytes(net, input, write), "test.onnx");
}

inline Image Photo(int height, int width, std::uint64_t seed = 2) {
  Image image{.height = height, .width = width};
  image.pixels.resize(image.bytes());
  Random random(seed);
  std::uint8_t value = 0;
  for (std::uint8_t& pixel : image.pixels) {  // blotches of a few pixels
    if (random.Chance(0.1)) value = static_cast<std::uint8_t>(random.Below(256));
    pixel = value;
  }
  return image;
}

}  // namespace frf::test
