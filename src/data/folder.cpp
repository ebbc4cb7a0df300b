// SPDX-License-Identifier: Apache-2.0
// A folder of one's own: images/SPLIT/*.{png,jpg}, masks/SPLIT/*.png (same stem; ids or colours) and
// classes.json:
//
//   {"names": ["road", "grass"], "palette": [[128, 64, 128], [0, 160, 0]], "void": 255, "label_ids": [7, 21]}
//
// palette may be left out (then masks are ids); label_ids are the values in the masks where those are not 0,
// 1, 2 ...; void is an id or a list of ids (default 255); void_color a colour or a list (default black).
// Splits are folders below images/ and masks/, or SPLIT.txt with one path a line, with or without its
// ending. Subtle: a mask counts as colours if its PNG is RGB.
#include <fmt/format.h>

#include <map>
#include <set>

#include "base/files.h"
#include "base/log.h"
#include "data/internal.h"
#include "image/transform.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

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

// A number or a list of numbers; a colour or a list of colours.
std::vector<int> VoidIds(const Json& json, const std::string& path) {
  if (!json.contains("void")) return {kVoidLabel};
  const Json& value = json["void"];
  std::vector<int> ids;
  if (!value.is_array()) return {ByteOf(value, path, "void")};
  for (const Json& id : value) ids.push_back(ByteOf(id, path, "void"));
  return ids;
}

std::vector<Color> VoidColors(const Json& json, const std::string& path) {
  if (!json.contains("void_color")) return {};
  const Json& value = json["void_color"];
  if (value.is_array() && !value.empty() && !value[0].is_array()) return {ColorOf(value, path, "void_color")};
  std::vector<Color> colors;
  if (!value.is_array())
    Malformed(path, fmt::format("void_color is {}; wanted [red, green, blue]", value.dump()));
  for (const Json& color : value) colors.push_back(ColorOf(color, path, "void_color"));
  return colors;
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
    for (const Json& color : json["palette"]) classes.palette.push_back(ColorOf(color, path, "palette"));
  }
  if (json.contains("label_ids")) {
    same_length("label_ids");
    for (const Json& id : json["label_ids"]) classes.label_ids.push_back(ByteOf(id, path, "label_ids"));
  }
  return classes;
}

LabelCoding ParseCoding(const Json& json, const Classes& classes, const std::string& path) {
  LabelCoding coding;
  coding.kind = LabelCoding::Kind::kEither;
  std::string ids;
  for (int id = 0; id < classes.count(); ++id) {
    const int stored = classes.label_ids.empty() ? id : classes.label_ids[id];
    if (coding.table[stored] != LabelCoding::kBad)
      Malformed(path, fmt::format("label_ids holds {} twice", stored));
    coding.table[stored] = static_cast<std::int16_t>(id);
    ids += fmt::format("{}{}", id ? ", " : "", stored);
  }
  std::string voids;
  for (const int stored : VoidIds(json, path)) {
    if (coding.table[stored] != LabelCoding::kBad)
      Malformed(path, fmt::format("void id {} is also a class", stored));
    coding.table[stored] = kVoidLabel;
    voids += fmt::format(" {}", stored);
  }
  if (classes.label_ids.empty()) ids = fmt::format("0..{}", classes.count() - 1);
  coding.wanted = fmt::format("{}, or void{}", ids, voids.empty() ? " (none is declared)" : voids);
  for (int id = 0; id < static_cast<int>(classes.palette.size()); ++id) {
    const Color& color = classes.palette[id];
    if (!coding.colors.emplace(LabelCoding::Key(color), static_cast<std::uint8_t>(id)).second) {
      Malformed(path, fmt::format("palette holds ({}, {}, {}) twice", color[0], color[1], color[2]));
    }
  }
  for (const Color& color : VoidColors(json, path)) {
    if (!coding.colors.emplace(LabelCoding::Key(color), kVoidLabel).second) {
      Malformed(path, fmt::format("void_color ({}, {}, {}) is also a class's", color[0], color[1], color[2]));
    }
  }
  if (!classes.palette.empty() && !json.contains("void_color"))
    coding.colors.emplace(0u, kVoidLabel);  // black, unless a class is
  return coding;
}

// The masks below `folder` by relative path without ending.
std::map<std::string, std::string> ByStem(const fs::path& folder, const char* below, Listing& listing) {
  std::map<std::string, std::string> stems;
  if (!fs::is_directory(folder)) return stems;
  for (const std::string& file : ImageFilesBelow(folder)) {
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
    const std::string path = (masks / file).string();
    listing.problems.push_back({"label without image", path,
                                fmt::format("{}: no image in {} has this stem", path, images.string()),
                                false});
  }
}

// `stem` with the image ending that is there, in lower case or in upper; empty where none is.
std::string WithEnding(const fs::path& root, const std::string& stem) {
  for (const char* ending : kImageEndings) {
    std::error_code lost;  // links in a circle: AddPair says so
    if (fs::is_regular_file(root / (stem + ending), lost)) return stem + ending;
  }
  return {};
}

// A line is a path below the root, a path below images/, or either without its ending; as `find` writes it,
// with "./" before.
void AddLine(Listing& listing, const ListLine& line) {
  const fs::path root(listing.root);
  const std::string given = fs::path(line.image).lexically_normal().generic_string();
  std::string image;
  for (const std::string& name : {given, "images/" + given}) {
    std::error_code lost;
    if (image.empty()) image = fs::is_regular_file(root / name, lost) ? name : WithEnding(root, name);
  }
  if (image.empty()) image = given;
  std::string label = line.label;
  if (label.empty()) {
    const std::string below = image.starts_with("images/") ? image.substr(7) : image;
    const std::string stem = "masks/" + fs::path(below).replace_extension().generic_string();
    label = WithEnding(root, stem);
    if (label.empty()) label = stem + ".png";
  }
  AddPair(listing, image, (root / image).string(), (root / label).string());
}

void AddSplit(Listing& listing, const std::string& split) {
  const fs::path root(listing.root);
  if (fs::is_directory(root / "images" / split)) return AddByStem(listing, split);
  if (fs::is_regular_file(root / (split + ".txt"))) {
    for (const ListLine& line : ReadListFile((root / (split + ".txt")).string())) AddLine(listing, line);
    return;
  }
  for (const char* other : {"train", "val", "test"}) {
    if (fs::is_directory(root / "images" / other) ||
        fs::is_regular_file(root / (std::string(other) + ".txt"))) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("{}: has no split '{}' (no images/{}/, no {}.txt), but has '{}'", listing.root,
                              split, split, split, other));
    }
  }
  LogWarning(
      fmt::format("{}: images/ is not divided into splits, so '{}' is all of it", listing.root, split));
  listing.undivided = true;
  AddByStem(listing, "");
}

}  // namespace

FolderClasses ReadFolderClasses(const std::string& path) {
  const Json json = ParseJson(ReadFile(path, std::uint64_t{4} << 20), path);
  FolderClasses result;
  result.classes = ParseClasses(json, path);
  result.coding = ParseCoding(json, result.classes, path);
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
    for (const ListLine& line : ReadListFile(FindListFile(spec.list, root))) AddLine(listing, line);
    return listing;
  }
  listing.title = "folder " + spec.split;
  for (const std::string& split : SplitParts(spec.split)) {
    if (!listing.undivided) AddSplit(listing, split);  // undivided: trainval is all of it, once
  }
  return listing;
}

}  // namespace frf
