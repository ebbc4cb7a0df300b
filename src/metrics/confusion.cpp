// SPDX-License-Identifier: Apache-2.0
// Confusion matrix, IoU and the table for people. Subtle: predicted void has a column of its own, so a
// network that refuses to answer loses true positives but invents no false ones.
#include "metrics/confusion.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/plural.h"
#include "frf/error.h"

namespace frf {

ConfusionMatrix::ConfusionMatrix(int classes) : classes_(classes) {
  if (classes < 1 || classes > kMaxClasses) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("confusion matrix of {} classes; 1..{} are wanted", classes, kMaxClasses));
  }
  counts_.assign(static_cast<std::size_t>(classes) * (classes + 1), 0);
}

void ConfusionMatrix::Add(const LabelImage& truth, const LabelImage& prediction) {
  if (truth.height != prediction.height || truth.width != prediction.width ||
      truth.ids.size() != prediction.ids.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("prediction is {}x{}, truth {}x{}", prediction.height, prediction.width,
                            truth.height, truth.width));
  }
  // 256 x 256 counts first: no branches in the loop, and bad ids are found afterwards, before anything is
  // added.
  std::vector<std::int64_t> pairs(std::size_t{256} * 256, 0);
  for (std::size_t i = 0; i < truth.ids.size(); ++i)
    ++pairs[truth.ids[i] * std::size_t{256} + prediction.ids[i]];
  for (int t = 0; t < 256; ++t) {
    for (int p = 0; p < 256; ++p) {
      if (pairs[t * std::size_t{256} + p] == 0 || t == kVoidLabel) continue;
      if (t >= classes_) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("truth holds class id {}; 0..{} or 255 are wanted", t, classes_ - 1));
      }
      if (p >= classes_ && p != kVoidLabel) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("prediction holds class id {}; 0..{} are wanted", p, classes_ - 1));
      }
    }
  }
  for (int t = 0; t < classes_; ++t) {
    std::int64_t* row = &counts_[static_cast<std::size_t>(t) * (classes_ + 1)];
    for (int p = 0; p < classes_; ++p) row[p] += pairs[t * std::size_t{256} + p];
    row[classes_] += pairs[t * std::size_t{256} + kVoidLabel];
  }
  ++images_;
}

void ConfusionMatrix::Merge(const ConfusionMatrix& other) {
  if (other.classes_ != classes_) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("cannot merge matrices of {} and {} classes", classes_, other.classes_));
  }
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  images_ += other.images_;
}

std::int64_t ConfusionMatrix::count(int truth, int prediction) const {
  return counts_.at(static_cast<std::size_t>(truth) * (classes_ + 1) + prediction);
}

std::vector<std::optional<double>> ConfusionMatrix::Iou() const {
  std::vector<std::optional<double>> iou(classes_);
  for (int c = 0; c < classes_; ++c) {
    const std::int64_t truth = TruthCount(c), predicted = PredictedCount(c);
    if (truth + predicted == 0) continue;  // class in neither: no score to average
    const std::int64_t both = count(c, c);
    iou[c] = static_cast<double>(both) / static_cast<double>(truth + predicted - both);
  }
  return iou;
}

std::int64_t ConfusionMatrix::TruthCount(int c) const {
  std::int64_t sum = 0;
  for (int p = 0; p <= classes_; ++p) sum += count(c, p);
  return sum;
}

std::int64_t ConfusionMatrix::PredictedCount(int c) const {
  std::int64_t sum = 0;
  for (int t = 0; t < classes_; ++t) sum += count(t, c);
  return sum;
}

std::vector<std::optional<double>> ConfusionMatrix::RightOf(std::int64_t (ConfusionMatrix::*whole)(int)
                                                                const) const {
  std::vector<std::optional<double>> shares(classes_);
  for (int c = 0; c < classes_; ++c) {
    const std::int64_t all = (this->*whole)(c);
    if (all > 0) shares[c] = static_cast<double>(count(c, c)) / static_cast<double>(all);
  }
  return shares;
}

std::vector<std::optional<double>> ConfusionMatrix::Recall() const {
  return RightOf(&ConfusionMatrix::TruthCount);
}

std::vector<std::optional<double>> ConfusionMatrix::Precision() const {
  return RightOf(&ConfusionMatrix::PredictedCount);
}

