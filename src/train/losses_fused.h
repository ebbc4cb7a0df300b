// SPDX-License-Identifier: Apache-2.0
// Cross-entropy on upsampled scores without storing them; see losses.h for what it computes.
#pragma once

#include <torch/torch.h>

namespace frf {

// CPU, float32 scores N x C x h x w of any strides; labels uint8 N x H x W; weights float32 C.
torch::Tensor CrossEntropyFused(const torch::Tensor& scores, const torch::Tensor& labels,
                                const torch::Tensor& weights);

// Lovasz-softmax of class shares (softmax of full-size scores), float32 on the CPU.
torch::Tensor LovaszFused(const torch::Tensor& shares, const torch::Tensor& labels);

}  // namespace frf
