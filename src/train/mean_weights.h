// SPDX-License-Identifier: Apache-2.0
// The mean of several runs' weights ("model soup", Wortsman et al. 2022): for runs that began from the same
// weights, so that they lie in one valley. Often a little better than each, at no cost in use.
#pragma once

#include <string>
#include <vector>

#include "base/model_info.h"
#include "graph/graph.h"

namespace frf {

// Parameters and states of the runs' best.ckpt (or last.ckpt), averaged or raw, each the mean over the runs
// in double precision; `info` is the first one's with train.mean_of. One run: its weights as they are. Throws
// kUsage where runs differ in network, options, classes, or mean and deviation of the input.
Graph MeanOfRuns(const std::vector<std::string>& runs, bool raw, bool last, ModelInfo& info);

}  // namespace frf
