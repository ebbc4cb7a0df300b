// SPDX-License-Identifier: Apache-2.0
// binary16 <-> binary32: all halves, ties by hand, and bit for bit what the CPU's F16C does where it has it.
#include "base/half.h"

#include <limits>

#include "support/support.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace frf {
namespace {

TEST(Half, EveryHalfSurvivesTheWayThereAndBack) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const bool signalling = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0 && (bits & 0x200) == 0;
    ASSERT_EQ(HalfFromFloat(FloatFromHalf(half)), signalling ? bits | 0x200 : bits) << bits;
  }
}

TEST(Half, RoundsToNearestEvenByHand) {
  EXPECT_EQ(HalfFromFloat(1.0f), 0x3c00);
  EXPECT_EQ(HalfFromFloat(-2.0f), 0xc000);
  EXPECT_EQ(HalfFromFloat(1.0f + 0x1.0p-11f), 0x3c00);  // half way between 1 and 1 + 2^-10: to the even one
  EXPECT_EQ(HalfFromFloat(1.0f + 0x1.8p-10f), 0x3c02);  // half way between two odd neighbours: up
  EXPECT_EQ(HalfFromFloat(1.0f + 0x1.0p-11f + 0x1.0p-20f), 0x3c01);
  EXPECT_EQ(HalfFromFloat(65504.0f), 0x7bff);
  EXPECT_EQ(HalfFromFloat(65519.99f), 0x7bff);
  EXPECT_EQ(HalfFromFloat(65520.0f), 0x7c00);
  EXPECT_EQ(HalfFromFloat(0x1.0p-24f), 0x0001);  // the smallest subnormal
  EXPECT_EQ(HalfFromFloat(0x1.0p-25f), 0x0000);  // half of it: to zero
  EXPECT_EQ(HalfFromFloat(0x1.8p-25f), 0x0001);
  EXPECT_EQ(HalfFromFloat(-0.0f), 0x8000);
  EXPECT_EQ(HalfFromFloat(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(HalfFromFloat(std::numeric_limits<float>::quiet_NaN()), 0x7e00);
  EXPECT_EQ(FloatFromHalf(0x3555), 0.333251953125f);
  EXPECT_EQ(FloatFromHalf(0x03ff), 1023 * 0x1.0p-24f);
}

#if defined(__x86_64__)
[[gnu::target("f16c")]] std::uint16_t Hardware(float value) {
  return static_cast<std::uint16_t>(_cvtss_sh(value, 0));
}

TEST(Half, EqualsTheHardware) {
  if (!__builtin_cpu_supports("f16c")) GTEST_SKIP() << "this CPU has no F16C";
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += 4099) {
    const float value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    ASSERT_EQ(HalfFromFloat(value), Hardware(value)) << std::hex << bits;
  }
}
#endif

}  // namespace
}  // namespace frf
