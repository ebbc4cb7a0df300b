// SPDX-License-Identifier: Apache-2.0
// What statistics of a value become: the step and zero of its bytes.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/helpers.h"
#include "engine/quantize/insert.h"
#include "graph/builder.h"

namespace frf::test {
namespace {

using engine::ChooseCoding;
using engine::RangeKind;
using engine::StatisticsCollector;
using kernels::Coding;

TEST(Ranges, MethodsCutWhatIsRare) {
  Builder g("range");
  g.Output(g.Relu(g.Input("image", 1)), "scores", OutputRole::kScores);
  const Graph graph = std::move(g).Build();
  StatisticsCollector collector(graph, {"image"}, {.threads = 2});
  Tensor image = RandomTensor({1, 1, 100, 100}, 1);
  for (std::int64_t i = 0; i < image.size(); ++i) image.data<float>()[i] = std::abs(image.data<float>()[i]);
  image.data<float>()[17] = 100;  // one number far out
  collector.Add(image);
  collector.Add(RandomTensor({1, 1, 50, 50}, 2).Reshaped({1, 1, 50, 50}));
  const auto& seen = collector.statistics().at("image");
  EXPECT_EQ(seen.high, 100);
  EXPECT_LT(seen.low, -0.9f);
  EXPECT_EQ(seen.pixels, 12500);
  const Coding all = ChooseCoding({&seen}, {RangeKind::kMinMax, 1}),
               most = ChooseCoding({&seen}, {RangeKind::kPercentile, 0.999}),
               least = ChooseCoding({&seen}, {RangeKind::kMse, 1});
  EXPECT_NEAR(all.step * 255, 101, 0.1);
  EXPECT_LT(most.step * 255, 3);
  EXPECT_LT(least.step, all.step);
  for (const Coding& coding : {all, most, least}) EXPECT_GT(coding.zero, 0);
  // Nothing negative: zero is byte 0. Nothing at all: no division by zero.
  engine::ValueStatistics positive = seen, nothing;
  positive.low = 0;
  EXPECT_EQ(ChooseCoding({&positive}, {RangeKind::kMinMax, 1}).zero, 0);
  EXPECT_GT(ChooseCoding({&nothing}, {RangeKind::kMse, 1}).step, 0);
}

}  // namespace
}  // namespace frf::test
