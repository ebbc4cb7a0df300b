// SPDX-License-Identifier: Apache-2.0
// Recipes as JSON. One table of fields per struct serves reading, writing and the check for unknown keys.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/files.h"
#include "base/model_info.h"
#include "frf/error.h"
#include "train/field_reader.h"
#include "train/recipe.h"

namespace frf {

Recipe NamedRecipe(const std::string& name);  // recipe.cpp

namespace {

template <typename Visit>
void VisitAugment(AugmentSpec& a, Visit&& visit) {
  visit("base_scale", a.base_scale);
  visit("scale_min", a.scale_min);
  visit("scale_max", a.scale_max);
  visit("flip", a.flip);
  visit("color", a.color);
  visit("gain_min", a.gain_min);
  visit("gain_max", a.gain_max);
  visit("shift", a.shift);
  visit("saturation_min", a.saturation_min);
  visit("saturation_max", a.saturation_max);
  visit("gamma_min", a.gamma_min);
  visit("gamma_max", a.gamma_max);
  visit("temperature", a.temperature);
  visit("channel_gain", a.channel_gain);
  visit("blur", a.blur);
  visit("noise", a.noise);
  visit("aspect", a.aspect);
  visit("class_crop", a.class_crop);
  visit("copy_paste", a.copy_paste);
  visit("cutmix", a.cutmix);
  visit("sky", a.sky);
  visit("sky_class", a.sky_class);
}

template <typename Visit>
void VisitPhase(Phase& p, Visit&& visit) {
  visit("name", p.name);
  visit("epochs", p.epochs);
  visit("crop_share", p.crop_share);
  visit("base_scale", p.base_scale);
  visit("scale_min", p.scale_min);
  visit("scale_max", p.scale_max);
  visit("rate_share", p.rate_share);
  visit("loss", p.loss);
  visit("sharpness", p.sharpness);
}

template <typename Visit>
void VisitRecipe(Recipe& r, Visit&& visit) {
  visit("name", r.name);
  visit("summary", r.summary);
  visit("batch", r.batch);
  visit("balance", r.balance);
  visit("warmup_epochs", r.warmup_epochs);
  visit("decay_share", r.decay_share);
  visit("class_weights", r.class_weights);
  visit("auxiliary", r.auxiliary);
  visit("dropout", r.dropout);
  visit("sharpness", r.sharpness);
  visit("average", r.average);
  visit("batch_norm_batches", r.batch_norm_batches);
  visit("validate_every", r.validate_every);
  visit("validate_area", r.validate_area);
}

struct Writer {
  Json& json;
  template <typename T>
  void operator()(const char* key, const T& value) const {
    json[key] = value;
  }
};

std::string SizeText(int height, int width) {
  return height == 0 ? "auto" : fmt::format("{}x{}", height, width);
}

void ReadSize(const Json& json, const char* key, const std::string& what, int& height, int& width) {
  const auto found = json.find(key);
  if (found == json.end()) return;
  if (!found->is_string())
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: '{}' is {}, a text like \"360x480\" is wanted", what, key, found->dump()));
  const auto text = found->get<std::string>();
  std::tie(height, width) = text == "auto" ? std::pair{0, 0} : ParseSize(text, what + ": " + key);
}

const char* InputName(InputStatistics input) {
  switch (input) {
    case InputStatistics::kImageNet:
      return "imagenet";
    case InputStatistics::kMean:
      return "mean";
    case InputStatistics::kMeanStd:
      return "mean-std";
  }
  return "imagenet";
}

InputStatistics InputFromName(const std::string& name, const std::string& what) {
  for (const auto input : {InputStatistics::kImageNet, InputStatistics::kMean, InputStatistics::kMeanStd}) {
    if (name == InputName(input)) return input;
  }
  throw Error(ErrorCode::kUsage,
              fmt::format("{}: input '{}' is none of imagenet, mean, mean-std", what, name));
}

Json PhaseJson(const Phase& phase) {
  Json json;
  VisitPhase(const_cast<Phase&>(phase), Writer{json});
  json["crop"] = SizeText(phase.crop_height, phase.crop_width);
  return json;
}

