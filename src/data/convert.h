// SPDX-License-Identifier: Apache-2.0
// `frf data convert`: label images from one format to another, and data sets or folders of masks into
// `folder` layout.
//
//   ConvertLabelFiles("masks_rgb", "masks", {.from = "colors", .to = "ids", .classes = "classes.json"});
//   ConvertToFolder({.spec = "cityscapes:data/cityscapes"}, "data/cs-folder");
//
// Formats: ids (class ids, 255 void), colors (the palette), camvid-ids (0..10, 11 void), camvid-colors (the
// original 32 colours in, one colour a group out), labelIds and trainIds (Cityscapes).
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset.h"

namespace frf {

struct ConvertOptions {
  std::string from = "ids", to = "ids";
  std::string classes;  // of ids and colors: a classes.json, "camvid" or "cityscapes"; else the format's own
};

struct ConvertResult {
  int files = 0;                      // written
  std::vector<std::string> failures;  // one line each, naming the file; the others were written
};
Json ToJson(const ConvertResult& result);

const std::vector<std::string>& LabelFormats();

// One file to one file, or every PNG below a folder to the same relative name below `out`. In a folder of
// Cityscapes' own names only files of the kind that options.from names (*_labelIds.png, *_labelTrainIds.png,
// *_gtFine_color.png).
ConvertResult ConvertLabelFiles(const std::string& in, const std::string& out, const ConvertOptions& options);

// Every split that is there (or spec.list as split `train`) as OUT/images/SPLIT, OUT/masks/SPLIT and
// OUT/classes.json, with the ids that the classes have in label files. Image files are copied unchanged.
// Where no file converts, no folder stays.
ConvertResult ConvertToFolder(const DatasetSpec& spec, const std::string& out);

// A folder of masks in format options.from and a folder of images with the same stems, as split `split` of
// `out`; where that is train, folders in both that bear a split's name (train, val ...) become that split.
ConvertResult AddToFolder(const std::string& images, const std::string& masks, const std::string& out,
                          const std::string& split, const ConvertOptions& options);

}  // namespace frf
