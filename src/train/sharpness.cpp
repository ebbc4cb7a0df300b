// SPDX-License-Identifier: Apache-2.0
#include "train/sharpness.h"

#include <cmath>

#include "frf/error.h"

namespace frf {
namespace {

constexpr double kLeast = 0.01;  // of a weight's scale, so that weights of zero move too (Kwon et al.)

torch::Tensor ScaleOf(const torch::Tensor& parameter) { return parameter.detach().abs().add_(kLeast); }

}  // namespace

bool SharpnessStep::Climb(double rho) {
  if (!kept_.empty()) throw Error(ErrorCode::kInternal, "SharpnessStep: Climb twice without Return");
  const torch::NoGradGuard guard;
  std::vector<torch::Tensor> squares;
  for (const torch::Tensor& parameter : module_.Parameters()) {
    if (parameter.grad().defined()) squares.push_back((ScaleOf(parameter) * parameter.grad()).square().sum());
  }
  if (squares.empty()) return false;
  const double norm = std::sqrt(torch::stack(squares).to(torch::kFloat64).sum().item<double>());
  if (!std::isfinite(norm) || norm == 0) return false;
  for (const GraphModule::Named& named : module_.tensors()) {
    torch::Tensor tensor = named.tensor;
    kept_.push_back(tensor.detach().clone());
    if (named.role != Role::kParameter || !tensor.grad().defined()) continue;
    tensor.addcmul_(ScaleOf(tensor).square_(), tensor.grad(), rho / norm);
    tensor.mutable_grad().reset();
  }
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