// Every key of `patch` must stand in `base`; objects recursively, everything else is replaced.
void Merge(Json& base, const Json& patch, const std::string& what) {
  if (!patch.is_object())
    throw Error(ErrorCode::kUsage, what + ": an object with the recipe's fields is wanted");
  for (const auto& [key, value] : patch.items()) {
    if (!base.contains(key)) {
      std::vector<std::string> known;
      for (const auto& [name, ignored] : base.items()) known.push_back(name);
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}: no field '{}'; there are {}", what, key, fmt::join(known, ", ")));
    }
    if (base[key].is_object()) {
      Merge(base[key], value, what + "." + key);
    } else {
      base[key] = value;
    }
  }
}

// What a run measured of its own data is not another run's: shares, rare classes, which class is the sky, and
// the sizes that are named in `measured`.
void ForgetMeasured(Recipe& recipe, const Json& measured) {
  for (const Json& field : measured) {
    if (field == "crop") recipe.crop_height = recipe.crop_width = 0;
    if (field == "base_size") recipe.augment.base_height = recipe.augment.base_width = 0;
  }
  if (recipe.class_weights > 0) recipe.loss.class_weights.clear();
  recipe.augment.rare_classes.clear();
  recipe.augment.sky_class = -1;
}

Phase PhaseFromJson(const Json& json, const std::string& what) {
  Json complete = PhaseJson(Phase{});
  Merge(complete, json, what);
  Phase phase;
  VisitPhase(phase, FieldReader{complete, what});
  ReadSize(complete, "crop", what, phase.crop_height, phase.crop_width);
  return phase;
}

}  // namespace

Json ToJson(const Recipe& recipe) {
  Recipe& r = const_cast<Recipe&>(recipe);
  Json json;
  VisitRecipe(r, Writer{json});
  json["crop"] = SizeText(r.crop_height, r.crop_width);
  json["input"] = InputName(r.input);
  VisitAugment(r.augment, Writer{json["augment"]});
  json["augment"]["rare_classes"] = r.augment.rare_classes;
  json["augment"]["base_size"] = SizeText(r.augment.base_height, r.augment.base_width);
  json["optimizer"] = ToJson(r.optimizer);
  json["schedule"] = ToJson(r.schedule);
  json["loss"] = ToJson(r.loss);
  json["phases"] = Json::array();
  for (const Phase& phase : r.phases) json["phases"].push_back(PhaseJson(phase));
  return json;
}

namespace {

// Each field by itself; whether they go together, Check says.
Recipe ReadFields(const Json& given, const std::string& what) {
  Json json = ToJson(Recipe{});
  Merge(json, given, what);
  Recipe recipe;
  VisitRecipe(recipe, FieldReader{json, what});
  ReadSize(json, "crop", what, recipe.crop_height, recipe.crop_width);
  FieldReader{json, what}.Named("input", recipe.input,
                                [&](const std::string& name) { return InputFromName(name, what); });
  const FieldReader augment{json.at("augment"), what + ": augment"};
  VisitAugment(recipe.augment, augment);
  augment("rare_classes", recipe.augment.rare_classes);
  ReadSize(json.at("augment"), "base_size", what + ": augment", recipe.augment.base_height,
           recipe.augment.base_width);
  recipe.optimizer = OptimizerSpecFromJson(json.at("optimizer"), what);
  recipe.schedule = ScheduleSpecFromJson(json.at("schedule"), what);
  recipe.loss = LossSpecFromJson(json.at("loss"), what);
  if (!json.at("phases").is_array()) throw Error(ErrorCode::kUsage, what + ": 'phases' is not a list");
  recipe.phases.clear();
  for (std::size_t i = 0; i < json["phases"].size(); ++i) {
    recipe.phases.push_back(PhaseFromJson(json["phases"][i], fmt::format("{}: phases.{}", what, i)));
  }
  return recipe;
}

// What `work` gives. Its errors begin with `what`: what is found in values is said without their place.
template <typename Work>
auto Placed(const std::string& what, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.starts_with(what)) throw;
    throw Error(error.code(), what + ": " + message);
  }
}

}  // namespace

Recipe RecipeFromJson(const Json& json, const std::string& what) {
  return Placed(what, [&] {
    Recipe recipe = ReadFields(json, what);
    Check(recipe);
    return recipe;
  });
}

