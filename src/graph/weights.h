// SPDX-License-Identifier: Apache-2.0
// Weights between graphs and checkpoint files, by name.
//
//   LoadReport report = LoadWeights(graph, Checkpoint::Load("best.ckpt"), kAveragePrefix, {});   // every
//   layer that fits SaveWeights("start.ckpt", graph, ToJson(info));     // a weights checkpoint: what
//   `frf-train --init` starts from
//
// Subtle: a layer fits when name and shape agree; half-precision tensors are widened. Constants are never
// read or written.
#pragma once

#include <string>
#include <vector>

#include "base/checkpoint.h"
#include "graph/graph.h"

namespace frf {

struct LoadOptions {
  bool redraw_classifier = false;  // other classes: initialisers marked `classifier` keep what they have
};

struct LoadReport {
  int loaded = 0;                    // tensors
  std::vector<std::string> kept;     // in the graph, not loaded: "classifier.weight (other classes)"
  std::vector<std::string> ignored;  // in the checkpoint under that prefix, not in the graph
};

// Overwrites the graph's parameters and states by the checkpoint's tensors PREFIX + name.
LoadReport LoadWeights(Graph& graph, const Checkpoint& checkpoint, const std::string& prefix,
                       const LoadOptions& options);

// Which checkpoint of a run folder is read: "best", or "last" where that was asked for or there is no best.
std::string CheckpointOfRun(const std::string& run, bool last);

// The prefix under which a checkpoint's averaged weights stand, else the raw ones'; `raw` forces the latter.
std::string WeightsPrefix(const Checkpoint& checkpoint, bool raw = false);

// Every float initialiser that has data, as "model/NAME"; meta["model"] is `model_info` (ToJson of a
// ModelInfo), `more` further entries of meta.
void SaveWeights(const std::string& path, const Graph& graph, const Json& model_info,
                 const Json& more = Json::object());

}  // namespace frf
