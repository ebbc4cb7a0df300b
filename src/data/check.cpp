// SPDX-License-Identifier: Apache-2.0
// The check of a data set. It never stops at the first problem: each pair is looked at alone and says all
// that is wrong with it. Subtle: label files are judged by their stored values, because Get() would stop at
// the first bad one.
#include "data/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <unordered_map>

#include "base/hash.h"
#include "base/plural.h"
#include "base/progress.h"
#include "base/system.h"
#include "data/check_parts.h"
#include "image/image_io.h"

namespace frf {
namespace {

constexpr int kTinySide = 32;  // below this the network's coarsest map is a single pixel

struct PairFacts {  // of one pair, found by one thread
  std::vector<CheckIssue> issues;
  std::string image, label;  // paths or names for messages
  bool good = false;
  int height = 0, width = 0;
  int orientation = 1;  // by EXIF
  std::uint64_t hash = 0;
  std::array<std::uint64_t, 256> counts{};  // of class ids
};

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
  const bool has_image = Try(facts, "unreadable image", pair.image, [&] {
    image = ReadImage(pair.image);
    facts.orientation = ReadOrientation(pair.image);
  });
  const bool has_labels =
      Try(facts, "unreadable label", pair.label, [&] { read = ReadTolerantly(pair.label, coding, classes); });
  const LabelImage& labels = read.labels;
  if (!read.bad.empty()) facts.issues.push_back({"bad value", {}, pair.label, pair.label + ": " + read.bad});
  if (!read.other.empty())
    facts.issues.push_back({"palette", {}, pair.label, PaletteWarning(pair.label, read.other), false});
  if (!has_image || !has_labels) return facts;
  if (image.height != labels.height || image.width != labels.width) {
    facts.issues.push_back({"size mismatch", {}, pair.label, SizeMismatch(pair, image, labels)});
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
      const bool rare = 2 * static_cast<std::size_t>(most->second) > facts.size();
      const std::string others =
          rare ? fmt::format("most of the split ({} of {}) is {}", most->second, facts.size(), most->first)
               : fmt::format("the split has {} sizes, the commonest ({} of {}) is {}", split.sizes.size(),
                             most->second, facts.size(), most->first);
      report.issues.push_back(
          {"odd size", split.split, pair.image, fmt::format("{}: {}, {}", pair.image, size, others), false});
    }
  }
}

// Of one size a mask of the turned picture and one of the picture as stored look alike (orientation 3): one
// warning says that there is something to look at.
void AddOrientations(CheckReport& report, const CheckSplit& split, const std::vector<PairFacts>& facts) {
  const auto turned = [](const PairFacts& pair) { return pair.orientation != 1; };
  const auto first = std::find_if(facts.begin(), facts.end(), turned);
  if (first == facts.end()) return;
  report.issues.push_back(
      {"EXIF orientation", split.split, first->image,
       fmt::format("{}: {} turned by EXIF orientation ({}: {}); the masks must be of the turned pictures",
                   split.description, Counted(std::count_if(facts.begin(), facts.end(), turned), "picture"),
                   first->image, first->orientation),
       false});
}

// What may be meant where a class has no pixel: masks of two classes that hold 0 and 255.
std::string AbsentHint(const CheckReport& report, const CheckSplit& split, int absent,
                       const LabelCoding* coding) {
  const bool two = coding != nullptr && coding->kind == LabelCoding::Kind::kEither &&
                   report.classes.count() == 2 && absent == 1 && coding->table[1] == 1 &&
                   coding->table[255] == kVoidLabel;
  const bool wide = split.class_pixels[0] > 0 && split.void_pixels > split.class_pixels[0] / 100;
  if (!two || !wide) return "";
  return fmt::format("; where masks hold 255 for it, {}", kTwoClassRemedy);
}

// A split without a labelled pixel: `frf train` refuses to learn from it. Labels of val or test may be held
// back on purpose. Where masks could not be read, or hold bad values, that is said already.
void AddUnlabelled(CheckReport& report, const CheckSplit& split, const std::vector<PairFacts>& facts) {
  const auto good = [](const PairFacts& pair) { return pair.good; };
  if (facts.empty() || !std::all_of(facts.begin(), facts.end(), good)) return;
  report.issues.push_back({"no label",
                           split.split,
                           {},
                           split.description + ": no labelled pixel in it: every pixel of every mask is void",
                           split.split != "val" && split.split != "test"});
}

// Sums over a split, empty masks, absent classes. `coding`: of its files, where it has some.
void AddSplit(CheckReport& report, CheckSplit split, const std::vector<PairFacts>& facts,
              const LabelCoding* coding = nullptr) {
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
  AddOrientations(report, split, facts);
  const bool labelled = std::any_of(split.class_pixels.begin(), split.class_pixels.end(),
                                    [](std::uint64_t pixels) { return pixels > 0; });
  if (!labelled) AddUnlabelled(report, split, facts);
  for (int id = 0; labelled && id < classes; ++id) {
    if (split.class_pixels[id] > 0) continue;
    report.issues.push_back({"absent class",
                             split.split,
                             {},
                             fmt::format("{}: class '{}' has no pixel{}", split.description,
                                         report.classes.names[id], AbsentHint(report, split, id, coding)),
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

// `whole`: the splits are all that are there.
CheckReport CheckFiles(const DatasetSpec& spec, const std::vector<std::string>& splits, bool whole) {
  CheckReport report{.data = spec.spec};
  SplitListings listings;
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
             facts, &listing.coding);
    AddDuplicates(report, split, facts, seen);
  }
  const bool folder = ParseDataSpec(spec.spec).first == "folder";
  if (spec.list.empty() && !folder) AddOrphans(report, listings);
  if (whole && folder) AddUnused(report, listings);
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
  if (kind == "synth" || kind == "pack") return CheckSamples(spec, wanted);
  return CheckFiles(spec, wanted, spec.list.empty() && splits.empty());
}

int CheckReport::errors() const {
  return static_cast<int>(
      std::count_if(issues.begin(), issues.end(), [](const CheckIssue& i) { return i.error; }));
}

int CheckReport::warnings() const { return static_cast<int>(issues.size()) - errors(); }

}  // namespace frf
