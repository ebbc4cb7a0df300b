// SPDX-License-Identifier: Apache-2.0
// Class shares, mean and deviation of a data set. Sums are whole numbers, so the order of the threads changes
// nothing.
#include <array>
#include <cmath>
#include <mutex>

#include "base/progress.h"
#include "base/system.h"
#include "data/internal.h"
#include "data/loader.h"

namespace frf {

std::vector<double> ClassShares(const Dataset& data) {
  std::array<std::uint64_t, 256> total{};
  std::mutex mutex;
  Progress progress("class shares", data.size());
  ParallelFor(data.size(), DefaultThreads(), [&](int index) {
    std::array<std::uint64_t, 256> counts{};
    for (const std::uint8_t id : data.GetLabels(index).ids) ++counts[id];
    const std::lock_guard lock(mutex);
    for (int id = 0; id < 256; ++id) total[id] += counts[id];
    progress.Advance();
  });
  std::vector<double> shares(data.classes().count());
  std::uint64_t labelled = 0;
  for (std::size_t id = 0; id < shares.size(); ++id) labelled += total[id];
  if (labelled == 0) {
    throw Error(ErrorCode::kInvalidArgument,
                data.description() + ": no labelled pixel in it, so no class shares");
  }
  for (std::size_t id = 0; id < shares.size(); ++id)
    shares[id] = static_cast<double>(total[id]) / static_cast<double>(labelled);
  return shares;
}

std::vector<int> RareClasses(const std::vector<double>& shares, double below) {
  std::vector<int> rare;
  for (std::size_t id = 0; id < shares.size(); ++id) {
    if (shares[id] > 0 && shares[id] < below) rare.push_back(static_cast<int>(id));
  }
  return rare;
}

InputSpec MeasureMeanStd(const Dataset& data) {
  std::array<std::uint64_t, 3> sum{}, squares{};
  std::uint64_t pixels = 0;
  std::mutex mutex;
  Progress progress("mean colour", data.size());
  ParallelFor(data.size(), DefaultThreads(), [&](int index) {
    const Sample sample = data.Get(index);
    std::array<std::uint64_t, 3> s{}, q{};
    const std::size_t count = sample.image.pixels.size() / 3;
    for (std::size_t i = 0; i < count; ++i) {
      for (int c = 0; c < 3; ++c) {
        const std::uint32_t v = sample.image.pixels[3 * i + c];
        s[c] += v;
        q[c] += v * v;
      }
    }
    const std::lock_guard lock(mutex);
    for (int c = 0; c < 3; ++c) sum[c] += s[c], squares[c] += q[c];
    pixels += count;
    progress.Advance();
  });
  if (pixels == 0) throw Error(ErrorCode::kInvalidArgument, data.description() + ": no pixels to measure");
  InputSpec input;
  for (int c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(sum[c]) / static_cast<double>(pixels);
    const double variance = static_cast<double>(squares[c]) / static_cast<double>(pixels) - mean * mean;
    input.mean[c] = static_cast<float>(mean);
    // A set of one flat colour has no deviation: 1 keeps values finite.
    input.std[c] = variance > 1e-6 ? static_cast<float>(std::sqrt(variance)) : 1.0f;
  }
  return input;
}

}  // namespace frf
