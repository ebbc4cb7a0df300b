// SPDX-License-Identifier: Apache-2.0
// Which of several ways to compute a convolution is the fastest here, by measurement, kept in a file.
//
//   ConvChoices choices;
//   if (!ReadTuning(key, choices)) choices = Tune(prepared, options), WriteTuning(key, choices);
//
// Subtle: a choice changes rounding, so the same file gives the same bits, and a file is never rewritten by
// what merely runs. One that is damaged, from another machine, version or network is as good as none.
#pragma once

#include <filesystem>
#include <string>

#include "engine/plan/plan.h"
#include "engine/plan/prepare.h"

namespace frf::engine {

using ConvChoices = std::unordered_map<std::string, ConvChoice>;

// What a tuning holds for: frf's version and commit, CPU, instruction set, threads, and the network's
// convolutions at this size.
std::string TuningKey(const Lowered& lowered, const PlanOptions& options);

// FRF_CACHE, else XDG_CACHE_HOME/frf, else ~/.cache/frf; empty where none of them is set.
std::filesystem::path TuningFolder();

// False: none, or not to be used.
bool ReadTuning(const std::string& key, ConvChoices& choices);
// Best effort: a folder that cannot be written is no error.
void WriteTuning(const std::string& key, const ConvChoices& choices);

// Runs the network with every choice in turn, in all at most about `seconds`, and keeps each convolution's
// fastest. Each way has a third of options.max_memory; no choice at all where one needs more.
ConvChoices Tune(const PreparedGraph& prepared, const PlanOptions& options, double seconds = 2.0);

}  // namespace frf::engine
