// SPDX-License-Identifier: Apache-2.0
// Adam, AdamW and SGD with torch's formulas, over all parameters in one pass (averaged weights in the same
// pass).
//
//   Optimizer optimizer(module, {.kind = OptimizerKind::kAdamW, .weight_decay = 0.02});
//   loss.backward();
//   double norm = optimizer.GradientNorm();             // not finite: the loss is not either
//   optimizer.Step(RatesAt(schedule, step), &average);  // clips first when clip_norm > 0
//   optimizer.ZeroGrad();
//
// Subtle: only parameters of two or more dimensions are decayed unless decay_all is set (torch decays all).
// State is saved by name, so a checkpoint loads into a graph whose layers stand in another order.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "train/average.h"
#include "train/module.h"
#include "train/schedule.h"

namespace frf {

enum class OptimizerKind { kAdam, kAdamW, kSgd };

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kAdamW;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // Adam, AdamW
  double momentum = 0.9;                              // SGD
  bool nesterov = false;
  double weight_decay = 1e-4;  // Adam, SGD: added to the gradient; AdamW: decoupled
  bool decay_all = false;      // also biases and batch norm's weights, as torch does by default
  double clip_norm = 0;        // 0: no clipping; as torch's clip_grad_norm_
};

OptimizerKind OptimizerKindFromName(const std::string& name);  // adam, adamw, sgd
std::string Name(OptimizerKind kind);
Json ToJson(const OptimizerSpec& spec);
OptimizerSpec OptimizerSpecFromJson(const Json& json, const std::string& what);
void Check(const OptimizerSpec& spec);

class Optimizer {
 public:
  Optimizer(GraphModule& module, const OptimizerSpec& spec);

  // Sets gradients to none, so that the next backward writes instead of adding.
  void ZeroGrad();
  // Euclidean norm over all parameters' gradients (those that have one).
  double GradientNorm() const;
  // One update. `gradient_scale` multiplies gradients before anything else (1 / loss scale; 1 / accumulated
  // batches). Returns the gradients' norm before clipping when clip_norm > 0, else 0. Parameters without a
  // gradient are skipped (their average still moves).
  double Step(const Rates& rates, Average* average = nullptr, double gradient_scale = 1.0);

  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }
  const OptimizerSpec& spec() const { return spec_; }

  // For checkpoints: "<parameter>/m", "<parameter>/v" (Adam) or "<parameter>/momentum" (SGD).
  std::vector<std::pair<std::string, torch::Tensor>> State() const;
  void Load(const std::string& name,
            const torch::Tensor& value);  // throws kCorruptFile on a name or shape that is not ours

 private:
  struct Slot;
  void StepCpu(const Rates& rates, Average* average, double scale);
  void StepDevice(const Rates& rates, Average* average, double scale);
  GraphModule& module_;
  OptimizerSpec spec_;
  std::int64_t steps_ = 0;
  std::vector<std::shared_ptr<Slot>> slots_;
};

}  // namespace frf
