// SPDX-License-Identifier: Apache-2.0
// The kernels for baseline; the flags of this file alone stand in CMakeLists.txt.
#define FRF_ISA baseline
#define FRF_ISA_BASELINE 1
#include "engine/kernels/table.inl.h"

namespace frf::kernels {

const Kernels* KernelsBaselineTable() {
  static constexpr Kernels kTable = baseline::MakeTable("baseline");
  return &kTable;
}

}  // namespace frf::kernels
