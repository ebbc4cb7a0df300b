// SPDX-License-Identifier: Apache-2.0
// What the check finds beside the pairs: files that lie in a data set's folders and belong to nothing.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/plural.h"
#include "data/check_parts.h"

namespace frf {

namespace fs = std::filesystem;

void AddOrphans(CheckReport& report, const SplitListings& listings) {
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

// A split of another name or a file beside the splits is easily taken for a part of the data.
void AddUnused(CheckReport& report, const SplitListings& listings) {
  std::set<std::string> used;
  std::vector<std::string> told;  // folders whose files of other formats are problems of a listing
  const auto note = [&](const std::string& path) { used.insert(fs::path(path).lexically_normal().string()); };
  for (const auto& [split, listing] : listings) {
    for (const Pair& pair : listing.pairs) note(pair.image), note(pair.label);
    for (const ListingProblem& problem : listing.problems) {
      note(problem.file), note(problem.other);
      if (problem.kind != "other format") continue;
      told.push_back(fs::path(problem.file).lexically_normal().string());
      if (!told.back().ends_with('/')) told.back() += '/';
    }
  }
  std::map<std::string, std::vector<std::string>> unused;  // folder -> names
  for (const char* part : {"images", "masks"}) {
    const fs::path folder = fs::path(listings.front().second.root) / part;
    std::vector<std::string> others, files = ImageFilesBelow(folder, &others);
    for (const std::string& other : others) {
      const auto holds = [&](const std::string& below) {
        return (folder / other).lexically_normal().string().starts_with(below);
      };
      if (std::none_of(told.begin(), told.end(), holds)) files.push_back(other);
    }
    for (const std::string& file : files) {
      const fs::path path = (folder / file).lexically_normal();
      if (!used.contains(path.string()))
        unused[path.parent_path().string()].push_back(path.filename().string());
    }
  }
  for (const auto& [folder, names] : unused) {
    constexpr std::size_t kNamed = 3;
    std::string few;
    for (std::size_t i = 0; i < std::min(names.size(), kNamed); ++i) few += (i > 0 ? ", " : "") + names[i];
    report.issues.push_back(
        {"unused file",
         {},
         folder,
         fmt::format("{}: {} that no split takes ({}{})", folder, Counted(names.size(), "file"), few,
                     names.size() > kNamed ? " ..." : ""),
         false});
  }
}

}  // namespace frf
