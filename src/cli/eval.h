// SPDX-License-Identifier: Apache-2.0
// What the parts of `frf eval` share: the verb and its report (eval_verb.cpp, eval_report.cpp), what is
// refused before the work (eval_checks.cpp), --per-image (eval_images.cpp), --modules (eval_modules.cpp).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/eval_views.h"
#include "data/dataset.h"
#include "engine/segmenter.h"
#include "metrics/confusion.h"

namespace frf::cli {

struct EvalArguments {
  DatasetSpec data;
  std::string model, against, size, scene_size, backend = "engine", weights = "ema", report, per_image, save,
                                                precision = "f32";
  Views views;
  std::uint64_t max_memory_mb = 0;
  int threads = 0, limit = 0, pictures = 8;
  bool json = false, stamp = false, last = false, modules = false;
  bool weights_given = false, pictures_given = false, scales_given = false;
};

// One image's score.
struct ScoredImage {
  int index;
  double miou;
  double changed = 0;  // share of labels that --against gives otherwise
};

// --per-image: every image's scores, also of those where nothing is labelled.
class ImageScores {
 public:
  void Add(const std::string& name, const ConfusionMatrix& one);
  // By its ending .csv, or else JSON.
  void Write(const std::string& path, const Classes& classes) const;

 private:
  struct Row {
    std::string image;
    std::int64_t pixels;  // labelled
    std::optional<double> pixel_accuracy, miou;
    std::vector<std::optional<double>> iou;  // by class
  };
  std::vector<Row> rows_;
};

bool IsPerImageName(const std::string& path);  // ends in .csv or .json

// --against: the other network's side of the comparison.
struct OtherModel {
  explicit OtherModel(int classes) : matrix(classes) {}
  std::unique_ptr<Segmenter> segmenter;
  ConfusionMatrix matrix;
  std::int64_t changed = 0, pixels = 0;
  double changed_share() const {
    return pixels > 0 ? static_cast<double>(changed) / static_cast<double>(pixels) : 0;
  }
};

// The same call for frf-train. What it cannot do is refused here, not passed over.
std::vector<std::string> WordsForTorch(const EvalArguments& arguments);

// Options that do not go together, or would change nothing: kUsage. `run_folder`: the model is one.
void CheckGiven(const EvalArguments& arguments, bool run_folder);

// What can be refused before hours of work is, outputs that would take an input's place too (kUsage); makes
// the folders of --save and --report. `data`: nullptr where they cannot be opened.
void CheckOutputs(const EvalArguments& arguments, const Dataset* data);

// What a prediction's file is called: "x_leftImg8bit" becomes "x_pred_labelIds" as Cityscapes' evaluator
// expects.
std::string PredictionName(const std::string& sample);

// Throws where two images' predictions would be one file.
void CheckPredictionNames(const Dataset& data, int count);

// Whether the model `name` and the data speak of the same classes.
void CheckClasses(const Classes& model, const Classes& data, const std::string& name);

// With --limit it says how much of the split was looked at.
std::string DescribeData(const Dataset& data, int count);

// By class, this model and --against.
std::string DifferenceTable(const ConfusionMatrix& matrix, const OtherModel& other,
                            const EvalArguments& arguments, const Classes& classes);

// --report. `result`: the JSON document.
void WriteReport(const EvalArguments& arguments, const Dataset& data, const Json& result,
                 Predictor& predictor, const ConfusionMatrix& matrix, std::vector<ScoredImage> scored,
                 OtherModel* other);

// --stamp: into the model file's metadata.
void Stamp(const EvalArguments& arguments, const Dataset& data, const Json& result);

// --modules
int RunEvalModules(const EvalArguments& arguments, const SegmenterOptions& options, const Model& model,
                   const Dataset& data);

}  // namespace frf::cli
