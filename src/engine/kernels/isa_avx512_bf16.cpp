// SPDX-License-Identifier: Apache-2.0
// Convolutions for AVX-512 with BF16; the flags of this file alone stand in cmake/Kernels.cmake.
#define FRF_ISA avx512_bf16
#define FRF_ISA_AVX512 1
#define FRF_BFLOAT16 1
#include "engine/kernels/conv_table.inl.h"

namespace frf::kernels {

const ConvKernels* ConvKernelsBf16Table() {
  static constexpr ConvKernels kTable = avx512_bf16::MakeConvTable("avx512-bf16", Precision::kBfloat16);
  return &kTable;
}

}  // namespace frf::kernels
