// SPDX-License-Identifier: Apache-2.0
// Schedules against values worked out by hand and against torch 1.13's OneCycleLR.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/support.h"

namespace frf {
namespace {

TEST(Schedule, OneCycleEqualsTorch) {
  // torch.optim.lr_scheduler.OneCycleLR(AdamW(lr=2e-3), max_lr=2e-3, total_steps=20, pct_start=0.1): lr and
  // beta1 at steps 0, 1, 2, 10, 19.
  const ScheduleSpec spec{.kind = ScheduleKind::kOneCycle, .rate = 2e-3, .steps = 20};
  EXPECT_NEAR(RatesAt(spec, 0).rate, 8e-5, 1e-15);
  EXPECT_NEAR(RatesAt(spec, 0).momentum, 0.95, 1e-12);
  EXPECT_NEAR(RatesAt(spec, 1).rate, 2e-3, 1e-15);
  EXPECT_NEAR(RatesAt(spec, 1).momentum, 0.85, 1e-12);
  EXPECT_NEAR(RatesAt(spec, 10).rate, 1e-3 + 4e-9, 1e-12);  // half way down: (2e-3 + 8e-9) / 2
  EXPECT_NEAR(RatesAt(spec, 10).momentum, 0.90, 1e-12);
  EXPECT_NEAR(RatesAt(spec, 19).rate, 8e-9, 1e-15);
  EXPECT_NEAR(RatesAt(spec, 19).momentum, 0.95, 1e-12);
  EXPECT_EQ(RatesAt(spec, 500).rate, RatesAt(spec, 19).rate);
}

TEST(Schedule, CosinePolyAndConstant) {
  ScheduleSpec spec{.kind = ScheduleKind::kCosine, .rate = 1e-4, .final_rate = 1e-6, .steps = 101};
  EXPECT_DOUBLE_EQ(RatesAt(spec, 0).rate, 1e-4);
  EXPECT_NEAR(RatesAt(spec, 50).rate, (1e-4 + 1e-6) / 2, 1e-18);
  EXPECT_DOUBLE_EQ(RatesAt(spec, 100).rate, 1e-6);
  EXPECT_LT(RatesAt(spec, 0).momentum, 0);
  spec.kind = ScheduleKind::kPoly;
  spec.power = 0.5;
  spec.final_rate = 0;
  EXPECT_DOUBLE_EQ(RatesAt(spec, 75).rate, 1e-4 * 0.5);  // sqrt(1 - 0.75)
  EXPECT_DOUBLE_EQ(RatesAt(spec, 100).rate, 0.0);
  spec.kind = ScheduleKind::kConstant;
  EXPECT_DOUBLE_EQ(RatesAt(spec, 77).rate, 1e-4);
}

TEST(Schedule, WarmupStableDecay) {
  const ScheduleSpec spec{.kind = ScheduleKind::kWarmupStableDecay,
                          .rate = 1.0,
                          .final_rate = 0.0,
                          .steps = 10,
                          .warmup_steps = 3,
                          .decay_steps = 2};
  const double wanted[] = {0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 0.5, 0};
  for (int step = 0; step < 10; ++step) EXPECT_NEAR(RatesAt(spec, step).rate, wanted[step], 1e-15) << step;
}

TEST(Schedule, OneStepRunsHaveARate) {
  for (const auto kind : {ScheduleKind::kConstant, ScheduleKind::kCosine, ScheduleKind::kPoly,
                          ScheduleKind::kOneCycle, ScheduleKind::kWarmupStableDecay}) {
    const ScheduleSpec spec{.kind = kind, .rate = 1e-3, .steps = 1};
    EXPECT_TRUE(std::isfinite(RatesAt(spec, 0).rate)) << Name(kind);
    EXPECT_GE(RatesAt(spec, 0).rate, 0) << Name(kind);
  }
}

TEST(Schedule, JsonKeepsEveryField) {
  ScheduleSpec spec{.kind = ScheduleKind::kWarmupStableDecay,
                    .rate = 0.1,
                    .final_rate = 0.01,
                    .steps = 9,
                    .warmup_steps = 2,
                    .decay_steps = 3,
                    .power = 2,
                    .warmup_share = 0.3,
                    .div = 5,
                    .final_div = 6,
                    .cycle_momentum = false,
                    .momentum_low = 0.1,
                    .momentum_high = 0.2};
  EXPECT_EQ(ToJson(ScheduleSpecFromJson(ToJson(spec), "x")).dump(), ToJson(spec).dump());
  EXPECT_FRF_ERROR(ScheduleSpecFromJson(Json{{"rate", "fast"}}, "config.json"), ErrorCode::kUsage,
                   "config.json");
}

TEST(Schedule, RefusesWhatCannotRun) {
  EXPECT_FRF_ERROR(Check({.steps = 0}), ErrorCode::kUsage, "steps = 0");
  EXPECT_FRF_ERROR(Check({.rate = -1, .steps = 5}), ErrorCode::kUsage, "rate = -1");
  EXPECT_FRF_ERROR(Check({.steps = 5, .warmup_steps = 4, .decay_steps = 2}), ErrorCode::kUsage, "steps = 5");
  EXPECT_FRF_ERROR(ScheduleKindFromName("linear"), ErrorCode::kUsage, "linear");
  EXPECT_NO_THROW(Check({.kind = ScheduleKind::kOneCycle, .rate = 1e-9, .steps = 5}));
}

}  // namespace
}  // namespace frf
