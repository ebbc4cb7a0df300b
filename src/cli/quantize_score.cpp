// SPDX-License-Identifier: Apache-2.0
#include "cli/quantize_score.h"

#include <algorithm>
#include <chrono>
#include <random>

#include "base/progress.h"

namespace frf::cli {

ConfusionMatrix NetworkScore::Sum() const {
  ConfusionMatrix sum(images.at(0).classes());
  for (const ConfusionMatrix& one : images) sum.Merge(one);
  return sum;
}

NetworkScore ScoreNetwork(const Model& model, const SegmenterOptions& options, const ScoredImages& images,
                          const std::string& title) {
  Segmenter segmenter(model, options);
  NetworkScore score;
  Progress progress(title, static_cast<std::int64_t>(images.samples.size()));
  for (const Sample& sample : images.samples) {
    const auto start = std::chrono::steady_clock::now();
    LabelImage labels = segmenter.Run(sample.image.view());
    score.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ConfusionMatrix one(segmenter.info().classes.count());
    one.Add(sample.labels, labels);
    score.images.push_back(std::move(one));
    score.labels.push_back(std::move(labels));
    if (!title.empty()) progress.Advance();
  }
  return score;
}

double Disagreement(const NetworkScore& a, const NetworkScore& b) {
  std::int64_t different = 0, all = 0;
  for (std::size_t i = 0; i < a.labels.size(); ++i) {
    const auto &x = a.labels[i].ids, &y = b.labels[i].ids;
    for (std::size_t p = 0; p < x.size(); ++p) different += x[p] != y[p];
    all += static_cast<std::int64_t>(x.size());
  }
  return all > 0 ? static_cast<double>(different) / static_cast<double>(all) : 0;
}

Drop DropOf(const NetworkScore& wanted, const NetworkScore& got) {
  const std::size_t count = wanted.images.size();
  const auto drop_of = [&](const std::vector<int>& times) {
    ConfusionMatrix a(wanted.images[0].classes()), b(a.classes());
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < a.counts().size(); ++k) {
        a.counts()[k] += times[i] * wanted.images[i].counts()[k];
        b.counts()[k] += times[i] * got.images[i].counts()[k];
      }
    }
    return (a.MeanIou().value_or(0) - b.MeanIou().value_or(0)) * 100;
  };
  Drop drop;
  drop.points = drop_of(std::vector<int>(count, 1));
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::size_t> pick(0, count - 1);
  std::vector<double> drops;
  for (int draw = 0; draw < 1000; ++draw) {
    std::vector<int> times(count, 0);
    for (std::size_t i = 0; i < count; ++i) ++times[pick(random)];
    drops.push_back(drop_of(times));
  }
  std::sort(drops.begin(), drops.end());
  drop.low = drops[25], drop.high = drops[974];
  return drop;
}

}  // namespace frf::cli
