// SPDX-License-Identifier: Apache-2.0
// Pictures and planes to maps, and maps to planes (maps.h).
#pragma once

#include "engine/kernels/bytes.inl.h"
#include "engine/kernels/maps.h"

namespace frf::kernels::FRF_ISA {

// Pixels [x, width) of a row, each channel looked up.
template <typename T>
FRF_INLINE void LookUpPixels(const PictureIn& p, const std::uint8_t* from, const T* table, T* to,
                             std::ptrdiff_t pixel, int x, int width) {
  const T *red = table, *green = table + 256, *blue = table + 512;
  const int r = p.bgr ? 2 : 0, b = p.bgr ? 0 : 2;
  from += std::ptrdiff_t{3} * x, to += x * pixel;
  for (; x < width; ++x, from += 3, to += pixel) {
    to[0] = red[from[r]];
    to[1] = green[from[1]];
    to[2] = blue[from[b]];
  }
}

inline constexpr int kColourPixels = (kLanes - 1) / 3;  // of a vector, the last lane is spare

// The same computed, for rows without gaps, as far as whole vectors reach: gives the first pixel that is
// left. The spare lane is stored where the next pixel will be.
template <typename Put>
FRF_INLINE int ComputePixels(const PictureIn& p, const std::uint8_t* from, int width, const Put& put) {
  float minus[kLanes] = {}, over[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    minus[i] = p.table->minus[i % 3];
    over[i] = p.table->over[i % 3];
  }
  const V m = Load(minus), o = Load(over);
  int x = 0;
  for (; 3 * x + kLanes <= 3 * width; x += kColourPixels)
    put(3 * x, (LoadColours(from + std::ptrdiff_t{3} * x, p.bgr) - m) / o);
  return x;
}

static void RunPictureIn(const PictureIn& p, std::int64_t y) {
  const std::uint8_t* const from = p.pixels + y * p.stride;
  const bool bytes = p.bytes.data != nullptr;
  const int width = bytes ? p.bytes.width : p.dst.width;
  const std::ptrdiff_t pixel = bytes ? p.bytes.pixel : p.dst.pixel;
  const bool compute = p.table->affine && pixel == 3;
  int x = 0;
  if (bytes) {
    std::uint8_t* const to = p.bytes.data + y * p.bytes.row;
    if (compute) {
      const V step = Broadcast(p.bytes.coding.step),
              zero = Broadcast(static_cast<float>(p.bytes.coding.zero));
      x = ComputePixels(p, from, width, [&](int at, V v) {
        StoreBytes(to + at, Clamp(Nearest(v / step) + zero, Zero(), Broadcast(255.0f)));
      });
    }
    LookUpPixels(p, from, p.byte_table, to, pixel, x, width);
  } else {
    float* const to = p.dst.data + y * p.dst.row;
    if (compute) x = ComputePixels(p, from, width, [&](int at, V v) { Store(to + at, v); });
    LookUpPixels(p, from, p.table->values[0], to, pixel, x, width);
  }
}

static void RunPlanesIn(const PlanesIn& p, std::int64_t y) {
  const bool bytes = p.bytes.data != nullptr;
  const Coding& coding = bytes ? p.bytes.coding : p.round;
  const int height = bytes ? p.bytes.height : p.dst.height, width = bytes ? p.bytes.width : p.dst.width;
  const std::ptrdiff_t pixel = bytes ? p.bytes.pixel : p.dst.pixel;
  const int channels = bytes ? p.bytes.channels : p.dst.channels;
  const std::int64_t plane = static_cast<std::int64_t>(height) * width;
  const int padded = pixel < channels ? static_cast<int>(pixel) : channels;
  for (int c0 = 0; c0 < padded; c0 += kBlock) {  // blocks of 16 channels: a cache line a pixel
    const int c1 = c0 + kBlock < padded ? c0 + kBlock : padded;
    for (int x = 0; x < width; ++x) {
      for (int c = c0; c < c1; ++c) {
        float v = c < p.channels ? p.planes[c * plane + y * width + x] : 0.0f;
        if (coding.step > 0) {
          const float zero = static_cast<float>(coding.zero);
          v = __builtin_nearbyintf(v / coding.step) + zero;
          v = v > 0.0f ? (v < 255.0f ? v : 255.0f) : 0.0f;
          if (!bytes) v = (v - zero) * coding.step;
        }
        if (bytes)
          p.bytes.data[y * p.bytes.row + x * pixel + c] = static_cast<std::uint8_t>(v);
        else
          p.dst.data[y * p.dst.row + x * pixel + c] = v;
      }
    }
  }
}

static void RunPlanesOut(const PlanesOut& p, std::int64_t y) {
  const std::int64_t plane = static_cast<std::int64_t>(p.src.height) * p.src.width;
  const float* const row = p.src.data + y * p.src.row;
  for (int c0 = 0; c0 < p.channels; c0 += kBlock) {
    const int c1 = c0 + kBlock < p.channels ? c0 + kBlock : p.channels;
    for (int c = c0; c < c1; ++c) {
      float* const to = p.planes + c * plane + y * p.src.width;
      for (int x = 0; x < p.src.width; ++x) to[x] = row[x * p.src.pixel + c];
    }
  }
}

}  // namespace frf::kernels::FRF_ISA
