// SPDX-License-Identifier: Apache-2.0
// A folder of one's own: images/SPLIT/*.{png,jpg}, masks/SPLIT/*.png (same stem; ids or colours) and
// classes.json:
//
//   {"names": ["road", "grass"], "palette": [[128, 64, 128], [0, 160, 0]], "void": 255, "label_ids": [7, 21]}
//
// palette may be left out (then masks are ids); label_ids are the values in the masks where those are not 0,
// 1, 2 ...; void is an id or a list of ids (default 255); void_color a colour or a list (default black). A
// class may have a list of ids or colours too; the first is the one that is written. Splits are folders below
// images/ and masks/, or SPLIT.txt with one path a line, with or without its ending. Subtle: a mask counts as
// colours if its PNG is RGB and there is a palette.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/files.h"
#include "base/log.h"
#include "base/text.h"
#include "data/internal.h"
#include "image/transform.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSplits[] = {"train", "val", "test"};

[[noreturn]] void Malformed(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::kCorruptFile, path + ": " + what);
}

int ByteOf(const Json& value, const std::string& path, const char* what) {
  if (!value.is_number_integer() || value < 0 || value > 255) {
    Malformed(path, fmt::format("{} holds {}; wanted whole numbers 0..255", what, value.dump()));
  }
  return value.get<int>();
}

Color ColorOf(const Json& value, const std::string& path, const char* what) {
  if (!value.is_array() || value.size() != 3)
    Malformed(path, fmt::format("{} holds {}; wanted [red, green, blue]", what, value.dump()));
  Color color;
  for (int i = 0; i < 3; ++i) color[i] = static_cast<std::uint8_t>(ByteOf(value[i], path, what));
  return color;
}

// A number or a list of numbers.
std::vector<int> IdsOf(const Json& value, const std::string& path, const char* what) {
  std::vector<int> ids;
  if (!value.is_array()) return {ByteOf(value, path, what)};
  for (const Json& id : value) ids.push_back(ByteOf(id, path, what));
  return ids;
}

// A colour or a list of colours.
std::vector<Color> ColorsOf(const Json& value, const std::string& path, const char* what) {
  if (value.is_array() && !value.empty() && !value[0].is_array()) return {ColorOf(value, path, what)};
  std::vector<Color> colors;
  if (!value.is_array())
    Malformed(path, fmt::format("{} holds {}; wanted [red, green, blue]", what, value.dump()));
  for (const Json& color : value) colors.push_back(ColorOf(color, path, what));
  return colors;
}

// The entry of a class, which may be a list, is not empty.
template <typename Value>
const Value& FirstOf(const std::vector<Value>& values, const std::string& path, const char* what) {
  if (values.empty())
    Malformed(path, fmt::format("{} holds []; wanted at least one entry for each name", what));
  return values.front();
}

Classes ParseClasses(const Json& json, const std::string& path) {
  Classes classes;
  if (!json.is_object() || !json.contains("names") || !json["names"].is_array() || json["names"].empty()) {
    Malformed(path, "wanted {\"names\": [\"road\", ...], ...} with at least one name");
  }
  for (const auto& [key, value] : json.items()) {
    static const std::set<std::string> known{"names", "palette", "void", "void_color", "label_ids"};
    if (!known.contains(key))
      Malformed(path,
                fmt::format("unknown key '{}'; known are names, palette, void, void_color, label_ids", key));
  }
  std::set<std::string> seen;
  for (const Json& name : json["names"]) {
    if (!name.is_string() || name.get<std::string>().empty())
      Malformed(path, fmt::format("names holds {}; wanted text", name.dump()));
    if (!seen.insert(name.get<std::string>()).second)
      Malformed(path, fmt::format("class '{}' is named twice", name.get<std::string>()));
    classes.names.push_back(name.get<std::string>());
  }
  if (classes.count() > kMaxClasses)
    Malformed(path, fmt::format("{} classes; at most {} are possible", classes.count(), kMaxClasses));
  const auto same_length = [&](const char* key) {
    if (!json[key].is_array() || static_cast<int>(json[key].size()) != classes.count()) {
      Malformed(path,
                fmt::format("{} must be a list of {} entries, one for each name", key, classes.count()));
    }
  };
  if (json.contains("palette")) {
    same_length("palette");
    for (const Json& colors : json["palette"])
      classes.palette.push_back(FirstOf(ColorsOf(colors, path, "palette"), path, "palette"));
  }
  if (json.contains("label_ids")) {
    same_length("label_ids");
    for (const Json& ids : json["label_ids"])
      classes.label_ids.push_back(FirstOf(IdsOf(ids, path, "label_ids"), path, "label_ids"));
  }
  return classes;
}

