// SPDX-License-Identifier: Apache-2.0
// A label format as `frf data convert` reads and writes it; users include convert.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/internal.h"

namespace frf {

struct Format {
  LabelCoding in;
  bool colors = false;                // written as RGB
  std::array<std::uint8_t, 256> ids;  // class id -> stored value
  bool has_void = true;               // ids has a value for void
  std::vector<Color> palette;         // for colours
  std::optional<Color> void_color;    // for colours; none where a class has black and none is declared
  std::string classes_file;
  int classes = 0;
};

// The id that stands for void in files of these classes: 255 where that is void, else the first that is.
std::optional<int> VoidId(const LabelCoding& coding);
// Sets what `format` stores for each class and for void.
void StoreIds(Format& format, const FolderClasses& facts);
// Throws where labels by class id hold void, for which `to` has nothing; `name` is for the error.
void RefuseVoid(const LabelImage& labels, const std::string& name, const Format& to);
// Labels by class id as `to` stores ids.
LabelImage StoredLabels(LabelImage labels, const std::string& name, const Format& to);

// Of a classes.json, "camvid" or "cityscapes"; `format` is for the error where none is named.
FolderClasses ClassesByName(const std::string& name, const std::string& format);
// kUsage for a name that is none of LabelFormats(), and for classes that the format cannot do with.
Format MakeFormat(const std::string& name, const std::string& classes);

}  // namespace frf
