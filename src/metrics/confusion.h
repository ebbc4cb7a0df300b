// SPDX-License-Identifier: Apache-2.0
// Confusion matrix and the scores from it. Void truth is excluded; a class that stands in neither truth nor
// prediction has no score and is left out of the mean (so 2 of 3 classes at 1/2 give a mean of 0.5, not
// 0.333).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/json.h"
#include "base/model_info.h"
#include "frf/image.h"

namespace frf {

class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int classes);

  // Same sizes, else kInvalidArgument. A true id >= classes that is not void (255), or such a predicted id on
  // a labelled pixel, throws kInvalidArgument;
  // predicted void (255) on a labelled pixel counts against the true class.
  void Add(const LabelImage& truth, const LabelImage& prediction);
  void Merge(const ConfusionMatrix& other);

  int classes() const { return classes_; }
  std::int64_t count(int truth, int prediction) const;
  std::int64_t TruthCount(int c) const;            // labelled pixels of the class
  std::int64_t PredictedCount(int c) const;        // labelled pixels that are called so
  std::vector<std::optional<double>> Iou() const;  // fraction; nullopt: class in neither
  // Share of a class's pixels that are called so (nullopt: it has none), and of the pixels called so that are
  // of it (nullopt: nothing is).
  std::vector<std::optional<double>> Recall() const;
  std::vector<std::optional<double>> Precision() const;
  std::optional<double> MeanIou() const;
  std::optional<double> PixelAccuracy() const;
  // Mean of Recall over the classes that the truth has, and IoU weighted by the truth's pixels (Long et al.,
  // "Fully convolutional networks for semantic segmentation", 2015).
  std::optional<double> MeanClassAccuracy() const;
  std::optional<double> FrequencyWeightedIou() const;
  std::int64_t images() const { return images_; }
  void set_images(std::int64_t images) { images_ = images; }  // after a reduction over processes

  // Raw counts, truth-major, classes x (classes + 1); the last column is predicted void. For reductions over
  // processes.
  std::vector<std::int64_t>& counts() { return counts_; }
  const std::vector<std::int64_t>& counts() const { return counts_; }

 private:
  std::vector<std::optional<double>> RightOf(std::int64_t (ConfusionMatrix::*whole)(int) const) const;
  int classes_;
  std::int64_t images_ = 0;
  std::vector<std::int64_t> counts_;
};

// {miou, pixel_accuracy, mean_class_accuracy, fw_iou, iou{class: value|null}, recall, precision (likewise),
// images, confusion}: fractions. confusion: pixels, a row for each true class, a column for each predicted
// one and a last one for predicted void.
Json ToJson(const ConfusionMatrix& matrix, const Classes& classes);

inline Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

// "41.7 %", and "-" for none.
std::string Percent(const std::optional<double>& share, int decimals = 1);

// The per-class table for people.
std::string FormatTable(const ConfusionMatrix& matrix, const Classes& classes);

}  // namespace frf
