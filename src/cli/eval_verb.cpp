// SPDX-License-Identifier: Apache-2.0
// `frf eval MODEL --data D --split S`: mIoU over a split from one confusion matrix, at the labels' own size;
// a table, JSON, and a report (eval_report.cpp). Subtle: predictions are compared as class ids, and saved as
// label-file ids under the names that Cityscapes' own evaluator looks for.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/log.h"
#include "base/named.h"
#include "base/progress.h"
#include "base/system.h"
#include "cli/cli.h"
#include "cli/eval.h"
#include "data/dataset.h"
#include "engine/segmenter.h"
#include "engine/session.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "graph/weights.h"
#include "image/image_io.h"
#include "metrics/confusion.h"
#include "metrics/eval_result.h"

namespace frf::cli {
namespace {

std::int64_t CountChanged(const LabelImage& a, const LabelImage& b) {
  std::int64_t changed = 0;
  for (std::size_t i = 0; i < a.ids.size(); ++i) changed += a.ids[i] != b.ids[i];
  return changed;
}

// The size at which the network sees an image; `fixed` as the file declares it.
std::string SizeSeen(const InputSpec& spec, SizePair fixed, const Image& image,
                     const SegmenterOptions& options) {
  const auto [height, width] = WithFixedSides({options.height, options.width}, fixed);
  const NetworkSize size = ChooseNetworkSize(spec, image.height, image.width, height, width);
  return fmt::format("{}x{}", size.height, size.width);
}

// nullptr where frf-train will say what is wrong with them.
std::unique_ptr<Dataset> OpenedOrNot(const DatasetSpec& spec) {
  try {
    return OpenDataset(spec);
  } catch (const Error&) {
    return nullptr;
  }
}

// What the network refuses, too little memory say, does not know its picture's name.
template <typename Network>
LabelImage LabelsOf(Network& network, const Sample& sample) {
  return Named(sample.name, [&] { return network.Run(sample.image.view()); });
}

// Where the data are drawn, or their skies.
std::optional<std::uint64_t> SeedOf(const DatasetSpec& data) {
  if (!data.new_skies && !data.spec.starts_with("synth:")) return std::nullopt;
  return data.seed;
}

// A run may be validated on pictures averaged down by area, which no deployed model does: its own figure is
// another one then.
void SayHowItWasValidated(const std::string& run) {
  const std::string file = run + "/config.json";
  const Json config = ParseJson(ReadFile(file), file);
  if (!config.value(Json::json_pointer("/recipe/validate_area"), false)) return;
  LogWarning(fmt::format(
      "{}: was validated on pictures averaged down by area (validate_area), here they are resized "
      "bilinearly, as frf segment does: the run's own score differs, --backend torch repeats it",
      PrintableName(run)));
}

int RunEval(const EvalArguments& arguments) {
  const bool run_folder = NamesRun(arguments.model);
  if (arguments.backend == "torch") {
    const std::vector<std::string> words = WordsForTorch(arguments);
    CheckGiven(arguments, /*run_folder=*/true);  // frf-train says what is none
    const auto data = OpenedOrNot(arguments.data);
    CheckOutputs(arguments, data.get());
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
  CheckOutputs(arguments, data.get());
  if (arguments.modules) return RunEvalModules(arguments, options, model, *data);
  if (run_folder) SayHowItWasValidated(arguments.model);
  const SizePair fixed = FixedSides(model.graph);
  Predictor predictor(std::move(model), options, arguments.views);
  const Classes& classes = predictor.info().classes;
  std::unique_ptr<OtherModel> other;
  if (!arguments.against.empty()) {
    other = std::make_unique<OtherModel>(classes.count());
    SegmenterOptions exact = options;
    exact.precision = Precision::kFloat32;
    other->segmenter = std::make_unique<Segmenter>(LoadModel(arguments.against), exact);
    CheckClasses(other->segmenter->info().classes, data->classes(), arguments.against);
  }

  const int count = arguments.limit > 0 ? std::min(arguments.limit, data->size()) : data->size();
  if (!arguments.save.empty()) CheckPredictionNames(*data, count);
  const std::string description = DescribeData(*data, count);
  ConfusionMatrix matrix(classes.count());
  std::vector<ScoredImage> scored;
  ImageScores images;
  std::vector<double> times;  // ms
  std::string size;
  Progress progress("eval", count);
  for (int i = 0; i < count; ++i) {
    const Sample sample = data->Get(i);
    const auto start = std::chrono::steady_clock::now();
    const LabelImage labels = LabelsOf(predictor, sample);
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
    const std::string seen = SizeSeen(predictor.info().input, fixed, sample.image, options);
    size = i == 0 || seen == size ? seen : "native";  // they differ: each image's own
    ConfusionMatrix one(classes.count());
    one.Add(sample.labels, labels);
    matrix.Merge(one);
    double changed = 0;
    if (other) {
      const LabelImage theirs = LabelsOf(*other->segmenter, sample);
      other->matrix.Add(sample.labels, theirs);
      const std::int64_t count_changed = CountChanged(labels, theirs);
      other->changed += count_changed;
      other->pixels += static_cast<std::int64_t>(labels.ids.size());
      changed = static_cast<double>(count_changed) / static_cast<double>(labels.ids.size());
    }
    if (!arguments.per_image.empty()) images.Add(sample.name, one);
    if (one.MeanIou()) scored.push_back({i, *one.MeanIou(), changed});
    if (!arguments.save.empty()) {
      WriteLabels(arguments.save + "/" + PredictionName(sample.name), ToLabelIds(labels, classes));
    }
    progress.Advance(1, fmt::format("mIoU {:.3f}", matrix.MeanIou().value_or(0)));
  }
  ClearProgressLine();
  EvalFacts facts{
      .model = arguments.model,
      .data = description,
      .list = ListName(arguments.data),
      .seed = SeedOf(arguments.data),
      .size = size,
      .scales = arguments.views.scales,
      .flip = arguments.views.flip,
      .ms = TimeOf(std::move(times)),
      .threads = arguments.threads > 0 ? arguments.threads : DefaultThreads(),
      .backend = arguments.backend,
      .arithmetic = (predictor.info().weights == "int8" ? "int8, the rest " : "") + arguments.precision};
  if (run_folder) {
    // What was read: a run without averages has none, a run without validation no best checkpoint.
    facts.weights = predictor.info().weights_from;
    facts.checkpoint = CheckpointOfRun(arguments.model, arguments.last);
  }
  Json result = ToJson(facts, matrix, classes);
  if (other) {
    const Json theirs = ToJson(other->matrix, classes);
    result["against"] = {{"model", arguments.against},
                         {"miou", theirs["miou"]},
                         {"labels_changed", other->changed_share()},
                         {"iou", theirs["iou"]}};
  }
  if (arguments.stamp) result["stamp"] = FindModel(arguments.model);  // where it goes
  // The scores first: a full disk must not cost them.
  if (arguments.json)
    PrintJson(result);
  else
    fmt::print("{} on {}{}\n{}", arguments.model, description,
               arguments.views.one() ? "" : ", " + ToText(arguments.views), FormatTable(matrix, classes));
  if (other && !arguments.json) fmt::print("\n{}", DifferenceTable(matrix, *other, arguments, classes));
  std::fflush(stdout);
  if (!arguments.per_image.empty()) images.Write(arguments.per_image, classes);
  if (!arguments.report.empty())
    WriteReport(arguments, *data, result, predictor, matrix, scored, other.get());
  if (arguments.stamp) Stamp(arguments, *data, result);
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
      ->check(AtLeastZero());
  app->add_option("--variant", a->data.variant,
                  "cityscapes: labelIds or trainIds files; synth: camvid or cityscapes classes");
  app->add_option("--scene-size", a->scene_size,
                  "synth: HEIGHTxWIDTH of the drawn scenes, as frf train has it; default 360x480");
  app->add_flag("--new-skies", a->data.new_skies, "draw each image's sky anew: skies that the data lack");
  app->add_option("--size", a->size, "network input size HEIGHTxWIDTH (default: as the model was trained)");
  app->add_flag("--flip", a->views.flip,
                "average the probabilities of each picture and its mirror image: slower, often better");
  CLI::Option* scales =
      app->add_option("--scales", a->views.scales,
                      "average the probabilities at these multiples of the input size, say 0.75,1,1.25")
          ->delimiter(',')
          ->check(Between(0.1, 10));
  app->add_option("--backend", a->backend,
                  "engine, plain (the reference executor), or torch (frf-train; for run folders)")
      ->check(CLI::IsMember({"engine", "plain", "torch"}));
  app->add_option("--report", a->report, "write an HTML report with the worst and best images to this file");
  app->add_option("--per-image", a->per_image,
                  "write each image's pixel accuracy, mean IoU and IoU by class to this file, .csv or .json");
  app->add_option(
      "--against", a->against,
      "another model (in float32): difference by class, and in the report the images whose labels changed "
      "most");
  CLI::Option* pictures =
      app->add_option("--pictures", a->pictures, "worst and best images in the report, each")
          ->check(CLI::Range(0, 1000));
  app->add_option("--save", a->save,
                  "folder for the predictions as label images (Cityscapes' evaluator reads them)");
  app->add_option("--limit", a->limit, "only the first N images; 0: all")->check(AtLeastZero());
  app->add_option("--threads", a->threads, "CPU threads; 0: all cores")->check(CLI::Range(0, 1024));
  app->add_option("--precision", a->precision,
                  "of convolutions: f32; bf16 or f16, faster where the CPU has them (docs/deploy.md)")
      ->check(CLI::IsMember({"f32", "bf16", "f16"}));
  app->add_option("--max-memory", a->max_memory_mb, "MiB that an image may need; 0: half of RAM")
      ->check(Mebibytes());
  CLI::Option* weights =
      app->add_option(
             "--weights", a->weights,
             "run folder: which weights: ema, their running average, or raw, as the last step left them")
          ->check(CLI::IsMember({"ema", "raw"}));
  app->add_flag("--last", a->last, "run folder: the last checkpoint instead of the best");
  app->add_flag(
      "--modules", a->modules,
      "instead: how far gates and masks move, and mean IoU with each module's frozen at their means");
  app->add_flag("--stamp", a->stamp,
                "write the result into the model file's metadata (frf.eval): the file is rewritten in place");
  app->add_flag("--json", a->json, "one JSON document on standard output (its keys: docs/formats.md)");
  app->footer(R"(Examples:
  frf eval frfnet-camvid --data camvid:/data/camvid --split val --report val.html
  frf eval street-int8.onnx --against street.onnx --data camvid:/data/camvid --report int8.html
  frf eval frfnet-camvid --data camvid:/data/camvid --flip --scales 0.75,1,1.25 --per-image val.csv)");
  app->callback([a, weights, pictures, scales, &action] {
    a->weights_given = weights->count() > 0;
    a->pictures_given = pictures->count() > 0;
    a->scales_given = scales->count() > 0;
    if (!a->scene_size.empty())
      std::tie(a->data.height, a->data.width) = ParseSize(a->scene_size, "--scene-size");
    action = [a] { return RunEval(*a); };
  });
}

}  // namespace frf::cli
