// SPDX-License-Identifier: Apache-2.0
// `frf info MODEL|NET --plan`: the steps that the engine runs for one size, each timed and held against the
// machine's peaks.
#pragma once

#include <string>
#include <utility>

#include "frf/precision.h"
#include "graph/image_size.h"

namespace frf::cli {

struct PlanArguments {
  std::string name, options;  // of a network: --net-options
  int classes = 0;            // of a network; 0: 19
  int height = 0, width = 0;
  bool size_given = true;  // else a file of fixed size has its own
  int threads = 0;
  Precision precision = Precision::kFloat32;
  bool json = false;
};
int RunInfoPlan(const PlanArguments& arguments);

// Height and width; 0 in `fixed` for a side that is free. `wanted` holds where the file fixes nothing else:
// kUsage where it does and `given` says that the user asked.
SizePair SizeToCount(const std::string& name, SizePair fixed, SizePair wanted, bool given);

}  // namespace frf::cli
