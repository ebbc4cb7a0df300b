// SPDX-License-Identifier: Apache-2.0
// What every layout's listing needs: specs, list files, folders in a fixed order, pairs that exist.
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "data/internal.h"
#include "image/image_io.h"

namespace frf {

namespace fs = std::filesystem;

std::pair<std::string, std::string> ParseDataSpec(const std::string& spec) {
  const std::size_t colon = spec.find(':');
  const std::string kind = spec.substr(0, colon);
  const bool known =
      kind == "camvid" || kind == "cityscapes" || kind == "folder" || kind == "synth" || kind == "pack";
  if (colon == std::string::npos || colon + 1 == spec.size() || !known) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("data '{}': wanted camvid:DIR, cityscapes:DIR, folder:DIR, synth:COUNT or pack:FILE",
                    spec));
  }
  return {kind, spec.substr(colon + 1)};
}

std::vector<std::string> SplitParts(const std::string& split) {
  if (split == "trainval") return {"train", "val"};
  if (split == "train" || split == "val" || split == "test") return {split};
  throw Error(ErrorCode::kUsage, fmt::format("split '{}': wanted train, val, test or trainval", split));
}

void CheckGivenSplits(const DatasetSpec& spec, const std::vector<std::string>& splits) {
  CheckVariant(spec.variant, {spec.spec});
  if (!spec.list.empty() && !splits.empty())
    throw Error(ErrorCode::kUsage, "--splits does not go with --list, which names the images");
}

std::string FindListFile(const std::string& list, const std::string& root) {
  if (fs::is_regular_file(list)) return list;
  const fs::path inside = fs::path(root) / list;
  if (fs::is_regular_file(inside)) return inside.string();
  throw Error(ErrorCode::kNotFound,
              fmt::format("{}: no such list file, neither as given nor in {}", list, root));
}

namespace {

std::string Trimmed(const std::string& text) {
  constexpr const char* kSpace = " \t\r\v\f";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Parted by a tab, where one is there; else all of it, where it is in quotes or names an image; else by
// spaces.
ListLine ParseLine(const std::string& line, const std::function<bool(const std::string&)>& is_there,
                   const std::string& place) {
  const std::size_t tab = line.find('\t');
  if (tab != std::string::npos) {
    const ListLine entry{Trimmed(line.substr(0, tab)), Trimmed(line.substr(tab))};
    if (entry.label.find('\t') == std::string::npos) return entry;
    throw Error(ErrorCode::kCorruptFile,
                place +
                    " has more than two parts between tabs; wanted an image path and, where it cannot be "
                    "derived, a label path");
  }
  if (line.size() > 2 && line.find('"', 1) == line.size() - 1 && line[0] == '"')
    return {line.substr(1, line.size() - 2), ""};
  const std::size_t space = line.find(' ');
  if (space == std::string::npos || is_there(line)) return {line, ""};
  const ListLine entry{line.substr(0, space), Trimmed(line.substr(space))};
  // "my photo.png", which is not there: "my: no such image" would mislead.
  if (!LooksLikeImageFile(entry.image) && LooksLikeImageFile(line) && !is_there(entry.image))
    return {line, ""};
  if (entry.label.find(' ') == std::string::npos) return entry;
  throw Error(
      ErrorCode::kCorruptFile,
      fmt::format("{} is no image's name and has more than two words; wanted an image path and, where it "
                  "cannot be derived, a label path, between them a tab where names hold spaces",
                  place));
}

}  // namespace

std::vector<ListLine> ReadListFile(const std::string& path,
                                   const std::function<bool(const std::string&)>& is_there) {
  std::string content = ReadFile(path, std::uint64_t{64} << 20);
  if (content.starts_with("\xef\xbb\xbf")) content.erase(0, 3);  // the byte order mark of Windows' editors
  std::istringstream text(std::move(content));
  std::vector<ListLine> lines;
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    line = Trimmed(line);
    if (line.empty() || line[0] == '#') continue;
    lines.push_back(
        ParseLine(line, is_there, fmt::format("{}: line {}, '{}',", path, number, Printable(line))));
  }
  if (lines.empty()) throw Error(ErrorCode::kCorruptFile, path + ": names no image");
  return lines;
}

std::vector<std::string> ImageFilesBelow(const fs::path& folder, std::vector<std::string>* others) {
  std::vector<std::string> names;
  std::error_code code;
  fs::recursive_directory_iterator walk(folder, fs::directory_options::follow_directory_symlink, code), end;
  for (; !code && walk != end; walk.increment(code)) {
    if (walk.depth() > 16)
      throw Error(ErrorCode::kIo, walk->path().string() + ": folders nest too deep; a link to a parent?");
    if (walk->path().filename().string().starts_with(".")) {  // .ipynb_checkpoints, say
      walk.disable_recursion_pending();
      continue;
    }
    std::error_code lost;  // a link to itself has no type: reading it gives the error that names it
    if (walk->is_directory(lost)) continue;
    const std::string name = walk->path().lexically_relative(folder).generic_string();
    if (LooksLikeImageFile(name)) names.push_back(name);
    if (others != nullptr && LooksLikeOtherPicture(name)) others->push_back(name);
  }
  if (code)
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot list the folder: {}", folder.string(), code.message()));
  std::sort(names.begin(), names.end());
  return names;
}

