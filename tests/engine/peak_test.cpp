// SPDX-License-Identifier: Apache-2.0
// The yardsticks do the work that they say they do, on every instruction set that runs here.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/plan/plan.h"

namespace frf {
namespace {

TEST(Peak, LoopsCountTheirOperations) {
  for (const kernels::Kernels* k : kernels::AllKernels()) {
    float sums[16] = {};
    std::int32_t dots[16] = {};
    EXPECT_EQ(k->peak_fma(1000, sums), 2.0 * 12 * k->lanes * 1000) << k->isa;
    // Twelve sums that began at 0 to 11 and go to 1 by a thousandth a round: 12 + 54 * 0.999^1000.
    for (int i = 0; i < k->lanes; ++i) EXPECT_NEAR(sums[i], 12 + 54 * 0.3677, 0.02) << k->isa;
    const double few = k->peak_dot(10, dots), many = k->peak_dot(30, dots);
    EXPECT_GE(few, 2.0 * 12 * k->lanes * 10) << k->isa;
    EXPECT_EQ(many, 3 * few) << k->isa;
  }
}

TEST(Peak, CopyCopies) {
  for (const kernels::Kernels* k : kernels::AllKernels()) {
    engine::FloatBuffer dst(256);
    std::vector<float> src(193);  // from an odd place: loads need not be aligned
    std::iota(src.begin(), src.end(), 1.0f);
    k->peak_copy(src.data() + 1, dst.data(), 192);
    for (int i = 0; i < 256; ++i)
      EXPECT_EQ(dst.data()[i], i < 192 ? static_cast<float>(i + 2) : 0.0f) << k->isa << i;
  }
}

}  // namespace
}  // namespace frf
