// SPDX-License-Identifier: Apache-2.0
// `frf eval RUN --backend torch` and `frf bench --device cpu|cuda`: the same module that trains, scored and
// timed.
#include <fmt/format.h>

#include <chrono>

#include "base/stats.h"
#include "base/system.h"
#include "base/version.h"
#include "frf/error.h"
#include "metrics/report.h"
#include "nets/nets.h"
#include "train/device.h"
#include "train/evaluate.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/plan.h"
#include "train/train_report.h"
#include "train/verbs.h"

namespace frf::train {
namespace {

struct EvalArguments {
  std::string run, size, backend = "torch", device = "auto", amp = "off", report;
  DatasetSpec data;
  int threads = 0, pictures = 8;
  bool raw = false, last = false, json = false;
};

int RunEval(const EvalArguments& a) {
  ConfigureCpu(a.threads);
  ModelInfo info;
  GraphModule module(LoadRunGraph(a.run, a.raw, a.last, info));
  EvaluateOptions options{.input = info.input, .device = ParseDevice(a.device)};
  options.precision = ResolvePrecision(a.amp, options.device);
  if (!a.size.empty()) std::tie(options.height, options.width) = ParseSize(a.size, "--size");
  module.To(options.device);
  const auto data = OpenDataset(a.data);
  if (data->classes().names != info.classes.names) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} was trained for other classes than {} has", a.run, data->description()));
  }
  const Evaluation evaluation = Evaluate(module, *data, options);
  if (!a.report.empty()) {
    HtmlReport report(fmt::format("{} on {}", a.run, data->description()));
    report.Facts({{"run", a.run},
                  {"network", info.net},
                  {"data", data->description()},
                  {"mean IoU", fmt::format("{:.2f} %", evaluation.matrix.MeanIou().value_or(0) * 100)},
                  {"backend", "libtorch"},
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
  if (a.json) {
    Json json = ToJson(evaluation.matrix, info.classes);
    json["model"] = a.run;
    json["backend"] = "torch";
    json["seconds"] = evaluation.seconds;
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{}\n{}", data->description(), FormatTable(evaluation.matrix, info.classes));
  }
  return 0;
}

struct BenchArguments {
  std::string name = "frfnet", options, size = "512x1024", device = "auto", amp = "off";
  int batch = 1, runs = 20, warmup = 3, threads = 0, classes = 19;
  bool step = false, json = false;
};

// Milliseconds of `run`, synchronised, after warm-up.
TimingStats Time(const BenchArguments& a, torch::Device device, const std::function<void()>& run) {
  std::vector<double> samples;
  for (int i = -a.warmup; i < a.runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    if (device.is_cuda()) torch::cuda::synchronize();
    if (i >= 0)
      samples.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  return Summarize(samples);
}

int RunBench(const BenchArguments& a) {
  ConfigureCpu(a.threads);
  const auto [height, width] = ParseSize(a.size, "--size");
  const torch::Device device = ParseDevice(a.device);
  const Precision precision = ResolvePrecision(a.amp, device);
  Json options = ParseNetOptions(a.name, a.options);
  options["classes"] = a.classes;
  Graph graph = BuildNet(a.name, options);
  if (!a.step) graph = graph.ForInference();
  InitializeWeights(graph, 0);
  GraphModule module(graph);
  module.To(device);
  module.train(a.step);
  const torch::Tensor images = torch::randn({a.batch, 3, height, width}).to(device);
  TimingStats stats;
  if (a.step) {
    const torch::Tensor labels =
        torch::randint(0, a.classes, {a.batch, height, width}, torch::kUInt8).to(device);
    const Loss loss(LossSpec{}, graph);
    Optimizer optimizer(module, {});
    Average average(module, 0.999);
    stats = Time(a, device, [&] {
      std::map<std::string, torch::Tensor> outputs;
      {
        const Autocast cast(device, precision);
        outputs = module.Forward(images);
      }
      for (auto& [name, value] : outputs) value = value.to(torch::kFloat32);
      const torch::Tensor value = loss(outputs, labels);
      outputs.clear();
      value.backward();
      optimizer.Step({.rate = 1e-4}, &average);
      optimizer.ZeroGrad();
    });
  } else {
    const torch::NoGradGuard no_gradients;
    stats = Time(a, device, [&] {
      const Autocast cast(device, precision);
      module.Forward(images);
    });
  }
  const double fps = a.batch * stats.runs / (stats.total / 1000);
  const std::string machine = device.is_cpu() ? ThisMachine().cpu : "CUDA";
  if (a.json) {
    fmt::print("{}\n", Json{{"name", a.name},
                            {"size", a.size},
                            {"precision", Name(precision)},
                            {"threads", torch::get_num_threads()},
                            {"batch", a.batch},
                            {"runs", stats.runs},
                            {"to", a.step ? "step" : "scores"},
                            {"fps", fps},
                            {"ms", ToJson(stats)},
                            {"machine", machine},
                            {"backend", "torch"},
                            {"commit", Commit()}}
                           .dump(2));
  } else {
    fmt::print("{} {} batch {}, {}, {} threads, {}: {} {:.1f} ms (MAD {:.1f}, p90 {:.1f}), {:.2f} images/s\n",
               a.name, a.size, a.batch, Name(precision), torch::get_num_threads(), machine,
               a.step ? "training step" : "to scores", stats.median, stats.mad, stats.p90, fps);
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
  app->add_option("--data", a->data.spec, "camvid:DIR, cityscapes:DIR, folder:DIR or synth:COUNT")
      ->required();
  app->add_option("--split", a->data.split, "train, val, test or trainval")->capture_default_str();
  app->add_option("--list", a->data.list, "only the images that this file names");
  app->add_option("--variant", a->data.variant,
                  "cityscapes: labelIds or trainIds; synth: camvid or cityscapes classes");
  app->add_option("--seed", a->data.seed, "synth: the first scene's seed")->capture_default_str();
  app->add_option("--backend", a->backend, "only torch is here")
      ->check(CLI::IsMember({"torch"}))
      ->capture_default_str();
  app->add_option("--size", a->size, "HEIGHTxWIDTH of the network's input; default: as trained");
  app->add_option("--device", a->device, "auto, cpu, cuda, cuda:N")->capture_default_str();
  app->add_option("--amp", a->amp, "auto, off, bf16, f16")->capture_default_str();
  app->add_option("--threads", a->threads, "0: one a core")->capture_default_str();
  app->add_option("--report", a->report, "write an HTML report here");
  app->add_option("--pictures", a->pictures, "images in the report")->capture_default_str();
  app->add_flag("--raw", a->raw, "the weights as trained, not averaged");
  app->add_flag("--last", a->last, "last.ckpt instead of best.ckpt");
  app->add_flag("--json", a->json, "print JSON on standard output");
  app->callback([a, &action] { action = [a] { return RunEval(*a); }; });
}

void AddBench(CLI::App& root, Action& action) {
  auto* app =
      root.add_subcommand("bench", "time a network with libtorch: inference to scores, or a training step");
  auto a = std::make_shared<BenchArguments>();
  app->footer("\nExample:\n  frf bench frfnet --device cpu --step --size 360x480 --batch 4");
  app->add_option("NET", a->name, "network")->capture_default_str();
  app->add_option("--net-options", a->options, "KEY=VALUE,...");
  app->add_option("--classes", a->classes, "number of classes")->capture_default_str();
  app->add_option("--size", a->size, "HEIGHTxWIDTH")->capture_default_str();
  app->add_option("--batch", a->batch, "images at once")->capture_default_str()->check(CLI::Range(1, 1024));
  app->add_flag("--step", a->step,
                "a training step (forward, loss, backward, AdamW, average) instead of inference");
  app->add_option("--runs", a->runs, "timed runs")->capture_default_str()->check(CLI::Range(1, 1000000));
  app->add_option("--warmup", a->warmup, "runs before")->capture_default_str()->check(CLI::Range(0, 1000000));
  app->add_option("--device", a->device, "auto, cpu, cuda, cuda:N, torch (as auto)")->capture_default_str();
  app->add_option("--amp", a->amp, "auto, off, bf16, f16")->capture_default_str();
  app->add_option("--threads", a->threads, "0: one a core")->capture_default_str();
  app->add_flag("--json", a->json, "print JSON on standard output");
  app->callback([a, &action] {
    if (a->device == "torch") a->device = "auto";
    action = [a] { return RunBench(*a); };
  });
}

}  // namespace frf::train
