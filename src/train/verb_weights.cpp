// SPDX-License-Identifier: Apache-2.0
// `frf-train weights RUN... -o FILE`: a run's weights alone, for a machine from which only a few megabytes
// travel; of several runs, their mean.
#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "frf/error.h"
#include "graph/weights.h"
#include "train/mean_weights.h"
#include "train/verbs.h"

namespace frf::train {
namespace {

struct WeightsArguments {
  std::vector<std::string> runs;
  std::string output, weights = "ema";
  bool half = false, last = false;
};

int RunWeights(const WeightsArguments& a) {
  ModelInfo info;
  Graph graph = MeanOfRuns(a.runs, a.weights == "raw", a.last, info);
  if (a.half) {
    for (Initializer& initializer : graph.initializers) {
      if (initializer.role != Role::kConstant) initializer.value = initializer.value.Cast(DType::kFloat16);
    }
  }
  SaveWeights(a.output, graph, ToJson(info));
  fmt::print("{}: {:.1f} MB\n", a.output, static_cast<double>(std::filesystem::file_size(a.output)) / 1e6);
  return 0;
}

}  // namespace

void AddWeights(CLI::App& root, Action& action) {
  auto* app = root.add_subcommand("weights",
                                  "write a run's weights alone, or the mean of several runs': what --init "
                                  "takes, and a run folder's best.ckpt");
  auto a = std::make_shared<WeightsArguments>();
  app->add_option("RUN", a->runs, "run folder; of several that began from the same weights, the mean")
      ->required();
  app->add_option("-o,--output", a->output, "checkpoint to write")->required();
  app->add_flag("--half", a->half, "in half precision");
  app->add_option("--weights", a->weights,
                  "which: ema, their running average, or raw, as the last step left them")
      ->check(CLI::IsMember({"ema", "raw"}))
      ->capture_default_str();
  app->add_flag("--last", a->last, "last.ckpt instead of best.ckpt");
  app->callback([a, &action] { action = [a] { return RunWeights(*a); }; });
}

}  // namespace frf::train
