// SPDX-License-Identifier: Apache-2.0
// What `frf eval` refuses before the work: options that would change nothing, outputs that cannot be written,
// classes that differ; and its words for frf-train.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/files.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/eval.h"
#include "frf/error.h"

namespace frf::cli {

namespace fs = std::filesystem;

void CheckClasses(const Classes& model, const Classes& data, const std::string& name) {
  if (model.names == data.names) return;
  if (model.count() != data.count()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} knows {} classes, the data set has {}: they cannot be compared", name,
                            model.count(), data.count()));
  }
  for (int c = 0; c < data.count(); ++c) {
    if (model.names[c] != data.names[c]) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("class {} is '{}' in {} and '{}' in the data set",
                                                           c, model.names[c], name, data.names[c]));
    }
  }
}

std::vector<std::string> WordsForTorch(const EvalArguments& arguments) {
  for (const auto& [given, name] : {std::pair(!arguments.save.empty(), "--save"),
                                    {arguments.limit > 0, "--limit"},
                                    {arguments.max_memory_mb > 0, "--max-memory"},
                                    {arguments.stamp, "--stamp"},
                                    {!arguments.against.empty(), "--against"},
                                    {!arguments.per_image.empty(), "--per-image"},
                                    {arguments.views.flip, "--flip"},
                                    {arguments.scales_given, "--scales"},
                                    {arguments.modules, "--modules"},
                                    {arguments.precision != "f32", "--precision"}}) {
    if (given)
      throw Error(
          ErrorCode::kUsage,
          fmt::format("{} does not go with --backend torch; leave it out, or use --backend engine", name));
  }
  const DatasetSpec& data = arguments.data;
  std::vector<std::string> words{"eval", arguments.model, "--data", data.spec, "--split", data.split};
  const auto add = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) words.insert(words.end(), {name, value});
  };
  add("--list", data.list);
  add("--variant", data.variant);
  if (data.seed > 0) add("--seed", std::to_string(data.seed));
  if (data.new_skies) words.push_back("--new-skies");
  add("--scene-size", arguments.scene_size);
  add("--size", arguments.size);
  if (arguments.threads > 0) add("--threads", std::to_string(arguments.threads));
  add("--report", arguments.report);
  add("--pictures", std::to_string(2 * arguments.pictures));  // it counts worst and best together
  if (arguments.weights != "ema") add("--weights", arguments.weights);
  if (arguments.last) words.push_back("--last");
  if (arguments.json) words.push_back("--json");
  return words;
}

namespace {

// --flip and --scales.
void CheckViews(const EvalArguments& arguments) {
  if (arguments.scales_given && arguments.views.one())
    throw Error(ErrorCode::kUsage, "--scales 1 is what is done without it; name others too, or --flip");
  if (arguments.views.one()) return;
  for (const auto& [given, name] : {std::pair(!arguments.against.empty(), "--against"),
                                    {arguments.backend == "plain", "--backend plain"}}) {
    if (given)
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} does not go with --flip and --scales, which average views", name));
  }
}

}  // namespace

