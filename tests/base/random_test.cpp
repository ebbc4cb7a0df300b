// SPDX-License-Identifier: Apache-2.0
// Chance is a value: pinned numbers, independence of the keys, ranges and moments.
#include "base/random.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <set>

#include "support/support.h"

namespace frf {
namespace {

// From the definition, computed apart in Python: published results hang on these numbers.
TEST(Random, NumbersNeverChange) {
  Random random(1, 2, 3);
  EXPECT_EQ(random.NextU64(), 0xd154dcd0ec56bdadu);
  EXPECT_EQ(random.NextU64(), 0xba41575bbd022dau);
  EXPECT_EQ(random.NextU64(), 0xef5cfa775ba6e4fcu);
  EXPECT_EQ(Random(0).NextU64(), 0xa4c62257a6388d35u);
}

TEST(Random, EachKeyMatters) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    for (std::uint64_t epoch = 0; epoch < 10; ++epoch) {
      for (std::uint64_t index = 0; index < 10; ++index)
        EXPECT_TRUE(seen.insert(Random(seed, epoch, index).NextU64()).second);
    }
  }
}

TEST(Random, RangesAreKeptAndFilledEvenly) {
  Random random(5);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) ++counts[static_cast<std::size_t>(random.Below(7))];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);  // five standard deviations
  std::set<std::int64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t value = random.Between(-2, 3);
    EXPECT_GE(value, -2);
    EXPECT_LE(value, 3);
    seen.insert(value);
    const double uniform = random.Uniform(0.75, 2.0);
    EXPECT_GE(uniform, 0.75);
    EXPECT_LT(uniform, 2.0);
  }
  EXPECT_EQ(seen.size(), 6u);  // both ends included
  EXPECT_EQ(random.Below(1), 0);
  EXPECT_FALSE(random.Chance(0));
  EXPECT_TRUE(random.Chance(1));
}

TEST(Random, MomentsAreThoseOfTheDistributions) {
  Random random(11, 4);
  constexpr int kCount = 200000;
  double uniform = 0, normal = 0, square = 0, chance = 0;
  for (int i = 0; i < kCount; ++i) {
    uniform += random.Uniform();
    const double value = random.Normal();
    ASSERT_TRUE(std::isfinite(value));
    normal += value, square += value * value;
    chance += random.Chance(0.3) ? 1 : 0;
  }
  EXPECT_NEAR(uniform / kCount, 0.5, 0.004);
  EXPECT_NEAR(normal / kCount, 0, 0.012);
  EXPECT_NEAR(square / kCount, 1, 0.02);
  EXPECT_NEAR(chance / kCount, 0.3, 0.006);
}

TEST(Random, ShuffleKeepsEveryItem) {
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{127}}) {
    std::vector<int> items(count), sorted(count);
    std::iota(items.begin(), items.end(), 0);
    sorted = items;
    Random(3, count).Shuffle(items);
    if (count > 10) {
      EXPECT_NE(items, sorted);
    }
    std::sort(items.begin(), items.end());
    EXPECT_EQ(items, sorted);
  }
  // Every order of three items about equally often: 6000 / 6.
  std::map<std::vector<int>, int> orders;
  for (std::uint64_t i = 0; i < 6000; ++i) {
    std::vector<int> items{0, 1, 2};
    Random(9, i).Shuffle(items);
    ++orders[items];
  }
  ASSERT_EQ(orders.size(), 6u);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace frf
