// SPDX-License-Identifier: Apache-2.0
// The way out on every instruction set: resized scores and their labels, against sums in double precision.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/own_map.h"

namespace frf::test {
namespace {

using namespace frf::kernels;

class LabelsOnEveryIsa : public testing::TestWithParam<const Kernels*> {
 protected:
  const Kernels& k_ = *GetParam();
};

TEST_P(LabelsOnEveryIsa, AreTheArgmaxAndTiesGoToTheLowest) {
  for (const auto& [height, width, out_h, out_w, classes] :
       {std::tuple{5, 7, 20, 28, 19}, std::tuple{5, 7, 5, 7, 3}, std::tuple{3, 40, 12, 157, 150},
        std::tuple{1, 1, 9, 17, 2}, std::tuple{8, 33, 13, 34, 1}}) {
    SCOPED_TRACE(testing::Message() << height << "x" << width << " to " << out_h << "x" << out_w);
    OwnMap src(height, width, classes, 16, 41);
    for (float& v : src.values) v = std::round(v * 3);  // many ties
    std::vector<WideTap> rows, columns;
    for (const auto& [taps, in, out] :
         {std::tuple{&rows, height, out_h}, std::tuple{&columns, width, out_w}}) {
      for (int o = 0; o < out; ++o) {
        const double at = std::clamp((o + 0.5) * in / out - 0.5, 0.0, in - 1.0);
        const int low = static_cast<int>(at);
        WideTap tap{low, {static_cast<float>(1 - (at - low)), 0, 0, 0}};
        if (low + 1 < in) tap.weight[1] = static_cast<float>(at - low);
        taps->push_back(tap);
      }
    }
    std::vector<std::uint8_t> labels(static_cast<std::size_t>(out_h) * (out_w + 3), 77);
    std::vector<float> planes(static_cast<std::size_t>(classes) * out_h * out_w);
    Scores scores{.shape = {.src = src.view,
                            .classes = classes,
                            .rows = rows.data(),
                            .columns = columns.data(),
                            .height = out_h,
                            .width = out_w},
                  .planes = planes.data()};
    scores.shape.labels = labels.data();
    scores.shape.stride = out_w + 3;
    k_.plan_labels(scores.shape, 2);
    std::vector<float> scratch(k_.labels_scratch(scores.shape));
    for (std::int64_t i = 0; i < scores.shape.items; ++i) {
      k_.labels(scores.shape, i, scratch.data());
      k_.scores(scores, i, scratch.data());
    }
    for (int y = 0; y < out_h; ++y) {
      for (int x = 0; x < out_w; ++x) {
        std::vector<double> wanted(classes, 0.0);
        for (int c = 0; c < classes; ++c) {
          for (int i = 0; i < 2; ++i) {
            for (int j = 0; j < 2; ++j) {
              const double weight = static_cast<double>(rows[y].weight[i]) * columns[x].weight[j];
              if (weight != 0) wanted[c] += weight * src.at(rows[y].first + i, columns[x].first + j, c);
            }
          }
          ASSERT_NEAR(planes[(static_cast<std::size_t>(c) * out_h + y) * out_w + x], wanted[c], 1e-5);
        }
        const int label = labels[static_cast<std::size_t>(y) * (out_w + 3) + x];
        const double best = *std::max_element(wanted.begin(), wanted.end());
        ASSERT_GE(wanted.at(label), best - 1e-5);
        if (height == out_h) {  // exact values: exactly the first of the largest
          ASSERT_EQ(label, std::max_element(wanted.begin(), wanted.end()) - wanted.begin());
        }
      }
      for (int x = out_w; x < out_w + 3; ++x)
        ASSERT_EQ(labels[static_cast<std::size_t>(y) * (out_w + 3) + x], 77);
    }
  }
}

// Of two classes; where the first is no number the second is the label, whichever instructions compare.
TEST_P(LabelsOnEveryIsa, WhatIsNoNumberIsNotTheLargest) {
  constexpr int kWidth = 20;
  OwnMap src(1, kWidth, 2, 16, 3);
  for (int x = 0; x < kWidth; ++x) src.values[x * src.view.pixel] = std::nanf("");
  std::vector<WideTap> rows{{0, {1, 0, 0, 0}}}, columns;
  for (int x = 0; x < kWidth; ++x) columns.push_back({x, {1, 0, 0, 0}});
  std::vector<std::uint8_t> labels(kWidth, 77);
  Labels shape{.src = src.view,
               .classes = 2,
               .rows = rows.data(),
               .columns = columns.data(),
               .height = 1,
               .width = kWidth};
  shape.labels = labels.data();
  shape.stride = kWidth;
  k_.plan_labels(shape, 1);
  std::vector<float> scratch(k_.labels_scratch(shape));
  for (std::int64_t i = 0; i < shape.items; ++i) k_.labels(shape, i, scratch.data());
  EXPECT_EQ(labels, std::vector<std::uint8_t>(kWidth, 1));
}

INSTANTIATE_TEST_SUITE_P(Kernels, LabelsOnEveryIsa, testing::ValuesIn(AllKernels()),
                         [](const auto& info) { return std::string(info.param->isa); });

}  // namespace
}  // namespace frf::test
