// SPDX-License-Identifier: Apache-2.0
// report.html of a run: curves from log.jsonl, scores, confusion, pictures.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "metrics/report.h"
#include "train/evaluate.h"
#include "train/plan.h"
#include "train/run_folder.h"

namespace frf {

struct TrainReport {
  std::string title;  // "frfnet on camvid train"
  std::vector<std::pair<std::string, std::string>> facts;
  const ConfusionMatrix* matrix = nullptr;  // null: nothing was scored yet
  std::string scored;                       // whose scores these are: "best.ckpt, epoch 5"
  std::vector<HtmlReport::Row> rows;        // worst and best images
};

void WriteTrainReport(const RunFolder& run, const Plan& plan, const TrainReport& report);

// Image, truth, prediction and errors of the worst and best images of an evaluation.
std::vector<HtmlReport::Row> ExampleRows(GraphModule& module, const Dataset& data,
                                         const EvaluateOptions& options, const std::vector<double>& scores,
                                         int count);

// Image | truth | prediction side by side, for TensorBoard.
Image SideBySide(const Image& image, const LabelImage& truth, const LabelImage& prediction,
                 const Classes& classes);

}  // namespace frf
