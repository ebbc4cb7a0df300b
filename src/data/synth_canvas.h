// SPDX-License-Identifier: Apache-2.0
// Drawing primitives of the scene generator: a canvas whose samples hold colour and class together, polygons
// that fill both at once, and noise tiles. The canvas has twice the picture's height and width; Resolve()
// averages four samples to a pixel and takes their majority as its label. Subtle: a sample belongs to a
// polygon when its centre lies inside (left and top edges included), and an edge's crossing is computed from
// its upper end whichever way it is walked, so polygons that share an edge neither overlap nor leave gaps.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "frf/image.h"

namespace frf::synth {

struct Rgb {
  float r = 0, g = 0, b = 0;  // 0..1, display-referred
};
inline Rgb operator*(Rgb c, float k) { return {c.r * k, c.g * k, c.b * k}; }
inline Rgb operator*(Rgb c, Rgb k) { return {c.r * k.r, c.g * k.g, c.b * k.b}; }
inline Rgb operator+(Rgb a, Rgb b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
inline Rgb Mix(Rgb a, Rgb b, float t) { return a * (1 - t) + b * t; }

struct Point {
  float x = 0, y = 0;  // sample units, (0, 0) is the top left corner of the first sample
};

// What a sample shows; the order is Cityscapes' train ids, so that variant needs no table.
enum Thing : std::uint8_t {
  kRoad,
  kPavement,
  kBuilding,
  kWall,
  kFence,
  kPole,
  kTrafficLight,
  kSign,
  kVegetation,
  kTerrain,
  kSky,
  kPerson,
  kRider,
  kCar,
  kTruck,
  kBus,
  kTrain,
  kMotorcycle,
  kBicycle,
  kThings
};

inline constexpr int kMaxCorners = 64;
inline constexpr std::uint32_t kShadowFlag = 0x80000000u;  // ground that a shadow has already darkened

// Red in the low byte, then green, blue, and the thing in bits 24..28.
inline std::uint32_t Pack(Rgb c, Thing thing) {
  const auto byte = [](float v) {
    return static_cast<std::uint32_t>(std::clamp(v, 0.0f, 1.0f) * 255.0f + 0.5f);
  };
  return byte(c.r) | byte(c.g) << 8 | byte(c.b) << 16 | static_cast<std::uint32_t>(thing) << 24;
}

// `amount` 0..256 of `over` onto `under`; the class bits are `under`'s.
inline std::uint32_t BlendPacked(std::uint32_t under, std::uint32_t over, int amount) {
  std::uint32_t out = under & 0xff000000u;
  for (int shift = 0; shift < 24; shift += 8) {
    const int u = static_cast<int>(under >> shift & 255u), o = static_cast<int>(over >> shift & 255u);
    out |= static_cast<std::uint32_t>(u + ((o - u) * amount >> 8)) << shift;
  }
  return out;
}

// 256 x 256 tiles that wrap around: white noise, and a sum of smooth octaves stretched to 0..255 with mean
// near 128.
struct NoiseTiles {
  std::vector<std::uint8_t> grain, cloud;
};
const NoiseTiles& Noise();
inline int NoiseAt(const std::vector<std::uint8_t>& tile, float u, float v) {
  return tile[(static_cast<unsigned>(static_cast<int>(v)) & 255u) * 256u +
              (static_cast<unsigned>(static_cast<int>(u)) & 255u)];
}

// Calls span(y, x0, x1) for every row's runs of samples inside (even-odd rule).
template <typename Span>
void ScanPolygon(const Point* points, int count, int height, int width, Span&& span) {
  if (count < 3 || count > kMaxCorners) return;
  float top = points[0].y, bottom = points[0].y;
  for (int i = 1; i < count; ++i) {
    top = std::min(top, points[i].y);
    bottom = std::max(bottom, points[i].y);
  }
  const int first = static_cast<int>(std::ceil(std::clamp(top - 0.5f, 0.0f, static_cast<float>(height))));
  const int last = static_cast<int>(std::ceil(std::clamp(bottom - 0.5f, 0.0f, static_cast<float>(height))));
  float slopes[kMaxCorners], crossings[kMaxCorners];
  const Point* upper[kMaxCorners];
  const Point* lower[kMaxCorners];
  for (int i = 0; i < count; ++i) {
    const Point *a = &points[i], *b = &points[i + 1 == count ? 0 : i + 1];
    upper[i] = a->y < b->y ? a : b;
    lower[i] = a->y < b->y ? b : a;
    const float rise = lower[i]->y - upper[i]->y;
    slopes[i] = rise > 0 ? (lower[i]->x - upper[i]->x) / rise : 0;
  }
  for (int y = first; y < last; ++y) {
    const float centre = static_cast<float>(y) + 0.5f;
    int n = 0;
    for (int i = 0; i < count; ++i) {
      if (upper[i]->y > centre || lower[i]->y <= centre) continue;
      float x = upper[i]->x + (centre - upper[i]->y) * slopes[i];
      int at = n++;
      for (; at > 0 && crossings[at - 1] > x; --at) crossings[at] = crossings[at - 1];
      crossings[at] = x;
    }
    for (int i = 0; i + 1 < n; i += 2) {
      const float w = static_cast<float>(width);
      const int x0 = static_cast<int>(std::ceil(std::clamp(crossings[i] - 0.5f, 0.0f, w)));
      const int x1 = static_cast<int>(std::ceil(std::clamp(crossings[i + 1] - 0.5f, 0.0f, w)));
      if (x0 < x1) span(y, x0, x1);
    }
  }
}

// A scene's picture-wide finish, applied to averaged pixels.
struct Finish {
  Rgb gain{1, 1, 1};  // exposure and colour temperature
  float gamma = 1;
  float saturation = 1;
  float vignette = 0;      // darkening at the corners, 0..0.4
  float blur = 0;          // 0: none .. 1: a 1-2-1 filter in both directions
  float noise = 0;         // sensor noise, grey levels (standard deviation)
  std::uint64_t seed = 0;  // of that noise
};

class Canvas {
 public:
  Canvas(int picture_height, int picture_width);

  int height() const { return height_; }  // in samples: twice the picture's
  int width() const { return width_; }
  std::uint32_t* row(int y) { return &samples_[static_cast<std::size_t>(y) * width_]; }

  void Fill(const Point* points, int count, std::uint32_t packed);
  // Colour over what is there, 0..256; the class too if `take_class`.
  void Blend(const Point* points, int count, std::uint32_t packed, int amount, bool take_class);
  // The class alone: holes in fences and wheels belong to the object, as annotators draw them.
  void Relabel(const Point* points, int count, Thing thing);
  // Scales ground samples (road, pavement, terrain) once, however many shadows fall there. `keep` is out of
  // 256.
  void Shade(const Point* points, int count, Rgb keep);
  // A leafy ellipse: the edge frays by `fray` (0..1) of the radius, and the tone varies with noise and with
  // the direction to the sun (screen units, y downwards).
  struct Leaves {
    Point centre, radius, sun;
    Rgb color, haze;
    float haze_amount = 0, fray = 0.3f, contrast = 0.5f, scale = 0.3f, offset = 0;
    Thing thing = kVegetation;
  };
  void FillLeaves(const Leaves& leaves);

  // The picture and its labels by `ids` (one class id per Thing).
  void Resolve(const Finish& finish, const std::uint8_t (&ids)[kThings], Image& image,
               LabelImage& labels) const;

 private:
  int height_, width_;
  std::vector<std::uint32_t> samples_;
};

}  // namespace frf::synth
