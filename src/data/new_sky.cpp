// SPDX-License-Identifier: Apache-2.0
// Subtle: outlines. A pixel on a roof's edge is part roof, part old sky; labelled roof and left as it is it
// would be a pale fringe that no camera makes, and by which a network would find every drawn sky. So the old
// sky's part of such a pixel is estimated from where its brightness lies between the darkest pixel nearby and
// the sky's, and that part is changed.
#include "data/new_sky.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "data/synth_parts.h"
#include "data/synth_street.h"
#include "frf/error.h"

namespace frf {
namespace {

constexpr std::uint64_t kDatasetKey = 0x736b696573ULL;  // apart from the skies of augmentation
constexpr int kReach = 2;                               // pixels around labelled sky that may be part sky
constexpr float kLeastContrast = 32;                    // grey levels between sky and what stands before it

template <typename T>
float Grey(const T* p) {
  return 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2];
}

// One sample a pixel: what a canvas averages elsewhere, outlines, a sky does not have.
synth::Painter PaintSky(int height, int width, float horizon, Random& random) {
  synth::Painter painter((height + 1) / 2, (width + 1) / 2);
  const synth::Weather weather = synth::ChooseWeather(random);
  painter.light = weather.light;
  synth::DrawSky(painter, random, horizon, weather.cloudiness);
  return painter;
}

float Channel(std::uint32_t drawn, int c) { return static_cast<float>(drawn >> (8 * c) & 255u); }

bool IsSky(const LabelImage& labels, int sky, int y, int x) {
  return labels.ids[static_cast<std::size_t>(y) * labels.width + x] == sky;
}

struct OldSky {
  int lowest = -1;  // row; -1: none is there
  float mean[3] = {};
};

OldSky MeasureSky(const Image& image, const LabelImage& labels, int sky, const Window& window) {
  OldSky old;
  double sums[3] = {};
  int count = 0;
  for (int y = window.top; y < window.bottom; ++y) {
    for (int x = window.left; x < window.right; ++x) {
      if (!IsSky(labels, sky, y, x)) continue;
      old.lowest = y, ++count;
      for (int c = 0; c < 3; ++c) sums[c] += image.at(y, x)[c];
    }
  }
  for (int c = 0; c < 3 && count > 0; ++c) old.mean[c] = static_cast<float>(sums[c] / count);
  return old;
}

// 1 for pixels up to kReach from labelled sky along both axes, and for the sky itself.
std::vector<std::uint8_t> NearSky(const LabelImage& labels, int sky, const Window& window) {
  std::vector<std::uint8_t> near(labels.ids.size());
  for (int y = window.top; y < window.bottom; ++y) {
    for (int x = window.left; x < window.right; ++x) {
      if (!IsSky(labels, sky, y, x)) continue;
      const bool inside = x > window.left && IsSky(labels, sky, y, x - 1) && x + 1 < window.right &&
                          IsSky(labels, sky, y, x + 1) && y > window.top && IsSky(labels, sky, y - 1, x) &&
                          y + 1 < window.bottom && IsSky(labels, sky, y + 1, x);
      if (inside) continue;  // its neighbours reach further
      const int left = std::max(window.left, x - kReach), right = std::min(window.right - 1, x + kReach);
      for (int i = std::max(window.top, y - kReach); i <= std::min(window.bottom - 1, y + kReach); ++i)
        std::fill_n(near.begin() + static_cast<std::ptrdiff_t>(i) * labels.width + left, right - left + 1, 1);
    }
  }
  return near;
}

// How much of an unlabelled pixel is sky as bright as `level`, 0..1, by the darkest pixel before it nearby.
float SkyShare(const Image& image, const LabelImage& labels, int sky, const Window& window, float level,
               int y, int x) {
  float darkest = level;
  for (int i = std::max(window.top, y - kReach); i <= std::min(window.bottom - 1, y + kReach); ++i) {
    for (int k = std::max(window.left, x - kReach); k <= std::min(window.right - 1, x + kReach); ++k) {
      if (!IsSky(labels, sky, i, k)) darkest = std::min(darkest, Grey(image.at(i, k)));
    }
  }
  if (level - darkest < kLeastContrast) return 0;
  return std::clamp((Grey(image.at(y, x)) - darkest) / (level - darkest), 0.0f, 1.0f);
}

class NewSkies : public Dataset {
 public:
  NewSkies(std::shared_ptr<const Dataset> data, int sky, std::uint64_t seed)
      : data_(std::move(data)), sky_(sky), seed_(seed) {}

