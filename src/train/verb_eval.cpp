// SPDX-License-Identifier: Apache-2.0
// `frf eval RUN --backend torch`: the same module that trains, scored as training validates it. Prints what
// the engine's eval (src/cli/eval_verb.cpp) prints.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/system.h"
#include "base/version.h"
#include "frf/error.h"
#include "graph/weights.h"
#include "metrics/eval_result.h"
#include "metrics/report.h"
#include "train/device.h"
#include "train/evaluate.h"
#include "train/plan.h"
#include "train/train_report.h"
#include "train/verbs.h"

namespace frf::train {
namespace {

struct EvalArguments {
  std::string run, size, scene_size, backend = "torch", device = "auto", amp = "off", weights = "ema", report;
  DatasetSpec data;
  int threads = 0, pictures = 8;
  bool last = false, json = false;
};

EvalFacts FactsOf(const EvalArguments& a, const ModelInfo& info, const EvaluateOptions& options,
                  const Dataset& data, const Evaluation& evaluation) {
  EvalFacts facts{.model = a.run,
                  .data = data.description(),
                  .list = ListName(a.data),
                  .size = evaluation.size,
                  .resize = options.area ? "area" : "bilinear",
                  .ms = TimeOf(evaluation.times),
                  .threads = a.threads > 0 ? a.threads : DefaultThreads(),
                  .backend = "torch",
                  .arithmetic = (info.weights == "int8" ? "int8 simulated in " : "") +
                                std::string(NameOf(options.precision)),
                  .weights = info.weights_from,
                  .checkpoint = CheckpointOfRun(a.run, a.last)};
  if (a.data.new_skies || a.data.spec.starts_with("synth:")) facts.seed = a.data.seed;
  return facts;
}

DatasetSpec DataOf(const EvalArguments& a) {
  DatasetSpec data = a.data;
  if (!a.scene_size.empty()) std::tie(data.height, data.width) = ParseSize(a.scene_size, "--scene-size");
  return data;
}

int RunEval(const EvalArguments& a) {
  if (!std::filesystem::is_directory(a.run)) {
    throw Error(ErrorCode::kUsage, fmt::format("{}: is no run folder, which --backend torch wants; "
                                               "--backend engine reads ONNX files",
                                               a.run));
  }
  ConfigureCpu(a.threads);
  ModelInfo info;
  GraphModule module(LoadRunGraph(a.run, a.weights == "raw", a.last, info));
  const std::string config = a.run + "/config.json";
  const Recipe recipe = PlanFromJson(ParseJson(ReadFile(config), config), config).recipe;
  EvaluateOptions options{.input = info.input, .area = recipe.validate_area, .device = ParseDevice(a.device)};
  options.precision = ResolvePrecision(a.amp, options.device);
  if (!a.size.empty()) std::tie(options.height, options.width) = ParseSize(a.size, "--size");
  module.To(options.device);
  const auto data = OpenDataset(DataOf(a));
  if (data->classes().names != info.classes.names) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} was trained for other classes than {} has", a.run, data->description()));
  }
  const Evaluation evaluation = Evaluate(module, *data, options);
  // The scores first: a full disk must not cost them.
  const EvalFacts facts = FactsOf(a, info, options, *data, evaluation);
  const Json json = ToJson(facts, evaluation.matrix, info.classes);
  if (a.json)
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  else
    fmt::print("{} on {}\n{}", a.run, facts.data, FormatTable(evaluation.matrix, info.classes));
  std::fflush(stdout);
  if (!a.report.empty()) {
    HtmlReport report(fmt::format("{} on {}", a.run, data->description()));
    report.Facts({{"run", a.run},
                  {"network", info.net},
                  {"data", facts.data},
                  {"input", fmt::format("{}, {} resizing", facts.size, facts.resize)},
                  {"arithmetic", fmt::format("{}; {} weights of the {} checkpoint", facts.arithmetic,
                                             facts.weights, facts.checkpoint)},
                  {"mean IoU", Percent(evaluation.matrix.MeanIou(), 2)},
                  {"time", fmt::format("{:.1f} ms an image, libtorch on {}", facts.ms, options.device.str())},
                  {"machine", ThisMachine().cpu},
                  {"commit", Commit()}});
    report.Section("Classes");
    report.ScoreTable(evaluation.matrix, info.classes);
    report.Section("Confusion");
    report.ConfusionTable(evaluation.matrix, info.classes);
    report.Section("Worst and best images", "By the mean IoU of the image alone.");
    report.Legend(info.classes);
    report.Pictures(ExampleRows(module, *data, options, evaluation.scores, a.pictures));
    report.Write(a.report);
  }
  return 0;
}

}  // namespace

void AddEval(CLI::App& root, Action& action) {
  auto* app = root.add_subcommand("eval", "score a run folder's network on a split with libtorch");
  auto a = std::make_shared<EvalArguments>();
  a->data.split = "val";
  app->footer(
      "\nExample:\n  frf eval runs/first --data camvid:data/camvid --split val --backend torch --report "
      "report.html");
  app->add_option("RUN", a->run, "run folder")->required();
  app->add_option("--data", a->data.spec, "camvid:DIR, cityscapes:DIR, folder:DIR, pack:FILE or synth:COUNT")
      ->required();
  app->add_option("--split", a->data.split, "train, val, test or trainval")->capture_default_str();
  app->add_option("--list", a->data.list, "only the images that this file names");
  app->add_option("--variant", a->data.variant,
                  "cityscapes: labelIds or trainIds; synth: camvid or cityscapes classes");
  app->add_option("--seed", a->data.seed, "synth: the first scene's seed")->capture_default_str();
  app->add_option("--scene-size", a->scene_size, "synth: HEIGHTxWIDTH of the drawn scenes; default 360x480");
  app->add_flag("--new-skies", a->data.new_skies, "draw every picture's sky anew, by --seed");
  app->add_option("--backend", a->backend, "only torch is here")
      ->check(CLI::IsMember({"torch"}))
      ->capture_default_str();
  app->add_option("--size", a->size, "HEIGHTxWIDTH of the network's input; default: as trained");
  app->add_option("--device", a->device, "auto, cpu, cuda, cuda:N")->capture_default_str();
  app->add_option("--amp", a->amp, "auto, off, bf16, f16")->capture_default_str();
  app->add_option("--threads", a->threads, "0: one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app->add_option("--report", a->report, "write an HTML report here");
  app->add_option("--pictures", a->pictures, "images in the report")
      ->check(CLI::Range(0, 2000))
      ->capture_default_str();
  app->add_option("--weights", a->weights,
                  "which: ema, their running average, or raw, as the last step left them")
      ->check(CLI::IsMember({"ema", "raw"}))
      ->capture_default_str();
  app->add_flag("--last", a->last, "last.ckpt instead of best.ckpt");
  app->add_flag("--json", a->json, "print JSON on standard output");
  app->callback([a, &action] { action = [a] { return RunEval(*a); }; });
}

}  // namespace frf::train
