// SPDX-License-Identifier: Apache-2.0
// A data set in `folder` layout as `frf data convert` writes it; users include convert.h. Subtle: where a
// classes.json is there already, its ids are the ones that are written; else those of where the labels come
// from.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/convert_formats.h"

namespace frf {

class FolderOut {
 public:
  // kUsage where `out` has a classes.json of other classes. Nothing is made yet.
  FolderOut(std::string out, const FolderClasses& facts);

  std::filesystem::path images(const std::string& split) const { return root_ / "images" / split; }
  std::filesystem::path masks(const std::string& split) const { return root_ / "masks" / split; }
  // The split's two folders and, where it is not there, classes.json.
  void Make(const std::string& split);
  // Labels by class id as the masks store them, and what shows them. Throws where `name` holds void and
  // classes.json has no id for it.
  LabelImage Stored(LabelImage labels, const std::string& name) const;
  const std::vector<Color>& shown() const { return shown_; }
  // Takes away again what Make() made, where no file came into it.
  void Unmake() const;

 private:
  std::filesystem::path root_;
  Format format_;
  std::vector<Color> shown_;                 // by stored id
  std::string json_;                         // of classes.json; empty: it is there
  std::vector<std::filesystem::path> made_;  // each after the folder that it lies in
};

}  // namespace frf
