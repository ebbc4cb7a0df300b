// SPDX-License-Identifier: Apache-2.0
// LabelsFromScores against the naive computation: upsample every score, then take the largest, the lowest id
// first.
#include <omp.h>

#include "base/random.h"
#include "image/transform.h"
#include "support/support.h"

namespace frf {
namespace {

struct Case {
  int classes, h, w, content_h, content_w, height, width;
};

// Half-pixel source position, clamped at zero; the neighbour is clamped at the end.
struct Position {
  int low, high;
  float weight;
};
Position At(int i, int src, int dst) {
  const float position = std::max(
      0.0f, (static_cast<float>(i) + 0.5f) * (static_cast<float>(src) / static_cast<float>(dst)) - 0.5f);
  const int low = std::min(static_cast<int>(position), src - 1);
  return {low, std::min(low + 1, src - 1), position - static_cast<float>(low)};
}

LabelImage Naive(const std::vector<float>& scores, const Case& c) {
  LabelImage labels{.height = c.height, .width = c.width};
  for (int y = 0; y < c.height; ++y) {
    for (int x = 0; x < c.width; ++x) {
      const Position py = At(y, c.content_h, c.height), px = At(x, c.content_w, c.width);
      float best = 0;
      int id = -1;
      for (int k = 0; k < c.classes; ++k) {
        const auto value = [&](int row, int column) {
          return scores[static_cast<std::size_t>((k * c.h + row) * c.w + column)];
        };
        const float top = (1.0f - px.weight) * value(py.low, px.low) + px.weight * value(py.low, px.high);
        const float bottom =
            (1.0f - px.weight) * value(py.high, px.low) + px.weight * value(py.high, px.high);
        const float score = (1.0f - py.weight) * top + py.weight * bottom;
        if (id < 0 || score > best) best = score, id = k;
      }
      labels.ids.push_back(static_cast<std::uint8_t>(id));
    }
  }
  return labels;
}

TEST(LabelsFromScores, EqualsTheNaiveComputation) {
  const Case cases[] = {
      {1, 3, 3, 3, 3, 7, 7},          {2, 1, 1, 1, 1, 5, 13},        {11, 45, 60, 45, 60, 360, 480},
      {19, 16, 32, 16, 32, 127, 513}, {11, 24, 30, 20, 27, 80, 127}, {11, 90, 120, 90, 120, 90, 120},
      {5, 90, 120, 90, 120, 31, 47},  {3, 13, 1, 13, 1, 127, 1},     {11, 90, 120, 90, 120, 47, 120},
      {255, 4, 5, 4, 5, 9, 11},       {7, 33, 40, 32, 40, 64, 40},
  };
  for (const Case& c : cases) {
    std::vector<float> scores(static_cast<std::size_t>(c.classes * c.h * c.w));
    Random random(7, static_cast<std::uint64_t>(c.classes), static_cast<std::uint64_t>(c.width));
    for (float& score : scores)
      score = static_cast<float>(std::round(random.Normal() * 8) / 4);  // coarse: many ties
    const LabelImage wanted = Naive(scores, c);
    for (const int threads : {1, 3}) {
      const int before = omp_get_max_threads();
      omp_set_num_threads(threads);
      const LabelImage got =
          LabelsFromScores(scores.data(), c.classes, c.h, c.w, c.content_h, c.content_w, c.height, c.width);
      omp_set_num_threads(before);
      EXPECT_EQ(got.height, c.height);
      EXPECT_EQ(got.width, c.width);
      EXPECT_EQ(got.ids, wanted.ids) << c.classes << " classes, " << c.h << "x" << c.w << " to " << c.height
                                     << "x" << c.width;
    }
  }
}

TEST(LabelsFromScores, ByHand) {
  // Two classes over two columns: scores 0 1 and 1 0 cross in the middle of four pixels.
  const float scores[] = {0, 1, 1, 0};
  EXPECT_EQ(LabelsFromScores(scores, 2, 1, 2, 0, 0, 1, 4).ids, (std::vector<std::uint8_t>{1, 1, 0, 0}));
  const float ties[] = {2, 2, 2};
  EXPECT_EQ(LabelsFromScores(ties, 3, 1, 1, 0, 0, 2, 2).ids, (std::vector<std::uint8_t>(4, 0)));
  // Padding right is cropped: class 1 wins only in the padded column.
  const float padded[] = {1, 1, 0, 0, 0, 9};
  EXPECT_EQ(LabelsFromScores(padded, 2, 1, 3, 1, 2, 1, 4).ids, (std::vector<std::uint8_t>(4, 0)));
}

TEST(LabelsFromScores, RefusesWhatCannotBe) {
  const float score = 1;
  EXPECT_FRF_ERROR(LabelsFromScores(&score, 256, 1, 1, 0, 0, 1, 1), ErrorCode::kInvalidArgument,
                   "256 classes");
  EXPECT_FRF_ERROR(LabelsFromScores(&score, 1, 1, 1, 2, 1, 1, 1), ErrorCode::kInvalidArgument,
                   "LabelsFromScores: cannot");
  EXPECT_FRF_ERROR(LabelsFromScores(&score, 1, 1, 1, 0, 0, 0, 1), ErrorCode::kInvalidArgument, "0x1 labels");
}

}  // namespace
}  // namespace frf
