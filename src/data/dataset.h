// SPDX-License-Identifier: Apache-2.0
// Data sets: pairs of image and labels, by name. All hand out class ids 0..n-1 and 255 for void, whatever the
// files hold.
//
//   auto data = OpenDataset({.spec = "camvid:shared/camvid", .split = "train"});
//   Sample sample = data->Get(0);
//
// Named as camvid:DIR, cityscapes:DIR, folder:DIR, synth:COUNT, pack:FILE. `list` narrows any of them to the
// image names in a file (first word of each line, relative to DIR; a second word, where given, names the
// label file).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/model_info.h"
#include "frf/image.h"

namespace frf {

struct Sample {
  std::string
      name;     // stable id: the image path relative to the data set's folder ("train/0001TP_006690.png")
  Image image;  // RGB
  LabelImage labels;  // class ids, 255 void; the image's size
};

struct DatasetSpec {
  std::string spec;           // "camvid:DIR" ...
  std::string split = "val";  // train, val, test, trainval
  std::string list;           // file; empty: none
  std::uint64_t seed = 0;     // synth: the first scene's seed
  int height = 0, width = 0;  // synth: scene size (default 360x480)
  std::string variant;        // cityscapes: "labelIds" (default) or "trainIds"; synth: "camvid" (default) or
                              // "cityscapes" classes
  bool new_skies = false;     // see WithNewSkies in new_sky.h
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::string description() const = 0;  // "camvid train, 367 images"
  virtual int size() const = 0;
  virtual const Classes& classes() const = 0;
  virtual std::string name(int index) const = 0;
  // Paths for error messages and the check; empty for drawn scenes.
  virtual std::string image_path(int index) const = 0;
  virtual std::string label_path(int index) const = 0;
  // Reads and checks one pair; errors name the file and the value. Thread-safe.
  virtual Sample Get(int index) const = 0;
  // Height and width of the image, by its file's header where it has one.
  virtual std::pair<int, int> image_size(int index) const {
    const Sample sample = Get(index);
    return {sample.image.height, sample.image.width};
  }
  // The labels alone, where the image need not be decoded.
  virtual LabelImage GetLabels(int index) const { return Get(index).labels; }
};

// Throws kUsage where a variant is given and none of the data is of a kind that has some.
void CheckVariant(const std::string& variant, const std::vector<std::string>& specs);

// Throws kUsage for a malformed spec or new skies where no class is called sky, kNotFound for a missing
// folder, split or listed file.
std::unique_ptr<Dataset> OpenDataset(const DatasetSpec& spec);

// The list file's name without its folders, which may go into files that others read; empty: no list.
std::string ListName(const DatasetSpec& spec);

// The recording that an image's name says it is from: the file's name up to the first '_' ("0001TP",
// "aachen").
std::string RecordingOf(const std::string& name);

// The classes of the two published sets.
const Classes& CamVidClasses();      // 11, SegNet order and palette
const Classes& CityscapesClasses();  // 19 train ids, label_ids set

}  // namespace frf
