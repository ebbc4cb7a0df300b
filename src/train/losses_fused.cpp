// SPDX-License-Identifier: Apache-2.0
// The fused cross-entropy as an autograd function: the gradient is complete when the forward pass returns
// (kernels/loss.h) and only scaled in the backward pass.
#include "train/losses_fused.h"

#include "frf/image.h"
#include "train/kernels/loss.h"
#include "train/kernels/lovasz.h"

namespace frf {
namespace {

// Loss and, when asked, its gradient (channels last).
std::pair<torch::Tensor, torch::Tensor> Compute(const torch::Tensor& scores, const torch::Tensor& labels,
                                                const torch::Tensor& weights, bool gradient) {
  const torch::Tensor ids = labels.contiguous();
  torch::Tensor table = torch::zeros({256});
  table.narrow(0, 0, weights.size(0)).copy_(weights);
  table[kVoidLabel] = 0.0f;
  const int classes = static_cast<int>(scores.size(1));
  const int largest = at::where(ids == kVoidLabel, at::zeros_like(ids), ids).max().item<int>();
  TORCH_CHECK(largest < classes, "a label has id ", largest, ", the network has ", classes, " classes");
  CrossEntropyArgs args{.scores = scores.data_ptr<float>(),
                        .strides = {scores.stride(0), scores.stride(1), scores.stride(2), scores.stride(3)},
                        .labels = ids.data_ptr<std::uint8_t>(),
                        .class_weight = table.data_ptr<float>(),
                        .images = static_cast<int>(scores.size(0)),
                        .classes = classes,
                        .height = static_cast<int>(scores.size(2)),
                        .width = static_cast<int>(scores.size(3)),
                        .out_height = static_cast<int>(ids.size(1)),
                        .out_width = static_cast<int>(ids.size(2))};
  torch::Tensor result;
  if (gradient) {  // zeros() would ignore the memory format
    result = torch::empty(scores.sizes(), scores.options().memory_format(torch::MemoryFormat::ChannelsLast))
                 .zero_();
    args.gradient = result.data_ptr<float>();
  }
  return {torch::tensor(CrossEntropyKernel(args), torch::kFloat64).to(torch::kFloat32), result};
}

class FusedFunction : public torch::autograd::Function<FusedFunction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& scores,
                               const torch::Tensor& labels, const torch::Tensor& weights) {
    auto [loss, gradient] = Compute(scores, labels, weights, true);
    context->saved_data["gradient"] = gradient;
    return loss;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list incoming) {
    return {context->saved_data["gradient"].toTensor() * incoming[0], torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor CrossEntropyFused(const torch::Tensor& scores, const torch::Tensor& labels,
                                const torch::Tensor& weights) {
  if (torch::GradMode::is_enabled() && scores.requires_grad())
    return FusedFunction::apply(scores, labels, weights);
  return Compute(scores.detach(), labels, weights, false).first;
}

namespace {

class LovaszFunction : public torch::autograd::Function<LovaszFunction> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& shares,
                               const torch::Tensor& labels) {
    const torch::Tensor given = shares.contiguous(), ids = labels.contiguous();
    torch::Tensor gradient =
        torch::empty(given.sizes(), given.options().memory_format(torch::MemoryFormat::Contiguous));
    const double loss = LovaszKernel({.shares = given.data_ptr<float>(),
                                      .labels = ids.data_ptr<std::uint8_t>(),
                                      .images = given.size(0),
                                      .classes = given.size(1),
                                      .pixels = given.size(2) * given.size(3),
                                      .gradient = gradient.data_ptr<float>()});
    context->saved_data["gradient"] = gradient;
    return torch::tensor(loss, torch::kFloat64).to(torch::kFloat32);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list incoming) {
    return {context->saved_data["gradient"].toTensor() * incoming[0], torch::Tensor()};
  }
};

}  // namespace

torch::Tensor LovaszFused(const torch::Tensor& shares, const torch::Tensor& labels) {
  return LovaszFunction::apply(shares, labels);
}

}  // namespace frf
