// SPDX-License-Identifier: Apache-2.0
// Convolutions for AVX-512, which emulates FP16 (operands.inl.h); the flags of this file alone stand in
// cmake/Kernels.cmake.
#define FRF_ISA avx512_f16_emulated
#define FRF_ISA_AVX512 1
#define FRF_FLOAT16 1
#include "engine/kernels/conv_table.inl.h"

namespace frf::kernels {

const ConvKernels* ConvKernelsF16EmulatedTable() {
  static constexpr ConvKernels kTable =
      avx512_f16_emulated::MakeConvTable("avx512-f16-emulated", Precision::kFloat16);
  return &kTable;
}

}  // namespace frf::kernels