// Where masks count from 1 and 0 is void, "void": [] would shift every class by one.
std::string CountFromOne(int classes) {
  constexpr int kWritten = 20;
  std::string ids;
  for (int id = 1; id <= std::min(classes, kWritten); ++id)
    ids += fmt::format("{}{}", id > 1 ? ", " : "", id);
  if (classes > kWritten) ids += fmt::format(", ... {}", classes);
  return fmt::format("where the masks count from 1, write \"label_ids\": [{}]; ", ids);
}

void AddIds(LabelCoding& coding, const Json& json, const Classes& classes, const std::string& path) {
  std::string wanted;
  for (int id = 0; id < classes.count(); ++id) {
    const auto stored_ids =
        classes.label_ids.empty() ? std::vector<int>{id} : IdsOf(json["label_ids"][id], path, "label_ids");
    for (const int stored : stored_ids) {
      if (coding.table[stored] != LabelCoding::kBad)
        Malformed(path, fmt::format("label_ids holds {} twice", stored));
      coding.table[stored] = static_cast<std::int16_t>(id);
      wanted += fmt::format("{}{}", wanted.empty() ? "" : ", ", stored);
    }
  }
  std::string voids;
  for (const int stored :
       json.contains("void") ? IdsOf(json["void"], path, "void") : std::vector<int>{kVoidLabel}) {
    if (coding.table[stored] != LabelCoding::kBad) {
      const bool from_one = stored == 0 && classes.label_ids.empty();
      Malformed(path, fmt::format("void id {} is also a class; {}where no pixel of the masks is void, write "
                                  "\"void\": []",
                                  stored, from_one ? CountFromOne(classes.count()) : ""));
    }
    coding.table[stored] = kVoidLabel;
    voids += fmt::format(" {}", stored);
  }
  if (classes.label_ids.empty()) wanted = fmt::format("0..{}", classes.count() - 1);
  coding.wanted = fmt::format("{}, or void{}", wanted, voids.empty() ? " (none is declared)" : voids);
}

void AddColors(LabelCoding& coding, const Json& json, const std::vector<Color>& voids,
               const std::string& path) {
  if (json.contains("palette")) {
    std::uint8_t id = 0;
    for (const Json& entry : json["palette"]) {
      for (const Color& color : ColorsOf(entry, path, "palette")) {
        if (!coding.colors.emplace(LabelCoding::Key(color), id).second)
          Malformed(path, fmt::format("palette holds ({}, {}, {}) twice", color[0], color[1], color[2]));
      }
      ++id;
    }
  }
  for (const Color& color : voids) {
    if (!coding.colors.emplace(LabelCoding::Key(color), kVoidLabel).second) {
      Malformed(path, fmt::format("void_color ({}, {}, {}) is also a class's", color[0], color[1], color[2]));
    }
  }
  if (json.contains("palette") && !json.contains("void_color"))
    coding.colors.emplace(0u, kVoidLabel);  // black, unless a class is
}

