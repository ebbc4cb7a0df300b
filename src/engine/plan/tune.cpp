// SPDX-License-Identifier: Apache-2.0
#include "engine/plan/tune.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>

#include "base/files.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/system.h"
#include "base/version.h"
#include "engine/plan/lower.h"
#include "frf/error.h"

namespace frf::engine {
namespace {

constexpr int kFormat =
    3;  // of the file, and of what the choices mean: raised when kernels change what is fastest

const char* NameOf(ConvChoice choice) {
  switch (choice) {
    case ConvChoice::kDirect:
      return "direct";
    case ConvChoice::kWinograd4:
      return "winograd4";
    case ConvChoice::kWinograd6:
      return "winograd6";
    default:
      return "auto";
  }
}

bool ChoiceFromName(const std::string& name, ConvChoice& choice) {
  // Tune's candidates alone; a file that names anything else is damaged.
  for (const ConvChoice known : {ConvChoice::kDirect, ConvChoice::kWinograd4, ConvChoice::kWinograd6}) {
    if (name != NameOf(known)) continue;
    choice = known;
    return true;
  }
  return false;
}

std::filesystem::path FileOf(const std::string& key) {
  const std::filesystem::path folder = TuningFolder();
  return folder.empty() ? folder : folder / fmt::format("tuning-{:016x}.json", XxHash64(key));
}

}  // namespace

std::filesystem::path TuningFolder() {
  const auto set = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value ? value : "";
  };
  if (const std::string own = set("FRF_CACHE"); !own.empty()) return own;
  if (const std::string cache = set("XDG_CACHE_HOME"); !cache.empty())
    return std::filesystem::path(cache) / "frf";
  if (const std::string home = set("HOME"); !home.empty())
    return std::filesystem::path(home) / ".cache" / "frf";
  return {};
}

std::string TuningKey(const Lowered& lowered, const PlanOptions& options) {
  const kernels::Kernels& k = options.kernels ? *options.kernels : kernels::BestKernels();
  std::string key = fmt::format("frf {} {}; format {}; {}; {}; {}; {} threads", Version(), Commit(), kFormat,
                                ThisMachine().cpu, k.isa, NameOf(options.precision), options.threads);
  for (const NamedOperation& named : lowered.ops) {
    const auto* conv = std::get_if<ConvOp>(&named.op);
    if (!conv) continue;
    const Value &src = lowered.values[conv->src], &dst = lowered.values[conv->dst];
    const Tensor& weight = conv->integers ? conv->integers->values : conv->weight;
    key += fmt::format("; {} {}x{}x{} {}x{}x{} {}x{} /{}x{} {}x{} {} groups{}", named.name, src.padded(),
                       src.height, src.width, dst.padded(), dst.height, dst.width, weight.dim(2),
                       weight.dim(3), conv->stride_h, conv->stride_w, conv->dilation_h, conv->dilation_w,
                       conv->groups, conv->integers ? " i8" : "");
  }
  return key;
}

bool ReadTuning(const std::string& key, ConvChoices& choices) {
  const std::filesystem::path file = FileOf(key);
  std::error_code ignored;
  if (file.empty() || !std::filesystem::is_regular_file(file, ignored)) return false;
  try {
    const Json json = ParseJson(ReadFile(file, 1 << 20), file.string());
    if (json.at("key").get<std::string>() != key) return false;  // another network with the same hash
    ConvChoices read;
    for (const auto& [name, value] : json.at("choices").items()) {
      if (!ChoiceFromName(value.get<std::string>(), read[name])) return false;
    }
    choices = std::move(read);
    return true;
  } catch (const std::exception& error) {
    LogDebug(file.string() + ": ignored: " + error.what());
    return false;
  }
}

