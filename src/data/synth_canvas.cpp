// SPDX-License-Identifier: Apache-2.0
// The canvas of the scene generator: fills, leaves, and the step from samples to pixels.
// Subtle: where two classes tie for a pixel's majority the thinner kind of thing wins (kRank), so that a pole
// two samples wide does not lose half of its pixels to the sky behind it.
#include "data/synth_canvas.h"

#include <array>

#include "base/random.h"

namespace frf::synth {
namespace {

// Ties go to the larger rank: thin or small things first, surfaces last.
constexpr std::array<std::uint8_t, kThings> kRank = {1, 2,  4,  5, 9, 18, 17, 16, 6, 3,
                                                     0, 14, 15, 7, 8, 8,  8,  12, 13};

NoiseTiles MakeNoise() {
  NoiseTiles tiles;
  tiles.grain.resize(65536);
  tiles.cloud.resize(65536);
  Random random(0x6e6f697365ULL);
  for (auto& value : tiles.grain) value = static_cast<std::uint8_t>(random.Below(256));
  std::vector<float> sum(65536, 0.0f);
  float weight = 1;
  for (int cells = 4; cells <= 64; cells *= 2, weight *= 0.55f) {  // value noise on a torus, five octaves
    std::vector<float> lattice(static_cast<std::size_t>(cells) * cells);
    for (auto& value : lattice) value = static_cast<float>(random.Uniform(-1, 1));
    const float step = static_cast<float>(cells) / 256.0f;
    for (int y = 0; y < 256; ++y) {
      for (int x = 0; x < 256; ++x) {
        const float u = static_cast<float>(x) * step, v = static_cast<float>(y) * step;
        const int u0 = static_cast<int>(u), v0 = static_cast<int>(v), u1 = (u0 + 1) % cells,
                  v1 = (v0 + 1) % cells;
        const auto ease = [](float t) { return t * t * (3 - 2 * t); };
        const float a = ease(u - static_cast<float>(u0)), b = ease(v - static_cast<float>(v0));
        const float top = lattice[v0 * cells + u0] * (1 - a) + lattice[v0 * cells + u1] * a;
        const float bottom = lattice[v1 * cells + u0] * (1 - a) + lattice[v1 * cells + u1] * a;
        sum[y * 256 + x] += weight * (top * (1 - b) + bottom * b);
      }
    }
  }
  for (int i = 0; i < 65536; ++i) {
    tiles.cloud[i] = static_cast<std::uint8_t>(std::clamp(128.0f + 110.0f * sum[i], 0.0f, 255.0f));
  }
  return tiles;
}

std::uint8_t Majority(const std::uint32_t (&samples)[4]) {
  std::uint8_t things[4];
  for (int i = 0; i < 4; ++i) things[i] = static_cast<std::uint8_t>(samples[i] >> 24 & 31u);
  if (things[0] == things[1] && things[0] == things[2] && things[0] == things[3]) return things[0];
  std::uint8_t best = things[0];
  int best_score = -1;
  for (int i = 0; i < 4; ++i) {
    int votes = 0;
    for (int j = 0; j < 4; ++j) votes += things[j] == things[i] ? 1 : 0;
    const int score = votes * 32 + kRank[things[i]];
    if (score > best_score) {
      best_score = score;
      best = things[i];
    }
  }
  return best;
}

// One 1-2-1 pass along rows and one along columns, blended with the original by `amount`.
void Blur(Image& image, float amount) {
  const int centre = 256 - static_cast<int>(128 * amount), side = (256 - centre) / 2;
  const int width = image.width * 3;
  std::vector<std::uint8_t> previous(width), current(width), line(width);
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* p = image.at(y, 0);
    std::copy(p, p + width, line.begin());
    for (int i = 3; i + 3 < width; ++i) {
      p[i] = static_cast<std::uint8_t>((line[i] * centre + (line[i - 3] + line[i + 3]) * side) >> 8);
    }
  }
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* p = image.at(y, 0);
    std::copy(p, p + width, current.begin());
    if (y > 0 && y + 1 < image.height) {
      const std::uint8_t* next = image.at(y + 1, 0);
      for (int i = 0; i < width; ++i) {
        p[i] = static_cast<std::uint8_t>((current[i] * centre + (previous[i] + next[i]) * side) >> 8);
      }
    }
    std::swap(previous, current);
  }
}

void AddNoise(Image& image, float sigma, std::uint64_t seed) {
  const auto& grain = Noise().grain;  // uniform bytes: standard deviation 74
  Random random(seed, 77);
  const int scale = static_cast<int>(sigma / 74.0f * 256.0f);
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* p = image.at(y, 0);
    const std::uint8_t* luma = &grain[random.Below(256) * 256];
    const std::uint8_t* chroma = &grain[random.Below(256) * 256];
    const unsigned shift = static_cast<unsigned>(random.Below(256));
    for (int x = 0; x < image.width; ++x) {
      const int common = luma[(x + shift) & 255u] - 128;
      for (int c = 0; c < 3; ++c) {
        const int own = chroma[(x * 3 + c + shift) & 255u] - 128;
        const int value = *p + ((common * 3 + own * 2) * scale >> 10);
        *p++ = static_cast<std::uint8_t>(std::clamp(value, 0, 255));
      }
    }
  }
}

}  // namespace

