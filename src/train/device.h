// SPDX-License-Identifier: Apache-2.0
// The device that trains: threads, allocator, number formats.
//
//   ConfigureCpu(DefaultThreads());            // once, before the first tensor
//   torch::Device device = ParseDevice("auto");
//   { Autocast cast(device, ResolvePrecision("auto", device));  outputs = module.Forward(images); }
//
// Subtle: libtorch gives freed activations straight back to the kernel, so every step faults its memory in
// anew; the allocator set here keeps blocks by size class and asks for huge pages. It must be installed
// before other tensors live (blocks made before are freed by the allocator that made them, so the order is
// safe, only slower).
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>

#include "frf/precision.h"

namespace frf {

// Threads of libtorch and OpenMP, flush-denormals on every one of them, caching allocator. threads 0:
// DefaultThreads().
void ConfigureCpu(int threads);

// Caching allocator alone; false when FRF_ALLOCATOR=system keeps libtorch's own.
bool InstallCachingAllocator();
struct AllocatorStats {
  std::uint64_t reused = 0, fresh = 0;  // requests served from kept blocks; from the system
  std::uint64_t bytes_live = 0, bytes_kept = 0, bytes_peak = 0;
};
AllocatorStats CachingAllocatorStats();
// Gives kept blocks back to the system (before validation at another size, for instance).
void TrimCachingAllocator();

// "cpu", "cuda", "cuda:1", "auto" (CUDA when there is one). Throws kUsage for a device that is not there.
torch::Device ParseDevice(const std::string& text);

// "off", "auto", "bf16", "f16". auto: bf16 on CUDA (cards before Ampere: name f16), off on the CPU, where it
// was measured to be slower. Throws kUsage for f16 on a CPU.
Precision ResolvePrecision(const std::string& text, torch::Device device);

// While alive, operators that gain run in the lower precision. Backward is called outside of it.
class Autocast {
 public:
  Autocast(torch::Device device, Precision precision);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;
  static bool ActiveOnCpu();  // in this thread

 private:
  bool active_ = false, cuda_ = false;
};

// All that a loss scaler remembers between steps: a checkpoint keeps both, or a resumed run would double
// later.
struct LossScale {
  double scale = 1;
  std::int64_t good_steps = 0;  // in a row, since the scale last changed
};

// Dynamic loss scale for float16, as torch's GradScaler: doubled after 2000 good steps, halved (and the step
// skipped) when a gradient is not finite. Always 1 in other precisions.
class LossScaler {
 public:
  explicit LossScaler(Precision precision)
      : active_(precision == Precision::kFloat16), state_{.scale = active_ ? 65536.0 : 1.0} {}
  double scale() const { return state_.scale; }
  const LossScale& state() const { return state_; }
  void set_state(const LossScale& state) { state_ = active_ ? state : LossScale{}; }
  // Whether the step counts: false where the norm is not finite and scaling is active.
  bool Update(double gradient_norm);

 private:
  bool active_;
  LossScale state_;
};

}  // namespace frf