// The folder of `split` below images/: as frf calls it, in whatever capitals, or as others do; "" where none
// is.
std::string SplitFolder(const fs::path& images, const std::string& split) {
  if (fs::is_directory(images / split)) return split;
  std::string found;
  std::error_code code, lost;  // who lists the images says what is in the way
  for (fs::directory_iterator entry(images, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (SplitNamed(name) != split || !entry->is_directory(lost)) continue;
    if (!found.empty()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: {} and {} may both be split '{}': rename one", images.string(),
                              std::min(found, name), std::max(found, name), split));
    }
    found = name;
  }
  return found;
}

// "a, b, c ...": where splits are not known by their names, these may be meant as some.
std::string FoldersIn(const fs::path& images) {
  std::vector<std::string> names;
  std::error_code code, lost;
  for (fs::directory_iterator entry(images, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory(lost) && !name.starts_with(".")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  constexpr std::size_t kNamed = 3;
  const bool more = names.size() > kNamed;
  if (more) names.resize(kNamed);
  return fmt::format("{}{}", fmt::join(names, ", "), more ? " ..." : "");
}

// The images or masks below `folder` by relative path without ending.
std::map<std::string, std::string> ByStem(const fs::path& folder, const char* below, Listing& listing) {
  std::map<std::string, std::string> stems;
  if (!fs::is_directory(folder)) return stems;
  for (const std::string& file : ListImages(listing, folder)) {
    const std::string stem = fs::path(file).replace_extension().generic_string();
    const auto [at, added] = stems.emplace(stem, file);
    if (added) continue;
    listing.problems.push_back({"ambiguous", (folder / file).string(),
                                fmt::format("{}: {} also holds {}; only one file of a stem can be matched",
                                            (folder / file).string(), below, at->second)});
  }
  return stems;
}

// Pairs of images/BELOW and masks/BELOW; BELOW may be empty.
void AddByStem(Listing& listing, const std::string& below) {
  const fs::path root(listing.root), images = root / "images" / below, masks = root / "masks" / below;
  const auto image_stems = ByStem(images, "images", listing), mask_stems = ByStem(masks, "masks", listing);
  for (const auto& [stem, file] : image_stems) {
    const auto mask = mask_stems.find(stem);
    const std::string name = (fs::path("images") / below / file).generic_string();
    AddPair(listing, name, (images / file).string(),
            (masks / (mask == mask_stems.end() ? stem + ".png" : mask->second)).string());
  }
  for (const auto& [stem, file] : mask_stems) {
    if (image_stems.contains(stem)) continue;
    const std::string path = (masks / file).string(), other = OtherFormatOf((images / file).string());
    listing.problems.push_back(
        {"label without image", path,
         fmt::format("{}: no image in {} has this stem{}", path, images.string(),
                     other.empty() ? "" : fmt::format("; {} is there, but frf reads PNG and JPEG", other)),
         false});
  }
}

// `stem` with the image ending that is there, in lower case or in upper; empty where none is.
std::string WithEnding(const fs::path& root, const std::string& stem) {
  for (const char* ending : kImageEndings) {
    if (IsFile(root / (stem + ending))) return stem + ending;
  }
  return {};
}

// The image that a line of a list names, with its ending or without, below one of `folders`; as `find` writes
// it, with "./" before. Empty where none is there.
std::string ListedImage(const fs::path& root, const std::vector<std::string>& folders,
                        const std::string& given) {
  for (const std::string& folder : folders) {
    const std::string name = folder + fs::path(given).lexically_normal().generic_string();
    const std::string image = IsFile(root / name) ? name : WithEnding(root, name);
    if (!image.empty()) return image;
  }
  return {};
}

void AddList(Listing& listing, const std::string& list) {
  const fs::path root(listing.root);
  std::vector<std::string> folders{"", "images/"};
  for (const char* split : kSplits) {
    if (const std::string folder = SplitFolder(root / "images", split); !folder.empty())
      folders.push_back("images/" + folder + "/");
  }
  const auto is_there = [&](const std::string& name) { return !ListedImage(root, folders, name).empty(); };
  for (const ListLine& line : ReadListFile(list, is_there)) {
    std::string image = ListedImage(root, folders, line.image), label = line.label;
    if (image.empty()) image = fs::path(line.image).lexically_normal().generic_string();
    if (label.empty()) {
      const std::string below = image.starts_with("images/") ? image.substr(7) : image;
      const std::string stem = "masks/" + fs::path(below).replace_extension().generic_string();
      label = WithEnding(root, stem);
      if (label.empty()) label = stem + ".png";
    }
    AddPair(listing, image, (root / image).string(), (root / label).string());
  }
}

void AddSplit(Listing& listing, const std::string& split) {
  const fs::path root(listing.root), images = root / "images";
  const std::string list = (root / (split + ".txt")).string(), folder = SplitFolder(images, split);
  if (folder == split) return AddByStem(listing, folder);
  if (IsFile(list)) return AddList(listing, list);
  if (!folder.empty()) return AddByStem(listing, folder);
  for (const std::string other : kSplits) {
    if (!SplitFolder(images, other).empty() || IsFile(root / (other + ".txt"))) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("{}: has no split '{}' (no images/{}/, no {}.txt), but has '{}'", listing.root,
                              split, split, split, other));
    }
  }
  const std::string folders = FoldersIn(images);
  LogWarning(fmt::format("{}: images/ is not divided into splits{}, so '{}' is all of it", listing.root,
                         folders.empty() ? "" : fmt::format(" (its folders are {})", folders), split));
  listing.undivided = true;
  AddByStem(listing, "");
}

}  // namespace

