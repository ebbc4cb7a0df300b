// SPDX-License-Identifier: Apache-2.0
// What a run is, decided once before its first step: network, recipe with everything measured from the data
// filled in, data and seed. It is what config.json holds, so a resumed run measures and decides nothing anew.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/checkpoint.h"
#include "base/model_info.h"
#include "data/dataset.h"
#include "graph/graph.h"
#include "graph/quantization.h"
#include "train/recipe.h"

namespace frf {

struct TrainOptions {
  DatasetSpec train{.split = "train"};
  DatasetSpec validation;  // spec empty: the training data's
  bool validate = true;
  std::string net;  // empty: that of `init`, with its options, else frfnet
  Json net_options = Json::object();
  Recipe recipe;
  std::string run;  // folder
  std::uint64_t seed = 0;
  std::string init;    // checkpoint or run folder; empty: weights are drawn
  bool prune = false;  // `init` is a larger network, which is pruned to this one (prune.h)
  // What `frf train --qat Q.onnx` makes of a quantised file: its weights as floats, meta["model"] and
  // meta["quantization"]. Network, input and codings are the file's then; empty: nothing is rounded.
  std::string qat;
  std::vector<std::string> teachers;  // run folders and checkpoints (teachers.h)
  bool resume = false;                // all of the above but `run` comes from config.json then
  int height = 0, width = 0;          // network input of training, validation and use; 0: from the data
  std::optional<Fit> fit;  // not set: resize where all images have one size or one is given, else native

  // How, not what: may differ between a run and its continuation (threads and device decide the last bits).
  std::string device = "auto", amp = "auto";
  bool cuda_graph = true;  // on a GPU: both passes of a step as one CUDA graph (train_step.h)
  int threads = 0, workers = 1;
  double checkpoint_seconds = 600;    // within epochs; at every epoch's end anyway
  std::int64_t stop_after_steps = 0;  // 0: not; else save and stop as if interrupted
  std::string dist = "auto";          // several processes (distributed.h): auto, off, gloo, nccl
  double dist_timeout = 300;          // seconds
};

struct Plan {
  ModelInfo model;
  Recipe recipe;
  std::uint64_t seed = 0;
  DatasetSpec train, validation;
  bool validate = true;
  std::string init;
  bool prune = false;
  // Files to read, and once that is done names; weights are the run folder's teacher-1.ckpt, ... then.
  std::vector<std::string> teachers;
  // Of the recipe's fields those that the data or --size decided: "crop", "base_size".
  std::vector<std::string> measured;
  std::optional<QuantizationTable> quantization;  // the network is trained, scored and exported under it
};

// Measures what the recipe wants measured and completes everything. Throws kUsage where options contradict
// each other.
Plan MakePlan(const TrainOptions& options, const Dataset& train);

// config.json, and back.
Json ToJson(const Plan& plan);
Plan PlanFromJson(const Json& json, const std::string& file);

// The network of a plan with drawn weights, or with those of plan.init (what was not loaded is logged; with
// quantization everything must be there).
Graph MakeGraph(const Plan& plan);

// A run folder's network with the weights of best.ckpt (or last.ckpt), averaged or raw; auxiliary heads and
// dropout are gone.
Graph LoadRunGraph(const std::string& run, bool raw, bool last, ModelInfo& info);

// Overwrites all of the graph's parameters and states by the checkpoint's averaged weights (or raw ones).
// Throws kCorruptFile naming those that are not there or have another shape; `net`: whose weights they should
// be.
void LoadAll(Graph& graph, const Checkpoint& checkpoint, const std::string& net, bool raw = false);

// The first twelve of a list, and how many more there are.
std::string Shortened(const std::vector<std::string>& names);

// "camvid" of "camvid:DIR": what model files say about data, without paths.
std::string DataName(const DatasetSpec& spec);
std::string SplitName(const DatasetSpec& spec);  // "val", or ListName

}  // namespace frf
