// SPDX-License-Identifier: Apache-2.0
// Shared by the verbs: models by name, shards, label ids, JSON output.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/checkpoint.h"
#include "base/files.h"
#include "base/log.h"
#include "base/system.h"
#include "cli/cli.h"
#include "engine/kernels/kernels.h"
#include "engine/quantize/insert.h"
#include "frf/error.h"
#include "graph/quantization.h"
#include "graph/weights.h"
#include "nets/nets.h"

namespace frf::cli {

// File names need not be UTF-8, JSON must be: other bytes become U+FFFD.
void PrintJson(const Json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

bool IsNet(const std::string& name) {
  const auto& nets = ListNets();
  return std::any_of(nets.begin(), nets.end(), [&](const NetEntry& net) { return net.name == name; });
}

Model LoadRun(const std::string& folder, bool raw, bool last) {
  const std::string config_path = folder + "/config.json";
  if (!std::filesystem::exists(config_path)) {
    throw Error(
        ErrorCode::kNotFound,
        fmt::format(
            "{}: is no run folder, config.json is not in it; a run folder, an ONNX file or the name of "
            "shipped weights is wanted",
            folder));
  }
  const Json config = ParseJson(ReadFile(config_path), config_path);
  Model model;
  model.info = ModelInfoFromJson(config.contains("model") ? config["model"] : config, config_path);
  const std::string taken = CheckpointOfRun(folder, last), path = folder + "/" + taken + ".ckpt";
  const Checkpoint checkpoint = Checkpoint::Load(path);
  if (!last && taken == "last")
    LogInfo(fmt::format("{}: has no best.ckpt, so last.ckpt is taken, weights that were not scored", folder));
  Json options = model.info.net_options;
  options["classes"] = model.info.classes.count();
  model.graph = BuildNet(model.info.net, options).ForInference();
  QuantizationTable table;  // of a run with --qat
  if (config.contains("quantization")) {
    table = QuantizationTableFromJson(config["quantization"], config_path);
    model.graph =
        ReadyToTrain(model.graph, {model.info.input.height, model.info.input.width}, table, config_path);
  }
  const LoadReport report = LoadWeights(model.graph, checkpoint, WeightsPrefix(checkpoint, raw), {});
  if (!report.kept.empty()) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: {} of the network's tensors are not in it, the first is '{}'", path,
                            report.kept.size(), report.kept.front()));
  }
  if (!table.empty()) model.graph = engine::InsertQuantization(model.graph, table);
  DescribeWeights(model.info, checkpoint.meta(), taken == "best", raw);
  return model;
}

bool NamesRun(const std::string& name) {
  if (!std::filesystem::is_directory(name)) return false;
  if (std::filesystem::exists(name + "/config.json")) return true;
  try {
    (void)FindModel(name);
    return false;
  } catch (const Error&) {
    return true;  // LoadRun says what is missing
  }
}

Model LoadModel(const std::string& name) {
  if (NamesRun(name)) return LoadRun(name, false, false);
  return ReadOnnx(FindModel(name));
}

CLI::Validator Between(double low, double high) {
  const auto check = [low, high](const std::string& text) {
    double value = 0;
    const bool inside = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
    return inside ? std::string() : fmt::format("Value {} not in range {:g} to {:g}", text, low, high);
  };
  return {check, fmt::format("FLOAT in [{:g} - {:g}]", low, high)};
}

CLI::Validator AtLeastZero() {
  const auto check = [](const std::string& text) {
    double value = 0;
    const bool below = CLI::detail::lexical_cast(text, value) && !(value >= 0);
    return below ? fmt::format("Value {} is below 0, at least 0 is wanted", text) : std::string();
  };
  return {check, "NONNEGATIVE"};
}

CLI::Validator Mebibytes() {
  static constexpr std::uint64_t kMost = ~std::uint64_t{0} >> 20;
  const auto check = [](const std::string& text) {
    std::uint64_t value = 0;
    const bool inside = CLI::detail::lexical_cast(text, value) && value <= kMost;
    return inside ? std::string() : fmt::format("Value {} not in range 0 to {}", text, kMost);
  };
  return {check, "MiB"};
}

std::pair<int, int> ParseShard(const std::string& text) {
  const auto number = [](const char* value) { return value == nullptr ? -1 : std::atoi(value); };
  if (text.empty()) {
    const int slurm_index = number(std::getenv("SLURM_ARRAY_TASK_ID")),
              slurm_count = number(std::getenv("SLURM_ARRAY_TASK_COUNT"));
    const int slurm_first = std::max(0, number(std::getenv("SLURM_ARRAY_TASK_MIN")));
    if (slurm_index >= slurm_first && slurm_count > 0) {
      if (slurm_index - slurm_first < slurm_count) return {slurm_index - slurm_first, slurm_count};
      throw Error(
          ErrorCode::kUsage,
          fmt::format("SLURM_ARRAY_TASK_ID is {}, but {} tasks from {} on are wanted without gaps; use "
                      "--array={}-{}, or name the share with --shard I/N",
                      slurm_index, slurm_count, slurm_first, slurm_first, slurm_first + slurm_count - 1));
    }
    const int job_index = number(std::getenv("JOB_COMPLETION_INDEX")),
              job_count = number(std::getenv("JOB_COMPLETIONS"));
    if (job_index >= 0 && job_count > job_index) return {job_index, job_count};
    // Kubernetes sets the index alone; every pod that took all pictures would be a silent waste.
    if (job_index >= 0)
      throw Error(
          ErrorCode::kUsage,
          fmt::format("JOB_COMPLETION_INDEX is {}, but JOB_COMPLETIONS, which the pod's spec should set "
                      "to the job's completions, {}; or name the share with --shard I/N",
                      job_index,
                      job_count < 0 ? std::string("is not set") : fmt::format("is {}", job_count)));
    return {0, 1};
  }
  int index = -1, count = 0, used = 0;
  if (std::sscanf(text.c_str(), "%d/%d%n", &index, &count, &used) != 2 ||
      static_cast<std::size_t>(used) != text.size() || index < 0 || index >= count) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--shard '{}': I/N with 0 <= I < N is wanted, for instance 0/4", text));
  }
  return {index, count};
}

std::string IsaInUse() {
  if (kernels::ForcedIsa() == nullptr) return ThisMachine().isa;
  return fmt::format("{}, forced by FRF_FORCE_ISA", kernels::BestKernels().isa);
}

LabelImage ToLabelIds(const LabelImage& labels, const Classes& classes) {
  if (classes.label_ids.empty()) return labels;
  LabelImage mapped = labels;
  for (std::uint8_t& id : mapped.ids) {
    if (id < classes.label_ids.size()) id = static_cast<std::uint8_t>(classes.label_ids[id]);
  }
  return mapped;
}

}  // namespace frf::cli
