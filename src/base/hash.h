// SPDX-License-Identifier: Apache-2.0
// XXH64 (Collet, "xxHash fast digest algorithm", specification v0.1.1): a fast checksum against torn and
// damaged files, not against forgery. Subtle: lanes are read as little-endian words, so the value is the same
// on every machine we run on.
//
//   const std::uint64_t digest = XxHash64(bytes.data(), bytes.size());
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace frf {

inline std::uint64_t XxHash64(const void* bytes, std::size_t size, std::uint64_t seed = 0) {
  static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");
  constexpr std::uint64_t k1 = 0x9E3779B185EBCA87ULL, k2 = 0xC2B2AE3D27D4EB4FULL, k3 = 0x165667B19E3779F9ULL,
                          k4 = 0x85EBCA77C2B2AE63ULL, k5 = 0x27D4EB2F165667C5ULL;
  const auto* p = static_cast<const unsigned char*>(bytes);
  const unsigned char* const end = p + size;
  const auto read64 = [](const unsigned char* at) {
    std::uint64_t value;
    std::memcpy(&value, at, sizeof(value));
    return value;
  };
  const auto round = [](std::uint64_t lane, std::uint64_t input) {
    return std::rotl(lane + input * k2, 31) * k1;
  };
  std::uint64_t hash = seed + k5;
  if (size >= 32) {
    std::uint64_t a = seed + k1 + k2, b = seed + k2, c = seed, d = seed - k1;
    for (; end - p >= 32; p += 32) {
      a = round(a, read64(p));
      b = round(b, read64(p + 8));
      c = round(c, read64(p + 16));
      d = round(d, read64(p + 24));
    }
    hash = std::rotl(a, 1) + std::rotl(b, 7) + std::rotl(c, 12) + std::rotl(d, 18);
    for (const std::uint64_t lane : {a, b, c, d}) hash = (hash ^ round(0, lane)) * k1 + k4;
  }
  hash += size;
  for (; end - p >= 8; p += 8) hash = std::rotl(hash ^ round(0, read64(p)), 27) * k1 + k4;
  if (end - p >= 4) {
    std::uint32_t word;
    std::memcpy(&word, p, sizeof(word));
    hash = std::rotl(hash ^ (word * k1), 23) * k2 + k3;
    p += 4;
  }
  for (; p < end; ++p) hash = std::rotl(hash ^ (*p * k5), 11) * k1;
  hash = (hash ^ (hash >> 33)) * k2;
  hash = (hash ^ (hash >> 29)) * k3;
  return hash ^ (hash >> 32);
}

inline std::uint64_t XxHash64(std::string_view bytes, std::uint64_t seed = 0) {
  return XxHash64(bytes.data(), bytes.size(), seed);
}

}  // namespace frf
