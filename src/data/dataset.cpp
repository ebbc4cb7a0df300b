// SPDX-License-Identifier: Apache-2.0
// Opening a data set by its spec, and reading pairs from a listing. Both files of a pair must have one size.
#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <exception>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "base/log.h"
#include "base/plural.h"
#include "base/text.h"
#include "data/internal.h"
#include "data/new_sky.h"
#include "image/image_io.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

class ListedDataset : public Dataset {
 public:
  explicit ListedDataset(Listing listing) : listing_(std::move(listing)) {}

  std::string description() const override {
    return fmt::format("{}, {}", listing_.title, Counted(size(), "image"));
  }
  int size() const override { return static_cast<int>(listing_.pairs.size()); }
  const Classes& classes() const override { return listing_.classes; }
  std::string name(int index) const override { return listing_.pairs.at(index).name; }
  std::string image_path(int index) const override { return listing_.pairs.at(index).image; }
  std::pair<int, int> image_size(int index) const override { return ReadImageSize(image_path(index)); }
  std::string label_path(int index) const override { return listing_.pairs.at(index).label; }

  Sample Get(int index) const override {
    const Pair& pair = listing_.pairs.at(index);
    Sample sample{.name = pair.name, .image = ReadImage(pair.image), .labels = GetLabels(index)};
    if (sample.image.height != sample.labels.height || sample.image.width != sample.labels.width) {
      throw Error(ErrorCode::kCorruptFile, SizeMismatch(pair, sample.image, sample.labels));
    }
    return sample;
  }
  LabelImage GetLabels(int index) const override {
    return ReadCodedLabels(listing_.pairs.at(index).label, listing_.coding);
  }

 private:
  Listing listing_;
};

class NarrowedDataset : public Dataset {
 public:
  NarrowedDataset(std::shared_ptr<const Dataset> data, std::vector<int> indices, std::string title)
      : data_(std::move(data)), indices_(std::move(indices)), title_(std::move(title)) {}

  std::string description() const override { return fmt::format("{}, {}", title_, Counted(size(), "image")); }
  int size() const override { return static_cast<int>(indices_.size()); }
  const Classes& classes() const override { return data_->classes(); }
  std::string name(int index) const override { return data_->name(indices_.at(index)); }
  std::string image_path(int index) const override { return data_->image_path(indices_.at(index)); }
  std::pair<int, int> image_size(int index) const override { return data_->image_size(indices_.at(index)); }
  std::string label_path(int index) const override { return data_->label_path(indices_.at(index)); }
  Sample Get(int index) const override { return data_->Get(indices_.at(index)); }
  LabelImage GetLabels(int index) const override { return data_->GetLabels(indices_.at(index)); }

 private:
  std::shared_ptr<const Dataset> data_;
  std::vector<int> indices_;
  std::string title_;
};

int ParseCount(const std::string& text) {
  int count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc() || end != text.data() + text.size() || count < 1) {
    throw Error(ErrorCode::kUsage,
                fmt::format("data 'synth:{}': wanted a number of scenes, 1 or more", text));
  }
  return count;
}

}  // namespace

std::string SizeMismatch(const Pair& pair, const Image& image, const LabelImage& labels) {
  std::string turned;
  if (const int orientation = ReadOrientation(pair.image); orientation != 1) {
    turned = fmt::format(
        " when turned as its EXIF orientation {} says: turn the labels likewise, or store the "
        "picture upright without EXIF",
        orientation);
  }
  return fmt::format("{}: labels are {}x{}, the image {} is {}x{}{}; they must be of one size", pair.label,
                     labels.height, labels.width, pair.image, image.height, image.width, turned);
}

std::unique_ptr<Dataset> OpenListing(Listing listing) {
  const ListingProblem* first = nullptr;
  int fatal = 0;
  for (const ListingProblem& problem : listing.problems) {
    if (!problem.fatal) continue;
    if (first == nullptr) first = &problem;
    ++fatal;
  }
  if (first != nullptr) {
    const std::string more =
        fatal > 1 ? fmt::format(" (and {} more; `frf data check` lists them)", fatal - 1) : "";
    throw Error(ErrorCode::kNotFound, first->message + more);
  }
  for (const ListingProblem& problem : listing.problems) {
    if (problem.kind == "other format") LogWarning(problem.message);
  }
  WarnOfPalettes(listing);
  return std::make_unique<ListedDataset>(std::move(listing));
}

