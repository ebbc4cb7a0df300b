// SPDX-License-Identifier: Apache-2.0
// The verbs of frf-train: each Add function declares options and sets `action`, which main runs after
// parsing.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace frf::train {

using Action = std::function<int()>;

void AddTrain(CLI::App& root, Action& action);
void AddEval(CLI::App& root, Action& action);
void AddBench(CLI::App& root, Action& action);
void AddWeights(CLI::App& root, Action& action);

}  // namespace frf::train
