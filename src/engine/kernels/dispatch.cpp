// SPDX-License-Identifier: Apache-2.0
// Which kernels this CPU runs. Subtle: a CPU may have AVX-512 and a kernel or hypervisor that does not save
// its state; GCC's builtin asks for both.
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "engine/kernels/kernels.h"
#include "frf/error.h"

namespace frf::kernels {

const Kernels* KernelsBaselineTable();
#if defined(__x86_64__)
const Kernels* KernelsAvx2Table();
const Kernels* KernelsAvx512Table();
const ConvKernels* ConvKernelsBf16Table();
const ConvKernels* ConvKernelsF16Table();  // null where the compiler does not know the instructions
const ConvKernels* ConvKernelsF16EmulatedTable();
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

namespace {

#if defined(__x86_64__)
// CPUID leaf 7, bits that clang 14 has no names for. The registers they use are AVX-512's, which is asked for
// as well.
bool HasBf16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return Avx512Kernels() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 5 & 1) != 0;
}
bool HasFp16() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return Avx512Kernels() && ConvKernelsF16Table() && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 &&
         (d >> 23 & 1) != 0;
}
#endif

}  // namespace

const ConvKernels& ConvKernelsFor(const Kernels& kernels, Precision precision) {
  if (precision == Precision::kFloat32) return kernels;
#if defined(__x86_64__)
  if (&kernels == Avx512Kernels()) {
    const char* emulate = std::getenv("FRF_EMULATE_F16");
    if (precision == Precision::kBfloat16) {
      if (HasBf16()) return *ConvKernelsBf16Table();
    } else if (HasFp16()) {
      return *ConvKernelsF16Table();
    } else if (emulate && std::strcmp(emulate, "1") == 0) {
      return *ConvKernelsF16EmulatedTable();
    }
  }
#endif
  throw Error(
      ErrorCode::kUnsupported,
      fmt::format("precision {}: a CPU with AVX-512 and {} is wanted, what runs here is {}",
                  NameOf(precision),
                  precision == Precision::kFloat16 ? "FP16 (FRF_EMULATE_F16=1 does slowly without)" : "BF16",
                  kernels.isa));
}

std::vector<const ConvKernels*> AllConvKernels() {
  std::vector<const ConvKernels*> all;
  for (const Kernels* kernels : AllKernels()) all.push_back(kernels);
#if defined(__x86_64__)
  if (HasBf16()) all.push_back(ConvKernelsBf16Table());
  if (HasFp16()) all.push_back(ConvKernelsF16Table());
  if (Avx512Kernels()) all.push_back(ConvKernelsF16EmulatedTable());
#endif
  return all;
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
  throw Error(ErrorCode::kInvalidArgument, fmt::format("FRF_FORCE_ISA={}: this machine runs {}", isa, there));
}

const char* ForcedIsa() {
  const char* forced = std::getenv("FRF_FORCE_ISA");
  return forced && *forced ? forced : nullptr;
}

const Kernels& BestKernels() {
  static const Kernels& best = ForcedIsa() ? KernelsNamed(ForcedIsa()) : *AllKernels().back();
  return best;
}

}  // namespace frf::kernels
