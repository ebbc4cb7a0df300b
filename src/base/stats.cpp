// SPDX-License-Identifier: Apache-2.0
#include "base/stats.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "frf/error.h"

namespace frf {
namespace {

double Quantile(const std::vector<double>& sorted, double q) {
  const double position = q * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(position);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (position - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

}  // namespace

TimingStats Summarize(std::vector<double> samples) {
  if (samples.empty()) throw Error(ErrorCode::kInvalidArgument, "timing statistics of no samples");
  std::sort(samples.begin(), samples.end());
  TimingStats stats;
  stats.runs = static_cast<int>(samples.size());
  stats.median = Quantile(samples, 0.5);
  stats.p90 = Quantile(samples, 0.9);
  stats.total = std::accumulate(samples.begin(), samples.end(), 0.0);
  stats.mean = stats.total / static_cast<double>(samples.size());
  stats.min = samples.front();
  stats.max = samples.back();
  std::vector<double> deviations;
  for (const double sample : samples) deviations.push_back(std::abs(sample - stats.median));
  std::sort(deviations.begin(), deviations.end());
  stats.mad = Quantile(deviations, 0.5);
  return stats;
}

Json ToJson(const TimingStats& stats) {
  return {{"median", stats.median}, {"mad", stats.mad}, {"p90", stats.p90}};
}

}  // namespace frf
