// SPDX-License-Identifier: Apache-2.0
// What a run remembers between steps, and how it goes into a checkpoint and comes back.
//
//   SaveState(run / "last.ckpt", state, {module, &optimizer, average});
//   LoadState(Checkpoint::Load(run / "last.ckpt"), state, {module, &optimizer, average});
//
// Subtle: (epoch, epoch_step) with epoch_step at the epoch's length means that the epoch's end (validation,
// best.ckpt) is still to be done; so a stop during validation is resumed there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/checkpoint.h"
#include "train/average.h"
#include "train/device.h"
#include "train/module.h"
#include "train/optimizer.h"

namespace frf {

struct TrainState {
  std::int64_t epoch = 0, epoch_step = 0;  // in progress, 0-based; steps of it that are done
  std::int64_t step = 0;                   // done in all
  std::int64_t images = 0;                 // that were trained on; 0: not known
  double loss_sum = 0;                     // over this epoch's steps
  double last_loss = 0;                    // mean of the last whole epoch
  std::optional<double> last_miou, best_miou;
  std::int64_t best_epoch = 0;     // 1-based
  double seconds = 0, waited = 0;  // training time of all sittings, and what of it the loader cost
  LossScale loss_scale;            // half precision
  bool finished = false;
};
Json ToJson(const TrainState& state);
TrainState TrainStateFromJson(const Json& json, const std::string& file);

struct Trained {  // what a checkpoint holds besides the state; absent parts are neither written nor read
  GraphModule& module;
  Optimizer* optimizer = nullptr;
  Average* average = nullptr;
};

// `model_info` is stored as meta["model"]. Without an average "ema/" repeats "model/", so that readers need
// not care.
void SaveState(const std::string& path, const TrainState& state, const Json& model_info,
               const Trained& trained);
// Throws kCorruptFile where a tensor is missing or does not fit.
void LoadState(const Checkpoint& checkpoint, TrainState& state, const Trained& trained);

// Rank 0's state, weights, moments and averages for all processes.
void ShareState(Distributed& distributed, TrainState& state, const Trained& trained);

// XXH64 over names and bytes of parameters, states and averages, 16 hex digits.
std::string HashWeights(const GraphModule& module, const Average* average);

// Whether every parameter and state is finite.
bool AllFinite(const GraphModule& module);

}  // namespace frf
