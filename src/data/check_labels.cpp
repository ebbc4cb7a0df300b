// SPDX-License-Identifier: Apache-2.0
// Label files as the check reads them: all of what is bad in one, where other readers stop at the first
// value.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>

#include "base/log.h"
#include "data/check_parts.h"
#include "image/image_io.h"

namespace frf {
namespace {

constexpr std::size_t kNamedValues = 5;  // bad values named per file

struct BadValue {
  std::string text;
  std::uint64_t count = 0;
  std::size_t first = 0;
};

// All values of a file that the coding does not know, by first position.
std::string DescribeBad(std::vector<BadValue> bad, int width, const std::string& wanted) {
  std::sort(bad.begin(), bad.end(), [](const BadValue& a, const BadValue& b) { return a.first < b.first; });
  std::string text;
  for (std::size_t i = 0; i < std::min(bad.size(), kNamedValues); ++i) {
    text += fmt::format("{}{} ({} pixels, first at row {}, column {})", i > 0 ? ", " : "", bad[i].text,
                        bad[i].count, bad[i].first / width, bad[i].first % width);
  }
  if (bad.size() > kNamedValues) text += fmt::format(" and {} more", bad.size() - kNamedValues);
  return fmt::format("{}; wanted {}", text, wanted);
}

// Labels by class id with bad pixels as void, and what was bad.
LabelImage TolerantIds(LabelImage stored, const LabelCoding& coding, std::string& bad_text) {
  std::array<BadValue, 256> bad;
  std::vector<BadValue> found;
  for (std::size_t i = 0; i < stored.ids.size(); ++i) {
    const int value = stored.ids[i];
    const int id = coding.table[value];
    if (id < 0 && bad[value].count++ == 0) bad[value].first = i;
    stored.ids[i] = id < 0 ? kVoidLabel : static_cast<std::uint8_t>(id);
  }
  for (int value = 0; value < 256; ++value) {
    if (bad[value].count == 0) continue;
    bad[value].text = fmt::format("value {}", value);
    found.push_back(bad[value]);
  }
  if (!found.empty()) bad_text = DescribeBad(found, stored.width, coding.wanted);
  return stored;
}

LabelImage TolerantColors(const Image& stored, const LabelCoding& coding, std::string& bad_text) {
  LabelImage labels{.height = stored.height, .width = stored.width};
  labels.ids.assign(static_cast<std::size_t>(stored.height) * stored.width, kVoidLabel);
  std::map<std::uint32_t, BadValue> bad;
  constexpr std::size_t kMaxColors = 4096;  // a photograph in a mask's place has hundreds of thousands
  for (std::size_t i = 0; i < labels.ids.size(); ++i) {
    const std::uint8_t* p = &stored.pixels[3 * i];
    const std::uint32_t key = LabelCoding::Key({p[0], p[1], p[2]});
    const auto known = coding.colors.find(key);
    if (known != coding.colors.end()) {
      labels.ids[i] = known->second;
    } else if (bad.contains(key) || bad.size() < kMaxColors) {
      BadValue& value = bad[key];
      if (value.count++ == 0)
        value.first = i, value.text = fmt::format("colour ({}, {}, {})", p[0], p[1], p[2]);
    }
  }
  std::vector<BadValue> found;
  for (auto& [key, value] : bad) found.push_back(value);
  if (!found.empty()) {
    bad_text =
        DescribeBad(found, stored.width, fmt::format("the {} known label colours", coding.colors.size()));
  }
  return labels;
}

bool MayShowOthers(const std::string& path, const LabelCoding& coding) {
  return coding.kind == LabelCoding::Kind::kEither && !coding.colors.empty() && HasPalette(path);
}

// Indices of a palette PNG that are shown in another class's colour: some tools order palettes as they like.
// Void's colour says nothing: black is also what a palette has at 0. Nor does the colour of an index that is
// void: what is never trained on may look like anything.
std::string OtherColors(const std::string& path, const LabelImage& stored, const LabelCoding& coding,
                        const Classes& classes) {
  if (!MayShowOthers(path, coding)) return "";
  const Image shown = ReadImage(path);
  constexpr int kUnseen = -1, kUnknown = -2;
  std::array<int, 256> meant;  // class id by the colour
  meant.fill(kUnseen);
  for (std::size_t i = 0; i < stored.ids.size(); ++i) {
    int& id = meant[stored.ids[i]];
    if (id != kUnseen) continue;
    const std::uint8_t* p = &shown.pixels[3 * i];
    const auto known = coding.colors.find(LabelCoding::Key({p[0], p[1], p[2]}));
    id = known == coding.colors.end() ? kUnknown : known->second;
  }
  std::string text;
  for (int value = 0; value < 256; ++value) {
    const int id = coding.table[value];
    if (id == kVoidLabel) continue;
    if (meant[value] == kUnknown) return "";  // its colours mean something else
    if (meant[value] < 0 || meant[value] == kVoidLabel || meant[value] == id) continue;
    text += fmt::format("{}index {} in the colour of {}", text.empty() ? "" : ", ", value,
                        classes.names[static_cast<std::size_t>(meant[value])]);
  }
  return text;
}

}  // namespace

std::string PaletteWarning(const std::string& mask, const std::string& other) {
  return fmt::format(
      "{}: its palette shows {}; frf reads indices: where the colours are right, `frf data convert MASKS -o "
      "NEW --from colors --classes classes.json` writes masks by them",
      mask, other);
}

void WarnOfPalettes(const Listing& listing) {
  constexpr std::size_t kLookedAt = 3;
  static std::mutex mutex;
  static std::set<std::string> told;  // `frf train` opens its data more than once
  for (std::size_t i = 0; i < std::min(listing.pairs.size(), kLookedAt); ++i) {
    const std::string& mask = listing.pairs[i].label;
    try {
      if (!MayShowOthers(mask, listing.coding)) continue;
      const std::string other = OtherColors(mask, ReadLabels(mask), listing.coding, listing.classes);
      if (other.empty()) continue;
      const std::lock_guard lock(mutex);
      if (told.insert(mask).second) LogWarning(PaletteWarning(mask, other));
      return;
    } catch (const Error&) {
      continue;  // who reads the pair says what is wrong
    }
  }
}

TolerantLabels ReadTolerantly(const std::string& path, const LabelCoding& coding, const Classes& classes) {
  TolerantLabels read;
  if (HoldsColors(path, coding)) {
    read.labels = TolerantColors(ReadImage(path), coding, read.bad);
    return read;
  }
  LabelImage stored = ReadLabels(path);
  read.other = OtherColors(path, stored, coding, classes);
  read.labels = TolerantIds(std::move(stored), coding, read.bad);
  return read;
}

}  // namespace frf
