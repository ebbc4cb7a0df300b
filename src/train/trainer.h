// SPDX-License-Identifier: Apache-2.0
// Trains a network and fills a run folder.
//
//   TrainResult result = Train({.train = {.spec = "camvid:shared/camvid", .split = "train"}, .recipe =
//   LoadRecipe("best"),
//                               .run = "runs/a"});
//
// Subtle: a run is a function of its config.json. Every random choice derives from (seed, epoch, position) or
// (seed, step), and last.ckpt holds the rest, so a run that was killed and resumed ends in the same bits as
// one that was not (same build, threads and CPU).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "train/plan.h"

namespace frf {

struct TrainResult {
  std::string run;
  std::int64_t epochs = 0, steps = 0;
  double loss = 0;                             // mean of the last epoch
  std::optional<double> last_miou, best_miou;  // of the validation list
  std::int64_t best_epoch = 0;
  double seconds = 0, loader_idle = 0;  // over all sittings; share of training time spent waiting for data
  std::string weights_hash;             // XXH64 over parameters, states and averages
  int rank = 0;                         // of this process; 0 is the one that wrote the run folder
};
Json ToJson(const TrainResult& result);

// Throws kInterrupted after Ctrl-C, SIGTERM or SIGHUP, when last.ckpt has been written, and when another
// process of the run is lost; kInvalidArgument for a loss that is not finite, naming step, files and the last
// good checkpoint.
//
// Several processes (world.h) make one run: each trains on its slice of every batch, rank 0 writes.
TrainResult Train(const TrainOptions& options);

}  // namespace frf