std::unique_ptr<Dataset> NarrowByNames(std::shared_ptr<const Dataset> data,
                                       const std::vector<std::string>& names, const std::string& title) {
  std::unordered_map<std::string, int> index;
  for (int i = 0; i < data->size(); ++i) index.emplace(data->name(i), i);
  std::vector<int> chosen;
  for (const std::string& name : names) {
    const auto found = index.find(name);
    if (found == index.end()) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("{}: '{}' is not in {}", title, name, data->description()));
    }
    chosen.push_back(found->second);
  }
  return std::make_unique<NarrowedDataset>(std::move(data), std::move(chosen), title);
}

namespace {

std::unique_ptr<Dataset> OpenAsItIs(const DatasetSpec& spec) {
  const auto [kind, rest] = ParseDataSpec(spec.spec);
  SplitParts(spec.split);  // a wrong name is an error for every kind
  if (kind == "pack") return OpenPack(spec, rest);
  if (kind != "synth") return OpenListing(ListFiles(spec));
  std::unique_ptr<Dataset> scenes = OpenSynth(spec, ParseCount(rest));
  if (spec.list.empty()) return scenes;
  std::vector<std::string> names;
  const auto no_spaces = [](const std::string&) { return false; };
  for (const ListLine& line : ReadListFile(FindListFile(spec.list, "."), no_spaces))
    names.push_back(line.image);
  return NarrowByNames(std::move(scenes), names, "synth " + fs::path(spec.list).filename().string());
}

// A list may name an image twice by mistake.
void WarnOfRepeats(const Dataset& data) {
  std::set<std::string> seen, repeated;
  for (int i = 0; i < data.size(); ++i)
    if (const std::string name = data.name(i); !seen.insert(name).second) repeated.insert(name);
  if (repeated.empty()) return;
  LogWarning(fmt::format("{}: {} named more than once, {} for instance; each counts as often as it is named",
                         PrintableName(data.description()),
                         Counted(repeated.size(), "image") + (repeated.size() == 1 ? " is" : " are"),
                         PrintableName(*repeated.begin())));
}

}  // namespace

void CheckVariant(const std::string& variant, const std::vector<std::string>& specs) {
  const auto has = [](const std::string& spec) {
    return spec.starts_with("cityscapes:") || spec.starts_with("synth:");
  };
  if (!variant.empty() && std::none_of(specs.begin(), specs.end(), has))
    throw Error(ErrorCode::kUsage,
                fmt::format("{}: --variant is for cityscapes:DIR and synth:COUNT", specs.at(0)));
}

std::unique_ptr<Dataset> OpenDataset(const DatasetSpec& spec) {
  std::unique_ptr<Dataset> data = OpenAsItIs(spec);
  if (!spec.list.empty()) WarnOfRepeats(*data);
  return spec.new_skies ? WithNewSkies(std::move(data), spec.seed) : std::move(data);
}

void ParallelFor(int count, int threads, const std::function<void(int)>& work) {
  std::atomic<int> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  int error_at = count;
  const auto run = [&] {
    for (int i = next++; i < count; i = next++) {
      try {
        work(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < error_at) error = std::current_exception(), error_at = i;
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (int t = 1; t < std::min(threads, count); ++t) helpers.emplace_back(run);
    run();
  }
  if (error) std::rethrow_exception(error);
}

std::string ListName(const DatasetSpec& spec) {
  const std::string name = fs::path(spec.list).filename().string();
  return IsUtf8(name) ? name : Printable(name);
}

std::string RecordingOf(const std::string& name) {
  const std::size_t start = name.rfind('/') + 1;  // npos + 1 is 0
  return name.substr(start, name.find('_', start) - start);
}

}  // namespace frf