namespace {

// Over the classes that have a value.
std::optional<double> MeanOf(const std::vector<std::optional<double>>& values) {
  double sum = 0;
  int scored = 0;
  for (const auto& value : values) {
    if (value) sum += *value, ++scored;
  }
  if (scored == 0) return std::nullopt;
  return sum / scored;
}

}  // namespace

std::optional<double> ConfusionMatrix::MeanIou() const { return MeanOf(Iou()); }

std::optional<double> ConfusionMatrix::MeanClassAccuracy() const { return MeanOf(Recall()); }

std::optional<double> ConfusionMatrix::FrequencyWeightedIou() const {
  const auto iou = Iou();
  double sum = 0, all = 0;
  for (int c = 0; c < classes_; ++c) {
    const auto pixels = static_cast<double>(TruthCount(c));
    if (iou[c]) sum += pixels * *iou[c];
    all += pixels;
  }
  if (all == 0) return std::nullopt;
  return sum / all;
}

std::optional<double> ConfusionMatrix::PixelAccuracy() const {
  std::int64_t right = 0, all = 0;
  for (int t = 0; t < classes_; ++t) {
    right += count(t, t);
    all += TruthCount(t);
  }
  if (all == 0) return std::nullopt;
  return static_cast<double>(right) / static_cast<double>(all);
}

std::string Percent(const std::optional<double>& share, int decimals) {
  return share ? fmt::format("{:.{}f} %", *share * 100, decimals) : std::string("-");
}

Json ToJson(const ConfusionMatrix& matrix, const Classes& classes) {
  Json json;
  json["miou"] = OrNull(matrix.MeanIou());
  json["pixel_accuracy"] = OrNull(matrix.PixelAccuracy());
  json["mean_class_accuracy"] = OrNull(matrix.MeanClassAccuracy());
  json["fw_iou"] = OrNull(matrix.FrequencyWeightedIou());
  const std::pair<const char*, std::vector<std::optional<double>>> scores[] = {
      {"iou", matrix.Iou()}, {"recall", matrix.Recall()}, {"precision", matrix.Precision()}};
  for (const auto& [name, values] : scores) {
    Json by_class = Json::object();
    for (int c = 0; c < matrix.classes(); ++c) by_class[classes.names.at(c)] = OrNull(values[c]);
    json[name] = by_class;
  }
  json["images"] = matrix.images();
  Json rows = Json::array();
  for (int t = 0; t < matrix.classes(); ++t) {
    Json row = Json::array();
    for (int p = 0; p <= matrix.classes(); ++p) row.push_back(matrix.count(t, p));
    rows.push_back(row);
  }
  json["confusion"] = rows;
  return json;
}

std::string FormatTable(const ConfusionMatrix& matrix, const Classes& classes) {
  std::size_t width = 22;  // "frequency weighted IoU"
  for (const auto& name : classes.names) width = std::max(width, name.size());
  const auto iou = matrix.Iou(), recall = matrix.Recall(), precision = matrix.Precision();
  double total = 0;
  std::vector<double> share(matrix.classes());
  for (int t = 0; t < matrix.classes(); ++t) {
    share[t] = static_cast<double>(matrix.TruthCount(t));
    total += share[t];
  }
  std::string text = fmt::format("{:<{}}  {:>8}  {:>8}  {:>9}  {:>8}\n", "class", width, "IoU", "recall",
                                 "precision", "share");
  for (int c = 0; c < matrix.classes(); ++c) {
    text +=
        fmt::format("{:<{}}  {:>8}  {:>8}  {:>9}  {:>8}\n", classes.names.at(c), width, Percent(iou[c]),
                    Percent(recall[c]), Percent(precision[c]), total > 0 ? Percent(share[c] / total) : "-");
  }
  for (const auto& [name, value] : {std::pair("mean IoU", matrix.MeanIou()),
                                    {"frequency weighted IoU", matrix.FrequencyWeightedIou()},
                                    {"mean class accuracy", matrix.MeanClassAccuracy()}})
    text += fmt::format("{:<{}}  {:>8}\n", name, width, Percent(value));
  text += fmt::format("{:<{}}  {:>8}   ({})\n", "pixel accuracy", width, Percent(matrix.PixelAccuracy()),
                      Counted(matrix.images(), "image"));
  return text;
}

}  // namespace frf