bool IsFile(const fs::path& path) {
  std::error_code lost;
  return fs::is_regular_file(path, lost);
}

std::vector<std::string> ListImages(Listing& listing, const fs::path& folder) {
  std::vector<std::string> others, images = ImageFilesBelow(folder, &others);
  if (!others.empty())
    listing.problems.push_back({"other format", folder.string(),
                                fmt::format("{}: {}", folder.string(), OtherFormatsLeftOut(others)), false});
  return images;
}

std::string OtherFormatOf(const std::string& path) {
  for (const std::string& ending : OtherPictureEndings()) {
    const fs::path other = fs::path(path).replace_extension(ending);
    if (IsFile(other)) return other.filename().string();
  }
  return "";
}

void AddPair(Listing& listing, const std::string& name, const std::string& image, const std::string& label) {
  std::error_code image_code, label_code;
  const bool has_image = fs::is_regular_file(image, image_code),
             has_label = fs::is_regular_file(label, label_code);
  const auto reason = [](const std::string& path, const std::error_code& code) {
    if (code && code != std::errc::no_such_file_or_directory) return " (" + code.message() + ")";
    const std::string other = OtherFormatOf(path);
    return other.empty() ? "" : fmt::format(" ({} is there: frf reads PNG and JPEG)", other);
  };
  if (has_image && has_label) {
    listing.pairs.push_back({name, image, label});
    return;
  }
  if (!has_image) {
    const char* hint = has_label ? ", its labels are there" : "";
    listing.problems.push_back({"missing image", image,
                                fmt::format("{}: no such image{}{}", image, reason(image, image_code), hint),
                                true, label});
  }
  if (!has_label) {
    listing.problems.push_back(
        {"missing label", label,
         fmt::format("{}: no such label file{}, wanted for {}", label, reason(label, label_code), image),
         true, image});
  }
}

std::vector<std::string> FindSplits(const DatasetSpec& spec) {
  const std::string kind = ParseDataSpec(spec.spec).first;
  if (kind == "synth") return {"all"};
  if (kind == "pack") return PackSplits(ParseDataSpec(spec.spec).second);
  std::vector<std::string> found;
  std::string first_error;
  std::vector<std::string>
      empty;  // told only where another split shows that masks and classes.json are there
  for (const char* split : {"train", "val", "test"}) {
    DatasetSpec part = spec;
    part.split = split;
    part.list.clear();
    try {
      if (ListFiles(part).undivided) return {"all"};
      found.push_back(split);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kNotFound) throw;
      if (first_error.empty()) first_error = error.what();
      // A folder without images is no split, but whoever made it may think that it is one.
      const fs::path images = fs::path(ParseDataSpec(spec.spec).second) / "images" / split;
      if (kind == "folder" && fs::is_directory(images))
        empty.push_back(fmt::format("{}: holds no image, so split '{}' is left out", images.string(), split));
    }
  }
  if (found.empty()) throw Error(ErrorCode::kNotFound, first_error);
  for (const std::string& message : empty) LogWarning(message);
  return found;
}

Listing ListFiles(const DatasetSpec& spec) {
  const auto [kind, root] = ParseDataSpec(spec.spec);
  if (!fs::is_directory(root))
    throw Error(ErrorCode::kNotFound, fmt::format("{}: no such folder (for {})", root, spec.spec));
  Listing listing = kind == "camvid"       ? ListCamVid(spec, root)
                    : kind == "cityscapes" ? ListCityscapes(spec, root)
                                           : ListFolder(spec, root);
  if (listing.pairs.empty() && listing.problems.empty()) {
    throw Error(ErrorCode::kNotFound, fmt::format("{}: no images for split '{}'", root, spec.split));
  }
  const auto fatal = [](const ListingProblem& problem) { return problem.fatal; };
  if (listing.pairs.empty() && std::none_of(listing.problems.begin(), listing.problems.end(), fatal)) {
    const bool other_format = listing.problems.front().kind == "other format";
    listing.problems.push_back(
        {"no image", root,
         fmt::format(
             "{}: no images for split '{}', though {}", root, spec.split,
             other_format ? "there are pictures: " + listing.problems.front().message : "labels are there")});
  }
  return listing;
}

}  // namespace frf
