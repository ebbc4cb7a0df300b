// SPDX-License-Identifier: Apache-2.0
// Drawn scenes as a data set (synth:COUNT): scene i has the seed SynthFirstSeed(spec.seed, spec.split) + i,
// and is drawn each time it is asked for. Subtle: val lies kSynthValOffset seeds behind train, so counts
// above that would make them meet; they are refused.
#include <fmt/format.h>

#include <limits>

#include "base/plural.h"
#include "data/internal.h"
#include "data/synth.h"

namespace frf {
namespace {

class SynthDataset final : public Dataset {
 public:
  SynthDataset(const SceneSpec& scene, std::uint64_t first, int count, std::string split)
      : scene_(scene), first_(first), count_(count), split_(std::move(split)) {}

  std::string description() const override {
    return fmt::format("synth {}, {} of {}x{}, seeds {}..{}", split_, Counted(count_, "scene"), scene_.height,
                       scene_.width, first_, first_ + static_cast<std::uint64_t>(count_) - 1);
  }
  int size() const override { return count_; }
  const Classes& classes() const override {
    return scene_.variant == "cityscapes" ? CityscapesClasses() : CamVidClasses();
  }
  std::string name(int index) const override { return fmt::format("synth/{:08}", Seed(index)); }
  std::string image_path(int) const override { return {}; }
  std::pair<int, int> image_size(int) const override { return {scene_.height, scene_.width}; }
  std::string label_path(int) const override { return {}; }
  Sample Get(int index) const override { return DrawScene(Seed(index), scene_); }

 private:
  std::uint64_t Seed(int index) const {
    if (index < 0 || index >= count_) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("scene {} of {}", index, count_));
    }
    return first_ + static_cast<std::uint64_t>(index);
  }

  SceneSpec scene_;
  std::uint64_t first_;
  int count_;
  std::string split_;
};

}  // namespace

std::uint64_t SynthFirstSeed(std::uint64_t seed, const std::string& split) {
  const bool training = split == "train" || split == "trainval";
  if (seed >= kSynthTestSeed && !training) return seed;
  if (seed >= kSynthValOffset) {
    throw Error(ErrorCode::kUsage,
                fmt::format("seed {} for {}: wanted one below {} (seeds from {} on are for testing only)",
                            seed, split, kSynthValOffset, kSynthTestSeed));
  }
  return split == "val" ? seed + kSynthValOffset : split == "test" ? seed + kSynthTestSeed : seed;
}

std::uint64_t SynthFirstSeed(std::uint64_t seed, const std::string& split, int count) {
  const std::uint64_t first = SynthFirstSeed(seed, split);
  // Where the next split's seeds begin; test has no neighbour.
  const std::uint64_t limit = first < kSynthValOffset ? kSynthValOffset : kSynthTestSeed;
  if (first >= kSynthTestSeed && count >= 1 &&
      std::numeric_limits<std::uint64_t>::max() - first < static_cast<std::uint64_t>(count - 1)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("synth:{}: {} from seed {} would begin again at seed 0", count, split, seed));
  }
  if (count < 1 || (first < limit && limit - first < static_cast<std::uint64_t>(count))) {
    throw Error(ErrorCode::kUsage,
                fmt::format("synth:{}: {} from seed {} would reach the next split's scenes; at most {}",
                            count, split, seed, limit - first));
  }
  return first;
}

std::unique_ptr<Dataset> OpenSynth(const DatasetSpec& spec, int count) {
  SceneSpec scene;
  if (spec.height > 0) scene.height = spec.height;
  if (spec.width > 0) scene.width = spec.width;
  if (!spec.variant.empty()) scene.variant = spec.variant;
  const std::uint64_t first = SynthFirstSeed(spec.seed, spec.split, count);
  ValidateScene(scene);
  return std::make_unique<SynthDataset>(scene, first, count, spec.split);
}

}  // namespace frf
