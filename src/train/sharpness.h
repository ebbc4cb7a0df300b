// SPDX-License-Identifier: Apache-2.0
// Adaptive sharpness-aware minimisation (Foret et al. 2021; Kwon et al. 2021, "ASAM"): a step's gradient is
// taken where the loss is worst nearby, so that training ends where all weights around are good too.
//
//   SharpnessStep sharpness(module);
//   Pass();                                  // forward and backward; parameters have their gradients
//   if (sharpness.Climb(0.5)) {              // parameters stand uphill now and have no gradients
//     Pass();                                // at a second forward and backward pass's cost
//     sharpness.Return();                    // parameters as before, the gradient that of uphill
//   }
//   optimizer.Step(...)
//
// With scale t = |w| + 0.01 of each weight w and gradient g of the whole network, weights move by
// rho t^2 g / ||t g||: the relative change has Euclidean norm rho. Subtle: the second pass sees the same
// dropout (GraphModule::SetChance is called once a step), and what batch norm learnt from it is taken back:
// running statistics are those of the weights that are kept.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "train/module.h"

namespace frf {

class SharpnessStep {
 public:
  explicit SharpnessStep(GraphModule& module) : module_(module) {}

  // Gradients may carry a loss scale; it cancels. False, with nothing moved, where they are not finite or all
  // zero.
  bool Climb(double rho);
  // To the bit where Climb began.
  void Return();

 private:
  GraphModule& module_;
  std::vector<torch::Tensor> kept_;  // of module_.tensors()
};

}  // namespace frf
