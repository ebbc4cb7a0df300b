// SPDX-License-Identifier: Apache-2.0
#include "engine/quantize/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/system.h"
#include "frf/error.h"

namespace frf::engine {
namespace {

constexpr int kBins =
    8192;  // over both signs: a map without negatives has at least 2048 up to its largest number

// Twice the limit: two bins become one.
void Widen(ValueStatistics& s) {
  std::vector<std::int64_t> wider(kBins, 0);
  for (int i = 0; i < kBins; ++i) wider[kBins / 4 + i / 2] += s.bins[i];
  s.bins = std::move(wider);
  s.limit *= 2;
}

void WidenTo(ValueStatistics& s, float largest) {
  if (s.bins.empty()) {
    s.bins.assign(kBins, 0);
    s.limit = std::exp2(std::ceil(std::log2(std::max(largest, 1e-6f))));
  }
  while (s.limit < largest) Widen(s);
}

// `reader`: a node that reads the value `name`.
void Accumulate(ValueStatistics& s, const Tensor& tensor, const std::string& name, const Node& reader,
                int threads) {
  const std::int64_t channels = tensor.dim(1), plane = tensor.dim(2) * tensor.dim(3);
  const float* const data = tensor.data<float>();
  float low = 0, high = 0;
  std::vector<double> sums(channels, 0.0);
#pragma omp parallel for num_threads(threads) reduction(min : low) reduction(max : high)
  for (std::int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (std::int64_t i = 0; i < plane; ++i) {
      const float v = data[c * plane + i];
      low = std::min(low, v);
      high = std::max(high, v);
      sum += v;
    }
    sums[c] = sum;
  }
  // NaN passes std::min and std::max; no sum of doubles is finite behind it or an infinity.
  if (!std::all_of(sums.begin(), sums.end(), [](double sum) { return std::isfinite(sum); })) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}', which node '{}' ({}) reads, holds NaN or infinity on a calibration image, "
                            "finite numbers are wanted; are the weights before it sound?",
                            name, reader.name, reader.op));
  }
  s.low = std::min(s.low, low);
  s.high = std::max(s.high, high);
  WidenTo(s, std::max(high, -low));
  s.channel_sums.resize(channels, 0.0);
  s.pixels += plane;
  const float scale = static_cast<float>(kBins / 2) / s.limit;
#pragma omp parallel num_threads(threads)
  {
    std::vector<std::int32_t> bins(kBins, 0);
#pragma omp for
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t i = 0; i < plane; ++i) {
        const float v = data[c * plane + i];
        ++bins[std::clamp(static_cast<int>(v * scale + static_cast<float>(kBins / 2)), 0, kBins - 1)];
      }
      s.channel_sums[c] += sums[c];
    }
#pragma omp critical
    for (int b = 0; b < kBins; ++b) s.bins[b] += bins[b];
  }
}

struct Range {
  double low, high;
};

kernels::Coding CodingOf(Range range) {
  const double low = std::min(range.low, 0.0), high = std::max(range.high, 0.0);
  double step = (high - low) / 255;
  if (!(step > 1e-20)) step = 1.0 / 255;  // a map of zeros: any step does that leaves a bias room
  return {static_cast<float>(step), static_cast<int>(std::clamp(std::nearbyint(-low / step), 0.0, 255.0))};
}

// What lies inside after the rarest of both ends are cut, (1 - share) of all numbers together, from the end
// whose bins are farther out first.
Range Percentile(const ValueStatistics& s, double share) {
  std::int64_t total = 0;
  for (const std::int64_t count : s.bins) total += count;
  std::int64_t cut = static_cast<std::int64_t>(static_cast<double>(total) * (1 - share));
  int first = 0, last = kBins - 1;
  while (first < last) {
    const bool left = kBins / 2 - first > last + 1 - kBins / 2;
    const std::int64_t count = s.bins[left ? first : last];
    if (count > cut) break;
    cut -= count;
    left ? ++first : --last;
  }
  const double width = 2.0 * s.limit / kBins;
  return {std::max<double>(s.low, -s.limit + first * width),
          std::min<double>(s.high, -s.limit + (last + 1) * width)};
}

double SquaredError(const ValueStatistics& s, const kernels::Coding& coding) {
  const double width = 2.0 * s.limit / kBins;
  double error = 0;
  for (int b = 0; b < kBins; ++b) {
    if (s.bins[b] == 0) continue;
    const double value = -s.limit + (b + 0.5) * width;
    // Within the range a number is off by step^2 / 12 on average; beyond it by the distance.
    const double low = -coding.zero * static_cast<double>(coding.step),
                 high = (255 - coding.zero) * static_cast<double>(coding.step);
    const double beyond = value < low ? low - value : value > high ? value - high : 0;
    error += static_cast<double>(s.bins[b]) *
             (beyond > 0 ? beyond * beyond : static_cast<double>(coding.step) * coding.step / 12);
  }
  return error;
}

}  // namespace

void ValueStatistics::Merge(const ValueStatistics& other) {
  low = std::min(low, other.low);
  high = std::max(high, other.high);
  if (other.bins.empty()) return;
  ValueStatistics wide = other;
  WidenTo(*this, other.limit);
  while (wide.limit < limit) Widen(wide);
  for (int b = 0; b < kBins; ++b) bins[b] += wide.bins[b];
}

StatisticsCollector::StatisticsCollector(const Graph& graph, std::vector<std::string> values,
                                         const PlainOptions& options)
    : executor_(graph, options),
      input_(graph.inputs.at(0).name),
      threads_(options.threads > 0 ? options.threads : DefaultThreads()) {
  for (std::string& value : values) statistics_[std::move(value)];
}

void StatisticsCollector::Add(const Tensor& image) {
  std::set<std::string> seen;
  executor_.Run({{input_, image}}, {}, [&](const Node& node, const auto& value) {
    for (const std::string& input : node.inputs) {
      const auto wanted = statistics_.find(input);
      if (wanted == statistics_.end() || !seen.insert(input).second) continue;
      Accumulate(wanted->second, value(input), input, node, threads_);
    }
  });
  ++images_;
}

std::string RangeMethod::name() const {
  if (kind == RangeKind::kMinMax) return "minmax";
  return kind == RangeKind::kMse ? "mse" : fmt::format("percentile {:g}", share * 100);
}

kernels::Coding ChooseCoding(const std::vector<const ValueStatistics*>& group, const RangeMethod& method) {
  ValueStatistics all = *group.at(0);
  for (std::size_t i = 1; i < group.size(); ++i) all.Merge(*group[i]);
  if (all.bins.empty() || method.kind == RangeKind::kMinMax) return CodingOf({all.low, all.high});
  if (method.kind == RangeKind::kPercentile) return CodingOf(Percentile(all, method.share));
  kernels::Coding best = CodingOf({all.low, all.high});
  double least = SquaredError(all, best);
  for (double part = 0.98; part > 0.1; part *= 0.97) {
    const kernels::Coding coding = CodingOf({all.low * part, all.high * part});
    const double error = SquaredError(all, coding);
    if (error < least) least = error, best = coding;
  }
  return best;
}

}  // namespace frf::engine