Recipe LoadRecipe(const std::string& name) {
  if (!name.ends_with(".json")) return NamedRecipe(name);
  Json json = ParseJson(ReadFile(name, 1 << 20), name);
  if (!json.is_object())
    throw Error(ErrorCode::kUsage, name + ": an object with the recipe's fields is wanted");
  const bool config = json.contains("recipe") && json["recipe"].is_object();  // config.json of a run
  const Json measured = config ? json.value("measured", Json::array()) : Json::array();
  if (config) json = Json(json["recipe"]);
  Recipe base;  // of a whole recipe, as --print-recipe and runs write them: what an older one lacks is off
  if (json.contains("base") || !json.contains("summary")) {
    const Json wanted = json.value("base", Json("best"));
    const auto& named = RecipeNames();
    if (!wanted.is_string() ||
        std::find(named.begin(), named.end(), wanted.get<std::string>()) == named.end())
      throw Error(ErrorCode::kUsage, fmt::format("{}: 'base' is {}, one of {} is wanted; no file can be one",
                                                 name, wanted.dump(), fmt::join(named, ", ")));
    base = NamedRecipe(wanted.get<std::string>());
    base.name = std::filesystem::path(name).stem().string();
    json.erase("base");
  }
  Json complete = ToJson(base);
  Merge(complete, json, name);
  Recipe recipe = RecipeFromJson(complete, name);
  if (config) ForgetMeasured(recipe, measured);
  return recipe;
}

namespace {

// One assignment, right by itself.
Recipe Assign(const Recipe& recipe, const std::string& assignment) {
  const auto equals = assignment.find('=');
  const std::string what = "--set " + assignment;
  if (equals == std::string::npos || equals == 0)
    throw Error(ErrorCode::kUsage, what + ": KEY=VALUE is wanted");
  Json json = ToJson(recipe);
  Json* at = &json;
  std::string rest = assignment.substr(0, equals);
  while (true) {
    const auto dot = rest.find('.');
    const std::string key = rest.substr(0, dot);
    if (at->is_array()) {
      std::size_t index = 0;
      const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), index);
      if (code != std::errc() || end != key.data() + key.size() || index >= at->size()) {
        throw Error(ErrorCode::kUsage,
                    fmt::format("{}: '{}' is no position of 0 to {}", what, key, at->size() - 1));
      }
      at = &(*at)[index];
    } else if (at->is_object() && at->contains(key)) {
      at = &(*at)[key];
    } else {
      std::vector<std::string> known;
      if (at->is_object()) {
        for (const auto& [name, ignored] : at->items()) known.push_back(name);
      }
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}: no field '{}'; there are {}", what, key, fmt::join(known, ", ")));
    }
    if (dot == std::string::npos) break;
    rest = rest.substr(dot + 1);
  }
  const std::string text = assignment.substr(equals + 1);
  const Json value = Json::parse(text, nullptr, false);
  if (at->is_object() && value.is_object()) {
    Merge(*at, value, what);  // as in a file: what is not named stays
  } else {
    *at = value.is_discarded() || at->is_string() ? Json(text) : value;
  }
  return Placed(what, [&] { return ReadFields(json, what); });
}

// What is wrong with the recipe that these make of `recipe`; empty: nothing. Not known where one of them
// wants another that is left out here.
std::optional<std::string> FaultOf(Recipe recipe, const std::vector<std::string>& assignments) {
  try {
    for (const std::string& assignment : assignments) recipe = Assign(recipe, assignment);
  } catch (const Error&) {
    return std::nullopt;
  }
  try {
    Check(recipe);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// Those of `assignments` without which `fault` is another one, or none.
std::vector<std::string> Culprits(const Recipe& recipe, const std::vector<std::string>& assignments,
                                  const std::string& fault) {
  std::vector<std::string> culprits;
  for (std::size_t i = 0; i < assignments.size(); ++i) {
    std::vector<std::string> others = assignments;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    if (FaultOf(recipe, others).value_or(fault) != fault) culprits.push_back(assignments[i]);
  }
  return culprits;
}

}  // namespace

Recipe Override(const Recipe& recipe, const std::vector<std::string>& assignments) {
  Recipe changed = recipe;
  for (const std::string& assignment : assignments) changed = Assign(changed, assignment);
  try {
    Check(changed);
  } catch (const Error& error) {
    std::vector<std::string> blamed = Culprits(recipe, assignments, error.what());
    if (blamed.empty() && FaultOf(recipe, {}) == error.what()) throw;  // wrong before
    if (blamed.empty()) blamed = assignments;
    throw Error(error.code(), fmt::format("--set {}: {}", fmt::join(blamed, ", --set "), error.what()));
  }
  return changed;
}

}  // namespace frf
