// SPDX-License-Identifier: Apache-2.0
// The check of a data set. It never stops at the first problem: each pair is looked at alone and says all
// that is wrong with it. Subtle: label files are judged by their stored values, because Get() would stop at
// the first bad one.
#include "data/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "base/hash.h"
#include "base/plural.h"
#include "base/progress.h"
#include "base/system.h"
#include "data/internal.h"
#include "image/image_io.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

constexpr int kTinySide = 32;            // below this the network's coarsest map is a single pixel
constexpr std::size_t kNamedValues = 5;  // bad values named per file

struct PairFacts {  // of one pair, found by one thread
  std::vector<CheckIssue> issues;
  std::string image, label;  // paths or names for messages
  bool good = false;
  int height = 0, width = 0;
  std::uint64_t hash = 0;
  std::array<std::uint64_t, 256> counts{};  // of class ids
};

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

// Indices of a palette PNG that are shown in another class's colour: some tools order palettes as they like.
// Void's colour says nothing: black is also what a palette has at 0.
std::string OtherColors(const std::string& path, const LabelImage& stored, const LabelCoding& coding,
                        const Classes& classes) {
  if (coding.kind != LabelCoding::Kind::kEither || coding.colors.empty() || !HasPalette(path)) return "";
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
    if (meant[value] == kUnknown) return "";  // its colours mean something else
    if (meant[value] < 0 || meant[value] == kVoidLabel || meant[value] == coding.table[value]) continue;
    text += fmt::format("{}index {} in the colour of {}", text.empty() ? "" : ", ", value,
                        classes.names[static_cast<std::size_t>(meant[value])]);
  }
  return text;
}

struct TolerantLabels {
  LabelImage labels;       // by class id, bad pixels as void
  std::string bad, other;  // values that the coding does not know; indices in other classes' colours
};

TolerantLabels TolerantRead(const std::string& path, const LabelCoding& coding, const Classes& classes) {
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

// Runs `read`; an Error becomes an issue.
template <typename Read>
bool Try(PairFacts& facts, const char* kind, const std::string& file, const Read& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    facts.issues.push_back({kind, {}, file, error.what()});
  } catch (const std::bad_alloc&) {
    facts.issues.push_back({kind, {}, file, file + ": not enough memory to decode it"});
  }
  return false;
}

void Measure(PairFacts& facts, const Image& image, const LabelImage& labels) {
  facts.height = image.height;
  facts.width = image.width;
  facts.hash = XxHash64(image.pixels.data(), image.pixels.size(), static_cast<std::uint64_t>(image.width));
  for (const std::uint8_t id : labels.ids) ++facts.counts[id];
}

PairFacts LookAtFiles(const Pair& pair, const LabelCoding& coding, const Classes& classes) {
  PairFacts facts{.image = pair.image, .label = pair.label};
  Image image;
  TolerantLabels read;
  const bool has_image = Try(facts, "unreadable image", pair.image, [&] { image = ReadImage(pair.image); });
  const bool has_labels =
      Try(facts, "unreadable label", pair.label, [&] { read = TolerantRead(pair.label, coding, classes); });
  const LabelImage& labels = read.labels;
  if (!read.bad.empty()) facts.issues.push_back({"bad value", {}, pair.label, pair.label + ": " + read.bad});
  if (read.bad.empty() && !read.other.empty()) {
    facts.issues.push_back(
        {"palette",
         {},
         pair.label,
         fmt::format(
             "{}: its palette shows {}; frf reads indices: save it as RGB where the colours are right",
             pair.label, read.other),
         false});
  }
  if (!has_image || !has_labels) return facts;
  if (image.height != labels.height || image.width != labels.width) {
    facts.issues.push_back({"size mismatch",
                            {},
                            pair.label,
                            fmt::format("{}: labels are {}x{}, the image {} is {}x{}", pair.label,
                                        labels.height, labels.width, pair.image, image.height, image.width)});
    return facts;
  }
  facts.good = read.bad.empty();
  Measure(facts, image, labels);
  return facts;
}

