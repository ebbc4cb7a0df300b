// SPDX-License-Identifier: Apache-2.0
// Subtle: batch norm itself only offers a running mean, new = (1 - m) * old + m * batch. With old set to 0
// before every batch the batch's own value is new / m, and these are averaged here in double.
#include "train/batch_norm.h"

#include <algorithm>
#include <map>
#include <vector>

namespace frf {
namespace {

struct Statistic {
  torch::Tensor live, sum;
  double momentum;  // torch's
};

std::vector<Statistic> Statistics(GraphModule& module) {
  std::map<std::string, double> momentum;
  for (const Node& node : module.graph().nodes) {
    if (!node.Is("BatchNormalization") || node.inputs.size() < 5) continue;
    momentum[node.inputs[3]] = momentum[node.inputs[4]] =
        1.0 - static_cast<double>(node.Float("momentum", 0.9f));
  }
  std::vector<Statistic> statistics;
  for (const GraphModule::Named& named : module.tensors()) {
    const auto found = momentum.find(named.name);
    if (named.role != Role::kState || found == momentum.end()) continue;
    statistics.push_back({named.tensor, torch::zeros_like(named.tensor, torch::kFloat64), found->second});
  }
  return statistics;
}

}  // namespace

torch::Tensor ImagesOf(const Batch& batch, torch::Device device) {
  return torch::from_blob(const_cast<float*>(batch.images.data()),
                          {batch.count, 3, batch.height, batch.width})
      .to(device);
}

torch::Tensor LabelsOf(const Batch& batch, torch::Device device) {
  return torch::from_blob(const_cast<std::uint8_t*>(batch.labels.data()),
                          {batch.count, batch.height, batch.width}, torch::kUInt8)
      .to(device);
}

int ReestimateBatchNorm(GraphModule& module, Loader& loader, int batches, torch::Device device) {
  const torch::NoGradGuard no_gradients;
  std::vector<Statistic> statistics = Statistics(module);
  if (statistics.empty()) return 0;
  const bool was_training = module.is_training();
  module.train();
  int used = 0;
  for (; used < batches; ++used) {
    const auto batch = loader.Next();
    if (batch == nullptr) break;
    for (Statistic& statistic : statistics) statistic.live.zero_();
    module.Forward(ImagesOf(*batch, device));
    for (Statistic& statistic : statistics) statistic.sum.add_(statistic.live.to(torch::kFloat64));
  }
  module.train(was_training);
  for (Statistic& statistic : statistics) {
    statistic.live.copy_(statistic.sum.div(statistic.momentum * std::max(1, used)));
  }
  return used;
}

}  // namespace frf
