// SPDX-License-Identifier: Apache-2.0
// `frf bench NET|RUN --device cpu|cuda`: inference as it is deployed there (inference.h), or a training step.
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "base/stats.h"
#include "base/system.h"
#include "base/version.h"
#include "data/synth.h"
#include "frf/error.h"
#include "nets/nets.h"
#include "train/average.h"
#include "train/device.h"
#include "train/inference.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/plan.h"
#include "train/train_step.h"
#include "train/verbs.h"

namespace frf::train {
namespace {

struct BenchArguments {
  std::string name = "frfnet", options, size = "512x1024", device = "auto", amp = "auto";
  int batch = 1, runs = 20, warmup = 3, threads = 0, classes = 19;
  bool step = false, json = false, cuda_graph = true;
};

// A network by name, its weights drawn, or a run's.
Graph BenchGraph(const BenchArguments& a, ModelInfo& info) {
  if (std::filesystem::is_directory(a.name)) return LoadRunGraph(a.name, false, false, info);
  Json options = ParseNetOptions(a.name, a.options);
  options["classes"] = a.classes;
  Graph graph = BuildNet(a.name, options);
  InitializeWeights(graph, 0);
  return graph;
}

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

struct StepTime {
  TimingStats ms;
  bool captured = false;
};

StepTime TimeStep(BenchArguments a, const Graph& graph, int height, int width, torch::Device device,
                  Precision precision) {
  if (device.is_cuda()) a.warmup += 4;  // the step is captured after a few
  GraphModule module(graph);
  module.To(device);
  module.train(true);
  const int classes = static_cast<int>(
      module.ForwardForLoss(torch::zeros({1, 3, 64, 64}).to(device)).begin()->second.size(1));
  const torch::Tensor images = torch::randn({a.batch, 3, height, width}).to(device);
  const torch::Tensor labels = torch::randint(0, classes, {a.batch, height, width}, torch::kUInt8).to(device);
  const auto loss = std::make_shared<const Loss>(LossSpec{}, graph);
  Optimizer optimizer(module, {});
  Average average(module, 0.999);
  TrainStep step(module, device, precision, a.cuda_graph);
  std::uint64_t count = 0;
  StepTime result;
  result.ms = Time(a, device, [&] {
    module.SetChance(0, count++);
    step.Forward(images, labels, loss);
    step.Backward();
    optimizer.Step({.rate = 1e-4}, &average);
    optimizer.ZeroGrad();
  });
  result.captured = step.captured();
  return result;
}

struct InferenceTime {
  TimingStats ms;
  bool captured = false;
  double labels_equal = 1;  // with those of float32 on the same device
};

InferenceTime TimeInference(const BenchArguments& a, const Graph& graph, const InputSpec& input, int height,
                            int width, torch::Device device, torch::ScalarType type) {
  const Sample scene = DrawScene(10000000, {.height = height, .width = width});
  const std::vector<std::uint8_t>& rgb = scene.image.pixels;
  InferenceTime result;
  Inference inference(graph, input, device, type, height, width);
  result.captured = inference.captured();
  const std::uint8_t* labels = nullptr;
  result.ms = Time(a, device, [&] { labels = inference.Run(rgb.data()); });
  Inference reference(graph, input, device, torch::kFloat32, height, width);
  const std::uint8_t* wanted = reference.Run(rgb.data());
  std::int64_t equal = 0;
  const std::int64_t pixels = std::int64_t{height} * width;
  for (std::int64_t i = 0; i < pixels; ++i) equal += labels[i] == wanted[i];
  result.labels_equal = static_cast<double>(equal) / static_cast<double>(pixels);
  return result;
}

int RunBench(const BenchArguments& a) {
  ConfigureCpu(a.threads);
  const auto [height, width] = ParseSize(a.size, "--size");
  const torch::Device device = ParseDevice(a.device);
  ModelInfo info;
  const Graph graph = BenchGraph(a, info);
  Json result{
      {"name", a.name},    {"size", a.size},     {"threads", torch::get_num_threads()},
      {"batch", a.batch},  {"backend", "torch"}, {"machine", device.is_cpu() ? ThisMachine().cpu : "CUDA"},
      {"commit", Commit()}};
  TimingStats stats;
  std::string what, note;
  if (a.step) {
    const Precision precision = ResolvePrecision(a.amp, device);
    const StepTime time = TimeStep(a, graph, height, width, device, precision);
    stats = time.ms;
    what = "training step";
    if (device.is_cuda()) note = time.captured ? ", one CUDA graph" : ", no CUDA graph";
    result["cuda_graph"] = time.captured;
    result["to"] = "step";
    result["precision"] = NameOf(precision);
  } else {
    if (a.batch != 1)
      throw Error(ErrorCode::kUsage, "--batch goes with --step: inference takes one frame after another");
    if (a.amp == "f16" && !device.is_cuda()) ResolvePrecision(a.amp, device);  // says why not
    const bool half = device.is_cuda() && (a.amp == "auto" || a.amp == "f16");
    const torch::ScalarType type = half ? torch::kHalf : a.amp == "bf16" ? torch::kBFloat16 : torch::kFloat32;
    const InferenceTime time = TimeInference(a, graph, info.input, height, width, device, type);
    stats = time.ms;
    what = "to labels";
    note = fmt::format(", {}, {:.3f} % of labels as in float32",
                       time.captured ? "one CUDA graph" : "no CUDA graph", time.labels_equal * 100);
    result["to"] = "labels";
    result["precision"] = type == torch::kHalf       ? "float16"
                          : type == torch::kBFloat16 ? "bfloat16"
                                                     : "float32";
    result["cuda_graph"] = time.captured;
    result["labels_equal"] = time.labels_equal;
  }
  const double fps = a.batch * stats.runs / (stats.total / 1000);
  result["runs"] = stats.runs;
  result["fps"] = fps;
  result["ms"] = ToJson(stats);
  if (a.json) {
    fmt::print("{}\n", result.dump(2));
  } else {
    fmt::print(
        "{} {} batch {}, {}, {} threads, {}: {} {:.1f} ms (MAD {:.1f}, p90 {:.1f}), {:.2f} images/s{}\n",
        a.name, a.size, a.batch, result["precision"].get<std::string>(), torch::get_num_threads(),
        result["machine"].get<std::string>(), what, stats.median, stats.mad, stats.p90, fps, note);
  }
  return 0;
}

}  // namespace

void AddBench(CLI::App& root, Action& action) {
  auto* app =
      root.add_subcommand("bench", "time a network with libtorch: bytes to labels, or a training step");
  auto a = std::make_shared<BenchArguments>();
  app->footer(
      "\nInference: batch norm folded, bytes copied in, labels copied out; on CUDA in half precision, "
      "channels last,\n"
      "one captured graph.\n\nExamples:\n  frf bench frfnet --device cuda --size 512x1024\n"
      "  frf bench frfnet --device cpu --step --size 360x480 --batch 4");
  app->add_option("NET", a->name, "network (random weights) or run folder")->capture_default_str();
  app->add_option("--net-options", a->options, "KEY=VALUE,...");
  app->add_option("--classes", a->classes, "number of classes")->capture_default_str();
  app->add_option("--size", a->size, "HEIGHTxWIDTH")->capture_default_str();
  app->add_option("--batch", a->batch, "images at once, with --step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app->add_flag("--step", a->step,
                "a training step (forward, loss, backward, AdamW, average) instead of inference");
  app->add_option("--runs", a->runs, "timed runs")->capture_default_str()->check(CLI::Range(1, 1000000));
  app->add_option("--warmup", a->warmup, "runs before")->capture_default_str()->check(CLI::Range(0, 1000000));
  app->add_option("--device", a->device, "auto, cpu, cuda, cuda:N, torch (as auto)")->capture_default_str();
  app->add_option("--amp", a->amp,
                  "number format: auto (CUDA: f16 for inference, bf16 for steps; CPU: off), off, bf16, f16")
      ->capture_default_str();
  app->add_flag("--cuda-graph,!--no-cuda-graph", a->cuda_graph,
                "CUDA, with --step: both passes as one graph (default)");
  app->add_option("--threads", a->threads, "0: one a core")->capture_default_str();
  app->add_flag("--json", a->json, "print JSON on standard output");
  app->callback([a, &action] {
    if (a->device == "torch") a->device = "auto";
    action = [a] { return RunBench(*a); };
  });
}

}  // namespace frf::train
