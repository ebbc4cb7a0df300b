// SPDX-License-Identifier: Apache-2.0
// One class after the other, classes in parallel: errors of a million pixels are sorted by radix, three
// passes over eleven bits of their pattern (floats from 0 to 1 are ordered as their bits are), each with its
// pixel beside it.
#include "train/kernels/lovasz.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>
#include <vector>

namespace frf {
namespace {

struct Entry {
  std::uint32_t error;  // a float's bits
  std::uint32_t pixel;  // the highest bit: it is of the class
};
constexpr std::uint32_t kTruth = 0x80000000u;
constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;

// From the largest error to the smallest; `spare` is as long.
void SortDescending(std::vector<Entry>& entries, std::vector<Entry>& spare) {
  std::vector<std::array<std::uint32_t, 3>> counts(kDigits, std::array<std::uint32_t, 3>{});
  for (const Entry& entry : entries) {
    for (int pass = 0; pass < 3; ++pass) ++counts[(entry.error >> (pass * kDigitBits)) & (kDigits - 1)][pass];
  }
  for (int pass = 0; pass < 3; ++pass) {
    std::uint32_t start = 0;
    for (int digit = kDigits - 1; digit >= 0; --digit) start += std::exchange(counts[digit][pass], start);
    for (const Entry& entry : entries)
      spare[counts[(entry.error >> (pass * kDigitBits)) & (kDigits - 1)][pass]++] = entry;
    entries.swap(spare);
  }
}

// The class's loss, and its gradient (unscaled) where it is wanted.
double OneClass(const LovaszArgs& a, std::int64_t c, std::int64_t total, std::vector<Entry>& entries,
                std::vector<Entry>& spare) {
  entries.clear();
  for (std::int64_t n = 0; n < a.images; ++n) {
    const float* share = a.shares + (n * a.classes + c) * a.pixels;
    const std::uint8_t* label = a.labels + n * a.pixels;
    for (std::int64_t i = 0; i < a.pixels; ++i) {
      if (label[i] >= a.classes) continue;
      const bool truth = label[i] == c;
      const float error = std::clamp(truth ? 1.0f - share[i] : share[i], 0.0f, 1.0f);
      entries.push_back({std::bit_cast<std::uint32_t>(error),
                         static_cast<std::uint32_t>(n * a.pixels + i) | (truth ? kTruth : 0)});
    }
  }
  spare.resize(entries.size());
  SortDescending(entries, spare);
  double loss = 0, before = 0, intersection = static_cast<double>(total), together = intersection;
  for (const Entry& entry : entries) {
    const bool truth = (entry.pixel & kTruth) != 0;
    truth ? intersection -= 1 : together += 1;
    const double jaccard = 1.0 - intersection / together, step = jaccard - before;
    before = jaccard;
    loss += static_cast<double>(std::bit_cast<float>(entry.error)) * step;
    if (a.gradient == nullptr) continue;
    const std::int64_t pixel = entry.pixel & ~kTruth, image = pixel / a.pixels;
    a.gradient[(image * a.classes + c) * a.pixels + pixel % a.pixels] =
        static_cast<float>(truth ? -step : step);
  }
  return loss;
}

}  // namespace

double LovaszKernel(const LovaszArgs& a) {
  std::vector<std::int64_t> totals(256, 0);
  for (std::int64_t i = 0; i < a.images * a.pixels; ++i) ++totals[a.labels[i]];
  std::int64_t present = 0, counted = 0;
  for (std::int64_t c = 0; c < a.classes && c < 256; ++c) present += totals[c] > 0, counted += totals[c];
  std::vector<double> losses(static_cast<std::size_t>(a.classes), 0.0);
  const float factor = present > 0 ? 1.0f / static_cast<float>(present) : 0.0f;
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t c = 0; c < a.classes; ++c) {
    static thread_local std::vector<Entry> entries, spare;
    const auto each = [&](auto&& change) {
      for (std::int64_t n = 0; n < a.images && a.gradient != nullptr; ++n) {
        float* gradient = a.gradient + (n * a.classes + c) * a.pixels;
        for (std::int64_t i = 0; i < a.pixels; ++i) change(gradient[i]);
      }
    };
    each([](float& g) { g = 0; });
    if (totals[c] == 0) continue;
    entries.reserve(static_cast<std::size_t>(counted));
    losses[c] = OneClass(a, c, totals[c], entries, spare);
    each([factor](float& g) { g *= factor; });
  }
  double loss = 0;
  for (const double one : losses) loss += one;
  return present > 0 ? loss / static_cast<double>(present) : 0;
}

}  // namespace frf
