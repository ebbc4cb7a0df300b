// SPDX-License-Identifier: Apache-2.0
// The exponential mean and its in-place swap.
#include "train/average.h"

#include <fmt/format.h>

#include <algorithm>

namespace frf {

Average::Average(GraphModule& module, double decay) : module_(module), decay_(decay) {
  if (!(decay >= 0 && decay < 1)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the decay of averaged weights must be in [0, 1), got {}", decay));
  }
  Reset();
}

double Average::NextDecay() const {
  const double t = static_cast<double>(updates_);
  return std::min(decay_, (1.0 + t) / (10.0 + t));
}

void Average::Update() {
  const torch::NoGradGuard guard;
  const double keep = NextDecay();
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    tensors_[i].mul_(keep).add_(module_.tensors()[i].tensor, 1.0 - keep);
  ++updates_;
}

void Average::UpdateStates() {
  const torch::NoGradGuard guard;
  const double keep = NextDecay();
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (module_.tensors()[i].role == Role::kState)
      tensors_[i].mul_(keep).add_(module_.tensors()[i].tensor, 1.0 - keep);
  }
  ++updates_;
}

Graph Average::Export() const {
  Graph copy = module_.graph();
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    copy.FindInitializer(module_.tensors()[i].name)->value = FromTorch(tensors_[i]);
  }
  return copy;
}

void Average::Reset() {
  const torch::NoGradGuard guard;
  updates_ = 0;
  tensors_.clear();
  for (const GraphModule::Named& named : module_.tensors()) tensors_.push_back(named.tensor.detach().clone());
}

std::vector<std::pair<std::string, torch::Tensor>> Average::State() const {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (std::size_t i = 0; i < tensors_.size(); ++i)
    state.emplace_back(module_.tensors()[i].name, tensors_[i]);
  return state;
}

void Average::Load(const std::string& name, const torch::Tensor& value) {
  const torch::NoGradGuard guard;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    if (module_.tensors()[i].name != name) continue;
    if (value.sizes() != tensors_[i].sizes()) break;
    tensors_[i].copy_(value);
    return;
  }
  throw Error(ErrorCode::kCorruptFile, fmt::format("the averaged tensor '{}' ({}) does not fit the network",
                                                   name, ToString(value.sizes().vec())));
}

void Average::Swap() {
  const torch::NoGradGuard guard;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    torch::Tensor live = module_.tensors()[i].tensor;
    const torch::Tensor kept = live.detach().clone();
    live.copy_(tensors_[i]);
    tensors_[i].copy_(kept);
  }
}

}  // namespace frf
