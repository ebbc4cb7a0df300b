// SPDX-License-Identifier: Apache-2.0
// Cosine bases of SpectralPool and averaging matrices of AdaptiveAveragePool; see spectral.h for where scales
// stand.
#include "graph/spectral.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace frf {
namespace {

double Cosine(std::int64_t frequency, std::int64_t position, std::int64_t count) {
  return std::cos(std::numbers::pi * static_cast<double>(frequency) * (static_cast<double>(position) + 0.5) /
                  static_cast<double>(count));
}

void CheckSize(std::int64_t size, const std::string& what) {
  if (size < 1)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: wants a map of at least 1x1, saw side {}", what, size));
}

// Row i averages source positions floor(i*in/out) .. ceil((i+1)*in/out); calls set(i, source, weight).
template <typename Set>
void ForEachBinEntry(std::int64_t in, std::int64_t out, const Set& set) {
  CheckSize(in, "AdaptiveAveragePool");
  CheckSize(out, "AdaptiveAveragePool");
  for (std::int64_t i = 0; i < out; ++i) {
    const std::int64_t begin = i * in / out, end = ((i + 1) * in + out - 1) / out;
    for (std::int64_t j = begin; j < end; ++j)
      set(i, j, static_cast<float>(1.0 / static_cast<double>(end - begin)));
  }
}

}  // namespace

PoolMatrices SpectralPoolMatrices(const Node& node, std::int64_t height, std::int64_t width) {
  const std::vector<std::int64_t> frequencies = node.Ints("frequencies", {}),
                                  channels = node.Ints("channels", {});
  const double scale = node.Float("scale", 1.0f);
  if (channels.empty() || frequencies.size() != 2 * channels.size()) {
    throw Error(
        ErrorCode::kCorruptFile,
        fmt::format("{}: SpectralPool wants one pair of frequencies per group, saw {} numbers for {} groups",
                    node.name, frequencies.size(), channels.size()));
  }
  CheckSize(height, node.name);
  CheckSize(width, node.name);
  std::int64_t total = 0;
  for (const std::int64_t count : channels) {
    if (count < 0 || count > (1 << 20)) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: SpectralPool group of {} channels", node.name, count));
    }
    total += count;
  }
  PoolMatrices result{Tensor::Uninitialized(DType::kFloat32, {total, 1, height}),
                      Tensor::Uninitialized(DType::kFloat32, {total, width, 1})};
  float* rows = result.rows.data<float>();
  float* columns = result.columns.data<float>();
  for (std::size_t g = 0; g < channels.size(); ++g) {
    const std::int64_t u = frequencies[2 * g], v = frequencies[2 * g + 1];
    double factor = 1.0;
    if (u != 0 || v != 0)
      factor = scale * (u > 0 ? std::numbers::sqrt2 : 1.0) * (v > 0 ? std::numbers::sqrt2 : 1.0);
    for (std::int64_t c = 0; c < channels[g]; ++c) {
      for (std::int64_t i = 0; i < height; ++i)
        *rows++ = static_cast<float>(factor * Cosine(u, i, height) / static_cast<double>(height));
      for (std::int64_t j = 0; j < width; ++j)
        *columns++ = static_cast<float>(Cosine(v, j, width) / static_cast<double>(width));
    }
  }
  return result;
}

PoolMatrices AdaptivePoolMatrices(std::int64_t height, std::int64_t width, std::int64_t out_height,
                                  std::int64_t out_width) {
  CheckSize(height, "AdaptiveAveragePool");
  CheckSize(width, "AdaptiveAveragePool");
  PoolMatrices result{Tensor::Zeros(DType::kFloat32, {out_height, height}),
                      Tensor::Zeros(DType::kFloat32, {width, out_width})};
  float* rows = result.rows.data<float>();
  float* columns = result.columns.data<float>();
  ForEachBinEntry(height, out_height,
                  [&](std::int64_t bin, std::int64_t i, float weight) { rows[bin * height + i] = weight; });
  ForEachBinEntry(width, out_width, [&](std::int64_t bin, std::int64_t j, float weight) {
    columns[j * out_width + bin] = weight;
  });
  return result;
}

}  // namespace frf