const NoiseTiles& Noise() {
  static const NoiseTiles tiles = MakeNoise();
  return tiles;
}

Canvas::Canvas(int picture_height, int picture_width)
    : height_(2 * picture_height),
      width_(2 * picture_width),
      samples_(static_cast<std::size_t>(height_) * width_, Pack({0.5f, 0.5f, 0.5f}, kSky)) {}

void Canvas::Fill(const Point* points, int count, std::uint32_t packed) {
  ScanPolygon(points, count, height_, width_,
              [&](int y, int x0, int x1) { std::fill(row(y) + x0, row(y) + x1, packed); });
}

void Canvas::Blend(const Point* points, int count, std::uint32_t packed, int amount, bool take_class) {
  ScanPolygon(points, count, height_, width_, [&](int y, int x0, int x1) {
    std::uint32_t* p = row(y);
    for (int x = x0; x < x1; ++x) {
      const std::uint32_t mixed = BlendPacked(p[x], packed, amount);
      p[x] = take_class ? (mixed & 0x00ffffffu) | (packed & 0xff000000u) : mixed;
    }
  });
}

void Canvas::Relabel(const Point* points, int count, Thing thing) {
  const std::uint32_t bits = static_cast<std::uint32_t>(thing) << 24;
  ScanPolygon(points, count, height_, width_, [&](int y, int x0, int x1) {
    std::uint32_t* p = row(y);
    for (int x = x0; x < x1; ++x) p[x] = (p[x] & 0x00ffffffu) | bits;
  });
}

void Canvas::Shade(const Point* points, int count, Rgb keep) {
  const std::uint32_t kr = static_cast<std::uint32_t>(keep.r * 256),
                      kg = static_cast<std::uint32_t>(keep.g * 256),
                      kb = static_cast<std::uint32_t>(keep.b * 256);
  constexpr std::uint32_t ground = 1u << kRoad | 1u << kPavement | 1u << kTerrain;
  ScanPolygon(points, count, height_, width_, [&](int y, int x0, int x1) {
    std::uint32_t* p = row(y);
    for (int x = x0; x < x1; ++x) {
      const std::uint32_t s = p[x];
      if ((s & kShadowFlag) != 0 || (ground >> (s >> 24 & 31u) & 1u) == 0) continue;
      p[x] = (s & 0xff000000u) | kShadowFlag | (s & 255u) * kr >> 8 | ((s >> 8 & 255u) * kg >> 8) << 8 |
             ((s >> 16 & 255u) * kb >> 8) << 16;
    }
  });
}

