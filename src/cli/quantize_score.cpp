// SPDX-License-Identifier: Apache-2.0
#include "cli/quantize_score.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <random>

#include "base/progress.h"
#include "metrics/eval_result.h"

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
  std::vector<double> times;
  Progress progress(title, static_cast<std::int64_t>(images.samples.size()));
  for (const Sample& sample : images.samples) {
    const auto start = std::chrono::steady_clock::now();
    LabelImage labels = segmenter.Run(sample.image.view());
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    ConfusionMatrix one(segmenter.info().classes.count());
    one.Add(sample.labels, labels);
    score.images.push_back(std::move(one));
    score.labels.push_back(std::move(labels));
    if (!title.empty()) progress.Advance();
  }
  score.ms = TimeOf(std::move(times));
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

std::optional<Drop> DropOf(const NetworkScore& wanted, const NetworkScore& got) {
  const std::size_t count = wanted.images.size();
  const auto drop_of = [&](const std::vector<int>& times) -> std::optional<double> {
    ConfusionMatrix a(wanted.images[0].classes()), b(a.classes());
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < a.counts().size(); ++k) {
        a.counts()[k] += times[i] * wanted.images[i].counts()[k];
        b.counts()[k] += times[i] * got.images[i].counts()[k];
      }
    }
    const auto before = a.MeanIou(), after = b.MeanIou();  // the same truth: both or none
    if (!before || !after) return std::nullopt;
    return (*before - *after) * 100;
  };
  const std::optional<double> points = drop_of(std::vector<int>(count, 1));
  if (!points) return std::nullopt;
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::size_t> pick(0, count - 1);
  std::vector<double> drops;
  for (int draw = 0; draw < 1000; ++draw) {
    std::vector<int> times(count, 0);
    for (std::size_t i = 0; i < count; ++i) ++times[pick(random)];
    if (const std::optional<double> drawn = drop_of(times)) drops.push_back(*drawn);
  }
  std::sort(drops.begin(), drops.end());
  const std::size_t tail = drops.size() * 25 / 1000;
  return Drop{*points, drops.at(tail), drops.at(drops.size() - 1 - tail), count < 5};
}

Json ToJson(const std::optional<Drop>& drop) {
  if (!drop) return {{"drop", nullptr}, {"drop_low", nullptr}, {"drop_high", nullptr}};
  const auto end = [&](double value) { return drop->few ? Json(nullptr) : Json(value); };
  return {{"drop", drop->points}, {"drop_low", end(drop->low)}, {"drop_high", end(drop->high)}};
}

std::string ToText(const Drop& drop) {
  const auto text = [&](const char* verb, double points, double low, double high) {
    return fmt::format("int8 {} {:.2f} points{}", verb, points,
                       drop.few ? "" : fmt::format(", 95 % {:.2f} to {:.2f}", low, high));
  };
  // What rounds to nothing is neither.
  if (drop.points <= -0.005) return text("gains", -drop.points, -drop.high, -drop.low);
  return text("loses", std::abs(drop.points), drop.low, drop.high);
}

namespace {

// A number of a table's row as text, "-" where it is null.
std::string NumberOf(const Json& row, const char* key, const char* format, double scale = 1) {
  return row[key].is_null() ? "-" : fmt::format(fmt::runtime(format), row[key].get<double>() * scale);
}

}  // namespace

void PrintTried(const Json& rows) {
  fmt::print("{:<20} {:>10} {:>10} {:>15} {:>10}\n", "ranges", "bias", "equalised", "labels changed",
             "mean IoU");
  for (const Json& row : rows) {
    fmt::print("{:<20} {:>10} {:>10} {:>13.3f} % {:>10}\n", row["ranges"].get<std::string>(),
               row["bias_correction"].get<bool>() ? "corrected" : "", row["equalized_pairs"].get<int>(),
               row["labels_changed"].get<double>() * 100, NumberOf(row, "miou", "{:.2f} %", 100));
  }
}

void PrintSensitivity(const Json& rows) {
  fmt::print("{:<40} {:>15} {:>11}  95 %\n", "this one alone in int8", "labels changed", "points lost");
  for (const Json& row : rows) {
    fmt::print("{:<40} {:>13.3f} % {:>11}  {} to {}\n", row["node"].get<std::string>(),
               row["labels_changed"].get<double>() * 100, NumberOf(row, "drop", "{:.2f}"),
               NumberOf(row, "drop_low", "{:.2f}"), NumberOf(row, "drop_high", "{:.2f}"));
  }
  fmt::print("\n");
}

void PrintScores(const Classes& classes, const NetworkScore& wanted, const NetworkScore& got,
                 const std::optional<Drop>& drop) {
  const auto before = wanted.Sum().Iou(), after = got.Sum().Iou();
  fmt::print("{:<14} {:>9} {:>9} {:>8}\n", "class", "float32", "int8", "points");
  for (int c = 0; c < classes.count(); ++c) {
    if (!before[c] && !after[c]) continue;
    // One that only one of them names counts in its mean alone, so it must not be missing here.
    const bool both = before[c] && after[c];
    fmt::print("{:<14} {:>9} {:>9} {:>8}\n", classes.names[c], Percent(before[c], 2), Percent(after[c], 2),
               both ? fmt::format("{:+.2f}", (*after[c] - *before[c]) * 100) : "-");
  }
  fmt::print("{:<14} {:>9} {:>9} {:>8}\n", "mean IoU", Percent(wanted.MeanIou(), 2),
             Percent(got.MeanIou(), 2), drop ? fmt::format("{:+.2f}", -drop->points) : "-");
}

}  // namespace frf::cli
