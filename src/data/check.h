// SPDX-License-Identifier: Apache-2.0
// `frf data check`: everything that is wrong with a data set, each by its file's name, before the first epoch
// finds it.
//
//   CheckReport report = CheckData({.spec = "folder:mydata"});   // all splits that are there
//   std::fputs(FormatCheck(report).c_str(), stdout);
//   return report.errors() > 0 ? 1 : 0;
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/dataset.h"

namespace frf {

// What helps where a two-class set's masks hold 0 and 255, which else is void.
inline constexpr const char* kTwoClassRemedy = "write \"label_ids\": [0, 255], \"void\": [] in classes.json";

struct CheckIssue {
  // Errors: "missing image", "missing label", "ambiguous", "unreadable image", "unreadable label", "bad
  // value", "size mismatch", "odd name", "no image", "no label" (of val and test a warning). Warnings: "odd
  // size", "empty mask", "duplicate", "duplicate between splits", "absent class", "label without image",
  // "palette", "other format", "unused file", "EXIF orientation".
  std::string kind, split, file, message;
  bool error = true;
};

struct CheckSplit {
  std::string split;
  std::string description;                  // "camvid train, 367 images"
  int images = 0;                           // pairs that were read without an error
  std::map<std::string, int> sizes;         // "360x480" -> images
  std::vector<std::uint64_t> class_pixels;  // by class id
  std::vector<int> class_images;            // images in which the class stands
  std::uint64_t void_pixels = 0;
};

struct CheckReport {
  std::string data;
  Classes classes;
  std::vector<CheckSplit> splits;
  std::vector<CheckIssue> issues;
  int errors() const;
  int warnings() const;
};

// Checks `splits`, or all of train, val and test that are there when it is empty; spec.list checks that list
// alone. Throws only when nothing can be listed at all (no such folder, no classes.json).
CheckReport CheckData(const DatasetSpec& spec, const std::vector<std::string>& splits = {});

// {data, ok, errors, warnings, splits[{split, images, sizes, void_share, shares, void_pixels, class_pixels,
// class_images}], issues[...]}; shares, class_pixels and class_images by class name
Json ToJson(const CheckReport& report);
// Tables for people; at most `max_issues` lines of each kind, the rest counted.
std::string FormatCheck(const CheckReport& report, int max_issues = 20);

}  // namespace frf
