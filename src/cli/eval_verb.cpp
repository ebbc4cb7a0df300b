// SPDX-License-Identifier: Apache-2.0
// `frf eval MODEL --data D --split S`: mIoU over a split from one confusion matrix, at the labels' own size;
// a table, JSON, and a report with the worst and best images. Subtle: predictions are compared as class ids,
// and saved as label-file ids under the names that Cityscapes' own evaluator looks for.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "base/progress.h"
#include "base/system.h"
#include "base/version.h"
#include "cli/cli.h"
#include "cli/eval.h"
#include "data/dataset.h"
#include "engine/segmenter.h"
#include "engine/session.h"
#include "frf/error.h"
#include "image/image_io.h"
#include "metrics/confusion.h"
#include "metrics/report.h"

namespace frf::cli {
namespace {

struct Scored {
  int index;
  double miou;
  double changed = 0;  // share of labels that --against gives otherwise
};

// The other network's side of the comparison.
struct Other {
  explicit Other(int classes) : matrix(classes) {}
  std::unique_ptr<Segmenter> segmenter;
  ConfusionMatrix matrix;
  std::int64_t changed = 0, pixels = 0;
  double changed_share() const {
    return pixels > 0 ? static_cast<double>(changed) / static_cast<double>(pixels) : 0;
  }
};

std::int64_t CountChanged(const LabelImage& a, const LabelImage& b) {
  std::int64_t changed = 0;
  for (std::size_t i = 0; i < a.ids.size(); ++i) changed += a.ids[i] != b.ids[i];
  return changed;
}

std::string DifferenceTable(const ConfusionMatrix& matrix, const Other& other, const EvalArguments& arguments,
                            const Classes& classes) {
  const auto ours = matrix.Iou(), theirs = other.matrix.Iou();
  std::string table = fmt::format("{:<14} {:>9} {:>9} {:>8}\n", "class", "this", "against", "points");
  for (int c = 0; c < classes.count(); ++c) {
    if (!ours[c] && !theirs[c]) continue;
    // One that only one of them names counts in its mean alone, so it must not be missing here.
    const bool both = ours[c] && theirs[c];
    table += fmt::format("{:<14} {:>9} {:>9} {:>8}\n", classes.names[c], Percent(ours[c], 2),
                         Percent(theirs[c], 2),
                         both ? fmt::format("{:+.2f}", (*ours[c] - *theirs[c]) * 100) : "-");
  }
  const double mine = matrix.MeanIou().value_or(0), its = other.matrix.MeanIou().value_or(0);
  table += fmt::format("{:<14} {:>7.2f} % {:>7.2f} % {:>+8.2f}\n", "mean IoU", mine * 100, its * 100,
                       (mine - its) * 100);
  return table + fmt::format("{:.2f} % of labels differ from those of {}\n", other.changed_share() * 100,
                             arguments.against);
}

// What a prediction's file is called: "x_leftImg8bit" becomes "x_pred_labelIds" as Cityscapes' evaluator
// expects.
std::string PredictionName(const std::string& sample) {
  std::string stem = std::filesystem::path(sample).replace_extension().string();
  const std::string city_suffix = "_leftImg8bit";
  if (stem.ends_with(city_suffix)) {
    return std::filesystem::path(stem.substr(0, stem.size() - city_suffix.size()) + "_pred_labelIds.png")
        .filename()
        .string();
  }
  std::replace(stem.begin(), stem.end(), '/', '_');
  return stem + ".png";
}

// Throws where two images' predictions would be one file.
void CheckPredictionNames(const Dataset& data, int count) {
  std::map<std::string, std::string> taken;
  for (int i = 0; i < count; ++i) {
    const std::string name = data.name(i), file = PredictionName(name);
    if (const auto [first, is_new] = taken.emplace(file, name); !is_new && first->second != name) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("--save: the predictions of {} and {} would both be {}", first->second, name, file));
    }
  }
}

