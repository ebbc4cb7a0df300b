// SPDX-License-Identifier: Apache-2.0
// Subtle: sizes in a recipe are relative to the images'. Where the network's input is not the images' size
// times the recipe's scales, the images are first brought to the size from which it would be.
#include "train/plan_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/log.h"
#include "frf/error.h"

namespace frf {
namespace {

int Scaled(int side, double scale) { return std::max(1, static_cast<int>(std::lround(side * scale))); }

// The scale at which the last phase, whose network is the result, sees images.
double LastScale(const Recipe& recipe) { return recipe.augment.base_scale * recipe.phases.back().base_scale; }

// The size from which scaling begins.
std::pair<int, int> BaseOf(const Recipe& recipe, const ImageSizes& sizes) {
  const AugmentSpec& augment = recipe.augment;
  if (augment.base_height > 0) return {augment.base_height, augment.base_width};
  return {sizes.height, sizes.width};
}

void ResolveInput(const TrainOptions& options, const ImageSizes& sizes, Plan& plan) {
  InputSpec& input = plan.model.input;
  const bool wanted = options.height > 0;
  if (wanted) input.height = options.height, input.width = options.width;
  if (wanted && options.fit == Fit::kNative) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--size {}x{} resizes all images, --fit native none; leave one out",
                            options.height, options.width));
  }
  if (plan.quantization) {  // what the file says holds
    if (wanted || options.fit) input.fit = options.fit.value_or(Fit::kResize);
    if (input.height <= 0 || input.width <= 0) input.height = sizes.height, input.width = sizes.width;
    return;
  }
  const auto [height, width] = BaseOf(plan.recipe, sizes);
  const bool one_size = wanted || sizes.equal() || plan.recipe.augment.base_height > 0;
  input.fit = options.fit.value_or(one_size ? Fit::kResize : Fit::kNative);
  const double scale = LastScale(plan.recipe);
  if (!wanted) input.height = Scaled(height, scale), input.width = Scaled(width, scale);
}

// Where every image is brought to one size in use, training begins at that size too.
void ResolveBase(const ImageSizes& sizes, Plan& plan) {
  const InputSpec& input = plan.model.input;
  AugmentSpec& augment = plan.recipe.augment;
  const double scale = LastScale(plan.recipe);
  if (input.fit != Fit::kResize || augment.base_height > 0) return;
  const bool as_is = sizes.equal() && input.height == Scaled(sizes.height, scale) &&
                     input.width == Scaled(sizes.width, scale);
  if (as_is) return;
  augment.base_height = Scaled(input.height, 1 / scale);
  augment.base_width = Scaled(input.width, 1 / scale);
  plan.measured.emplace_back("base_size");
}

// Crops are the images' size, but no larger than what is usual for street scenes.
void ResolveCrop(const ImageSizes& sizes, Plan& plan) {
  Recipe& recipe = plan.recipe;
  if (recipe.crop_height > 0) return;
  plan.measured.emplace_back("crop");
  if (plan.quantization && plan.model.input.height > 0) {  // what the network sees in use
    recipe.crop_height = plan.model.input.height;
    recipe.crop_width = plan.model.input.width;
    return;
  }
  constexpr int kSmallest = 32, kHeight = 512, kWidth = 1024;
  const auto [height, width] = BaseOf(recipe, sizes);
  recipe.crop_height = std::clamp(Scaled(height, recipe.augment.base_scale), kSmallest, kHeight);
  recipe.crop_width = std::clamp(Scaled(width, recipe.augment.base_scale), kSmallest, kWidth);
}

void Explain(const ImageSizes& sizes, const Plan& plan) {
  const InputSpec& input = plan.model.input;
  if (!sizes.equal()) {
    LogInfo(fmt::format(
        "images differ in size, {} of {} are {}x{}; the network sees {}", sizes.common, sizes.all,
        sizes.height, sizes.width,
        input.fit == Fit::kResize
            ? fmt::format("all resized to {}x{}", input.height, input.width)
            : fmt::format("each at its own (--size HEIGHTxWIDTH: all resized to it), crops of {}x{} train it",
                          plan.recipe.crop_height, plan.recipe.crop_width)));
  }
  const double scale = LastScale(plan.recipe);
  if (input.fit == Fit::kNative && scale != 1) {
    LogWarning(fmt::format(
        "the network learns images scaled by {:g} (augment.base_scale {:g}, {:g} in the last phase) and sees "
        "them unscaled in validation and use, where it will know little; --size HEIGHTxWIDTH resizes all, a "
        "base_scale of 1 none",
        scale, plan.recipe.augment.base_scale, plan.recipe.phases.back().base_scale));
  }
}

}  // namespace

ImageSizes LookAtSizes(const Dataset& data) {
  std::map<std::pair<int, int>, std::pair<int, int>> counts;  // size: images of it, the first one's number
  for (int i = 0; i < data.size(); ++i) ++counts.try_emplace(data.image_size(i), 0, i).first->second.first;
  const auto most = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second.first, -a.second.second) < std::pair(b.second.first, -b.second.second);
  });
  return {.height = most->first.first,
          .width = most->first.second,
          .common = most->second.first,
          .all = data.size()};
}

void ResolveSizes(const TrainOptions& options, const ImageSizes& sizes, Plan& plan) {
  ResolveInput(options, sizes, plan);
  ResolveBase(sizes, plan);
  ResolveCrop(sizes, plan);
  Explain(sizes, plan);
}

}  // namespace frf
