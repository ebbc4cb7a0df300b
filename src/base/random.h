// SPDX-License-Identifier: Apache-2.0
// Chance is a value: every random choice derives from (seed, epoch, index), never from a generator that is
// shared or from the time, so results do not depend on the number of workers or on where a run was resumed.
//
//   Random random(seed, epoch, image_index);
//   const double scale = random.Uniform(0.75, 2.0);
//
// Generator: SplitMix64 (Steele, Lea, Flood 2014) started from a hash of the three keys.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace frf {

class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t epoch = 0, std::uint64_t index = 0)
      : state_(Mix(Mix(Mix(seed + kGolden) ^ (epoch + 2 * kGolden)) ^ (index + 3 * kGolden))) {}

  std::uint64_t NextU64() { return Mix(state_ += kGolden); }
  // Uniform in [0, 1), 53 bits.
  double Uniform() { return static_cast<double>(NextU64() >> 11) * 0x1.0p-53; }
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // Uniform in [0, count); count >= 1. The bias of at most count / 2^64 is accepted.
  std::int64_t Below(std::int64_t count) {
    return static_cast<std::int64_t>((static_cast<unsigned __int128>(NextU64()) * count) >> 64);
  }
  // Uniform in [low, high], both ends included.
  std::int64_t Between(std::int64_t low, std::int64_t high) { return low + Below(high - low + 1); }
  bool Chance(double probability) { return Uniform() < probability; }
  // Standard normal, Box-Muller; two uniforms a call, nothing is kept between calls.
  double Normal() {
    const double u = 1.0 - Uniform(), v = Uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }
  // Fisher-Yates.
  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (std::int64_t i = static_cast<std::int64_t>(items.size()) - 1; i > 0; --i) {
      std::swap(items[i], items[Below(i + 1)]);
    }
  }

 private:
  static constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  static std::uint64_t Mix(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  std::uint64_t state_;
};

}  // namespace frf
