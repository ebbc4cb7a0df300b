// SPDX-License-Identifier: Apache-2.0
#include "data/photometric.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace frf {
namespace {

constexpr double kLeastBlur = 0.25;  // pixels: below, a neighbour weighs less than 1/2900

std::uint8_t Round(float value) { return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f) + 0.5f); }

void ChangeColors(Image& image, const Photometric& change, const Window& window) {
  std::array<std::array<float, 256>, 3> tables;
  const double gains[3] = {change.gain * (1 + change.temperature) * change.channels[0],
                           change.gain * change.channels[1],
                           change.gain * (1 - change.temperature) * change.channels[2]};
  for (int v = 0; v < 256; ++v) {
    const double curved = change.gamma == 1 ? v : 255.0 * std::pow(v / 255.0, change.gamma);
    for (int c = 0; c < 3; ++c) tables[c][v] = static_cast<float>(curved * gains[c] + change.shift);
  }
  const float saturation = static_cast<float>(change.saturation);
  for (int i = window.top; i < window.bottom; ++i) {
    std::uint8_t* pixel = image.at(i, window.left);
    for (int k = window.left; k < window.right; ++k, pixel += 3) {
      const float r = tables[0][pixel[0]], g = tables[1][pixel[1]], b = tables[2][pixel[2]];
      const float grey = 0.299f * r + 0.587f * g + 0.114f * b;
      const float changed[3] = {grey + (r - grey) * saturation, grey + (g - grey) * saturation,
                                grey + (b - grey) * saturation};
      for (int c = 0; c < 3; ++c) pixel[c] = Round(changed[c]);
    }
  }
}

// Weights of a Gaussian cut at three standard deviations, summing to 1; [0] is the centre's.
std::vector<float> HalfKernel(double sigma) {
  std::vector<double> half(static_cast<std::size_t>(std::ceil(3 * sigma)) + 1);
  double sum = 0;
  for (std::size_t i = 0; i < half.size(); ++i) {
    half[i] = std::exp(-0.5 * static_cast<double>(i * i) / (sigma * sigma));
    sum += i == 0 ? half[i] : 2 * half[i];
  }
  std::vector<float> scaled;
  for (const double weight : half) scaled.push_back(static_cast<float>(weight / sum));
  return scaled;
}

// Rows first, then columns. Beyond the window its edge goes on.
void Blur(Image& image, double sigma, const Window& window) {
  const std::vector<float> half = HalfKernel(sigma);
  const int reach = static_cast<int>(half.size()) - 1;
  const int rows = window.bottom - window.top, values = 3 * (window.right - window.left);
  std::vector<float> across(static_cast<std::size_t>(rows) * values);
  std::vector<float> line(static_cast<std::size_t>(values) + 6 * reach);
  for (int i = 0; i < rows; ++i) {
    const std::uint8_t* in = image.at(window.top + i, window.left);
    for (int k = 0; k < static_cast<int>(line.size()); ++k) {
      const int at = k - 3 * reach;
      line[k] = in[at < 0 ? k % 3 : at < values ? at : values - 3 + k % 3];
    }
    float* out = &across[static_cast<std::size_t>(i) * values];
    for (int k = 0; k < values; ++k) {
      const float* center = &line[k + 3 * reach];
      float sum = half[0] * center[0];
      for (int tap = 1; tap <= reach; ++tap) sum += half[tap] * (center[-3 * tap] + center[3 * tap]);
      out[k] = sum;
    }
  }
  for (int i = 0; i < rows; ++i) {
    const float* center = &across[static_cast<std::size_t>(i) * values];
    std::vector<float>& sums = line;  // long enough, and done with
    for (int k = 0; k < values; ++k) sums[k] = half[0] * center[k];
    for (int tap = 1; tap <= reach; ++tap) {
      const float* above = &across[static_cast<std::size_t>(std::max(0, i - tap)) * values];
      const float* below = &across[static_cast<std::size_t>(std::min(rows - 1, i + tap)) * values];
      for (int k = 0; k < values; ++k) sums[k] += half[tap] * (above[k] + below[k]);
    }
    std::uint8_t* out = image.at(window.top + i, window.left);
    for (int k = 0; k < values; ++k) out[k] = Round(sums[k]);
  }
}

// Four 16-bit uniforms added up are close enough to a Gaussian, at one generator step a value.
void AddNoise(Image& image, double sigma, std::uint64_t seed, const Window& window) {
  Random random(seed);
  const float scale =
      static_cast<float>(sigma * std::sqrt(3.0) / 65536);  // of a sum whose variance is 65536^2 / 3
  for (int i = window.top; i < window.bottom; ++i) {
    std::uint8_t* pixel = image.at(i, window.left);
    for (int k = 0; k < 3 * (window.right - window.left); ++k) {
      const std::uint64_t bits = random.NextU64();
      const int sum =
          static_cast<int>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48));
      pixel[k] = Round(pixel[k] + static_cast<float>(sum - 2 * 65535) * scale);
    }
  }
}

}  // namespace

Photometric ChoosePhotometric(const AugmentSpec& spec, Random& random, Random& later) {
  Photometric change;
  change.apply = random.Chance(spec.color);
  change.gain = random.Uniform(spec.gain_min, spec.gain_max);
  change.shift = random.Uniform(-spec.shift, spec.shift);
  change.saturation = random.Uniform(spec.saturation_min, spec.saturation_max);
  change.gamma = random.Uniform(spec.gamma_min, spec.gamma_max);
  change.temperature = random.Uniform(-spec.temperature, spec.temperature);
  for (double& channel : change.channels) channel = 1 + later.Uniform(-spec.channel_gain, spec.channel_gain);
  change.blur = later.Uniform(0, spec.blur);
  change.noise = later.Uniform(0, spec.noise);
  change.noise_seed = later.NextU64();
  return change;
}

void ChangePhotometry(Image& image, const Photometric& change, const Window& window) {
  if (window.top >= window.bottom || window.left >= window.right) return;
  ChangeColors(image, change, window);
  if (change.blur >= kLeastBlur) Blur(image, change.blur, window);
  if (change.noise > 0) AddNoise(image, change.noise, change.noise_seed, window);
}

}  // namespace frf
