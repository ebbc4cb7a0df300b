// SPDX-License-Identifier: Apache-2.0
// Convolutions for AVX-512 with FP16; the flags of this file alone stand in cmake/Kernels.cmake, which leaves
// FP16 out where the compiler does not know it.
#define FRF_ISA avx512_f16
#define FRF_ISA_AVX512 1
#define FRF_FLOAT16 1
#if defined(__AVX512FP16__)
#include "engine/kernels/conv_table.inl.h"
#else
#include "engine/kernels/kernels.h"
#endif

namespace frf::kernels {

const ConvKernels* ConvKernelsF16Table() {
#if !defined(__AVX512FP16__)
  return nullptr;
#else
  static constexpr ConvKernels kTable = avx512_f16::MakeConvTable("avx512-f16", Precision::kFloat16);
  return &kTable;
#endif
}

}  // namespace frf::kernels
