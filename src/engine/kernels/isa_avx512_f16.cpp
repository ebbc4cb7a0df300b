// SPDX-License-Identifier: Apache-2.0
// Convolutions for AVX-512 with FP16; the flags of this file alone stand in cmake/Kernels.cmake.
#define FRF_ISA avx512_f16
#define FRF_ISA_AVX512 1
#define FRF_FLOAT16 1
#include "engine/kernels/conv_table.inl.h"

namespace frf::kernels {

const ConvKernels* ConvKernelsF16Table() {
  static constexpr ConvKernels kTable = [] {
    ConvKernels k{};
    avx512_f16::FillConvKernels(k, "avx512-f16", Precision::kFloat16);
    return k;
  }();
  return &kTable;
}

}  // namespace frf::kernels