  std::string description() const override { return data_->description() + ", new skies"; }
  int size() const override { return data_->size(); }
  const Classes& classes() const override { return data_->classes(); }
  std::string name(int index) const override { return data_->name(index); }
  std::string image_path(int index) const override { return data_->image_path(index); }
  std::pair<int, int> image_size(int index) const override { return data_->image_size(index); }
  std::string label_path(int index) const override { return data_->label_path(index); }
  Sample Get(int index) const override {
    Sample sample = data_->Get(index);
    const Window all{.top = 0, .bottom = sample.image.height, .left = 0, .right = sample.image.width};
    DrawNewSky(sample.image, sample.labels, sky_, all, Random(seed_ ^ kDatasetKey, 0, index));
    return sample;
  }
  LabelImage GetLabels(int index) const override { return data_->GetLabels(index); }

 private:
  std::shared_ptr<const Dataset> data_;
  int sky_;
  std::uint64_t seed_;
};

}  // namespace

void DrawNewSky(Image& image, const LabelImage& labels, int sky, const Window& window, Random random) {
  const OldSky old = MeasureSky(image, labels, sky, window);
  if (old.lowest < 0) return;
  const float level = Grey(old.mean);
  // Behind houses and trees the sky goes on; some crops show only the upper part of it.
  const float beyond =
      static_cast<float>(random.Uniform(0, 0.3)) * static_cast<float>(window.bottom - window.top);
  synth::Painter painted =
      PaintSky(image.height, image.width, static_cast<float>(old.lowest + 1) + beyond, random);
  const std::vector<std::uint8_t> near = NearSky(labels, sky, window);
  const Image before = image;
  for (int y = window.top; y < std::min(window.bottom, old.lowest + 1 + kReach); ++y) {
    const std::uint32_t* drawn = painted.canvas.row(y);
    for (int x = window.left; x < window.right; ++x) {
      std::uint8_t* pixel = image.at(y, x);
      if (IsSky(labels, sky, y, x)) {
        const float grey = Grey(pixel) / 255;
        for (int c = 0; c < 3; ++c) pixel[c] = static_cast<std::uint8_t>(Channel(drawn[x], c) * grey + 0.5f);
      } else if (near[static_cast<std::size_t>(y) * labels.width + x] != 0) {
        const float share = SkyShare(before, labels, sky, window, level, y, x);
        for (int c = 0; c < 3; ++c) {
          const float change = Channel(drawn[x], c) * level / 255 - old.mean[c];
          pixel[c] = static_cast<std::uint8_t>(std::clamp(pixel[c] + change * share, 0.0f, 255.0f) + 0.5f);
        }
      }
    }
  }
}

int SkyClass(const Classes& classes) {
  const auto is_sky = [](const std::string& name) { return Lower(name) == "sky"; };
  const auto found = std::find_if(classes.names.begin(), classes.names.end(), is_sky);
  return found == classes.names.end() ? -1 : static_cast<int>(found - classes.names.begin());
}

std::unique_ptr<Dataset> WithNewSkies(std::shared_ptr<const Dataset> data, std::uint64_t seed) {
  const int sky = SkyClass(data->classes());
  if (sky < 0)
    throw Error(ErrorCode::kUsage,
                fmt::format("new skies: no class of {} is called sky", data->description()));
  return std::make_unique<NewSkies>(std::move(data), sky, seed);
}

}  // namespace frf
