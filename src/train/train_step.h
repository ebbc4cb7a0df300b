// SPDX-License-Identifier: Apache-2.0
// A training step's forward and backward pass; on a GPU both become one CUDA graph.
//
//   TrainStep step(module, device, precision, capture);
//   module.SetChance(seed, n);
//   torch::Tensor loss = step.Forward(images, labels, loss_function);
//   step.Backward();                       // parameters have their gradients now
//   optimizer.Step(rates, &average);
//   optimizer.ZeroGrad();
//
// Subtle: a network of this size is hundreds of kernels of a few microseconds, less than their launches take.
// So the fourth pass of a kind (shapes of the batch, loss) is captured and every further one replayed:
// Forward then runs both passes, and Backward only hands out the gradients. What cannot be captured runs as
// it did, after one warning. While it lives, this thread's CUDA work goes to a stream of its own, since the
// default one cannot be captured.
#pragma once

#include <torch/torch.h>

#include <memory>

#include "train/device.h"
#include "train/losses.h"
#include "train/module.h"

namespace frf {

class TrainStep {
 public:
  // `capture`: into a CUDA graph, where `device` is one and `precision` is not float16 (whose loss scale
  // changes from step to step). Not with several processes: their sums between the passes are the host's
  // work.
  TrainStep(GraphModule& module, torch::Device device, Precision precision, bool capture);
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  // The loss of a batch on `device`: images float32 N x 3 x H x W, labels uint8 N x H x W. Parameters have no
  // gradients before (Optimizer::ZeroGrad). `targets`: teachers' probabilities, undefined without any.
  torch::Tensor Forward(const torch::Tensor& images, const torch::Tensor& labels,
                        const std::shared_ptr<const Loss>& loss, const torch::Tensor& targets = {});
  // Gradients of the last Forward's loss times `scale` (not 1: float16 only).
  void Backward(double scale = 1.0);

  bool captured() const;  // whether the last step was replayed

 private:
  struct Captured;
  struct Input {
    torch::Tensor images, labels, targets;
  };
  torch::Tensor Compute(const Input& input, const Loss& loss);
  bool Replay(const Input& input, const std::shared_ptr<const Loss>& loss);
  bool Capture(const Input& input);
  void HandOut();
  void Forget();

  GraphModule& module_;
  const torch::Device device_;
  const Precision precision_;
  std::unique_ptr<Captured> captured_;  // null: never capture
  torch::Tensor value_;                 // between Forward and Backward: the loss
};

}  // namespace frf
