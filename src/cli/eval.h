// SPDX-License-Identifier: Apache-2.0
// What the parts of `frf eval` share: the verb and its report (eval_verb.cpp), what is refused before the
// work (eval_checks.cpp), --modules (eval_modules.cpp).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "engine/segmenter.h"

namespace frf::cli {

struct EvalArguments {
  DatasetSpec data;
  std::string model, against, size, backend = "engine", weights = "ema", report, save, precision = "f32";
  std::uint64_t max_memory_mb = 0;
  int threads = 0, limit = 0, pictures = 8;
  bool json = false, stamp = false, last = false, modules = false;
  bool weights_given = false, pictures_given = false;
};

// The same call for frf-train. What it cannot do is refused here, not passed over.
std::vector<std::string> WordsForTorch(const EvalArguments& arguments);

// Options that do not go together, or would change nothing: kUsage. `run_folder`: the model is one.
void CheckGiven(const EvalArguments& arguments, bool run_folder);

// What can be refused before hours of work is; makes the folders of --save and --report.
void CheckOutputs(const EvalArguments& arguments);

// Whether the model `name` and the data speak of the same classes.
void CheckClasses(const Classes& model, const Classes& data, const std::string& name);

// With --limit it says how much of the split was looked at.
std::string DescribeData(const Dataset& data, int count);

// --modules
int RunEvalModules(const EvalArguments& arguments, const SegmenterOptions& options, const Model& model,
                   const Dataset& data);

}  // namespace frf::cli
