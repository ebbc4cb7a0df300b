// SPDX-License-Identifier: Apache-2.0
// Colours for classes. Subtle: beyond the hand-picked ones each further colour is the one farthest, to the
// eye (CIELAB), from all before it and from black, which stands for void; so any number of classes stays as
// distinct as it can be.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "frf/error.h"
#include "image/transform.h"

namespace frf {
namespace {

constexpr Color kPicked[] = {{128, 96, 150}, {70, 130, 190}, {96, 150, 62},   {226, 168, 44},
                             {200, 62, 58},  {60, 186, 178}, {232, 128, 172}, {150, 110, 70},
                             {120, 84, 220}, {186, 206, 92}, {120, 128, 140}, {240, 118, 52}};
constexpr int kLevels = 12;  // a side of the grid of candidates

using Lab = std::array<double, 3>;

double Linear(std::uint8_t value) {
  const double v = value / 255.0;
  return v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4);
}

Lab ToLab(const Color& color) {
  const double r = Linear(color[0]), g = Linear(color[1]), b = Linear(color[2]);
  const auto f = [](double t) { return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116; };
  const double x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505);
  const double y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const double z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

double SquaredDistance(const Lab& a, const Lab& b) {
  const double l = a[0] - b[0], u = a[1] - b[1], v = a[2] - b[2];
  return l * l + u * u + v * v;
}

struct Candidate {
  Color color;
  Lab lab;
  double nearest = std::numeric_limits<double>::infinity();  // to any colour taken
};

std::vector<Candidate> Grid() {
  std::vector<Candidate> grid;
  for (int i = 0; i < kLevels * kLevels * kLevels; ++i) {
    const auto level = [](int step) { return static_cast<std::uint8_t>(24 + step % kLevels * 20); };
    const Color color{level(i), level(i / kLevels), level(i / kLevels / kLevels)};
    grid.push_back({color, ToLab(color)});
  }
  return grid;
}

void Take(std::vector<Candidate>& grid, const Color& color) {
  const Lab lab = ToLab(color);
  for (Candidate& candidate : grid)
    candidate.nearest = std::min(candidate.nearest, SquaredDistance(candidate.lab, lab));
}

}  // namespace

std::vector<Color> DefaultPalette(int classes) {
  if (classes < 0 || classes > kMaxClasses) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("DefaultPalette: {} classes, at most {}", classes, kMaxClasses));
  }
  std::vector<Color> palette;
  for (const Color& color : kPicked) {
    if (static_cast<int>(palette.size()) < classes) palette.push_back(color);
  }
  if (static_cast<int>(palette.size()) == classes) return palette;
  std::vector<Candidate> grid = Grid();
  Take(grid, {0, 0, 0});
  for (const Color& color : palette) Take(grid, color);
  while (static_cast<int>(palette.size()) < classes) {
    const Candidate* best = &grid.front();
    for (const Candidate& candidate : grid) {
      if (candidate.nearest > best->nearest) best = &candidate;
    }
    palette.push_back(best->color);
    Take(grid, palette.back());
  }
  return palette;
}

Image Colorize(const LabelImage& labels, const std::vector<Color>& palette) {
  Image image;
  Colorize(labels, palette, image);
  return image;
}

void Colorize(const LabelImage& labels, const std::vector<Color>& palette, Image& image) {
  image.height = labels.height, image.width = labels.width, image.channels = 3;
  image.pixels.resize(image.bytes());
  std::uint8_t* dst = image.pixels.data();
  for (std::size_t i = 0; i < labels.ids.size(); ++i, dst += 3) {
    const std::uint8_t id = labels.ids[i];
    if (id >= palette.size() && id != kVoidLabel) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("Colorize: label {} at row {}, column {}, but the palette has {} colours", id,
                              i / static_cast<std::size_t>(labels.width),
                              i % static_cast<std::size_t>(labels.width), palette.size()));
    }
    const Color color = id == kVoidLabel ? Color{} : palette[id];
    for (std::size_t c = 0; c < 3; ++c) dst[c] = color[c];
  }
}

}  // namespace frf