void Canvas::FillLeaves(const Leaves& leaves) {
  const float reach = std::sqrt(1 + 2 * leaves.fray);
  const auto clip = [](float v, int limit) {
    return static_cast<int>(std::clamp(v, 0.0f, static_cast<float>(limit)));
  };
  const int y0 = clip(leaves.centre.y - leaves.radius.y * reach, height_);
  const int y1 = clip(leaves.centre.y + leaves.radius.y * reach + 1, height_);
  const int x0 = clip(leaves.centre.x - leaves.radius.x * reach, width_);
  const int x1 = clip(leaves.centre.x + leaves.radius.x * reach + 1, width_);
  const std::uint32_t base = Pack(leaves.color, leaves.thing), haze = Pack(leaves.haze, leaves.thing);
  const int red = base & 255, green = base >> 8 & 255, blue = base >> 16 & 255;
  const int haze_amount = static_cast<int>(std::clamp(leaves.haze_amount, 0.0f, 1.0f) * 256);
  const auto& cloud = Noise().cloud;
  const auto& grain = Noise().grain;
  const std::uint32_t bits = static_cast<std::uint32_t>(leaves.thing) << 24;
  const auto fixed = [](float v) { return static_cast<unsigned>(static_cast<int>(v * 65536)); };
  const unsigned rough_step = fixed(leaves.scale * 3), fine_step = fixed(leaves.scale * 2.3f);
  const int bend = static_cast<int>(leaves.fray * 64),
            sun_x = static_cast<int>(leaves.contrast * leaves.sun.x * 141),
            sun_y = static_cast<int>(leaves.contrast * leaves.sun.y * 141);
  const int mottle = static_cast<int>(leaves.contrast * 437), speck = static_cast<int>(leaves.contrast * 193);
  for (int y = y0; y < y1; ++y) {
    // Everything in units of 1/256 or 1/4096: this is the loop that takes the most time in a green scene.
    const float dy = (static_cast<float>(y) + 0.5f - leaves.centre.y) / leaves.radius.y;
    const float rest = reach * reach - dy * dy;
    if (rest <= 0) continue;
    const float half = leaves.radius.x * std::sqrt(rest);
    const int from = std::max(x0, static_cast<int>(leaves.centre.x - half));
    const int to = std::min(x1, static_cast<int>(leaves.centre.x + half) + 1);
    const float v = static_cast<float>(y) * leaves.scale + leaves.offset;
    const std::uint8_t* rough_row = &cloud[(static_cast<unsigned>(v * 3) & 255u) * 256u];
    const std::uint8_t* fine_row = &grain[(static_cast<unsigned>(v * 2.3f) & 255u) * 256u];
    unsigned rough_at = fixed(static_cast<float>(from) * leaves.scale * 3) + fixed(leaves.offset * 3);
    unsigned fine_at = rough_at / 3 * 2;
    const int square_y = static_cast<int>(dy * dy * 4096),
              light_y = static_cast<int>(dy * static_cast<float>(sun_y));
    const float per_x = 4096 / leaves.radius.x;
    int dx = static_cast<int>((static_cast<float>(from) + 0.5f - leaves.centre.x) * per_x);
    const int dx_step = static_cast<int>(per_x);
    const float exact = per_x - static_cast<float>(dx_step);
    float carry = 0;
    std::uint32_t* p = row(y);
    for (int x = from; x < to;
         ++x, rough_at += rough_step, fine_at += fine_step, dx += dx_step, carry += exact) {
      const int d = dx + static_cast<int>(carry);
      const int rough = rough_row[rough_at >> 16 & 255u] - 128;
      if ((d * d >> 12) + square_y > 4096 + bend * rough) continue;
      const int fine = fine_row[fine_at >> 16 & 255u] - 128;
      const int m = std::max(256 + (d * sun_x >> 12) + light_y + ((rough * mottle + fine * speck) >> 8), 38);
      const std::uint32_t lit = static_cast<std::uint32_t>(std::min(red * m >> 8, 255)) |
                                static_cast<std::uint32_t>(std::min(green * m >> 8, 255)) << 8 |
                                static_cast<std::uint32_t>(std::min(blue * m >> 8, 255)) << 16 | bits;
      p[x] = BlendPacked(lit, haze, haze_amount);
    }
  }
}

void Canvas::Resolve(const Finish& finish, const std::uint8_t (&ids)[kThings], Image& image,
                     LabelImage& labels) const {
  image = {.height = height_ / 2, .width = width_ / 2, .channels = 3};
  image.pixels.resize(image.bytes());
  labels = {.height = image.height, .width = image.width};
  labels.ids.resize(static_cast<std::size_t>(image.height) * image.width);
  std::array<std::array<std::uint8_t, 1024>, 3> curve;  // by the sum of four bytes
  const float gains[3] = {finish.gain.r, finish.gain.g, finish.gain.b};
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 1024; ++i) {
      const float v = std::min(static_cast<float>(i) / 1020.0f * gains[c], 1.0f);
      curve[c][i] = static_cast<std::uint8_t>(std::pow(v, finish.gamma) * 255.0f + 0.5f);
    }
  }
  const int saturation = static_cast<int>(finish.saturation * 256);
  const float half_h = static_cast<float>(image.height) / 2, half_w = static_cast<float>(image.width) / 2;
  const float reach = 1 / (half_h * half_h + half_w * half_w);
  for (int y = 0; y < image.height; ++y) {
    const std::uint32_t* upper = &samples_[static_cast<std::size_t>(2 * y) * width_];
    const std::uint32_t* lower = upper + width_;
    std::uint8_t* p = image.at(y, 0);
    const float dy = static_cast<float>(y) - half_h;
    for (int x = 0; x < image.width; ++x, p += 3) {
      const std::uint32_t s[4] = {upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]};
      labels.at(y, x) = ids[Majority(s)];
      int rgb[3];
      for (int c = 0; c < 3; ++c) {
        const int k = 8 * c;
        rgb[c] = curve[c][(s[0] >> k & 255u) + (s[1] >> k & 255u) + (s[2] >> k & 255u) + (s[3] >> k & 255u)];
      }
      const float dx = static_cast<float>(x) - half_w;
      const int keep = 256 - static_cast<int>(256 * finish.vignette * (dx * dx + dy * dy) * reach);
      const int grey = (rgb[0] * 77 + rgb[1] * 150 + rgb[2] * 29) >> 8;
      for (int c = 0; c < 3; ++c) {
        const int value = grey + ((rgb[c] - grey) * saturation >> 8);
        p[c] = static_cast<std::uint8_t>(std::clamp(value * keep >> 8, 0, 255));
      }
    }
  }
  if (finish.blur > 0) Blur(image, finish.blur);
  if (finish.noise > 0) AddNoise(image, finish.noise, finish.seed);
}

}  // namespace frf::synth
