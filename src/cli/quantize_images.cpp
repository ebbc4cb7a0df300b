// SPDX-License-Identifier: Apache-2.0
// Which images of a data set measure ranges, choose settings and give the figure.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/hash.h"
#include "base/log.h"
#include "base/plural.h"
#include "cli/quantize_score.h"
#include "frf/error.h"

namespace frf::cli {

std::string Some(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  if (names.size() <= kShown + 1) return fmt::format("{}", fmt::join(names, ", "));
  return fmt::format("{} and {} more", fmt::join(names.begin(), names.begin() + kShown, ", "),
                     names.size() - kShown);
}

std::vector<int> EvenlyOf(const std::vector<int>& from, int count) {
  if (static_cast<int>(from.size()) <= count) return from;
  std::vector<int> picked;
  for (int i = 0; i < count; ++i) picked.push_back(from[static_cast<std::size_t>(i) * from.size() / count]);
  return picked;
}

ScoredImages ReadImages(const Dataset& data, const std::vector<int>& which) {
  ScoredImages images;
  for (const int i : which) {
    images.samples.push_back(data.Get(i));
    const std::string recording = RecordingOf(data.name(i));
    if (std::find(images.recordings.begin(), images.recordings.end(), recording) == images.recordings.end())
      images.recordings.push_back(recording);
  }
  return images;
}

std::vector<std::vector<int>> SplitByRecording(const Dataset& data, const std::vector<int>& wanted,
                                               bool drawn) {
  const int parts = static_cast<int>(wanted.size());
  std::map<std::string, std::vector<int>> by_name;
  for (int i = 0; i < data.size(); ++i) by_name[RecordingOf(data.name(i))].push_back(i);
  std::vector<std::vector<int>> split;
  if (!drawn && static_cast<int>(by_name.size()) >= parts) {
    std::vector<std::vector<int>> recordings;
    for (auto& [name, images] : by_name) recordings.push_back(std::move(images));
    std::stable_sort(recordings.begin(), recordings.end(),
                     [](const auto& a, const auto& b) { return a.size() > b.size(); });
    if (recordings.front().size() == 1 && data.size() > parts) {
      LogWarning(
          fmt::format("{}: by the files' names every image is a recording of its own; where they are frames "
                      "of one drive, neighbouring ones may hide what rounding breaks",
                      data.description()));
    }
    split.emplace_back();
    for (int left = data.size(); const std::vector<int>& recording : recordings) {
      split.back().insert(split.back().end(), recording.begin(), recording.end());
      left -= static_cast<int>(recording.size());
      const int part = static_cast<int>(split.size()) - 1, parts_left = parts - part - 1,
                size = static_cast<int>(split.back().size());
      if (parts_left > 0 && (size >= wanted[part] || left <= parts_left * size)) split.emplace_back();
    }
    return split;
  }
  if (data.size() < parts)
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: at least {} images are wanted", data.description(), parts));
  if (!drawn) {
    LogWarning(
        fmt::format("{}: {} by the files' names, {} are wanted; neighbouring frames may hide "
                    "what rounding breaks",
                    data.description(), Counted(by_name.size(), "recording"), parts));
  }
  for (int p = 0; p < parts; ++p) {
    split.emplace_back();
    for (int i = data.size() * p / parts; i < data.size() * (p + 1) / parts; ++i) split.back().push_back(i);
  }
  return split;
}

int CountUsed(const ScoredImages& scored, const ScoredImages& calibration, const ScoredImages& selection) {
  const auto of = [](const Sample& sample) {
    return XxHash64(sample.image.pixels.data(), sample.image.pixels.size(), 0);
  };
  std::set<std::uint64_t> seen;
  for (const ScoredImages* images : {&calibration, &selection})
    for (const Sample& sample : images->samples) seen.insert(of(sample));
  const auto used = [&](const Sample& sample) { return seen.contains(of(sample)); };
  const auto count = std::count_if(scored.samples.begin(), scored.samples.end(), used);
  if (count > 0) {
    LogWarning(fmt::format(
        "{} of the {} images that are scored were used for ranges or for choosing: what int8 costs "
        "others is not known from them; --score-data, --score-split or --score-list names others",
        count, scored.samples.size()));
  }
  return static_cast<int>(count);
}

}  // namespace frf::cli
