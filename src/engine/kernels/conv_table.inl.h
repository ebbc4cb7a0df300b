// SPDX-License-Identifier: Apache-2.0
// The convolutions of one instruction set in one precision, in the translation unit that is compiled for it.
#pragma once

#include "engine/kernels/direct_conv.inl.h"
#include "engine/kernels/winograd.inl.h"

namespace frf::kernels::FRF_ISA {

static constexpr ConvKernels MakeConvTable(const char* name, Precision precision) {
  ConvKernels k{};
  k.isa = name;
  k.precision = precision;
  k.direct_packed_size = DirectPackedSize;
  k.pack_direct = PackDirect;
  k.plan_direct = PlanDirect;
  k.direct_scratch = DirectScratch;
  k.direct_conv = RunDirect;
  k.winograd_packed_size = WinogradPackedSize;
  k.pack_winograd = PackWinograd;
  k.plan_winograd = PlanWinograd;
  k.winograd_shared = WinogradShared;
  k.winograd_transform = TransformShared;
  k.winograd_scratch = WinogradScratch;
  k.winograd_conv = RunWinograd;
  return k;
}

}  // namespace frf::kernels::FRF_ISA
