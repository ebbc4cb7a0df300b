// SPDX-License-Identifier: Apache-2.0
// The table of one instruction set, in the translation unit that is compiled for it.
#pragma once

#include "engine/kernels/byte_conv.inl.h"
#include "engine/kernels/byte_winograd.inl.h"
#include "engine/kernels/conv_table.inl.h"
#include "engine/kernels/depthwise.inl.h"
#include "engine/kernels/labels.inl.h"
#include "engine/kernels/maps.inl.h"
#include "engine/kernels/peak.inl.h"
#include "engine/kernels/pools.inl.h"
#include "engine/kernels/program.inl.h"
#include "engine/kernels/strassen.inl.h"

namespace frf::kernels::FRF_ISA {

static constexpr Kernels MakeTable(const char* name) {
  Kernels k{MakeConvTable(name, Precision::kFloat32)};
  k.lanes = kLanes;
  k.fits_strassen = FitsStrassen;
  k.strassen_packed_size = StrassenPackedSize;
  k.pack_strassen = PackStrassen;
  k.plan_strassen = PlanStrassen;
  k.strassen_scratch = StrassenScratch;
  k.strassen_conv = RunStrassen;
  k.depthwise_conv = RunDepthwise;
  k.has_dot = HasDot;
  k.bytes_packed_size = BytePackedSize;
  k.pack_bytes = PackBytes;
  k.plan_byte_conv = PlanByteConv;
  k.byte_conv_scratch = ByteConvScratch;
  k.byte_conv = RunByteConv;
  k.byte_winograd_packed_size = ByteWinogradPackedSize;
  k.pack_byte_winograd = PackByteWinograd;
  k.plan_byte_winograd = PlanByteWinograd;
  k.byte_winograd_scratch = ByteWinogradScratch;
  k.byte_winograd = RunByteWinograd;
  k.plan_program = PlanProgram;
  k.program_scratch = ProgramScratch;
  k.program = RunProgram;
  k.pool = RunPool;
  k.weighted_pool = RunWeightedPool;
  k.finish_weighted_pool = FinishWeightedPool;
  k.picture_in = RunPictureIn;
  k.planes_in = RunPlanesIn;
  k.planes_out = RunPlanesOut;
  k.plan_labels = PlanLabels;
  k.labels_scratch = LabelsScratch;
  k.labels = RunLabels;
  k.scores = RunScores;
  k.peak_fma = PeakFma;
  k.peak_dot = PeakDot;
  k.peak_copy = PeakCopy;
  return k;
}

}  // namespace frf::kernels::FRF_ISA
