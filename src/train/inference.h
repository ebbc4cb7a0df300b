// SPDX-License-Identifier: Apache-2.0
// A trained network as it is deployed on a GPU: batch norm folded into convolutions, one number format
// throughout, channels last, bytes in and labels out, so that a frame crosses to the device as 3 bytes a
// pixel and comes back as one. On CUDA everything between the two copies is one captured graph for the size.
//
//   Inference inference(graph, info.input, torch::kCUDA, torch::kHalf, 512, 1024);
//   const std::uint8_t* labels = inference.Run(rgb);         // height x width
//
// Subtle: a captured graph replays fixed addresses, so an object serves one size, and one thread at a time.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>

#include "base/model_info.h"
#include "train/module.h"

namespace frf {

class Inference {
 public:
  // `graph` as LoadRunGraph or BuildNet give it. `type`: kFloat32, kHalf (CUDA) or kBFloat16. Labels are the
  // argmax of the scores at height x width; lowest class on ties.
  Inference(const Graph& graph, const InputSpec& input, torch::Device device, torch::ScalarType type,
            int height, int width);
  ~Inference();
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

  // RGB, height x width x 3, rows without gaps. The labels stay valid until the next call. Returns when they
  // are there.
  const std::uint8_t* Run(const std::uint8_t* rgb);
  // The scores of the last frame, 1 x classes x height x width, on the CPU in float32 (not captured; for
  // comparisons).
  torch::Tensor Scores();
  bool captured() const;

 private:
  torch::Tensor Compute();

  GraphModule module_;
  torch::Device device_;
  torch::ScalarType type_;
  std::string scores_;
  torch::Tensor scale_, shift_;  // 1 x 3 x 1 x 1: bytes to normalised numbers
  torch::Tensor host_, bytes_;   // height x width x 3, uint8
  torch::Tensor labels_, labels_host_;
  struct Captured;
  std::unique_ptr<Captured> graph_;
};

}  // namespace frf
