// SPDX-License-Identifier: Apache-2.0
// Re-estimates batch norm's running statistics for weights that were averaged: the mean over `batches` of the
// batch's own statistics, instead of an average of statistics that other weights had seen.
#pragma once

#include <cstdint>

#include "data/loader.h"
#include "train/device.h"
#include "train/module.h"

namespace frf {

// Takes batches from the loader, which stands at the start of an epoch; returns how many were used (0: the
// network has no batch norm, and nothing changes).
int ReestimateBatchNorm(GraphModule& module, Loader& loader, int batches, torch::Device device);

// A batch as tensors on `device`: images N x 3 x H x W, labels uint8 N x H x W. They borrow the batch's
// memory on the CPU.
torch::Tensor ImagesOf(const Batch& batch, torch::Device device);
torch::Tensor LabelsOf(const Batch& batch, torch::Device device);

}  // namespace frf
