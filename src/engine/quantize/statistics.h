// SPDX-License-Identifier: Apache-2.0
// What the maps of a network hold over a set of images: the measurements that ranges for 8 bits are chosen
// by.
//
//   StatisticsCollector collector(graph, {"stem.relu", ...}, {.threads = 2});
//   for (const Tensor& image : images) collector.Add(image);
//   Coding coding = ChooseCoding({&collector.statistics().at("stem.relu")}, {.kind = RangeKind::kPercentile,
//   .share = 0.9999});
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/plain.h"

namespace frf::engine {

struct ValueStatistics {
  float low = 0, high = 0;  // least and largest number seen
  // Counts over [-limit, limit) in bins of one width; `limit` is a power of two that grows with what is seen.
  float limit = 0;
  std::vector<std::int64_t> bins;
  std::vector<double> channel_sums;
  std::int64_t pixels = 0;  // that each channel sum is of
  double Mean(std::size_t channel) const {
    return pixels > 0 ? channel_sums[channel] / static_cast<double>(pixels) : 0;
  }
  void Merge(const ValueStatistics& other);  // of ranges and counts; channel sums stay
};

class StatisticsCollector {
 public:
  // `values`: 1 x C x H x W float values of the graph that some node reads.
  StatisticsCollector(const Graph& graph, std::vector<std::string> values, const PlainOptions& options = {});
  void Add(const Tensor& image);
  const std::map<std::string, ValueStatistics>& statistics() const { return statistics_; }
  int images() const { return images_; }

 private:
  PlainExecutor executor_;
  std::string input_;
  int threads_;
  std::map<std::string, ValueStatistics> statistics_;
  int images_ = 0;
};

enum class RangeKind { kMinMax, kPercentile, kMse };

struct RangeMethod {
  RangeKind kind = RangeKind::kMinMax;
  double share = 1;          // kPercentile: of the numbers that stay inside
  std::string name() const;  // "minmax", "percentile 99.99", "mse"
};

// One coding for the values of a group, which share memory (the parts of a concatenation). Zero is always
// representable, and where nothing is negative it is byte 0.
kernels::Coding ChooseCoding(const std::vector<const ValueStatistics*>& group, const RangeMethod& method);

}  // namespace frf::engine
