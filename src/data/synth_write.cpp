// SPDX-License-Identifier: Apache-2.0
// Writes drawn scenes as files in the layout of CamVid or Cityscapes, so that any program for those reads
// them. Subtle: the lists (train.txt ...) come last; a run that was cut short leaves a folder whose lists
// name no missing file.
#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <mutex>

#include "base/files.h"
#include "base/progress.h"
#include "data/internal.h"
#include "data/synth.h"
#include "image/image_io.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

struct Part {
  std::string split;
  std::uint64_t first;
  int count;
};

// The scenes of one split, and where their files lie.
class Writer {
 public:
  Writer(const SynthWriteOptions& options, const SceneSpec& scene) : options_(options), scene_(scene) {}

  void Write(const Part& part, Progress& progress) {
    const bool camvid = options_.layout == "camvid";
    if (camvid) {
      MakeFolder(root() / part.split);
      MakeFolder(root() / (part.split + "annot"));
    } else {
      MakeFolder(root() / "leftImg8bit" / part.split / City(part));
      MakeFolder(root() / "gtFine" / part.split / City(part));
    }
    std::mutex mutex;
    ParallelFor(part.count, std::max(options_.threads, 1), [&](int i) {
      const Sample scene = DrawScene(part.first + static_cast<std::uint64_t>(i), scene_);
      if (camvid)
        WriteCamVid(part, i, scene);
      else
        WriteCityscapes(part, i, scene);
      const std::lock_guard lock(mutex);
      progress.Advance();
    });
    if (!camvid) return;
    std::string list;
    for (int i = 0; i < part.count; ++i) {
      const std::string name = CamVidName(part, i);
      list += fmt::format("{}/{} {}annot/{}\n", part.split, name, part.split, name);
    }
    WriteFileAtomically(root() / (part.split + ".txt"), list);
  }

 private:
  fs::path root() const { return options_.folder; }
  static std::string CamVidName(const Part& part, int i) {
    return fmt::format("synth_{:08}.png", part.first + static_cast<std::uint64_t>(i));
  }
  // Cities differ by split, as in Cityscapes.
  static std::string City(const Part& part) {
    return part.split == "train" ? "synthville" : part.split == "val" ? "synthfurt" : "synthow";
  }

  void WriteCamVid(const Part& part, int i, const Sample& scene) const {
    const std::string name = CamVidName(part, i);
    WritePng((root() / part.split / name).string(), scene.image);
    WriteLabels((root() / (part.split + "annot") / name).string(), scene.labels);
  }

  void WriteCityscapes(const Part& part, int i, const Sample& scene) const {
    const std::uint64_t seed = part.first + static_cast<std::uint64_t>(i);
    // <city>_<sequence>_<frame>: six digits each, as the evaluation scripts expect.
    const std::string stem =
        fmt::format("{}_{:06}_{:06}", City(part), seed / 1'000'000 % 1'000'000, seed % 1'000'000);
    const fs::path below = fs::path(part.split) / City(part);
    WritePng((root() / "leftImg8bit" / below / (stem + "_leftImg8bit.png")).string(), scene.image);
    const fs::path truth = root() / "gtFine" / below;
    WriteLabels((truth / (stem + "_gtFine_labelTrainIds.png")).string(), scene.labels);
    LabelImage ids = scene.labels;
    const std::vector<int>& table = CityscapesClasses().label_ids;
    for (auto& id : ids.ids) id = static_cast<std::uint8_t>(table[id]);
    WriteLabels((truth / (stem + "_gtFine_labelIds.png")).string(), ids);
  }

  const SynthWriteOptions& options_;
  SceneSpec scene_;
};

}  // namespace

int WriteSynth(const SynthWriteOptions& options) {
  if (options.layout != "camvid" && options.layout != "cityscapes") {
    throw Error(ErrorCode::kUsage, fmt::format("layout '{}': choose camvid or cityscapes", options.layout));
  }
  if (!options.variant.empty() && options.variant != options.layout) {
    throw Error(ErrorCode::kUsage,
                fmt::format("classes '{}' in the {} layout: its label files hold {} classes only",
                            options.variant, options.layout, options.layout));
  }
  if (options.count < 1 || options.test_count < 0 || !(options.val_share >= 0 && options.val_share <= 1)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} scenes, {} test scenes, val share {}: wanted at least 1, at least 0, 0..1",
                            options.count, options.test_count, options.val_share));
  }
  const bool camvid = options.layout == "camvid";
  const SceneSpec scene{.height = options.height > 0 ? options.height
                                  : camvid           ? 360
                                                     : 512,
                        .width = options.width > 0 ? options.width
                                 : camvid          ? 480
                                                   : 1024,
                        .variant = options.layout};
  ValidateScene(scene);
  std::error_code missing;
  if (fs::is_directory(options.folder, missing) && !fs::is_empty(options.folder)) {
    throw Error(
        ErrorCode::kUsage,
        options.folder +
            ": holds files already, scenes of two data sets would mix; name another folder, or empty it");
  }
  int val = static_cast<int>(std::lround(options.count * options.val_share));
  if (options.val_share > 0 && options.count > 1) val = std::clamp(val, 1, options.count - 1);
  Part parts[] = {{"train", 0, options.count - val}, {"val", 0, val}, {"test", 0, options.test_count}};
  for (Part& part : parts) {
    if (part.count > 0) part.first = SynthFirstSeed(options.seed, part.split, part.count);
  }
  Writer writer(options, scene);
  Progress progress("synth", options.count + options.test_count);
  for (const Part& part : parts) {
    if (part.count > 0) writer.Write(part, progress);
  }
  return options.count + options.test_count;
}

}  // namespace frf
