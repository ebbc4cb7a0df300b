// SPDX-License-Identifier: Apache-2.0
// Hooks on the nodes that end a backward pass at each parameter. Subtle: after Finish a parameter's gradient
// is a view into its bucket, so nothing is copied back; the next pass makes gradients of its own and copies
// them in when they are ready.
#include "train/gradient_buckets.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <functional>
#include <vector>

namespace frf {
namespace {

struct Slot {
  torch::Tensor parameter, place;  // place: the view into the bucket, with the parameter's strides
  std::shared_ptr<torch::autograd::Node> node;
  std::uintptr_t hook = 0;
  int bucket = 0;
  bool ready = false;
};

struct Bucket {
  torch::Tensor flat;
  int slots = 0, missing = 0;
  std::function<void()> wait;
};

}  // namespace

struct GradientBuckets::Impl {
  Distributed& distributed;
  std::vector<Slot> slots;
  std::vector<Bucket> buckets;
  std::size_t next = 0;  // bucket to start
  int overlapped = 0;

  explicit Impl(Distributed& over) : distributed(over) {}

  void Fill(const GraphModule& module, std::int64_t bytes) {
    const torch::NoGradGuard no_gradients;
    const std::vector<torch::Tensor> parameters = module.Parameters();
    std::vector<std::int64_t> sizes;
    for (std::size_t i = parameters.size(); i-- > 0;) {
      const torch::Tensor& parameter = parameters[i];
      if (!parameter.requires_grad()) continue;
      const auto size = static_cast<std::int64_t>(parameter.nbytes());
      const bool fresh = sizes.empty() || sizes.back() + size > bytes ||
                         slots.back().parameter.scalar_type() != parameter.scalar_type();
      if (fresh) sizes.push_back(0);
      sizes.back() += size;
      slots.push_back({.parameter = parameter, .bucket = static_cast<int>(sizes.size()) - 1});
    }
    buckets.resize(sizes.size());
    std::int64_t offset = 0;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      Slot& slot = slots[i];
      Bucket& bucket = buckets[static_cast<std::size_t>(slot.bucket)];
      if (bucket.slots++ == 0) {
        offset = 0;
        bucket.flat = torch::zeros({sizes[static_cast<std::size_t>(slot.bucket)] /
                                    static_cast<std::int64_t>(slot.parameter.element_size())},
                                   slot.parameter.options().requires_grad(false));
      }
      slot.place = bucket.flat.narrow(0, offset, slot.parameter.numel())
                       .as_strided(slot.parameter.sizes(), slot.parameter.strides(), offset);
      offset += slot.parameter.numel();
    }
  }

  void AddHooks() {
    for (std::size_t i = 0; i < slots.size(); ++i) {
      using torch::autograd::utils::LambdaPostHook;
      using Variables = torch::autograd::variable_list;
      slots[i].node = torch::autograd::impl::grad_accumulator(slots[i].parameter);
      slots[i].hook = slots[i].node->add_post_hook(
          std::make_unique<LambdaPostHook>([this, i](const Variables& outputs, const Variables&) {
            MarkReady(slots[i]);
            return outputs;
          }));
    }
  }

  void Rewind() {
    for (Slot& slot : slots) slot.ready = false;
    for (Bucket& bucket : buckets) {
      bucket.missing = bucket.slots;
      bucket.wait = nullptr;
    }
    next = 0;
  }

  void MarkReady(Slot& slot) {
    if (slot.ready || !slot.parameter.grad().defined()) return;
    const torch::NoGradGuard no_gradients;
    slot.place.copy_(slot.parameter.grad());
    slot.ready = true;
    --buckets[static_cast<std::size_t>(slot.bucket)].missing;
    while (next < buckets.size() && buckets[next].missing == 0) Start();
  }

  void Start() {
    buckets[next].wait = distributed.StartSum(buckets[next].flat);
    ++next;
  }
};

GradientBuckets::GradientBuckets(GraphModule& module, Distributed& distributed, std::int64_t bytes)
    : impl_(std::make_unique<Impl>(distributed)) {
  impl_->Fill(module, bytes);
  impl_->Rewind();
  impl_->AddHooks();
}

GradientBuckets::~GradientBuckets() {
  for (Slot& slot : impl_->slots) {
    if (slot.node) slot.node->del_post_hook(slot.hook);
  }
}

void GradientBuckets::Finish() {
  const torch::NoGradGuard no_gradients;
  impl_->overlapped = static_cast<int>(impl_->next);
  for (Slot& slot : impl_->slots) {
    if (!slot.ready) slot.place.zero_();  // its bucket waits, so nothing reads it yet
  }
  while (impl_->next < impl_->buckets.size()) impl_->Start();
  for (Bucket& bucket : impl_->buckets) bucket.wait();
  for (Slot& slot : impl_->slots) {
    if (slot.ready) slot.parameter.mutable_grad() = slot.place;
  }
  impl_->Rewind();
}

int GradientBuckets::count() const { return static_cast<int>(impl_->buckets.size()); }
int GradientBuckets::overlapped() const { return impl_->overlapped; }

}  // namespace frf
