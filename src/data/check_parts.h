// SPDX-License-Identifier: Apache-2.0
// What the files of the check share; users include check.h.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/check.h"
#include "data/internal.h"

namespace frf {

struct TolerantLabels {
  LabelImage labels;       // by class id, bad pixels as void
  std::string bad, other;  // values that the coding does not know; indices in other classes' colours
};
TolerantLabels ReadTolerantly(const std::string& path, const LabelCoding& coding, const Classes& classes);
// What is said of a mask whose palette shows `other`.
std::string PaletteWarning(const std::string& mask, const std::string& other);

using SplitListings = std::vector<std::pair<std::string, Listing>>;  // by split
// Label files in the listings' label folders that belong to no image; of layouts that do not say so
// themselves.
void AddOrphans(CheckReport& report, const SplitListings& listings);
// Files below images/ and masks/ of a `folder` that are in none of all its splits.
void AddUnused(CheckReport& report, const SplitListings& listings);

}  // namespace frf
