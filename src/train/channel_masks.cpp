// SPDX-License-Identifier: Apache-2.0
#include "train/channel_masks.h"

#include "base/random.h"

namespace frf {

void ChannelMasks::Draw(std::uint64_t seed, std::uint64_t step) {
  seed_ = seed;
  step_ = step;
  for (const auto& [node, entry] : entries_) Fill(node, entry);
}

torch::Tensor ChannelMasks::Of(std::uint64_t node, double p, const torch::Tensor& x) {
  const bool blocked = x.dim() == 5;
  const std::vector<std::int64_t> shape = blocked ? std::vector<std::int64_t>{x.size(0), x.size(1), 1, 1, 16}
                                                  : std::vector<std::int64_t>{x.size(0), x.size(1), 1, 1};
  Entry& entry = entries_[node];
  const bool fits = entry.mask.defined() && entry.p == p && entry.mask.sizes() == c10::IntArrayRef(shape) &&
                    entry.mask.device() == x.device() && entry.mask.scalar_type() == x.scalar_type();
  if (!fits) {
    entry = {p, torch::empty(shape, x.options().requires_grad(false).memory_format(c10::nullopt))};
    Fill(node, entry);
  }
  return entry.mask;
}

void ChannelMasks::Fill(std::uint64_t node, const Entry& entry) const {
  const torch::NoGradGuard guard;
  torch::Tensor drawn = torch::empty(entry.mask.sizes());
  const std::int64_t images = drawn.size(0);
  Random random(seed_, step_, node);
  // The draws of images that other processes have.
  for (std::int64_t i = first_image_ * (drawn.numel() / images); i > 0; --i) random.Chance(entry.p);
  float* values = drawn.data_ptr<float>();
  for (std::int64_t i = 0; i < drawn.numel(); ++i) {
    values[i] = random.Chance(entry.p) ? 0.0f : static_cast<float>(1.0 / (1.0 - entry.p));
  }
  entry.mask.copy_(drawn);
}

}  // namespace frf
