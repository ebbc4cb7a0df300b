// SPDX-License-Identifier: Apache-2.0
// The kernels for avx2; the flags of this file alone stand in CMakeLists.txt.
#define FRF_ISA avx2
#define FRF_ISA_AVX2 1
#include "engine/kernels/table.inl.h"

namespace frf::kernels {

const Kernels* KernelsAvx2Table() {
  static constexpr Kernels kTable = avx2::MakeTable("avx2");
  return &kTable;
}

}  // namespace frf::kernels
