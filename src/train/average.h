// SPDX-License-Identifier: Apache-2.0
// Averaged weights: an exponential mean of parameters and states alike, decay min(d, (1 + t) / (10 + t)) at
// update t = 0, 1, ... Validation and export use them.
//
//   Average average(module, 0.999);
//   optimizer.Step(rates, &average);           // updates parameters and their average in one pass, then the
//   states' { Average::Applied use(average);  Validate(module); }   // contents swapped in place for the
//   scope, and back
//
// Subtle: Applied swaps contents, not tensors, so the optimiser's and the checkpoint's references stay valid;
// while it lives, `tensors()` of the module are the averaged ones and Export() of the module gives the
// averaged graph.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"
#include "train/module.h"

namespace frf {

class Average {
 public:
  // Starts as a copy of the module's present values.
  Average(GraphModule& module, double decay);

  // Weight of the old average in the coming update.
  double NextDecay() const;
  // One update of every tensor. Optimizer::Step does this itself when it is given the average.
  void Update();
  // For Optimizer::Step: the parameters' part was done there; does the states' and counts.
  void UpdateStates();

  // The module's graph with averaged values.
  Graph Export() const;
  // Sets the averages to the module's present values and t to 0.
  void Reset();

  // For checkpoints: names as in the module.
  std::vector<std::pair<std::string, torch::Tensor>> State() const;
  void Load(const std::string& name,
            const torch::Tensor& value);  // throws kCorruptFile on a name or shape that is not ours
  std::int64_t updates() const { return updates_; }
  void set_updates(std::int64_t updates) { updates_ = updates; }
  double decay() const { return decay_; }
  const std::vector<torch::Tensor>& tensors() const {
    return tensors_;
  }  // in the order of GraphModule::tensors()

  class Applied {
   public:
    explicit Applied(Average& average) : average_(average) { average_.Swap(); }
    ~Applied() { average_.Swap(); }
    Applied(const Applied&) = delete;
    Applied& operator=(const Applied&) = delete;

   private:
    Average& average_;
  };

 private:
  void Swap();
  GraphModule& module_;
  double decay_;
  std::int64_t updates_ = 0;
  std::vector<torch::Tensor> tensors_;
};

}  // namespace frf