void WriteTuning(const std::string& key, const ConvChoices& choices) {
  const std::filesystem::path file = FileOf(key);
  if (file.empty()) return;
  Json json{{"key", key}, {"choices", Json::object()}};
  std::vector<std::string> names;
  for (const auto& [name, choice] : choices) names.push_back(name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) json["choices"][name] = NameOf(choices.at(name));
  try {
    MakeFolder(file.parent_path());
    WriteFileAtomically(file, json.dump(1) + "\n");
  } catch (const Error& error) {
    LogDebug(file.string() + ": not kept: " + error.what());
  }
}

ConvChoices Tune(const PreparedGraph& prepared, const PlanOptions& options, double seconds) {
  using Clock = std::chrono::steady_clock;
  struct Candidate {
    ConvChoice choice;
    std::unique_ptr<Plan> plan;
    std::unordered_map<std::string, std::vector<double>> times;
  };
  const Lowered lowered = Lower(prepared);
  // Plain 3x3 convolutions alone have a choice.
  std::vector<std::string> names;
  for (const NamedOperation& named : lowered.ops) {
    const auto* conv = std::get_if<ConvOp>(&named.op);
    if (conv && conv->weight.dim(2) == 3 && conv->weight.dim(3) == 3 && conv->stride_h == 1 &&
        conv->stride_w == 1 && conv->groups == 1)
      names.push_back(named.name);
  }
  if (names.empty()) return {};
  std::vector<Candidate> candidates;
  const std::vector<float> input(NumElements(prepared.graph.inputs.at(0).shape), 0.5f);
  std::vector<std::uint8_t> labels;
  WeightStore own;  // what loses is not kept
  constexpr ConvChoice kTried[] = {ConvChoice::kWinograd4, ConvChoice::kWinograd6, ConvChoice::kDirect};
  for (const ConvChoice choice : kTried) {
    if (choice == ConvChoice::kWinograd6 && options.precision != Precision::kFloat32) continue;  // is 4 there
    PlanOptions each = options;
    each.choices.clear();
    each.classes = 0;  // what the network says of a grey picture is no error
    // All of them are there at once.
    each.max_memory = (options.max_memory ? options.max_memory : DefaultMaxMemory()) / std::size(kTried);
    each.band_bytes = std::numeric_limits<std::size_t>::max();  // every convolution a step of its own
    for (const NamedOperation& named : lowered.ops) each.choices[named.name] = choice;
    try {
      candidates.push_back({choice, std::make_unique<Plan>(lowered, own, each), {}});
    } catch (const Error& error) {  // maps of every convolution, and larger tiles, than the plan by rule has
      if (error.code() != ErrorCode::kOutOfMemory) throw;
      LogDebug(fmt::format("not tuned, {}: {}", NameOf(choice), error.what()));
      return {};  // nothing that would be kept for sessions with more memory
    }
  }
  const Plan& any = *candidates.front().plan;
  labels.resize(static_cast<std::size_t>(std::max(1, any.output_height())) * std::max(1, any.output_width()));
  // Rounds over all candidates, so that what disturbs the machine disturbs all of them.
  const Clock::time_point begin = Clock::now();
  for (int round = 0; round < 12; ++round) {
    for (Candidate& candidate : candidates) {
      candidate.plan->Run({.planes = input.data()},
                          {.labels = labels.data(), .label_stride = any.output_width()}, true);
      if (round == 0) continue;                      // pages are touched for the first time
      std::unordered_map<std::string, double> sums;  // a convolution may be two steps
      for (const Step& step : candidate.plan->steps()) sums[step.name] += step.seconds;
      for (const auto& [name, sum] : sums) candidate.times[name].push_back(sum);
    }
    if (round >= 2 && std::chrono::duration<double>(Clock::now() - begin).count() > seconds) break;
  }
  ConvChoices choices;
  for (const std::string& name : names) {
    double best = 0;
    for (Candidate& candidate : candidates) {
      std::vector<double>& times = candidate.times[name];
      if (times.empty()) continue;
      std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
      const double time = times[times.size() / 2];
      if (choices.contains(name) && time >= best) continue;
      best = time;
      choices[name] = candidate.choice;
    }
  }
  return choices;
}

}  // namespace frf::engine
