// SPDX-License-Identifier: Apache-2.0
// By torch's operators over lists of tensors, a few launches on a GPU.
#include "train/sharpness.h"

#include <cmath>

#include "frf/error.h"

namespace frf {
namespace {

constexpr double kLeast = 0.01;  // of a weight's scale, so that weights of zero move too (Kwon et al.)

}  // namespace

bool SharpnessStep::Climb(double rho) {
  if (!kept_.empty()) throw Error(ErrorCode::kInternal, "SharpnessStep: Climb twice without Return");
  const torch::NoGradGuard guard;
  std::vector<torch::Tensor> values, gradients;
  for (const torch::Tensor& parameter : module_.Parameters()) {
    if (!parameter.grad().defined()) continue;
    values.push_back(parameter);
    gradients.push_back(parameter.grad());
  }
  if (values.empty()) return false;
  const std::vector<torch::Tensor> scales = at::_foreach_abs(values);
  at::_foreach_add_(scales, kLeast);
  const std::vector<torch::Tensor> way = at::_foreach_mul(scales, gradients);
  const torch::Tensor norms = torch::stack(at::_foreach_norm(way)).to(torch::kFloat64);
  const double norm = norms.norm().item<double>();
  if (!std::isfinite(norm) || norm == 0) return false;
  for (const GraphModule::Named& named : module_.tensors()) kept_.push_back(named.tensor.detach().clone());
  at::_foreach_mul_(way, scales);
  at::_foreach_add_(values, way, rho / norm);
  for (torch::Tensor& value : values) value.mutable_grad().reset();
  return true;
}

void SharpnessStep::Return() {
  const torch::NoGradGuard guard;
  for (std::size_t i = 0; i < kept_.size(); ++i) {
    torch::Tensor tensor = module_.tensors()[i].tensor;
    tensor.copy_(kept_[i]);
  }
  kept_.clear();
}

}  // namespace frf
