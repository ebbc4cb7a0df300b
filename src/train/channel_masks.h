// SPDX-License-Identifier: Apache-2.0
// Dropout's masks (whole channels of an image, torch's Dropout2d): drawn from (seed, step, node), so that a
// resumed run drops what the first would have, and kept in memory that stays the same from step to step.
//
//   masks.Draw(seed, step);                     // before every training step
//   y = x * masks.Of(node, 0.1, x);             // 0, or 1 / (1 - p)
//
// Subtle: Draw refills the tensors that Of gave before. A captured step (train_step.h) reads them where they
// are, so it drops anew at each replay; but a backward pass that still wants the old values must be over.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <map>

namespace frf {

class ChannelMasks {
 public:
  void Draw(std::uint64_t seed, std::uint64_t step);

  // With several processes: the batch's images from here on are this one's.
  void SetFirstImage(std::int64_t first_image) { first_image_ = first_image; }

  // The mask of a dropout that drops the share p, shaped to multiply x: N x C x 1 x 1, or N x C/16 x 1 x 1 x
  // 16 for channel-blocked values (blocked.h); the draws are the same. x's type and device.
  torch::Tensor Of(std::uint64_t node, double p, const torch::Tensor& x);

 private:
  struct Entry {
    double p = 0;
    torch::Tensor mask;
  };
  void Fill(std::uint64_t node, const Entry& entry) const;

  std::uint64_t seed_ = 0, step_ = 0;
  std::int64_t first_image_ = 0;
  std::map<std::uint64_t, Entry> entries_;  // by node
};

}  // namespace frf
