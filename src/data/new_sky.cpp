// SPDX-License-Identifier: Apache-2.0
// Subtle: outlines. A pixel on a roof's edge is part roof, part old sky; labelled roof and left as it is it
// would be a pale fringe that no camera makes, and by which a network would find every drawn sky. So the old
// sky's part of such a pixel is estimated from where its brightness lies between the darkest pixel nearby and
// the sky's, and that part is changed.
#include "data/new_sky.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <vector>

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

class NewSkies : public Dataset {
 public:
  NewSkies(std::shared_ptr<const Dataset> data, int sky, std::uint64_t seed)
      : data_(std::move(data)), sky_(sky), seed_(seed) {}

  std::string description() const override { return data_->description() + ", new skies"; }
  int size() const override { return data_->size(); }
  const Classes& classes() const override { return data_->classes(); }
  std::string name(int index) const override { return data_->name(index); }
  std::string image_path(int index) const override { return data_->image_path(index); }
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
  const int width = labels.width;
  const auto is_sky = [&](int y, int x) {
    return labels.ids[static_cast<std::size_t>(y) * width + x] == sky;
  };
  int lowest = -1, count = 0;
  double sums[3] = {};
  for (int y = window.top; y < window.bottom; ++y) {
    for (int x = window.left; x < window.right; ++x) {
      if (!is_sky(y, x)) continue;
      lowest = y, ++count;
      for (int c = 0; c < 3; ++c) sums[c] += image.at(y, x)[c];
    }
  }
  if (count == 0) return;
  float old[3];  // the picture's sky
  for (int c = 0; c < 3; ++c) old[c] = static_cast<float>(sums[c] / count);
  const float level = Grey(old);
  // Behind houses and trees the sky goes on; some crops show only the upper part of it.
  const float horizon = static_cast<float>(lowest + 1) + static_cast<float>(random.Uniform(0, 0.3)) *
                                                             static_cast<float>(window.bottom - window.top);
  synth::Painter painted = PaintSky(image.height, image.width, horizon, random);

  const Image before = image;
  const int bottom = std::min(window.bottom, lowest + 1 + kReach);
  // How far each pixel is from labelled sky matters only up to kReach: rows first, then columns.
  std::vector<std::uint8_t> near_row(labels.ids.size());
  for (int y = window.top; y < bottom; ++y) {
    for (int x = window.left; x < window.right; ++x) {
      if (!is_sky(y, x)) continue;
      const int first = std::max(window.left, x - kReach), last = std::min(window.right - 1, x + kReach);
      std::fill_n(near_row.begin() + static_cast<std::ptrdiff_t>(y) * width + first, last - first + 1, 1);
    }
  }
  for (int y = window.top; y < bottom; ++y) {
    const int above = std::max(window.top, y - kReach), below = std::min(window.bottom - 1, y + kReach);
    const std::uint32_t* drawn = painted.canvas.row(y);
    for (int x = window.left; x < window.right; ++x) {
      if (is_sky(y, x)) {
        std::uint8_t* pixel = image.at(y, x);
        const float grey = Grey(pixel) / 255;
        for (int c = 0; c < 3; ++c) pixel[c] = static_cast<std::uint8_t>(Channel(drawn[x], c) * grey + 0.5f);
        continue;
      }
      bool near = false;
      for (int i = above; i <= below && !near; ++i)
        near = near_row[static_cast<std::size_t>(i) * width + x] != 0;
      if (!near) continue;
      float darkest = level;
      for (int i = above; i <= below; ++i) {
        for (int k = std::max(window.left, x - kReach); k <= std::min(window.right - 1, x + kReach); ++k) {
          if (!is_sky(i, k)) darkest = std::min(darkest, Grey(before.at(i, k)));
        }
      }
      if (level - darkest < kLeastContrast) continue;
      const float share = std::clamp((Grey(before.at(y, x)) - darkest) / (level - darkest), 0.0f, 1.0f);
      std::uint8_t* pixel = image.at(y, x);
      for (int c = 0; c < 3; ++c) {
        const float change = Channel(drawn[x], c) * level / 255 - old[c];
        pixel[c] = static_cast<std::uint8_t>(std::clamp(pixel[c] + change * share, 0.0f, 255.0f) + 0.5f);
      }
    }
  }
}

int SkyClass(const Classes& classes) {
  const auto is_sky = [](std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    return name == "sky";
  };
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
