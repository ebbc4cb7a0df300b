// SPDX-License-Identifier: Apache-2.0
// A run over several processes, by c10d: Gloo between CPUs, NCCL between GPUs. Every process trains on its
// slice of each batch; sums over the processes make of that what one process would have computed.
//
//   auto distributed = Distributed::Join(WorldFromEnvironment(), {.device = device});   // null: alone
//   distributed->Sum(statistics);                             // blocks; in place, the same on every rank
//   auto wait = distributed->StartSum(bucket);                // does not; other sums may go on meanwhile
//   wait();
//   distributed->Leave("");                                   // or why not
//
// Subtle: Sum and StartSum are counted apart (two groups with Gloo), each must be called in the same order on
// every rank; one may then overtake the other. When a peer is lost all of them throw kInterrupted, naming it.
#pragma once

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/world.h"

namespace frf {

struct DistributedOptions {
  std::string backend = "auto";  // auto, gloo, nccl, off
  double timeout_seconds = 300;  // of one collective, and of waiting for the others at the start
  torch::Device device = torch::kCPU;
};

class Distributed {
 public:
  // Null for a world of one, unless the backend is named. Throws kUsage for a backend that does not fit the
  // device, kUnsupported for one that this build has not, kInterrupted naming ranks that do not come.
  static std::unique_ptr<Distributed> Join(const World& world, const DistributedOptions& options);
  ~Distributed();
  Distributed(const Distributed&) = delete;
  Distributed& operator=(const Distributed&) = delete;

  int rank() const;
  int size() const;
  std::string Describe() const;  // "2 processes, gloo"
  bool lost() const;             // a peer is, or stopped for a reason of its own

  void Sum(torch::Tensor& tensor);
  void Sum(std::vector<double>& values);
  double Sum(double value);
  // Rank 0's values for all; tensors of any type and strides.
  void Broadcast(const std::vector<torch::Tensor>& tensors);
  std::string Broadcast(const std::string& text);

  // `flat` is contiguous and stays untouched until the function returned was called.
  std::function<void()> StartSum(const torch::Tensor& flat);

  // Between GPUs a sum only joins the queue: call this before this thread waits for anything computed from
  // it, so that a lost peer is an error and no endless wait.
  void Settle();

  void SetStep(std::int64_t step);  // shown where a run hangs
  // The others learn why this process ends; ends all connections.
  void Leave(const std::string& error) noexcept;

 private:
  struct Impl;
  explicit Distributed(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace frf
