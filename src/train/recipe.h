// SPDX-License-Identifier: Apache-2.0
// A recipe: everything that decides what is learned besides data, network and seed. Some are named (`paper`,
// `best`, `reference`, `prune`, `qat`); every field can be set from a JSON file and from the command line.
//
//   Recipe recipe = LoadRecipe("best");                        // or "mine.json" with {"base": "best",
//   "batch": 16} recipe = Override(recipe, {"optimizer.weight_decay=0.05"});  // --set
//   SetEpochs(recipe, 100);                                    // phases shrink in proportion
//
// Subtle: ToJson is the list of fields. Overrides are merged into that JSON and parsed again, so a key that
// is not in it is an error that names it, and config.json of a run is itself a recipe file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/loader.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace frf {

// A stretch of epochs with its own image size. Sizes and rates are relative, so one recipe serves every data
// set.
struct Phase {
  std::string name = "main";
  int epochs = 1;
  int crop_height = 0, crop_width = 0;  // 0: crop_share of the recipe's crop
  double crop_share = 1;                // of both sides
  double base_scale = 1;  // images are first scaled by this (times the recipe's augment.base_scale)
  double scale_min = 0, scale_max = 0;  // 0: the recipe's
  double rate_share = 1;                // of the schedule's rate
  std::string loss;                     // ce, ohem, lovasz, ce+lovasz; empty: the recipe's
  double sharpness = 0;                 // 0: the recipe's
};

// Where mean and deviation of the input come from.
enum class InputStatistics {
  kImageNet,  // the usual constants
  kMean,      // the training set's mean, no division
  kMeanStd,   // the training set's mean and deviation
};

struct Recipe {
  std::string name = "best", summary;
  int batch = 8;
  int crop_height = 0, crop_width = 0;  // 0: the images' base size, at most 512x1024
  double balance = 0;                   // 0: every image once an epoch; 1: recordings evenly (LoaderOptions)
  AugmentSpec augment;                  // its crop fields are set by the phase
  OptimizerSpec optimizer;
  ScheduleSpec schedule;     // steps, warmup_steps and decay_steps are set from the three lines below
  double warmup_epochs = 0;  // at least warmup_steps of the schedule
  double decay_share = 0.2;  // warm-up/stable/decay: share of all steps that decay
  LossSpec loss;
  double class_weights = 0;    // c of 1 / ln(c + share); 0: none
  bool auxiliary = false;      // auxiliary heads, where the network has them
  double dropout = 0;          // before the classifier, where the network has it
  double sharpness = 0;        // rho of sharpness-aware steps (train/sharpness.h); 0: plain steps
  double average = 0;          // decay of averaged weights; 0: none
  int batch_norm_batches = 0;  // statistics re-estimated at the end over so many batches; 0: not
  InputStatistics input = InputStatistics::kImageNet;
  int validate_every = 1;  // epochs
  bool validate_area =
      false;  // images are area-averaged to the network's size (the reference curve), else as `segment`
  std::vector<Phase> phases{Phase{}};
};

const std::vector<std::string>& RecipeNames();
// By name, or a JSON file (any name that ends in .json): {"base": NAME, fields ...}, "best" where it names no
// base and is no whole recipe. Of a run's config.json, what that run measured of its data is left out: it is
// measured anew.
Recipe LoadRecipe(const std::string& name_or_file);
Json ToJson(const Recipe& recipe);
Recipe RecipeFromJson(const Json& json, const std::string& what);
// "optimizer.weight_decay=0.05", "phases.0.epochs=3"; a value is JSON, or a plain word. All are assigned in
// their order, then the recipe is checked: what goes together may come in any order. Throws kUsage naming
// those that are wrong, or wrong together.
Recipe Override(const Recipe& recipe, const std::vector<std::string>& assignments);
// Throws kUsage naming the field.
void Check(const Recipe& recipe);

int Epochs(const Recipe& recipe);
// Scales the phases to a sum of `epochs`, each by its share (largest remainder); phases that come to 0 go.
void SetEpochs(Recipe& recipe, int epochs);
// The phase of an epoch (0-based); beyond the end the last one.
const Phase& PhaseAt(const Recipe& recipe, std::int64_t epoch);
// The augmentation of a phase with its crop resolved against the recipe's crop, which must be set.
AugmentSpec AugmentOf(const Recipe& recipe, const Phase& phase);
// rho of a phase's steps; 0: plain ones.
double SharpnessOf(const Recipe& recipe, const Phase& phase);
// Steps of warm-up that the recipe wants; 0 where the schedule has a warm-up of its own (one-cycle).
std::int64_t WarmupWanted(const Recipe& recipe, std::int64_t steps_per_epoch);
// The schedule with its lengths, for `steps_per_epoch`. Of a short run at most a fifth is warm-up.
ScheduleSpec ScheduleOf(const Recipe& recipe, std::int64_t steps_per_epoch);

}  // namespace frf
