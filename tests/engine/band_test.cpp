// SPDX-License-Identifier: Apache-2.0
// Bands: every row is there when it is read, none is made twice without need, and networks that are made of
// them give the plain executor's numbers.
#include "engine/plan/band.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"
#include "engine/helpers.h"
#include "engine/plan/lower.h"
#include "engine/plan/plan.h"
#include "graph/builder.h"

namespace frf::test {
namespace {

using engine::BandCall;
using engine::BandSchedule;
using engine::BandStage;

// Plays a schedule: windows hold row numbers. Gives how many rows each stage made.
std::vector<int> Play(const std::vector<BandStage>& stages, const BandSchedule& schedule) {
  std::vector<int> made(stages.size(), 0);
  std::vector<std::map<int, int>> kept(stages.size());  // row -> how often it was written to memory
  for (const std::vector<BandCall>& item : schedule.items) {
    std::vector<std::vector<int>> windows;
    for (const int rows : schedule.window) windows.emplace_back(rows, -1);
    for (const BandCall& call : item) {
      const BandStage& stage = stages[call.stage];
      std::vector<int>& window = windows[call.stage];
      if (call.keep > 0) {
        EXPECT_LE(call.moved + call.keep, static_cast<int>(window.size()));
        std::copy_n(window.begin() + call.moved, call.keep, window.begin());
      }
      for (int y = call.begin; y < call.end; ++y) {
        EXPECT_GE(y, 0);
        EXPECT_LT(y, stage.height);
        ++made[call.stage];
        for (int k = 0; stage.source >= 0 && k < stage.kernel; ++k) {
          const int row = y * stage.stride - stage.pad + k * stage.dilation;
          if (row < 0 || row >= stages[stage.source].height) continue;
          EXPECT_GE(row, call.source_origin);
          EXPECT_LT(row, call.source_end);
          EXPECT_EQ(windows[stage.source].at(row - call.source_origin), row)
              << "stage " << call.stage << " row " << y;
        }
        if (schedule.window[call.stage] > 0)
          window.at(y - call.origin) = y;
        else
          ++kept[call.stage][y];
      }
    }
  }
  for (std::size_t s = 0; s < stages.size(); ++s) {
    if (schedule.window[s] > 0) continue;
    EXPECT_EQ(static_cast<int>(kept[s].size()), stages[s].height) << "stage " << s;
    for (const auto& [row, times] : kept[s]) EXPECT_EQ(times, 1) << "stage " << s << " row " << row;
  }
  return made;
}

TEST(Band, TheStemsRowsAreMadeOnceButForTheOverlap) {
  // Picture, 3x3 of stride 2, 1x1, 3x3 of stride 2, and the pool beside them: FRFNet's stem at 512x1024.
  const std::vector<BandStage> stages{{.height = 513},
                                      {.source = 0, .kernel = 3, .stride = 2, .height = 256},
                                      {.source = 1, .height = 256},
                                      {.source = 2, .kernel = 3, .stride = 2, .pad = 1, .height = 128},
                                      {.source = 1, .kernel = 3, .stride = 2, .pad = 1, .height = 128}};
  for (const bool slack : {false, true}) {
    const BandSchedule schedule = engine::ScheduleBand(stages, 128, 8, slack);
    const std::vector<int> made = Play(stages, schedule);
    EXPECT_EQ(made, (std::vector<int>{513 + 7 * 3, 256 + 7, 256 + 7, 128, 128}));
    EXPECT_EQ(schedule.window[1], slack ? 6 : 3);
  }
}

TEST(Band, AnyGeometryFindsItsRows) {
  Random random(11);
  for (int round = 0; round < 400; ++round) {
    std::vector<BandStage> stages{{.height = static_cast<int>(random.Uniform(1, 60))}};
    while (stages.size() < 6) {
      BandStage stage{.source = static_cast<int>(random.Uniform(0, stages.size())),
                      .kernel = static_cast<int>(random.Uniform(1, 6)),
                      .stride = static_cast<int>(random.Uniform(1, 4)),
                      .dilation = static_cast<int>(random.Uniform(1, 3))};
      stage.pad = static_cast<int>(random.Uniform(0, stage.kernel));
      const int height =
          stages[stage.source].height + 2 * stage.pad - (stage.kernel - 1) * stage.dilation - 1;
      if (height < 0) continue;
      stage.height = height / stage.stride + 1;
      stages.push_back(stage);
    }
    int ticks = 1 << 30;
    for (std::size_t s = 0; s < stages.size(); ++s) {
      const bool read = std::any_of(stages.begin(), stages.end(), [&](const BandStage& other) {
        return other.source == static_cast<int>(s);
      });
      if (!read) ticks = std::min(ticks, stages[s].height);
    }
    SCOPED_TRACE(round);
    Play(stages,
         engine::ScheduleBand(stages, ticks, static_cast<int>(random.Uniform(1, ticks + 1)), round % 2 == 0));
    if (HasFailure()) return;
  }
}

// A chain of everything that a band takes, and what it gives to others.
TEST(Band, ConvolutionsAndPoolsInWindowsEqualThePlainExecutor) {
  for (const auto& [height, width] : {std::pair{61, 47}, {40, 64}, {7, 9}}) {
    Builder g("chain");
    auto image = g.Input("image", 3);
    auto x = g.Conv(image, {.name = "first", .out = 20, .kernel = 3, .stride = 2});
    x = g.Relu(x);
    auto wide = g.Conv(x, {.name = "expand", .out = 48});
    wide = g.Clip(wide, 0, 6);
    auto deep = g.Conv(wide, {.name = "depthwise", .out = 48, .kernel = 3, .groups = 48, .bias = true});
    auto narrow = g.Conv(deep, {.name = "project", .out = 24, .kernel = 5, .stride = 2, .dilation = 2});
    auto pooled = g.MaxPool(x, {.kernel = 3, .stride = 2, .pad = 1});
    auto average = g.AveragePool(pooled, {.kernel = 2, .stride = 1, .pad = 1});
    g.Output(g.Concat({g.ResizeLike(narrow, image), g.ResizeLike(average, image)}), "scores",
             OutputRole::kScores);
    const Graph graph = [&] {
      Graph made = std::move(g).Build();
      InitializeWeights(made, 5);
      return made;
    }();
    const Tensor picture = RandomTensor({1, 3, height, width}, 3);
    const engine::PreparedGraph prepared = engine::Prepare(engine::PrepareOnce(graph), picture.shape());
    PlainExecutor plain(engine::PrepareOnce(graph), {.threads = 2});
    const Tensor wanted = plain.Run({{"image", picture}}).at("scores");
    for (const kernels::Kernels* k : kernels::AllKernels()) {
      for (const int threads : {1, 3}) {
        engine::WeightStore weights;
        engine::Plan plan(engine::Lower(prepared), weights,
                          {.threads = threads, .kernels = k, .band_bytes = 0});
        EXPECT_TRUE(std::any_of(plan.steps().begin(), plan.steps().end(),
                                [](const auto& step) { return step.kernel.starts_with("rows: "); }));
        std::vector<float> scores(wanted.size());
        plan.Run({.planes = picture.data<float>()}, {.scores = scores.data()});
        for (std::int64_t i = 0; i < wanted.size(); ++i)
          ASSERT_NEAR(scores[i], wanted.data<float>()[i], 1e-4) << k->isa << " " << i;
      }
    }
  }
}

}  // namespace
}  // namespace frf::test
