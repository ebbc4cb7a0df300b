// SPDX-License-Identifier: Apache-2.0
// Sums gradients over the processes of a run, in buckets of some megabytes, while the backward pass goes on.
//
//   GradientBuckets buckets(module, *distributed);      // once
//   loss.backward();                                    // a full bucket starts on its way
//   buckets.Finish();                                   // every parameter's grad() is the sum
//
// Subtle: buckets run from the last parameter to the first, about the order in which gradients become ready,
// and start in that order on every rank, even where a later one is full first. Gradients must be none when
// backward starts (Optimizer::ZeroGrad). A parameter that got no gradient keeps none.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>

#include "train/distributed.h"
#include "train/module.h"

namespace frf {

class GradientBuckets {
 public:
  GradientBuckets(GraphModule& module, Distributed& distributed, std::int64_t bytes = 4 << 20);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  void Finish();

  int count() const;       // buckets
  int overlapped() const;  // of the last pass: started before Finish

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace frf
