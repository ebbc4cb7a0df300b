// SPDX-License-Identifier: Apache-2.0
// Augmentation of one sample. Scale, crop, padding and mirror are one resampling pass that reads only the
// source window of the crop, so a crop costs the same from a small and from a large image. Subtle: random
// numbers are drawn in one fixed order whether they are used or not, so that switching one change off leaves
// the others as they were.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "base/model_info.h"
#include "base/random.h"
#include "data/loader.h"
#include "data/new_sky.h"
#include "data/paste.h"
#include "data/photometric.h"
#include "frf/error.h"
#include "image/transform.h"

namespace frf {
namespace {

constexpr std::uint64_t kSkyKey = 0x736b79ULL;  // a stream of its own: recorded runs keep their numbers

struct Placement {  // where the crop lies in the scaled image; negative offsets are padding
  int scaled_height, scaled_width, y, x;
  bool flip;
};

struct Axis {  // for each output position inside [first, last): taps of the source
  int first = 0, last = 0;
  std::vector<int> low, high, nearest;
  std::vector<float> weight;  // of `high`
};

// Half-pixel centres, as ResizeBilinear and ResizeNearest.
Axis MakeAxis(int source, int scaled, int offset, int crop) {
  Axis axis;
  axis.low.resize(crop), axis.high.resize(crop), axis.nearest.resize(crop), axis.weight.resize(crop);
  axis.first = std::clamp(-offset, 0, crop);
  axis.last = std::clamp(scaled - offset, axis.first, crop);
  const double ratio = static_cast<double>(source) / scaled;
  for (int i = axis.first; i < axis.last; ++i) {
    const double center = (offset + i + 0.5) * ratio;
    const double at = std::clamp(center - 0.5, 0.0, source - 1.0);
    axis.low[i] = static_cast<int>(at);
    axis.high[i] = std::min(axis.low[i] + 1, source - 1);
    axis.weight[i] = static_cast<float>(at - axis.low[i]);
    axis.nearest[i] = std::min(static_cast<int>(center), source - 1);
  }
  return axis;
}

// The crop's columns, mirrored where asked: output column i shows what column crop - 1 - i would have.
Axis Mirror(Axis axis, int crop) {
  std::reverse(axis.low.begin(), axis.low.end());
  std::reverse(axis.high.begin(), axis.high.end());
  std::reverse(axis.nearest.begin(), axis.nearest.end());
  std::reverse(axis.weight.begin(), axis.weight.end());
  const int first = axis.first;
  axis.first = crop - axis.last;
  axis.last = crop - first;
  return axis;
}

void StretchRow(const std::uint8_t* row, const Axis& x, float* out) {
  for (int i = x.first; i < x.last; ++i) {
    const std::uint8_t *a = row + 3 * x.low[i], *b = row + 3 * x.high[i];
    const float w = x.weight[i];
    for (int c = 0; c < 3; ++c) out[3 * i + c] = a[c] + (static_cast<float>(b[c]) - a[c]) * w;
  }
}

// Bilinear; rows of the source are stretched once each, then blended in pairs.
void ResampleImage(const Image& src, const Axis& y, const Axis& x, Image& dst) {
  std::vector<float> buffers[2];
  int held[2] = {-1, -1};
  for (auto& buffer : buffers) buffer.resize(3 * static_cast<std::size_t>(dst.width));
  const auto stretched = [&](int row, int keep) {  // never evicts the row `keep`
    const int slot = held[0] == row ? 0 : held[1] == row ? 1 : held[0] == keep ? 1 : 0;
    if (held[slot] != row) {
      StretchRow(src.at(row, 0), x, buffers[slot].data());
      held[slot] = row;
    }
    return buffers[slot].data();
  };
  for (int i = y.first; i < y.last; ++i) {
    const float* a = stretched(y.low[i], y.high[i]);
    const float* b = stretched(y.high[i], y.low[i]);
    const float w = y.weight[i];
    std::uint8_t* out = dst.at(i, 0);
    for (int k = 3 * x.first; k < 3 * x.last; ++k)
      out[k] = static_cast<std::uint8_t>(a[k] + (b[k] - a[k]) * w + 0.5f);
  }
}

void ResampleLabels(const LabelImage& src, const Axis& y, const Axis& x, LabelImage& dst) {
  for (int i = y.first; i < y.last; ++i) {
    const std::uint8_t* row = &src.ids[static_cast<std::size_t>(y.nearest[i]) * src.width];
    std::uint8_t* out = &dst.ids[static_cast<std::size_t>(i) * dst.width];
    for (int k = x.first; k < x.last; ++k) out[k] = row[x.nearest[k]];
  }
}

// A free offset of the crop along one axis: anywhere inside, or the image anywhere in the crop where it is
// smaller.
int RandomOffset(Random& random, int scaled, int crop) {
  return static_cast<int>(random.Between(std::min(0, scaled - crop), std::max(0, scaled - crop)));
}

// The crop around a scaled pixel, off centre by up to a quarter of the crop, kept inside the image.
int CenteredOffset(double center, double jitter, int scaled, int crop) {
  const int offset = static_cast<int>(std::floor(center - crop * (0.5 + jitter)));
  return std::clamp(offset, 0, scaled - crop);
}

// `stretch`: square root of the change of the aspect ratio.
Placement ChoosePlacement(const Sample& sample, const AugmentSpec& spec, double stretch, Random& random) {
  Placement place;
  const double scale = random.Uniform(spec.scale_min, spec.scale_max);
  place.scaled_height = std::max(1, static_cast<int>(std::lround(sample.image.height * scale / stretch)));
  place.scaled_width = std::max(1, static_cast<int>(std::lround(sample.image.width * scale * stretch)));
  place.y = RandomOffset(random, place.scaled_height, spec.crop_height);
  place.x = RandomOffset(random, place.scaled_width, spec.crop_width);
  place.flip = random.Chance(spec.flip);
  const bool centered = random.Chance(spec.class_crop);
  const std::uint64_t pick = random.NextU64();
  const double jitter_y = random.Uniform(-0.25, 0.25), jitter_x = random.Uniform(-0.25, 0.25);
  if (!centered) return place;
  const auto pixel = PickRarePixel(sample.labels, spec.rare_classes, pick);
  if (!pixel) return place;
  if (place.scaled_height > spec.crop_height) {
    const double center = (pixel->y + 0.5) * place.scaled_height / sample.labels.height;
    place.y = CenteredOffset(center, jitter_y, place.scaled_height, spec.crop_height);
  }
  if (place.scaled_width > spec.crop_width) {
    const double center = (pixel->x + 0.5) * place.scaled_width / sample.labels.width;
    place.x = CenteredOffset(center, jitter_x, place.scaled_width, spec.crop_width);
  }
  return place;
}

void FillMean(Image& image, const InputSpec& input) {
  std::uint8_t mean[3];
  for (int c = 0; c < 3; ++c)
    mean[c] = static_cast<std::uint8_t>(std::clamp(std::lround(input.mean[c]), 0l, 255l));
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = mean[i % 3];
}

}  // namespace

Json ToJson(const AugmentSpec& spec) {
  return Json{{"crop_height", spec.crop_height},
              {"crop_width", spec.crop_width},
              {"base_height", spec.base_height},
              {"base_width", spec.base_width},
              {"base_scale", spec.base_scale},
              {"scale_min", spec.scale_min},
              {"scale_max", spec.scale_max},
              {"flip", spec.flip},
              {"color", spec.color},
              {"gain_min", spec.gain_min},
              {"gain_max", spec.gain_max},
              {"shift", spec.shift},
              {"saturation_min", spec.saturation_min},
              {"saturation_max", spec.saturation_max},
              {"gamma_min", spec.gamma_min},
              {"gamma_max", spec.gamma_max},
              {"temperature", spec.temperature},
              {"channel_gain", spec.channel_gain},
              {"blur", spec.blur},
              {"noise", spec.noise},
              {"aspect", spec.aspect},
              {"class_crop", spec.class_crop},
              {"copy_paste", spec.copy_paste},
              {"cutmix", spec.cutmix},
              {"sky", spec.sky},
              {"sky_class", spec.sky_class},
              {"rare_classes", spec.rare_classes}};
}

void CheckAugment(const AugmentSpec& spec) {
  const auto wanted = [](bool good, const std::string& message) {
    if (!good) throw Error(ErrorCode::kInvalidArgument, "augmentation: " + message);
  };
  // Comparisons are written so that NaN fails them.
  wanted(spec.crop_height >= 1 && spec.crop_width >= 1 && spec.crop_height <= kMaxSide &&
             spec.crop_width <= kMaxSide,
         fmt::format("crop {}x{}; wanted 1..{} on both sides", spec.crop_height, spec.crop_width, kMaxSide));
  wanted((spec.base_height == 0 && spec.base_width == 0) ||
             (spec.base_height >= 1 && spec.base_width >= 1 && spec.base_height <= kMaxSide &&
              spec.base_width <= kMaxSide),
         fmt::format("base size {}x{}; wanted 1..{} on both sides, or 0x0 for the images' own",
                     spec.base_height, spec.base_width, kMaxSide));
  wanted(spec.base_scale > 0 && spec.base_scale <= 16,
         fmt::format("base_scale {}; wanted above 0, at most 16", spec.base_scale));
  wanted(spec.shift >= 0 && spec.shift <= 255, fmt::format("shift {}; wanted 0..255", spec.shift));
  wanted(spec.temperature >= 0 && spec.temperature < 1,
         fmt::format("temperature {}; wanted 0 to below 1", spec.temperature));
  wanted(spec.channel_gain >= 0 && spec.channel_gain < 1,
         fmt::format("channel_gain {}; wanted 0 to below 1", spec.channel_gain));
  wanted(spec.blur >= 0 && spec.blur <= 8, fmt::format("blur {}; wanted 0..8 pixels", spec.blur));
  wanted(spec.noise >= 0 && spec.noise <= 64, fmt::format("noise {}; wanted 0..64 grey levels", spec.noise));
  wanted(spec.aspect >= 1 && spec.aspect <= 4, fmt::format("aspect {}; wanted 1..4", spec.aspect));
  const std::tuple<const char*, double, double> ranges[] = {{"scale", spec.scale_min, spec.scale_max},
                                                            {"gain", spec.gain_min, spec.gain_max},
                                                            {"gamma", spec.gamma_min, spec.gamma_max}};
  for (const auto& [name, low, high] : ranges) {
    wanted(low > 0 && low <= high && high <= 16,
           fmt::format("{} {} to {}; wanted 0 < min <= max <= 16", name, low, high));
  }
  wanted(spec.saturation_min >= 0 && spec.saturation_min <= spec.saturation_max && spec.saturation_max <= 16,
         fmt::format("saturation {} to {}; wanted 0 <= min <= max <= 16", spec.saturation_min,
                     spec.saturation_max));
  const std::pair<const char*, double> chances[] = {{"flip", spec.flip},
                                                    {"color", spec.color},
                                                    {"class_crop", spec.class_crop},
                                                    {"copy_paste", spec.copy_paste},
                                                    {"cutmix", spec.cutmix},
                                                    {"sky", spec.sky}};
  for (const auto& [name, chance] : chances) {
    wanted(chance >= 0 && chance <= 1, fmt::format("{} {}; wanted a probability, 0 to 1", name, chance));
  }
  wanted(spec.sky_class >= -1 && spec.sky_class < kMaxClasses,
         fmt::format("sky class {}; wanted a class id, 0..254, or -1 for none", spec.sky_class));
  for (const int id : spec.rare_classes) {
    wanted(id >= 0 && id < kMaxClasses, fmt::format("rare class {}; wanted a class id, 0..254", id));
  }
}

BaseSize BaseSizeOf(const AugmentSpec& spec) {
  return {.height = spec.base_height, .width = spec.base_width, .scale = spec.base_scale};
}

Sample ScaleToBase(Sample sample, const BaseSize& base) {
  const auto side = [&](int own, int wanted) {
    return std::max(1, static_cast<int>(std::lround((wanted > 0 ? wanted : own) * base.scale)));
  };
  const int own_height = sample.image.height, own_width = sample.image.width;
  const int height = side(own_height, base.height), width = side(own_width, base.width);
  if (height == own_height && width == own_width) return sample;
  const bool smaller = std::int64_t{height} * width < std::int64_t{own_height} * own_width;
  return {.name = sample.name,
          .image = smaller ? ResizeArea(sample.image.view(), height, width)
                           : ResizeBilinear(sample.image.view(), height, width),
          .labels = ResizeNearest(sample.labels, height, width)};
}

Sample AugmentScaled(const Sample& sample, const AugmentSpec& spec, const InputSpec& input,
                     std::uint64_t seed, std::uint64_t epoch, std::uint64_t position, const Sample* donor) {
  Random random(seed, epoch, position);
  Random later(~seed, epoch, position);  // of what was added since: recorded runs keep their numbers
  const double stretch = std::exp(0.5 * std::log(spec.aspect) * later.Uniform(-1, 1));
  const Placement place = ChoosePlacement(sample, spec, stretch, random);
  const Photometric photometric = ChoosePhotometric(spec, random, later);
  const bool paste = random.Chance(spec.copy_paste) && donor != nullptr;
  Sample pasted;
  if (paste) pasted = PasteRare(sample, *donor, spec.rare_classes, random.NextU64());
  const Sample& source = paste ? pasted : sample;

  const int height = spec.crop_height, width = spec.crop_width;
  const Axis y = MakeAxis(source.image.height, place.scaled_height, place.y, height);
  Axis x = MakeAxis(source.image.width, place.scaled_width, place.x, width);
  if (place.flip) x = Mirror(std::move(x), width);
  Sample result{.name = sample.name,
                .image = {.height = height, .width = width, .channels = 3},
                .labels = {.height = height, .width = width}};
  const std::size_t pixels = static_cast<std::size_t>(height) * width;
  result.image.pixels.resize(pixels * 3);
  result.labels.ids.assign(pixels, kVoidLabel);
  const bool full = y.first == 0 && y.last == height && x.first == 0 && x.last == width;
  if (!full) FillMean(result.image, input);
  ResampleImage(source.image, y, x, result.image);
  ResampleLabels(source.labels, y, x, result.labels);
  const Window window{.top = y.first, .bottom = y.last, .left = x.first, .right = x.last};
  Random sky(seed ^ kSkyKey, epoch, position);
  if (sky.Chance(spec.sky) && spec.sky_class >= 0)
    DrawNewSky(result.image, result.labels, spec.sky_class, window, sky);
  if (photometric.apply) ChangePhotometry(result.image, photometric, window);
  const bool mix = later.Chance(spec.cutmix) && donor != nullptr;
  const std::uint64_t mixed_seed = later.NextU64();
  if (mix) {
    AugmentSpec alone = spec;
    alone.cutmix = alone.copy_paste = 0;
    MixRectangle(result, AugmentScaled(*donor, alone, input, mixed_seed, epoch, position), mixed_seed);
  }
  return result;
}

Sample Augment(const Sample& sample, const AugmentSpec& spec, const InputSpec& input, std::uint64_t seed,
               std::uint64_t epoch, std::uint64_t position, const Sample* donor) {
  CheckAugment(spec);
  const BaseSize base = BaseSizeOf(spec);
  const Sample scaled = ScaleToBase(sample, base);
  if (donor == nullptr) return AugmentScaled(scaled, spec, input, seed, epoch, position);
  const Sample scaled_donor = ScaleToBase(*donor, base);
  return AugmentScaled(scaled, spec, input, seed, epoch, position, &scaled_donor);
}

}  // namespace frf
