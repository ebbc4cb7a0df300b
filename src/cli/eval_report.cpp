// SPDX-License-Identifier: Apache-2.0
// What `frf eval` leaves beside its score: the comparison with --against, the report, the model file's stamp.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/hash.h"
#include "base/plural.h"
#include "base/system.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/eval.h"
#include "image/transform.h"
#include "metrics/report.h"
#include "onnx/onnx_file.h"

namespace frf::cli {
namespace {

// "+0.42", "-" where one of them has no score: nothing was labelled.
std::string Points(std::optional<double> ours, std::optional<double> theirs) {
  return ours && theirs ? fmt::format("{:+.2f}", (*ours - *theirs) * 100) : "-";
}

// Picture, truth, both predictions, and where they differ.
HtmlReport::Row ChangedRow(const ScoredImage& scored, const Sample& sample, Predictor& predictor,
                           OtherModel& other) {
  const Classes& classes = predictor.info().classes;
  const LabelImage ours = predictor.Run(sample.image.view()),
                   theirs = other.segmenter->Run(sample.image.view());
  Image where = sample.image;
  for (std::size_t i = 0; i < ours.ids.size(); ++i) {
    const bool changed = ours.ids[i] != theirs.ids[i];
    for (int c = 0; c < 3; ++c) {
      std::uint8_t& value = where.pixels[i * 3 + c];
      value = changed ? (c == 0 ? 255 : 40) : static_cast<std::uint8_t>(value / 3);
    }
  }
  return {fmt::format("{}: {:.2f} % of labels changed, mean IoU {:.1f} %", sample.name, scored.changed * 100,
                      scored.miou * 100),
          {{"picture", sample.image},
           {"truth", Colorize(sample.labels, classes.palette)},
           {"this", Colorize(ours, classes.palette)},
           {"against", Colorize(theirs, classes.palette)},
           {"changed", where}}};
}

// What identifies the images that were scored. No path: the file may go to others.
Json DescribeScored(const DatasetSpec& spec, const Dataset& data) {
  const std::size_t colon = spec.spec.find(':');
  const std::string kind = spec.spec.substr(0, colon);
  const auto last_name = [](const std::string& path) {
    const std::string name = std::filesystem::weakly_canonical(path).filename().string();
    return IsUtf8(name) ? name : Printable(name);
  };
  Json facts{{"data", kind}};
  if (kind != "synth") facts["folder"] = last_name(spec.spec.substr(colon + 1));
  if (spec.list.empty())
    facts["split"] = spec.split;
  else
    facts["list"] = ListName(spec);
  if (spec.seed > 0) facts["seed"] = spec.seed;
  if (kind == "synth") {
    const auto [height, width] = data.image_size(0);
    facts["scene_size"] = fmt::format("{}x{}", height, width);
  }
  std::string names;
  for (int i = 0; i < data.size(); ++i) names += data.name(i) + "\n";
  facts["names"] = fmt::format("{:016x}", XxHash64(names));
  return facts;
}

}  // namespace

std::string DifferenceTable(const ConfusionMatrix& matrix, const OtherModel& other,
                            const EvalArguments& arguments, const Classes& classes) {
  const auto ours = matrix.Iou(), theirs = other.matrix.Iou();
  std::string table = fmt::format("{:<14} {:>9} {:>9} {:>8}\n", "class", "this", "against", "points");
  for (int c = 0; c < classes.count(); ++c) {
    if (!ours[c] && !theirs[c]) continue;
    // One that only one of them names counts in its mean alone, so it must not be missing here.
    table += fmt::format("{:<14} {:>9} {:>9} {:>8}\n", classes.names[c], Percent(ours[c], 2),
                         Percent(theirs[c], 2), Points(ours[c], theirs[c]));
  }
  const auto mine = matrix.MeanIou(), its = other.matrix.MeanIou();
  table += fmt::format("{:<14} {:>9} {:>9} {:>8}\n", "mean IoU", Percent(mine, 2), Percent(its, 2),
                       Points(mine, its));
  return table + fmt::format("{:.2f} % of labels differ from those of {}\n", other.changed_share() * 100,
                             arguments.against);
}

void WriteReport(const EvalArguments& arguments, const Dataset& data, const Json& result,
                 Predictor& predictor, const ConfusionMatrix& matrix, std::vector<ScoredImage> scored,
                 OtherModel* other) {
  const Classes& classes = predictor.info().classes;
  const std::string description = result["data"];
  std::string numbers = result["arithmetic"];
  if (result.contains("weights"))
    numbers += fmt::format("; {} weights of the {} checkpoint", std::string(result["weights"]),
                           std::string(result["checkpoint"]));
  HtmlReport report(fmt::format("{} on {}", arguments.model, description));
  report.Facts({{"model", arguments.model},
                {"network", predictor.info().net},
                {"data", description},
                {"input", std::string(result["size"])},
                {"arithmetic", numbers},
                {"views", arguments.views.one() ? "one, at scale 1" : ToText(arguments.views)},
                {"mean IoU", Percent(matrix.MeanIou(), 2)},
                {"time", fmt::format("{:.1f} ms an image, {} backend, {}", result["ms"].get<double>(),
                                     arguments.backend, Counted(result["threads"].get<int>(), "thread"))},
                {"machine", ThisMachine().cpu},
                {"commit", Commit()}});
  report.Section("Classes");
  report.ScoreTable(matrix, classes);
  if (other) {
    report.Section(
        "Beside " + arguments.against,
        fmt::format("Mean IoU {} there, {} points here; {:.2f} % of labels differ. Its classes:",
                    Percent(other->matrix.MeanIou(), 2), Points(matrix.MeanIou(), other->matrix.MeanIou()),
                    other->changed_share() * 100));
    report.ScoreTable(other->matrix, classes);
    std::vector<ScoredImage> changed = scored;
    std::stable_sort(changed.begin(), changed.end(),
                     [](const ScoredImage& a, const ScoredImage& b) { return a.changed > b.changed; });
    std::vector<HtmlReport::Row> rows;
    for (int i = 0; i < std::min(arguments.pictures, static_cast<int>(changed.size())); ++i) {
      rows.push_back(ChangedRow(changed[i], data.Get(changed[i].index), predictor, *other));
    }
    report.Section("Images that changed most");
    report.Legend(classes);
    report.Pictures(rows);
  }
  report.Section("Confusion");
  report.ConfusionTable(matrix, classes);
  std::stable_sort(scored.begin(), scored.end(),
                   [](const ScoredImage& a, const ScoredImage& b) { return a.miou < b.miou; });
  const auto rows = [&](int first, int count) {
    std::vector<HtmlReport::Row> made;
    for (int i = first; i < first + count; ++i) {
      const Sample sample = data.Get(scored[i].index);
      made.push_back(PredictionRow(fmt::format("{}: mean IoU {:.1f} %", sample.name, scored[i].miou * 100),
                                   sample.image, sample.labels, predictor.Run(sample.image.view()), classes));
    }
    return made;
  };
  const int all = static_cast<int>(scored.size()), worst = std::min(arguments.pictures, all);
  const int best = std::min(arguments.pictures, all - worst);
  report.Section("Worst images", "Mean IoU over the classes that stand in the image or in its prediction.");
  report.Legend(classes);
  report.Pictures(rows(0, worst));
  if (best > 0) {
    report.Section("Best images");
    report.Pictures(rows(all - best, best));
  }
  report.Write(arguments.report);
}

void Stamp(const EvalArguments& arguments, const Dataset& data, const Json& result) {
  const std::string path = FindModel(arguments.model);
  Model model = ReadOnnx(path);
  Json entry = DescribeScored(arguments.data, data);
  entry["size"] = result["size"];
  // A score of the same images at the same size is replaced. What does not say which images it is of (from
  // training, or an older frf) may be of others.
  Json kept = Json::array();
  for (const Json& old : model.info.eval) {
    const bool same = std::all_of(entry.items().begin(), entry.items().end(), [&](const auto& fact) {
      return old.contains(fact.key()) && old[fact.key()] == fact.value();
    });
    if (!same) kept.push_back(old);
  }
  for (const char* key : {"images", "miou", "pixel_accuracy", "iou"}) entry[key] = result[key];
  kept.push_back(entry);
  model.info.eval = kept;
  WriteOnnx(model, path);
  if (!arguments.json) fmt::print("stamped {}\n", path);
}

}  // namespace frf::cli
