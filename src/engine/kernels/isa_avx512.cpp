// SPDX-License-Identifier: Apache-2.0
// The kernels for avx512; the flags of this file alone stand in CMakeLists.txt.
#define FRF_ISA avx512
#define FRF_ISA_AVX512 1
#include "engine/kernels/table.inl.h"

namespace frf::kernels {

const Kernels* KernelsAvx512Table() {
  static constexpr Kernels kTable = avx512::MakeTable("avx512");
  return &kTable;
}

}  // namespace frf::kernels
