// SPDX-License-Identifier: Apache-2.0
// Devices and number formats. The caching allocator is in allocator.cpp.
#include "train/device.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/system.h"
#include "frf/error.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

namespace frf {

void ConfigureCpu(int threads) {
  int count = threads > 0 ? threads : DefaultThreads();
  InstallCachingAllocator();
#if defined(_OPENMP)
  // oneDNN waits for every thread that it was promised: OMP_DYNAMIC would let a team have fewer, as
  // OMP_THREAD_LIMIT does.
  omp_set_dynamic(0);
  count = std::min(count, omp_get_thread_limit());
  omp_set_num_threads(count);
#endif
  at::set_num_threads(count);
  at::globalContext().setFlushDenormal(true);
  // The register that decides is each thread's own; OpenMP's workers live on, so once is enough.
#pragma omp parallel
  at::globalContext().setFlushDenormal(true);
}

torch::Device ParseDevice(const std::string& text) {
  const bool cuda = torch::cuda::is_available();
  if (text == "auto") return cuda ? torch::Device(torch::kCUDA, 0) : torch::Device(torch::kCPU);
  if (text == "cpu") return torch::Device(torch::kCPU);
  const std::string prefix = "cuda:";
  int index = -1;
  if (text == "cuda") index = 0;
  if (text.starts_with(prefix) && text.size() > prefix.size() && text.size() < prefix.size() + 4 &&
      text.find_first_not_of("0123456789", prefix.size()) == std::string::npos) {
    index = std::stoi(text.substr(prefix.size()));
  }
  if (index < 0)
    throw Error(ErrorCode::kUsage, fmt::format("device '{}' is none of auto, cpu, cuda, cuda:N", text));
  const int devices = cuda ? static_cast<int>(torch::cuda::device_count()) : 0;
  if (index >= devices) {
    throw Error(ErrorCode::kUsage,
                fmt::format("device '{}' was asked for, this libtorch sees {} CUDA devices; use --device cpu",
                            text, devices));
  }
  return torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(index));
}

Precision ResolvePrecision(const std::string& text, torch::Device device) {
  if (text == "off") return Precision::kFloat32;
  if (text == "bf16") return Precision::kBfloat16;
  if (text == "f16") {
    if (!device.is_cuda())
      throw Error(ErrorCode::kUsage, "--amp f16 wants a CUDA device; on a CPU use off (fastest) or bf16");
    return Precision::kFloat16;
  }
  if (text != "auto")
    throw Error(ErrorCode::kUsage, fmt::format("--amp '{}' is none of auto, off, bf16, f16", text));
  if (!device.is_cuda()) return Precision::kFloat32;
  return Precision::kBfloat16;
}

namespace {

thread_local int cpu_autocasts = 0;

// libtorch 2.4 renamed these.
void SetAutocast(bool cuda, bool enabled, at::ScalarType type) {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  const at::DeviceType device = cuda ? at::kCUDA : at::kCPU;
  at::autocast::set_autocast_enabled(device, enabled);
  if (enabled) at::autocast::set_autocast_dtype(device, type);
#else
  if (cuda) {
    at::autocast::set_enabled(enabled);
    if (enabled) at::autocast::set_autocast_gpu_dtype(type);
  } else {
    at::autocast::set_cpu_enabled(enabled);
    if (enabled) at::autocast::set_autocast_cpu_dtype(type);
  }
#endif
}

}  // namespace

Autocast::Autocast(torch::Device device, Precision precision)
    : active_(precision != Precision::kFloat32), cuda_(device.is_cuda()) {
  if (!active_) return;
  if (!cuda_) ++cpu_autocasts;
  at::autocast::increment_nesting();
  SetAutocast(cuda_, true, precision == Precision::kFloat16 ? at::kHalf : at::kBFloat16);
}

bool Autocast::ActiveOnCpu() { return cpu_autocasts > 0; }

Autocast::~Autocast() {
  if (!active_) return;
  if (!cuda_) --cpu_autocasts;
  SetAutocast(cuda_, false, at::kFloat);
  // The cache holds weights converted for this pass; the next one has new weights.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
}

bool LossScaler::Update(double gradient_norm) {
  if (!active_) return true;
  if (!std::isfinite(gradient_norm)) {
    state_ = {.scale = std::max(state_.scale / 2, 1.0)};
    return false;
  }
  if (++state_.good_steps >= 2000) state_ = {.scale = std::min(state_.scale * 2, 0x1p24)};
  return true;
}

}  // namespace frf
