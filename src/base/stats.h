// SPDX-License-Identifier: Apache-2.0
// Timing statistics: a time is a median with its spread.
#pragma once

#include <vector>

#include "base/json.h"

namespace frf {

struct TimingStats {  // all in the unit of the samples, milliseconds by convention
  int runs = 0;
  double median = 0;
  double mad = 0;  // median absolute deviation from the median, not scaled
  double p90 = 0;  // linear interpolation between order statistics
  double mean = 0, total = 0, min = 0, max = 0;
};

// Throws kInvalidArgument for an empty list.
TimingStats Summarize(std::vector<double> samples);

// {"median":..,"mad":..,"p90":..}
Json ToJson(const TimingStats& stats);

}  // namespace frf
