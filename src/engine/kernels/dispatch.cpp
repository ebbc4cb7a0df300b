// SPDX-License-Identifier: Apache-2.0
// Which kernels this CPU runs. Subtle: a CPU may have AVX-512 and a kernel or hypervisor that does not save
// its state; GCC's builtin asks for both.
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "engine/kernels/kernels.h"
#include "frf/error.h"

namespace frf::kernels {

const Kernels* KernelsBaselineTable();
#if defined(__x86_64__)
const Kernels* KernelsAvx2Table();
const Kernels* KernelsAvx512Table();
#endif

const Kernels* BaselineKernels() { return KernelsBaselineTable(); }

const Kernels* Avx2Kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return KernelsAvx2Table();
#endif
  return nullptr;
}

const Kernels* Avx512Kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return KernelsAvx512Table();
  }
#endif
  return nullptr;
}

std::vector<const Kernels*> AllKernels() {
  std::vector<const Kernels*> all;
  for (const Kernels* kernels : {BaselineKernels(), Avx2Kernels(), Avx512Kernels()}) {
    if (kernels) all.push_back(kernels);
  }
  return all;
}

const Kernels& KernelsNamed(const std::string& isa) {
  std::string there;
  for (const Kernels* kernels : AllKernels()) {
    if (isa == kernels->isa) return *kernels;
    there += (there.empty() ? "" : ", ") + std::string(kernels->isa);
  }
  throw Error(ErrorCode::kUsage, fmt::format("FRF_FORCE_ISA={}: this machine runs {}", isa, there));
}

const Kernels& BestKernels() {
  static const Kernels& best = [&]() -> const Kernels& {
    const char* forced = std::getenv("FRF_FORCE_ISA");
    return forced && *forced ? KernelsNamed(forced) : *AllKernels().back();
  }();
  return best;
}

}  // namespace frf::kernels
