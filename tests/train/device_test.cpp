// SPDX-License-Identifier: Apache-2.0
// That a team of OMP_DYNAMIC's has all the threads that oneDNN was promised: it would wait for the others.
#include "train/device.h"

#include <gtest/gtest.h>
#include <omp.h>

namespace frf {
namespace {

TEST(ConfigureCpu, TeamsAreAsLargeAsPromised) {
  const int before = omp_get_dynamic(), threads = 2 * omp_get_num_procs();
  omp_set_dynamic(1);
  ConfigureCpu(threads);
  int team = 0;
#pragma omp parallel
#pragma omp single
  team = omp_get_num_threads();
  EXPECT_EQ(team, threads);
  ConfigureCpu(2);
  omp_set_dynamic(before);
}

}  // namespace
}  // namespace frf
