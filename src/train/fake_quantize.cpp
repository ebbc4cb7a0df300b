// SPDX-License-Identifier: Apache-2.0
// Subtle: what is saved for the backward pass is the input itself, which the ReLU in front of it keeps too,
// so rounding a map costs no memory but its result.
#include "train/fake_quantize.h"

#include "train/kernels/quantize.h"

namespace frf {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The kernels take floats of one order, whatever it is.
bool ByKernel(const Tensor& x) {
  return x.is_cpu() && x.scalar_type() == torch::kFloat32 && x.is_non_overlapping_and_dense();
}

class RoundFunction : public torch::autograd::Function<RoundFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, double step, std::int64_t zero) {
    context->save_for_backward({x});
    context->saved_data["step"] = step;
    context->saved_data["zero"] = zero;
    return Round(x, step, zero);
  }
  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const Tensor x = context->get_saved_variables()[0];
    const double step = context->saved_data["step"].toDouble();
    const std::int64_t zero = context->saved_data["zero"].toInt();
    Tensor dy = incoming[0];
    if (ByKernel(x)) {
      if (dy.strides() != x.strides()) dy = torch::empty_like(x).copy_(dy);
      Tensor dx = torch::empty_like(x);
      FakeQuantizeBackward(x.data_ptr<float>(), static_cast<float>(step), static_cast<int>(zero),
                           dy.data_ptr<float>(), dx.data_ptr<float>(), x.numel());
      return {dx, Tensor(), Tensor()};
    }
    const Tensor v = x / step + static_cast<double>(zero);
    return {at::where((v >= -0.5).logical_and(v <= 255.5), dy, at::zeros_like(dy)), Tensor(), Tensor()};
  }

  static Tensor Round(const Tensor& x, double step, std::int64_t zero) {
    if (ByKernel(x)) {
      Tensor y = torch::empty_like(x);
      FakeQuantizeForward(x.data_ptr<float>(), static_cast<float>(step), static_cast<int>(zero),
                          y.data_ptr<float>(), x.numel());
      return y;
    }
    const auto offset = static_cast<double>(zero);
    return (at::round(x / step) + offset).clamp(0, 255).sub(offset).mul(step);
  }
};

class RoundWeightFunction : public torch::autograd::Function<RoundWeightFunction> {
 public:
  static Tensor forward(AutogradContext*, const Tensor& weight) { return Round(weight); }
  static variable_list backward(AutogradContext*, variable_list incoming) { return {incoming[0]}; }

  static Tensor Round(const Tensor& weight) {
    std::vector<std::int64_t> others;
    for (std::int64_t i = 1; i < weight.dim(); ++i) others.push_back(i);
    const Tensor scale = weight.abs().amax(others, /*keepdim=*/true).div(127.0).clamp_min(1e-12);
    return (weight / scale).round().clamp(-127, 127).mul(scale);
  }
};

bool Follows(const Tensor& x) { return torch::GradMode::is_enabled() && x.requires_grad(); }

}  // namespace

torch::Tensor FakeQuantize(const torch::Tensor& x, double step, int zero) {
  return Follows(x) ? RoundFunction::apply(x, step, std::int64_t{zero})
                    : RoundFunction::Round(x.detach(), step, zero);
}

torch::Tensor FakeQuantizeWeight(const torch::Tensor& weight) {
  return Follows(weight) ? RoundWeightFunction::apply(weight) : RoundWeightFunction::Round(weight.detach());
}

}  // namespace frf
