// SPDX-License-Identifier: Apache-2.0
// The named recipes and what follows from a recipe's phases.
#include "train/recipe.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/model_info.h"
#include "frf/error.h"

namespace frf {
namespace {

// What the paper's text says; cross-entropy without weights and mean subtraction without division are our
// reading.
Recipe PaperRecipe() {
  Recipe recipe;
  recipe.name = "paper";
  recipe.summary =
      "the paper's text: Adam, batch 16, cosine 1e-4 to 1e-6, 800 epochs (1000 of Cityscapes), scale 0.5-2, "
      "mirror";
  recipe.batch = 16;
  recipe.augment.scale_min = 0.5;
  recipe.augment.scale_max = 2.0;
  recipe.optimizer.kind = OptimizerKind::kAdam;
  recipe.optimizer.weight_decay = 0;
  recipe.schedule.kind = ScheduleKind::kCosine;
  recipe.schedule.rate = 1e-4;
  recipe.schedule.final_rate = 1e-6;
  recipe.input = InputStatistics::kMean;
  recipe.validate_every = 5;
  recipe.phases = {{.name = "main", .epochs = 800}};
  return recipe;
}

// The settings of the reference curve (docs/training.md), half resolution.
Recipe ReferenceRecipe() {
  Recipe recipe;
  recipe.name = "reference";
  recipe.summary =
      "half resolution, AdamW 2e-3 one-cycle, 60 epochs: the trainer's reference curve on CamVid";
  recipe.batch = 8;
  recipe.crop_height = 180;
  recipe.crop_width = 240;
  recipe.augment.base_scale = 0.5;
  recipe.augment.scale_min = 0.5;
  recipe.augment.scale_max = 2.0;
  recipe.augment.color = 0.8;
  recipe.optimizer.kind = OptimizerKind::kAdamW;
  recipe.optimizer.weight_decay = 1e-4;
  recipe.optimizer.decay_all = true;
  recipe.schedule.kind = ScheduleKind::kOneCycle;
  recipe.schedule.rate = 2e-3;
  recipe.schedule.warmup_share = 0.1;
  recipe.class_weights = 1.10;
  recipe.validate_every = 5;
  recipe.validate_area = true;
  recipe.phases = {{.name = "main", .epochs = 60}};
  return recipe;
}

// Small to large, constant rate, the metric's own loss while the rate decays.
Recipe BestRecipe() {
  Recipe recipe;
  recipe.name = "best";
  recipe.summary =
      "AdamW, warm-up/stable/decay over growing sizes, weighted loss, Lovasz at the end, averaged weights";
  recipe.batch = 8;
  recipe.augment.scale_min = 0.75;
  recipe.augment.scale_max = 2.0;
  recipe.augment.color = 0.8;
  recipe.augment.gamma_min = 0.75;
  recipe.augment.gamma_max = 1.33;
  recipe.augment.temperature = 0.08;
  recipe.optimizer.kind = OptimizerKind::kAdamW;
  recipe.optimizer.weight_decay = 0.03;
  recipe.schedule.kind = ScheduleKind::kWarmupStableDecay;
  recipe.schedule.rate = 1.5e-3;
  recipe.schedule.final_rate = 1e-6;
  recipe.schedule.warmup_steps = 300;
  recipe.decay_share = 0.2;
  recipe.loss.auxiliary_weight = 0.4;
  recipe.loss.logit_adjustment = 0.8;  // docs/training.md: 1.8 points on streets never seen
  recipe.class_weights = 1.02;
  recipe.auxiliary = true;
  recipe.dropout = 0.1;
  recipe.average = 0.999;
  recipe.batch_norm_batches = 100;
  recipe.validate_every = 5;
  recipe.phases = {
      {.name = "half", .epochs = 120, .crop_share = 0.5, .base_scale = 0.5},
      {.name = "crops", .epochs = 200, .crop_share = 2.0 / 3.0},
      {.name = "full", .epochs = 56, .rate_share = 2.0 / 3.0},
      {.name = "metric", .epochs = 94, .rate_share = 2.0 / 3.0, .loss = "ce+lovasz"},
  };
  return recipe;
}

// A trained network gets used to its rounding: few epochs at a small rate, on crops of the size that it is
// used at. With batch norm folded nothing takes up what other sizes change (docs/int8.md).
Recipe QatRecipe() {
  Recipe recipe = BestRecipe();
  recipe.name = "qat";
  recipe.summary = "fine-tuning under 8-bit rounding: AdamW, cosine 1e-4 to 1e-6, 8 epochs, scale 0.8-1.4";
  recipe.augment.scale_min = 0.8;
  recipe.augment.scale_max = 1.4;
  recipe.optimizer.weight_decay = 1e-4;
  recipe.schedule.kind = ScheduleKind::kCosine;
  recipe.schedule.rate = 1e-4;
  recipe.schedule.warmup_steps = 0;
  recipe.warmup_epochs = 0.25;
  recipe.loss.kind = LossKind::kCrossEntropyLovasz;  // what `best` ends with
  recipe.auxiliary = false;
  recipe.dropout = 0;
  recipe.average = 0.99;
  recipe.batch_norm_batches = 0;
  recipe.validate_every = 1;
  recipe.phases = {{.name = "main", .epochs = 8}};
  return recipe;
}

// A pruned network knows the streets already: no half-size pictures, a lower rate that falls early, and more
// variety than a network that begins can learn from (docs/training.md).
Recipe PruneRecipe() {
  Recipe recipe = BestRecipe();
  recipe.name = "prune";
  recipe.summary =
      "a pruned network's training: best's from crops on, rate 1e-3 falling over half, 180 epochs";
  recipe.augment.scale_min = 0.5;
  recipe.augment.aspect = 1.4;
  recipe.optimizer.weight_decay = 0.1;
  recipe.schedule.rate = 1e-3;
  recipe.warmup_epochs = 3;
  recipe.decay_share = 0.5;
  recipe.dropout = 0.2;
  recipe.phases = {
      {.name = "crops", .epochs = 100, .crop_share = 2.0 / 3.0},
      {.name = "sharp", .epochs = 20, .crop_share = 2.0 / 3.0, .loss = "ce+lovasz"},
      {.name = "metric", .epochs = 60, .loss = "ce+lovasz"},
  };
  return recipe;
}

int RoundCrop(double side) {
  // Multiples of 4, so that the 1/4 map divides evenly.
  return std::max(4, static_cast<int>(std::lround(side / 4)) * 4);
}

[[noreturn]] void Wrong(const std::string& field, const std::string& message) {
  throw Error(ErrorCode::kUsage, fmt::format("recipe: {} {}", field, message));
}

void CheckPhase(const Phase& phase) {
  const std::string field = "phase '" + phase.name + "':";
  if (phase.epochs < 1) Wrong(field, fmt::format("epochs is {}, at least 1 is wanted", phase.epochs));
  if ((phase.crop_height == 0) != (phase.crop_width == 0) || phase.crop_height < 0 || phase.crop_width < 0) {
    Wrong(field, fmt::format("crop {}x{} is not HEIGHTxWIDTH", phase.crop_height, phase.crop_width));
  }
  if (!(phase.crop_share > 0 && phase.crop_share <= 4)) Wrong(field, "crop_share is not in (0, 4]");
  if (!(phase.base_scale > 0 && phase.base_scale <= 8)) Wrong(field, "base_scale is not in (0, 8]");
  if (phase.scale_min < 0 || phase.scale_max < 0)
    Wrong(field, fmt::format("scale {} to {}; 0 means the recipe's", phase.scale_min, phase.scale_max));
  if (!(phase.rate_share > 0)) Wrong(field, "rate_share is not above 0");
  if (!phase.loss.empty()) LossKindFromName(phase.loss);
  if (!(phase.sharpness >= 0 && phase.sharpness <= 100)) Wrong(field, "sharpness is not in [0, 100]");
}

// What the loader would refuse when the phase begins, hours from now.
void CheckAugmentOf(const Recipe& recipe, const Phase& phase) {
  AugmentSpec augment = AugmentOf(recipe, phase);
  if (recipe.crop_height == 0) augment.crop_height = augment.crop_width = 32;  // the data will say
  try {
    CheckAugment(augment);
  } catch (const Error& error) {
    Wrong("phase '" + phase.name + "':", error.what());
  }
}

}  // namespace

const std::vector<std::string>& RecipeNames() {
  static const std::vector<std::string> names{"best", "paper", "reference", "prune", "qat"};
  return names;
}

Recipe NamedRecipe(const std::string& name) {
  if (name == "best") return BestRecipe();
  if (name == "paper") return PaperRecipe();
  if (name == "reference") return ReferenceRecipe();
  if (name == "prune") return PruneRecipe();
  if (name == "qat") return QatRecipe();
  throw Error(ErrorCode::kUsage, fmt::format("--recipe {}: no such recipe; there are {}, or a file NAME.json",
                                             name, fmt::join(RecipeNames(), ", ")));
}

void Check(const Recipe& recipe) {
  if (recipe.batch < 1 || recipe.batch > 4096)
    Wrong("batch", fmt::format("is {}, 1 to 4096 is wanted", recipe.batch));
  if ((recipe.crop_height == 0) != (recipe.crop_width == 0) || recipe.crop_height < 0 ||
      recipe.crop_width < 0 || recipe.crop_height > kMaxSide || recipe.crop_width > kMaxSide) {
    Wrong("crop", fmt::format("{}x{} is not HEIGHTxWIDTH", recipe.crop_height, recipe.crop_width));
  }
  const AugmentSpec& augment = recipe.augment;
  if (!(augment.base_scale > 0 && augment.base_scale <= 8)) Wrong("augment.base_scale", "is not in (0, 8]");
  if (!(augment.scale_min > 0 && augment.scale_min <= augment.scale_max && augment.scale_max <= 16)) {
    Wrong("augment.scale_min, scale_max",
          fmt::format("{} to {} is no range in (0, 16]", augment.scale_min, augment.scale_max));
  }
  const std::pair<const char*, double> chances[] = {{"augment.flip", augment.flip},
                                                    {"augment.color", augment.color},
                                                    {"augment.class_crop", augment.class_crop},
                                                    {"augment.copy_paste", augment.copy_paste},
                                                    {"augment.cutmix", augment.cutmix},
                                                    {"augment.sky", augment.sky},
                                                    {"balance", recipe.balance},
                                                    {"decay_share", recipe.decay_share}};
  for (const auto& [field, value] : chances) {
    if (!(value >= 0 && value <= 1)) Wrong(field, fmt::format("is {}, 0 to 1 is wanted", value));
  }
  if (recipe.warmup_epochs < 0) Wrong("warmup_epochs", "is negative");
  if (recipe.class_weights != 0 && !(recipe.class_weights > 1)) {
    Wrong("class_weights", fmt::format("is {}, above 1 is wanted (or 0 for none)", recipe.class_weights));
  }
  if (!(recipe.sharpness >= 0 && recipe.sharpness <= 100)) Wrong("sharpness", "is not in [0, 100]");
  if (!(recipe.average >= 0 && recipe.average < 1)) Wrong("average", "is not in [0, 1)");
  if (!(recipe.dropout >= 0 && recipe.dropout < 1)) Wrong("dropout", "is not in [0, 1)");
  if (recipe.batch_norm_batches < 0) Wrong("batch_norm_batches", "is negative");
  if (recipe.validate_every < 1) Wrong("validate_every", "is below 1");
  if (recipe.phases.empty()) Wrong("phases", "is empty, at least one is wanted");
  for (const Phase& phase : recipe.phases) {
    CheckPhase(phase);
    CheckAugmentOf(recipe, phase);
  }
  Check(recipe.loss);
  Check(recipe.optimizer);
  if (recipe.schedule.steps != ScheduleSpec{}.steps)
    Wrong("schedule.steps", "follows from the data and the phases' epochs; leave it out");
  if (recipe.schedule.decay_steps != 0)
    Wrong("schedule.decay_steps", "follows from decay_share; leave it out");
  Check(ScheduleOf(recipe, 1));
}

int Epochs(const Recipe& recipe) {
  return std::accumulate(recipe.phases.begin(), recipe.phases.end(), 0,
                         [](int sum, const Phase& phase) { return sum + phase.epochs; });
}

void SetEpochs(Recipe& recipe, int epochs) {
  if (epochs < 1) throw Error(ErrorCode::kUsage, fmt::format("--epochs {}: at least 1 is wanted", epochs));
  const double factor = static_cast<double>(epochs) / Epochs(recipe);
  std::vector<std::pair<double, std::size_t>> remainders;
  int given = 0;
  for (std::size_t i = 0; i < recipe.phases.size(); ++i) {
    const double exact = recipe.phases[i].epochs * factor;
    recipe.phases[i].epochs = static_cast<int>(std::floor(exact + 1e-9));
    given += recipe.phases[i].epochs;
    remainders.emplace_back(recipe.phases[i].epochs - exact, i);
  }
  std::stable_sort(remainders.begin(), remainders.end());
  for (int left = epochs - given, i = 0; left > 0; --left, ++i)
    ++recipe.phases[remainders[i % remainders.size()].second].epochs;
  std::erase_if(recipe.phases, [](const Phase& phase) { return phase.epochs == 0; });
}

const Phase& PhaseAt(const Recipe& recipe, std::int64_t epoch) {
  for (const Phase& phase : recipe.phases) {
    if (epoch < phase.epochs) return phase;
    epoch -= phase.epochs;
  }
  return recipe.phases.back();
}

AugmentSpec AugmentOf(const Recipe& recipe, const Phase& phase) {
  AugmentSpec augment = recipe.augment;
  augment.base_scale *= phase.base_scale;
  if (phase.scale_min > 0) augment.scale_min = phase.scale_min;
  if (phase.scale_max > 0) augment.scale_max = phase.scale_max;
  if (phase.crop_height > 0) {
    augment.crop_height = phase.crop_height;
    augment.crop_width = phase.crop_width;
  } else if (phase.crop_share == 1) {
    augment.crop_height = recipe.crop_height;
    augment.crop_width = recipe.crop_width;
  } else {
    augment.crop_height = RoundCrop(recipe.crop_height * phase.crop_share);
    augment.crop_width = RoundCrop(recipe.crop_width * phase.crop_share);
  }
  return augment;
}

double SharpnessOf(const Recipe& recipe, const Phase& phase) {
  return phase.sharpness > 0 ? phase.sharpness : recipe.sharpness;
}

std::int64_t WarmupWanted(const Recipe& recipe, std::int64_t steps_per_epoch) {
  if (recipe.schedule.kind == ScheduleKind::kOneCycle) return 0;
  const std::int64_t epochs = std::llround(recipe.warmup_epochs * static_cast<double>(steps_per_epoch));
  return std::max(recipe.schedule.warmup_steps, epochs);
}

ScheduleSpec ScheduleOf(const Recipe& recipe, std::int64_t steps_per_epoch) {
  ScheduleSpec schedule = recipe.schedule;
  schedule.steps = steps_per_epoch * Epochs(recipe);
  // A short run must not be warm-up alone.
  schedule.warmup_steps = std::min(WarmupWanted(recipe, steps_per_epoch), schedule.steps / 5);
  schedule.decay_steps = 0;
  if (schedule.kind == ScheduleKind::kWarmupStableDecay) {
    const std::int64_t wanted = std::llround(recipe.decay_share * static_cast<double>(schedule.steps));
    schedule.decay_steps = std::min(wanted, schedule.steps - schedule.warmup_steps);
  }
  return schedule;
}

}  // namespace frf