void CheckGiven(const EvalArguments& arguments, bool run_folder) {
  CheckVariant(arguments.data.variant, {arguments.data.spec});
  if (!run_folder && (arguments.weights_given || arguments.last)) {
    throw Error(ErrorCode::kUsage, fmt::format("{} belongs to a run folder, {} is none",
                                               arguments.last ? "--last" : "--weights", arguments.model));
  }
  for (const auto& [given, name] : {std::pair(!arguments.report.empty(), "--report"),
                                    {!arguments.against.empty(), "--against"},
                                    {!arguments.save.empty(), "--save"},
                                    {!arguments.per_image.empty(), "--per-image"},
                                    {arguments.views.flip, "--flip"},
                                    {arguments.scales_given, "--scales"},
                                    {arguments.stamp, "--stamp"}}) {
    if (arguments.modules && given) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} does not go with --modules; ask for one after the other", name));
    }
  }
  if (arguments.stamp && arguments.data.new_skies)
    throw Error(ErrorCode::kUsage, "--stamp records what the data say, not what --new-skies make of them");
  CheckViews(arguments);
  for (const auto& [given, name] : {std::pair(arguments.limit > 0, "--limit"),
                                    {arguments.precision != "f32", "--precision"},
                                    {arguments.views.flip, "--flip"},
                                    {arguments.scales_given, "--scales"}}) {
    if (arguments.stamp && given) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("--stamp records the score of all images, one view each, in float32; leave out {}",
                      name));
    }
  }
  // A name is short for a file that was not meant to be written to: an installed one, or a checkout's.
  if (arguments.stamp && !run_folder) {
    const std::string file = FindModel(arguments.model);
    if (file != arguments.model) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("--stamp would rewrite the shipped weights {}: name that path, or a copy's", file));
    }
  }
  if (arguments.data.seed > 0 && !arguments.data.new_skies && !arguments.data.spec.starts_with("synth:"))
    throw Error(ErrorCode::kUsage, "--seed is of drawn scenes (--data synth:COUNT) and of --new-skies");
  if (!arguments.scene_size.empty() && !arguments.data.spec.starts_with("synth:"))
    throw Error(ErrorCode::kUsage, "--scene-size is of drawn scenes (--data synth:COUNT)");
  if (!arguments.per_image.empty() && !IsPerImageName(arguments.per_image))
    throw Error(ErrorCode::kUsage, fmt::format("--per-image {}: a name that ends in .csv or .json is wanted",
                                               PrintableName(arguments.per_image)));
  if (arguments.pictures_given && arguments.report.empty())
    throw Error(ErrorCode::kUsage, "--pictures goes with --report");
  if (arguments.stamp && run_folder) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("--stamp writes into an ONNX file, {} is a run folder: frf export makes a file of it",
                    arguments.model));
  }
}

void CheckOutputs(const EvalArguments& arguments, const Dataset* data) {
  if (!arguments.save.empty()) MakeFolder(arguments.save);
  if (arguments.stamp) CheckOutputFile(FindModel(arguments.model), "--stamp");
  const std::pair<std::string, const char*> files[] = {{arguments.report, "--report"},
                                                       {arguments.per_image, "--per-image"}};
  for (const auto& [file, option] : files) {
    if (file.empty()) continue;
    const fs::path folder = fs::path(file).parent_path();
    if (!folder.empty()) MakeFolder(folder);
    CheckOutputFile(file, option);
  }
  if (!arguments.report.empty() &&
      fs::weakly_canonical(arguments.report) == fs::weakly_canonical(arguments.per_image)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--report and --per-image are one file, {}", PrintableName(arguments.report)));
  }
  InputFiles inputs;
  // A run that is not there is frf-train's to name.
  if (arguments.backend == "torch" && !NamesRun(arguments.model))
    inputs.Add(arguments.model);
  else
    inputs.AddModel(arguments.model);
  inputs.AddModel(arguments.against);
  inputs.AddData(arguments.data, data);
  for (const auto& [file, option] : files) inputs.Refuse(file, option);
  for (int i = 0; data != nullptr && !arguments.save.empty() && i < data->size(); ++i)
    inputs.Refuse(fs::path(arguments.save) / PredictionName(data->name(i)), "--save");
}

std::string PredictionName(const std::string& sample) {
  std::string stem = fs::path(sample).replace_extension().string();
  const std::string city_suffix = "_leftImg8bit";
  if (stem.ends_with(city_suffix)) {
    return fs::path(stem.substr(0, stem.size() - city_suffix.size()) + "_pred_labelIds.png")
        .filename()
        .string();
  }
  std::replace(stem.begin(), stem.end(), '/', '_');
  return stem + ".png";
}

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

}  // namespace frf::cli