// Picture, truth, both predictions, and where they differ.
HtmlReport::Row ChangedRow(const Scored& scored, const Sample& sample, Segmenter& segmenter, Other& other) {
  const Classes& classes = segmenter.info().classes;
  const LabelImage ours = segmenter.Run(sample.image.view()),
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

void WriteReport(const EvalArguments& arguments, const Dataset& data, const std::string& description,
                 Segmenter& segmenter, const ConfusionMatrix& matrix, std::vector<Scored> scored, double ms,
                 Other* other) {
  const Classes& classes = segmenter.info().classes;
  HtmlReport report(fmt::format("{} on {}", arguments.model, description));
  report.Facts({{"model", arguments.model},
                {"network", segmenter.info().net},
                {"data", description},
                {"mean IoU", fmt::format("{:.2f} %", matrix.MeanIou().value_or(0) * 100)},
                {"time", fmt::format("{:.1f} ms an image, {} backend, {} threads", ms, arguments.backend,
                                     arguments.threads > 0 ? arguments.threads : DefaultThreads())},
                {"machine", ThisMachine().cpu},
                {"commit", Commit()}});
  report.Section("Classes");
  report.ScoreTable(matrix, classes);
  if (other) {
    const double its = other->matrix.MeanIou().value_or(0);
    report.Section(
        "Beside " + arguments.against,
        fmt::format("Mean IoU {:.2f} % there, {:+.2f} points here; {:.2f} % of labels differ. Its classes:",
                    its * 100, (matrix.MeanIou().value_or(0) - its) * 100, other->changed_share() * 100));
    report.ScoreTable(other->matrix, classes);
    std::vector<Scored> changed = scored;
    std::stable_sort(changed.begin(), changed.end(),
                     [](const Scored& a, const Scored& b) { return a.changed > b.changed; });
    std::vector<HtmlReport::Row> rows;
    for (int i = 0; i < std::min(arguments.pictures, static_cast<int>(changed.size())); ++i) {
      rows.push_back(ChangedRow(changed[i], data.Get(changed[i].index), segmenter, *other));
    }
    report.Section("Images that changed most");
    report.Legend(classes);
    report.Pictures(rows);
  }
  report.Section("Confusion");
  report.ConfusionTable(matrix, classes);
  std::stable_sort(scored.begin(), scored.end(),
                   [](const Scored& a, const Scored& b) { return a.miou < b.miou; });
  const auto rows = [&](int first, int count) {
    std::vector<HtmlReport::Row> made;
    for (int i = first; i < first + count; ++i) {
      const Sample sample = data.Get(scored[i].index);
      made.push_back(PredictionRow(fmt::format("{}: mean IoU {:.1f} %", sample.name, scored[i].miou * 100),
                                   sample.image, sample.labels, segmenter.Run(sample.image.view()), classes));
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

void Stamp(const EvalArguments& arguments, const Json& result) {
  const std::string path = FindModel(arguments.model);
  Model model = ReadOnnx(path);
  Json entry{
      {"data", arguments.data.spec.substr(0, arguments.data.spec.find(':'))},
      {"split", arguments.data.list.empty() ? arguments.data.split
                                            : std::filesystem::path(arguments.data.list).stem().string()},
      {"size", result["size"]},
      {"images", result["images"]},
      {"miou", result["miou"]},
      {"pixel_accuracy", result["pixel_accuracy"]},
      {"iou", result["iou"]}};
  if (arguments.data.seed > 0) entry["seed"] = arguments.data.seed;  // other scenes
  Json kept = Json::array();
  for (const Json& old : model.info.eval) {
    const auto same = [&](const char* key) {
      return old.contains(key) ? entry.contains(key) && old[key] == entry[key] : !entry.contains(key);
    };
    if (!same("data") || !same("split") || !same("size") || !same("seed")) kept.push_back(old);
  }
  kept.push_back(entry);
  model.info.eval = kept;
  WriteOnnx(model, path);
}

// The size at which the network sees an image. `input`: its shape as the file declares it, where a side may
// be fixed.
std::string SizeSeen(const InputSpec& spec, const Shape& input, const Image& image,
                     const SegmenterOptions& options) {
  const auto fixed = [&](std::size_t axis, int wanted) {
    return input.size() == 4 && input[axis] > 0 ? static_cast<int>(input[axis]) : wanted;
  };
  const NetworkSize size =
      ChooseNetworkSize(spec, image.height, image.width, fixed(2, options.height), fixed(3, options.width));
  return fmt::format("{}x{}", size.height, size.width);
}

int RunEval(const EvalArguments& arguments) {
  const bool run_folder = std::filesystem::is_directory(arguments.model);
  if (arguments.backend == "torch") {
    const std::vector<std::string> words = WordsForTorch(arguments);
    CheckGiven(arguments, /*run_folder=*/true);  // frf-train says what is none
    CheckOutputs(arguments);
    ExecTrain(words);
  }
  SegmenterOptions options{.threads = arguments.threads,
                           .max_memory = arguments.max_memory_mb << 20,
                           .plain = arguments.backend == "plain",
                           .precision = PrecisionNamed(arguments.precision)};
  CheckGiven(arguments, run_folder);
  if (options.plain && options.precision != Precision::kFloat32)
    throw Error(ErrorCode::kUsage, "--precision goes with --backend engine; the plain executor is float32");
  if (!arguments.size.empty()) std::tie(options.height, options.width) = ParseSize(arguments.size, "--size");
  Model model = run_folder ? LoadRun(arguments.model, arguments.weights == "raw", arguments.last)
                           : LoadModel(arguments.model);
  const auto data = OpenDataset(arguments.data);
  CheckClasses(model.info.classes, data->classes(), arguments.model);
  CheckOutputs(arguments);
  if (arguments.modules) return RunEvalModules(arguments, options, model, *data);
  const Shape input = model.graph.inputs.at(0).shape;
  Segmenter segmenter(std::move(model), options);
  const Classes& classes = segmenter.info().classes;
  std::unique_ptr<Other> other;
  if (!arguments.against.empty()) {
    other = std::make_unique<Other>(classes.count());
    SegmenterOptions exact = options;
    exact.precision = Precision::kFloat32;
    other->segmenter = std::make_unique<Segmenter>(LoadModel(arguments.against), exact);
    CheckClasses(other->segmenter->info().classes, data->classes(), arguments.against);
  }

  const int count = arguments.limit > 0 ? std::min(arguments.limit, data->size()) : data->size();
  if (!arguments.save.empty()) CheckPredictionNames(*data, count);
  const std::string description = DescribeData(*data, count);
  ConfusionMatrix matrix(classes.count());
  std::vector<Scored> scored;
  double seconds = 0;
  std::string size;
  Progress progress("eval", count);
  for (int i = 0; i < count; ++i) {
    const Sample sample = data->Get(i);
    const auto start = std::chrono::steady_clock::now();
    const LabelImage labels = segmenter.Run(sample.image.view());
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const std::string seen = SizeSeen(segmenter.info().input, input, sample.image, options);
    size = i == 0 || seen == size ? seen : "native";  // they differ: each image's own
    ConfusionMatrix one(classes.count());
    one.Add(sample.labels, labels);
    matrix.Merge(one);
    double changed = 0;
    if (other) {
      const LabelImage theirs = other->segmenter->Run(sample.image.view());
      other->matrix.Add(sample.labels, theirs);
      const std::int64_t count_changed = CountChanged(labels, theirs);
      other->changed += count_changed;
      other->pixels += static_cast<std::int64_t>(labels.ids.size());
      changed = static_cast<double>(count_changed) / static_cast<double>(labels.ids.size());
    }
    if (one.MeanIou()) scored.push_back({i, *one.MeanIou(), changed});
    if (!arguments.save.empty()) {
      WriteLabels(arguments.save + "/" + PredictionName(sample.name), ToLabelIds(labels, classes));
    }
    progress.Advance(1, fmt::format("mIoU {:.3f}", matrix.MeanIou().value_or(0)));
  }
  ClearProgressLine();
  const double ms = count > 0 ? seconds * 1000 / count : 0;
  Json result = ToJson(matrix, classes);
  result["model"] = arguments.model;
  result["data"] = description;
  result["size"] = size;
  result["ms"] = ms;
  if (other) {
    result["against"] = {{"model", arguments.against},
                         {"miou", other->matrix.MeanIou().value_or(0)},
                         {"labels_changed", other->changed_share()},
                         {"iou", ToJson(other->matrix, classes)["iou"]}};
  }
  // The scores first: a full disk must not cost them.
  if (arguments.json)
    PrintJson(result);
  else
    fmt::print("{} on {}\n{}", arguments.model, description, FormatTable(matrix, classes));
  if (other && !arguments.json) fmt::print("\n{}", DifferenceTable(matrix, *other, arguments, classes));
  std::fflush(stdout);
  if (!arguments.report.empty())
    WriteReport(arguments, *data, description, segmenter, matrix, scored, ms, other.get());
  if (arguments.stamp) Stamp(arguments, result);
  return 0;
}

}  // namespace

void AddEval(CLI::App& root, Action& action) {
  auto a = std::make_shared<EvalArguments>();
  CLI::App* app = root.add_subcommand("eval", "measure mean IoU on a labelled split");
  app->add_option("model", a->model, "ONNX file, run folder, or name of shipped weights")->required();
  app->add_option("--data", a->data.spec, "camvid:DIR, cityscapes:DIR, folder:DIR, pack:FILE or synth:COUNT")
      ->required();
  app->add_option("--split", a->data.split, "train, val, test or trainval");
  app->add_option("--list", a->data.list, "file that names the images (and labels) to use");
  app->add_option("--seed", a->data.seed,
                  "of synth's first scene (10000000 and above were never trained on) and of new skies")
      ->check(CLI::NonNegativeNumber);
  app->add_option("--variant", a->data.variant,
                  "cityscapes: labelIds or trainIds files; synth: camvid or cityscapes classes");
  app->add_flag("--new-skies", a->data.new_skies, "draw each image's sky anew: skies that the data lack");
  app->add_option("--size", a->size, "network input size HEIGHTxWIDTH (default: as the model was trained)");
  app->add_option("--backend", a->backend,
                  "engine, plain (the reference executor), or torch (frf-train; for run folders)")
      ->check(CLI::IsMember({"engine", "plain", "torch"}));
  app->add_option("--report", a->report, "write an HTML report with the worst and best images to this file");
  app->add_option(
      "--against", a->against,
      "another model: difference by class, and in the report the images whose labels changed most");
  CLI::Option* pictures =
      app->add_option("--pictures", a->pictures, "worst and best images in the report, each")
          ->check(CLI::Range(0, 1000));
  app->add_option("--save", a->save,
                  "folder for the predictions as label images (Cityscapes' evaluator reads them)");
  app->add_option("--limit", a->limit, "only the first N images; 0: all")->check(CLI::NonNegativeNumber);
  app->add_option("--threads", a->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_option("--precision", a->precision,
                  "of convolutions: f32; bf16 or f16, faster where the CPU has them (docs/deploy.md)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app->add_option("--max-memory", a->max_memory_mb, "MiB that an image may need; 0: half of RAM")
      ->check(CLI::NonNegativeNumber);
  CLI::Option* weights =
      app->add_option(
             "--weights", a->weights,
             "run folder: which weights: ema, their running average, or raw, as the last step left them")
          ->check(CLI::IsMember({"ema", "raw"}));
  app->add_flag("--last", a->last, "run folder: the last checkpoint instead of the best");
  app->add_flag(
      "--modules", a->modules,
      "instead: how far gates and masks move, and mean IoU with each module's frozen at their means");
  app->add_flag("--stamp", a->stamp, "write the result into the model file's metadata (frf.eval)");
  app->add_flag("--json", a->json, "one JSON document on standard output");
  app->footer(R"(Examples:
  frf eval frfnet-camvid --data camvid:/data/camvid --split val --report val.html
  frf eval street-int8.onnx --against street.onnx --data camvid:/data/camvid --report int8.html)");
  app->callback([a, weights, pictures, &action] {
    a->weights_given = weights->count() > 0;
    a->pictures_given = pictures->count() > 0;
    action = [a] { return RunEval(*a); };
  });
}

}  // namespace frf::cli
