// SPDX-License-Identifier: Apache-2.0
// Drawn street scenes with exact labels: pictures to train, test and demonstrate on where nothing was
// downloaded.
//
//   Sample scene = DrawScene(7, {.height = 360, .width = 480});
//   WriteSynth({.folder = "streets", .count = 500, .seed = 0});          // CamVid layout, 80 % train, 20 %
//   val
//
// A scene is a pure function of (seed, size, variant): the same on every run of one build, with any number of
// threads. Seeds from kSynthTestSeed on are for testing and the demo; nothing in this project trains on them.
#pragma once

#include <cstdint>
#include <string>

#include "data/dataset.h"

namespace frf {

inline constexpr std::uint64_t kSynthTestSeed = 10'000'000;
// Splits of one seed never share a scene: `val` starts this far behind `train`, `test` at kSynthTestSeed
// behind it.
inline constexpr std::uint64_t kSynthValOffset = 5'000'000;

struct SceneSpec {
  int height = 360, width = 480;   // 32..8192 each
  std::string variant = "camvid";  // 11 classes; "cityscapes": 19 train ids, with more of the rare vehicles
};

// Throws kInvalidArgument for a size out of range or an unknown variant; DrawScene does so too.
void ValidateScene(const SceneSpec& spec);
Sample DrawScene(std::uint64_t seed, const SceneSpec& spec = {});

// The seed of scene 0 of a split: `seed` itself for train and trainval, seed + kSynthValOffset for val, and
// for test seed + kSynthTestSeed. A seed that lies at or behind kSynthTestSeed is taken as it is; for train
// and trainval it is refused (kUsage).
std::uint64_t SynthFirstSeed(std::uint64_t seed, const std::string& split);
// The same for `count` scenes, which must end before the next split's begin (kUsage; at least 1).
std::uint64_t SynthFirstSeed(std::uint64_t seed, const std::string& split, int count);

struct SynthWriteOptions {
  std::string folder;
  std::string layout =
      "camvid";         // camvid: train/, trainannot/, train.txt, val ...; cityscapes: leftImg8bit/, gtFine/
  std::string variant;  // classes; empty or the layout's own: its label files can hold no others
  int count = 100;      // scenes in train and val
  double val_share = 0.2;  // of `count`, rounded; at least one scene where count > 1
  int test_count = 0;      // scenes beside `count`, from test seeds
  std::uint64_t seed = 0;
  int height = 0, width = 0;  // 0: 360x480 for camvid, 512x1024 for cityscapes
  int threads = 1;
};

// Writes the data set; a folder that is there and not empty is refused (kUsage). Returns the number of
// scenes. Layout cityscapes holds city folders (synthville ...) with
// <city>_<sequence>_<frame>_leftImg8bit.png and _gtFine_labelIds.png, _gtFine_labelTrainIds.png.
int WriteSynth(const SynthWriteOptions& options);

}  // namespace frf