std::string SplitNamed(const std::string& folder) {
  static const std::map<std::string, std::string> splits{
      {"train", "train"},    {"training", "train"}, {"val", "val"},     {"valid", "val"},
      {"validation", "val"}, {"test", "test"},      {"testing", "test"}};
  const auto meant = splits.find(Lower(folder));
  return meant == splits.end() ? "" : meant->second;
}

FolderClasses ReadFolderClasses(const std::string& path) {
  const Json json = ParseJson(ReadFile(path, std::uint64_t{4} << 20), path);
  FolderClasses result;
  result.classes = ParseClasses(json, path);
  result.coding.kind = LabelCoding::Kind::kEither;
  if (json.contains("void_color")) result.void_colors = ColorsOf(json["void_color"], path, "void_color");
  AddIds(result.coding, json, result.classes, path);
  AddColors(result.coding, json, result.void_colors, path);
  if (result.classes.palette.empty()) result.classes.palette = DefaultPalette(result.classes.count());
  return result;
}

Listing ListFolder(const DatasetSpec& spec, const std::string& root) {
  for (const char* wanted : {"images", "masks"}) {
    if (fs::is_directory(fs::path(root) / wanted)) continue;
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: no folder {}/; wanted images/, masks/ and classes.json", root, wanted));
  }
  const std::string classes = (fs::path(root) / "classes.json").string();
  if (!fs::is_regular_file(classes)) {
    throw Error(ErrorCode::kNotFound,
                classes +
                    ": not there; write {\"names\": [\"first class\", ...], \"palette\": "
                    "[[r, g, b], ...]} (palette only for colour masks)");
  }
  FolderClasses facts = ReadFolderClasses(classes);
  Listing listing{.root = root, .classes = std::move(facts.classes)};
  listing.coding = std::move(facts.coding);
  if (!spec.list.empty()) {
    listing.title = "folder " + fs::path(spec.list).filename().string();
    AddList(listing, FindListFile(spec.list, root));
    return listing;
  }
  listing.title = "folder " + spec.split;
  for (const std::string& split : SplitParts(spec.split)) {
    if (!listing.undivided) AddSplit(listing, split);  // undivided: trainval is all of it, once
  }
  return listing;
}

}  // namespace frf