// Packs and drawn scenes have no listing: what they hand out is what there is.
PairFacts LookAtSample(const Dataset& data, int index) {
  PairFacts facts{.image = data.name(index), .label = data.name(index)};
  facts.good = Try(facts, "unreadable image", data.name(index), [&] {
    const Sample sample = data.Get(index);
    Measure(facts, sample.image, sample.labels);
  });
  return facts;
}

void AddSizes(CheckReport& report, const CheckSplit& split, const std::vector<PairFacts>& facts) {
  const auto most = std::max_element(split.sizes.begin(), split.sizes.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
  for (const PairFacts& pair : facts) {
    if (pair.height == 0) continue;
    const std::string size = fmt::format("{}x{}", pair.height, pair.width);
    if (pair.height < kTinySide || pair.width < kTinySide) {
      report.issues.push_back(
          {"odd size", split.split, pair.image,
           fmt::format("{}: {} is very small; under {} pixels a side there is little to learn from",
                       pair.image, size, kTinySide),
           false});
    } else if (size != most->first) {
      report.issues.push_back({"odd size", split.split, pair.image,
                               fmt::format("{}: {}, most of the split ({} of {}) is {}", pair.image, size,
                                           most->second, facts.size(), most->first),
                               false});
    }
  }
}

// Sums over a split, empty masks, absent classes.
void AddSplit(CheckReport& report, CheckSplit split, const std::vector<PairFacts>& facts) {
  const int classes = report.classes.count();
  split.class_pixels.assign(classes, 0);
  split.class_images.assign(classes, 0);
  for (const PairFacts& pair : facts) {
    for (CheckIssue issue : pair.issues) {
      issue.split = split.split;
      report.issues.push_back(std::move(issue));
    }
    if (pair.height == 0) continue;
    split.images += pair.good;
    ++split.sizes[fmt::format("{}x{}", pair.height, pair.width)];
    std::uint64_t labelled = 0;
    for (int id = 0; id < classes; ++id) {
      split.class_pixels[id] += pair.counts[id];
      split.class_images[id] += pair.counts[id] > 0;
      labelled += pair.counts[id];
    }
    split.void_pixels += pair.counts[kVoidLabel];
    if (labelled == 0) {
      report.issues.push_back(
          {"empty mask", split.split, pair.label, pair.label + ": every pixel is void", false});
    }
  }
  AddSizes(report, split, facts);
  for (int id = 0; id < classes; ++id) {
    if (split.class_pixels[id] > 0) continue;
    report.issues.push_back(
        {"absent class",
         split.split,
         {},
         fmt::format("{}: class '{}' has no pixel", split.description, report.classes.names[id]),
         false});
  }
  report.splits.push_back(std::move(split));
}

struct Seen {
  std::string split, image;
};

void AddDuplicates(CheckReport& report, const std::string& split, const std::vector<PairFacts>& facts,
                   std::unordered_map<std::uint64_t, Seen>& seen) {
  for (const PairFacts& pair : facts) {
    if (pair.height == 0) continue;
    const auto [at, added] = seen.emplace(pair.hash, Seen{split, pair.image});
    if (added) continue;
    const bool between = at->second.split != split;
    report.issues.push_back(
        {between ? "duplicate between splits" : "duplicate", split, pair.image,
         fmt::format("{}: the same picture as {}{}", pair.image, at->second.image,
                     between ? fmt::format(" of split {}; scores will be too good", at->second.split) : ""),
         false});
  }
}

// Label files in the listing's label folders that belong to no image. `folder` data reports them while
// listing.
void AddOrphans(CheckReport& report, const std::vector<std::pair<std::string, Listing>>& listings) {
  std::set<std::string> used, endings;
  std::map<std::string, std::string> folders;  // folder -> split
  for (const auto& [split, listing] : listings) {
    const auto note = [&, &name = split](const std::string& label) {
      used.insert(fs::path(label).lexically_normal().string());
      folders.emplace(fs::path(label).parent_path().lexically_normal().string(), name);
      const std::string file = fs::path(label).filename().string();
      const std::size_t bar = file.rfind('_');
      const bool typed = file.ends_with("_L.png") || file.find("_gtFine_") != std::string::npos;
      endings.insert(typed ? file.substr(bar) : std::string());
    };
    for (const Pair& pair : listing.pairs) note(pair.label);
    for (const ListingProblem& problem : listing.problems) {
      if (problem.kind == "missing label") note(problem.file);
      // The labels of a missing image are reported with it.
      if (problem.kind == "missing image" && !problem.other.empty())
        used.insert(fs::path(problem.other).lexically_normal().string());
    }
  }
  for (const auto& [folder, split] : folders) {
    if (!fs::is_directory(folder)) continue;
    for (const std::string& file : ImageFilesBelow(folder)) {
      const std::string path = (fs::path(folder) / file).lexically_normal().string();
      const auto fits = [&](const std::string& ending) { return file.ends_with(ending); };
      if (used.contains(path) || std::none_of(endings.begin(), endings.end(), fits)) continue;
      report.issues.push_back(
          {"label without image", split, path, path + ": no image of any checked split goes with it", false});
    }
  }
}

std::vector<PairFacts> LookAtAll(int count, Progress& progress, const std::function<PairFacts(int)>& look) {
  std::vector<PairFacts> facts(count);
  std::mutex mutex;
  ParallelFor(count, DefaultThreads(), [&](int i) {
    facts[i] = look(i);
    const std::lock_guard lock(mutex);
    progress.Advance();
  });
  return facts;
}

CheckReport CheckFiles(const DatasetSpec& spec, const std::vector<std::string>& splits) {
  CheckReport report{.data = spec.spec};
  std::vector<std::pair<std::string, Listing>> listings;
  int total = 0;
  for (const std::string& split : splits) {
    DatasetSpec part = spec;
    part.split = split == "all" ? "train" : split;
    listings.emplace_back(split, ListFiles(part));
    total += static_cast<int>(listings.back().second.pairs.size());
  }
  report.classes = listings.front().second.classes;
  std::unordered_map<std::uint64_t, Seen> seen;
  Progress progress("check", total);
  for (const auto& [split, listing] : listings) {
    for (const ListingProblem& problem : listing.problems) {
      report.issues.push_back({problem.kind, split, problem.file, problem.message, problem.fatal});
    }
    const int count = static_cast<int>(listing.pairs.size());
    const auto facts = LookAtAll(count, progress, [&listing = listing](int i) {
      return LookAtFiles(listing.pairs[i], listing.coding, listing.classes);
    });
    AddSplit(report,
             {.split = split, .description = fmt::format("{}, {}", listing.title, Counted(count, "image"))},
             facts);
    AddDuplicates(report, split, facts, seen);
  }
  if (spec.list.empty() && ParseDataSpec(spec.spec).first != "folder") AddOrphans(report, listings);
  return report;
}

CheckReport CheckSamples(const DatasetSpec& spec, const std::vector<std::string>& splits) {
  CheckReport report{.data = spec.spec};
  std::unordered_map<std::uint64_t, Seen> seen;
  for (const std::string& split : splits) {
    DatasetSpec part = spec;
    part.split = split == "all" ? "train" : split;
    const auto data = OpenDataset(part);
    if (report.splits.empty()) report.classes = data->classes();
    Progress progress("check", data->size());
    const auto facts = LookAtAll(data->size(), progress, [&](int i) { return LookAtSample(*data, i); });
    AddSplit(report, {.split = split, .description = data->description()}, facts);
    AddDuplicates(report, split, facts, seen);
  }
  return report;
}

}  // namespace

CheckReport CheckData(const DatasetSpec& spec, const std::vector<std::string>& splits) {
  const std::string kind = ParseDataSpec(spec.spec).first;
  CheckGivenSplits(spec, splits);
  std::vector<std::string> wanted;
  for (const std::string& split : splits) {
    SplitParts(split);
    if (std::find(wanted.begin(), wanted.end(), split) == wanted.end()) wanted.push_back(split);
  }
  if (!spec.list.empty()) wanted = {"all"};
  if (wanted.empty()) wanted = FindSplits(spec);
  return kind == "synth" || kind == "pack" ? CheckSamples(spec, wanted) : CheckFiles(spec, wanted);
}

int CheckReport::errors() const {
  return static_cast<int>(
      std::count_if(issues.begin(), issues.end(), [](const CheckIssue& i) { return i.error; }));
}

int CheckReport::warnings() const { return static_cast<int>(issues.size()) - errors(); }

}  // namespace frf
