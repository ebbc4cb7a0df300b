// SPDX-License-Identifier: Apache-2.0
// Copy-paste of rare classes. A region is all rare-class pixels connected to the one picked, so that a sign
// comes with its pole. Subtle: from a donor of another size a region goes to the proportional row, pixel for
// pixel, unscaled.
#include "data/paste.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/random.h"

namespace frf {
namespace {

constexpr double kRareShare = 0.02;
constexpr std::size_t kMinRegion = 12;  // pixels: smaller ones teach nothing

std::array<std::int64_t, 256> Histogram(const LabelImage& labels) {
  // Four tables: neighbouring pixels mostly share a class, and one counter would wait for itself.
  std::array<std::array<std::int64_t, 256>, 4> parts{};
  std::size_t i = 0;
  for (; i + 4 <= labels.ids.size(); i += 4) {
    for (int k = 0; k < 4; ++k) ++parts[k][labels.ids[i + k]];
  }
  for (; i < labels.ids.size(); ++i) ++parts[0][labels.ids[i]];
  for (int id = 0; id < 256; ++id) parts[0][id] += parts[1][id] + parts[2][id] + parts[3][id];
  return parts[0];
}

// Which ids count as rare here.
std::array<bool, 256> RareIds(const std::array<std::int64_t, 256>& counts, const std::vector<int>& rare) {
  std::array<bool, 256> is_rare{};
  for (const int id : rare) is_rare[id] = true;
  if (!rare.empty()) return is_rare;
  std::int64_t labelled = 0;
  for (int id = 0; id < kVoidLabel; ++id) labelled += counts[id];
  for (int id = 0; id < kVoidLabel; ++id) is_rare[id] = counts[id] > 0 && counts[id] < kRareShare * labelled;
  return is_rare;
}

std::optional<PixelAt> Pick(const LabelImage& labels, const std::array<std::int64_t, 256>& counts,
                            const std::array<bool, 256>& is_rare, Random& random) {
  std::vector<int> present;
  for (int id = 0; id < kVoidLabel; ++id) {
    if (is_rare[id] && counts[id] > 0) present.push_back(id);
  }
  if (present.empty()) return std::nullopt;
  const int id = present[random.Below(static_cast<std::int64_t>(present.size()))];
  std::int64_t skip = random.Below(counts[id]);
  for (std::size_t i = 0; i < labels.ids.size(); ++i) {
    if (labels.ids[i] == id && skip-- == 0) {
      return PixelAt{static_cast<int>(i / labels.width), static_cast<int>(i % labels.width)};
    }
  }
  return std::nullopt;
}

// Pixels of rare classes connected to `start` (4 neighbours); none if the region is above `limit` pixels.
std::vector<PixelAt> Region(const LabelImage& labels, const std::array<bool, 256>& is_rare, PixelAt start,
                            std::size_t limit) {
  std::vector<bool> seen(labels.ids.size());
  std::vector<PixelAt> region{start};
  const auto index = [&](int y, int x) { return static_cast<std::size_t>(y) * labels.width + x; };
  seen[index(start.y, start.x)] = true;
  for (std::size_t i = 0; i < region.size(); ++i) {
    if (region.size() > limit) return {};
    const auto [y, x] = region[i];
    const PixelAt around[] = {{y - 1, x}, {y + 1, x}, {y, x - 1}, {y, x + 1}};
    for (const auto [ny, nx] : around) {
      if (ny < 0 || nx < 0 || ny >= labels.height || nx >= labels.width) continue;
      if (seen[index(ny, nx)] || !is_rare[labels.at(ny, nx)]) continue;
      seen[index(ny, nx)] = true;
      region.push_back({ny, nx});
    }
  }
  return region;
}

// Brightness of every 16th pixel in every 16th row: enough to tell dusk from noon.
double Brightness(const Image& image) {
  double sum = 0;
  std::int64_t count = 0;
  for (int y = 0; y < image.height; y += 16) {
    for (int x = 0; x < image.width; x += 16, ++count) {
      const std::uint8_t* p = image.at(y, x);
      sum += 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
    }
  }
  return sum / static_cast<double>(count) + 1;
}

void PasteRegion(Sample& target, const Sample& donor, const std::vector<PixelAt>& region, double gain,
                 Random& random) {
  int left = region[0].x, right = region[0].x, top = region[0].y, bottom = region[0].y;
  for (const auto [y, x] : region) {
    left = std::min(left, x), right = std::max(right, x), top = std::min(top, y),
    bottom = std::max(bottom, y);
  }
  const int middle = (left + right) / 2, center = (top + bottom) / 2;
  const bool mirror = random.Chance(0.5);
  const int to = static_cast<int>(random.Below(target.image.width));  // where the middle comes to lie
  const int down =
      static_cast<int>(static_cast<std::int64_t>(center) * target.image.height / donor.image.height) - center;
  for (const auto [y, x] : region) {
    const int ty = y + down, tx = to + (mirror ? middle - x : x - middle);
    if (tx < 0 || tx >= target.image.width || ty < 0 || ty >= target.image.height) continue;
    const std::uint8_t* from = donor.image.at(y, x);
    std::uint8_t* pixel = target.image.at(ty, tx);
    for (int c = 0; c < 3; ++c) pixel[c] = static_cast<std::uint8_t>(std::min(255.0, from[c] * gain + 0.5));
    target.labels.at(ty, tx) = donor.labels.at(y, x);
  }
}

}  // namespace

std::optional<PixelAt> PickRarePixel(const LabelImage& labels, const std::vector<int>& rare,
                                     std::uint64_t pick) {
  const auto counts = Histogram(labels);
  Random random(pick);
  return Pick(labels, counts, RareIds(counts, rare), random);
}

Sample PasteRare(const Sample& sample, const Sample& donor, const std::vector<int>& rare,
                 std::uint64_t seed) {
  Sample result = sample;
  Random random(seed);
  const auto counts = Histogram(donor.labels);
  const auto is_rare = RareIds(counts, rare);
  const double gain = std::clamp(Brightness(sample.image) / Brightness(donor.image), 0.5, 2.0);
  const std::int64_t regions = random.Between(1, 3);
  for (std::int64_t i = 0; i < regions; ++i) {
    const auto start = Pick(donor.labels, counts, is_rare, random);
    if (!start) break;
    const auto region = Region(donor.labels, is_rare, *start, donor.labels.ids.size() / 8);
    if (region.size() < kMinRegion) continue;
    PasteRegion(result, donor, region, gain, random);
  }
  return result;
}

void MixRectangle(Sample& sample, const Sample& other, std::uint64_t seed) {
  Random random(seed);
  const int height = sample.image.height, width = sample.image.width;
  const double share = random.Uniform(0.1, 0.5);
  // The rectangle's height as a share of the image's; its width follows.
  const double tall = random.Uniform(share, 1.0);
  const int rows = std::clamp(static_cast<int>(std::lround(height * tall)), 1, height);
  const int columns = std::clamp(static_cast<int>(std::lround(width * share / tall)), 1, width);
  const auto top = random.Between(0, height - rows), left = random.Between(0, width - columns);
  for (std::int64_t y = top; y < top + rows; ++y) {
    const std::size_t at = static_cast<std::size_t>(y) * width + left;
    std::copy_n(&other.image.pixels[3 * at], 3 * static_cast<std::size_t>(columns),
                &sample.image.pixels[3 * at]);
    std::copy_n(&other.labels.ids[at], columns, &sample.labels.ids[at]);
  }
}

}  // namespace frf
