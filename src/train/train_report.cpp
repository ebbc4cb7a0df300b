// SPDX-License-Identifier: Apache-2.0
#include "train/train_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/progress.h"
#include "image/transform.h"

namespace frf {
namespace {

double Number(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : 0;
}

struct Curves {
  HtmlReport::Line loss{"training loss", {}}, rate{"learning rate", {}}, miou{"mean IoU", {}},
      accuracy{"pixel accuracy", {}};
  std::map<std::string, HtmlReport::Line> classes;

  // Takes back the scores of `epoch`, the last one that has any.
  void DropLast(double epoch) {
    for (HtmlReport::Line* line : {&miou, &accuracy}) line->points.pop_back();
    for (auto& [name, line] : classes)
      if (!line.points.empty() && line.points.back().first == epoch) line.points.pop_back();
  }
};

Curves ReadCurves(const std::vector<Json>& log, const Classes& classes) {
  Curves curves;
  for (const Json& line : log) {
    const std::string type = line.value("type", "");
    const double epoch = Number(line, "epoch");
    if (type == "epoch") {
      curves.loss.points.emplace_back(epoch, Number(line, "loss"));
      curves.rate.points.emplace_back(epoch, Number(line, "rate"));
    } else if (type == "validation") {
      // Of one epoch (the last has one more, after batch norm's statistics were taken anew) the better
      // counts, as for best.ckpt.
      if (!curves.miou.points.empty() && curves.miou.points.back().first == epoch) {
        if (Number(line, "miou") < curves.miou.points.back().second) continue;
        curves.DropLast(epoch);
      }
      curves.miou.points.emplace_back(epoch, Number(line, "miou"));
      curves.accuracy.points.emplace_back(epoch, Number(line, "pixel_accuracy"));
      for (const std::string& name : classes.names) {
        if (!line.contains("iou") || !line["iou"].contains(name) || line["iou"][name].is_null()) continue;
        curves.classes[name].points.emplace_back(epoch, line["iou"][name].get<double>());
      }
    }
  }
  return curves;
}

// A recipe's field as people read it: "scale_min 0.5, scale_max 2", numbers in four digits, what is empty
// left out.
std::string Readable(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{:.4g}", value.get<double>());
  if (!value.is_structured()) return value.dump();
  std::string text;
  const bool nested = value.is_array() && !value.empty() && value[0].is_structured();
  for (const auto& [key, item] : value.items()) {
    const std::string shown = Readable(item);
    if (shown.empty()) continue;
    if (!text.empty()) text += nested ? "; " : ", ";
    text += value.is_object() ? key + " " + shown : shown;
  }
  return text;
}

// The classes that lag: those with the lowest last score, six lines at most so that colours stay apart.
std::vector<HtmlReport::Line> WeakestClasses(const Curves& curves) {
  std::vector<HtmlReport::Line> lines;
  for (const auto& [name, line] : curves.classes) lines.push_back({name, line.points});
  std::stable_sort(lines.begin(), lines.end(), [](const auto& a, const auto& b) {
    return a.points.back().second < b.points.back().second;
  });
  if (lines.size() > 6) lines.resize(6);
  return lines;
}

}  // namespace

void WriteTrainReport(const RunFolder& run, const Plan& plan, const TrainReport& content) {
  const Curves curves = ReadCurves(run.ReadLog(), plan.model.classes);
  HtmlReport report(content.title);
  report.Facts(content.facts);
  if (!curves.loss.points.empty()) {
    report.Section("Curves",
                   "Loss is the mean over an epoch's steps; scores are of the averaged weights where the "
                   "recipe averages.");
    report.Chart("Training loss", "epoch", {curves.loss}, false, true);
    if (!curves.miou.points.empty())
      report.Chart("Validation", "epoch", {curves.miou, curves.accuracy}, true);
    const auto weakest = WeakestClasses(curves);
    if (!weakest.empty()) report.Chart("IoU of the weakest classes", "epoch", weakest, true);
    report.Chart("Learning rate", "epoch", {curves.rate});
  }
  if (content.matrix != nullptr) {
    report.Section(
        "Scores",
        fmt::format("Of {}: {} images of {} {}, one confusion matrix at the labels' size, one scale, void "
                    "excluded.",
                    content.scored, content.matrix->images(), DataName(plan.validation),
                    SplitName(plan.validation)));
    report.ScoreTable(*content.matrix, plan.model.classes);
    report.Section("Confusion");
    report.ConfusionTable(*content.matrix, plan.model.classes);
  }
  if (!content.rows.empty()) {
    report.Section("Worst and best images", "By the mean IoU of the image alone.");
    report.Legend(plan.model.classes);
    report.Pictures(content.rows);
  }
  report.Section("Recipe");
  std::vector<std::pair<std::string, std::string>> fields;
  const Json recipe = ToJson(plan.recipe);
  for (const auto& [key, value] : recipe.items()) fields.emplace_back(key, Readable(value));
  report.Facts(fields);
  report.Write(run / "report.html");
}

std::vector<HtmlReport::Row> ExampleRows(GraphModule& module, const Dataset& data,
                                         const EvaluateOptions& options, const std::vector<double>& scores,
                                         int count) {
  std::vector<HtmlReport::Row> rows;
  for (const int index : WorstAndBest(scores, count)) {
    const Sample sample = data.Get(index);
    rows.push_back(PredictionRow(fmt::format("{}: mean IoU {:.1f} %", sample.name, scores[index] * 100),
                                 sample.image, sample.labels, Predict(module, sample.image, options),
                                 data.classes()));
  }
  return rows;
}

Image SideBySide(const Image& image, const LabelImage& truth, const LabelImage& prediction,
                 const Classes& classes) {
  const Shown shown = ToShow(image, truth, prediction);
  const Image panels[] = {shown.image, Colorize(shown.truth, classes.palette),
                          Colorize(shown.prediction, classes.palette)};
  const int height = shown.image.height, width = shown.image.width;
  Image strip{.height = height, .width = width * 3, .channels = 3};
  strip.pixels.resize(strip.bytes());
  const std::size_t row = static_cast<std::size_t>(width) * 3;
  for (int y = 0; y < height; ++y) {
    for (int i = 0; i < 3; ++i) std::memcpy(strip.at(y, i * width), panels[i].at(y, 0), row);
  }
  return strip;
}

}  // namespace frf
