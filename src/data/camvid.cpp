// SPDX-License-Identifier: Apache-2.0
// CamVid in three layouts: SegNet's (train/, trainannot/, train.txt ...; ids 0..10, 11 void), the original
// (701_StillsRaw_full, LabeledApproved_full; 32 colours) and the split colour layout (train/, train_labels/).
// Subtle: the original has no split files. The published split (Sturgess et al. 2009) follows from the names:
// drive Seq05VD and the second half of 0001TP are test, the odd frames 7959..8159 of 0016E5 are val, all else
// is train.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/files.h"
#include "data/internal.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRawFolder = "701_StillsRaw_full";
constexpr const char* kApprovedFolder = "LabeledApproved_full";

// The 32 classes and the published grouping to 11 (index into CamVidClasses, -1 void).
struct FineClass {
  const char* name;
  Color color;
  int group;
};
constexpr FineClass kFineClasses[] = {
    {"Animal", {64, 128, 64}, 9},
    {"Archway", {192, 0, 128}, 1},
    {"Bicyclist", {0, 128, 192}, 10},
    {"Bridge", {0, 128, 64}, 1},
    {"Building", {128, 0, 0}, 1},
    {"Car", {64, 0, 128}, 8},
    {"CartLuggagePram", {64, 0, 192}, 9},
    {"Child", {192, 128, 64}, 9},
    {"Column_Pole", {192, 192, 128}, 2},
    {"Fence", {64, 64, 128}, 7},
    {"LaneMkgsDriv", {128, 0, 192}, 3},
    {"LaneMkgsNonDriv", {192, 0, 64}, 3},
    {"Misc_Text", {128, 128, 64}, 6},
    {"MotorcycleScooter", {192, 0, 192}, 10},
    {"OtherMoving", {128, 64, 64}, 8},
    {"ParkingBlock", {64, 192, 128}, 4},
    {"Pedestrian", {64, 64, 0}, 9},
    {"Road", {128, 64, 128}, 3},
    {"RoadShoulder", {128, 128, 192}, 4},
    {"Sidewalk", {0, 0, 192}, 4},
    {"SignSymbol", {192, 128, 128}, 6},
    {"Sky", {128, 128, 128}, 0},
    {"SUVPickupTruck", {64, 128, 192}, 8},
    {"TrafficCone", {0, 0, 64}, 2},
    {"TrafficLight", {0, 64, 64}, 6},
    {"Train", {192, 64, 128}, 8},
    {"Tree", {128, 128, 0}, 5},
    {"Truck_Bus", {192, 128, 192}, 8},
    {"Tunnel", {64, 0, 64}, 1},
    {"VegetationMisc", {192, 192, 0}, 5},
    {"Void", {0, 0, 0}, -1},
    {"Wall", {64, 192, 0}, 1},
};

std::uint8_t GroupId(const FineClass& fine) {
  return fine.group < 0 ? kVoidLabel : static_cast<std::uint8_t>(fine.group);
}

// label_colors.txt: "64 128 64<tab>Animal" a line. Colours come from the file, groups from the names.
void ReadLabelColors(const std::string& path, LabelCoding& coding) {
  std::istringstream text(ReadFile(path, 1 << 20));
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    std::istringstream words(line);
    int r = -1, g = -1, b = -1;
    std::string name;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (!(words >> r >> g >> b >> name) || std::min({r, g, b}) < 0 || std::max({r, g, b}) > 255) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: line {} is '{}'; wanted red green blue name", path, number, line));
    }
    const auto* fine = std::find_if(std::begin(kFineClasses), std::end(kFineClasses),
                                    [&](const FineClass& candidate) { return name == candidate.name; });
    if (fine == std::end(kFineClasses)) {
      throw Error(
          ErrorCode::kCorruptFile,
          fmt::format("{}: line {} names class '{}', which is none of CamVid's 32", path, number, name));
    }
    const Color color{static_cast<std::uint8_t>(r), static_cast<std::uint8_t>(g),
                      static_cast<std::uint8_t>(b)};
    coding.colors[LabelCoding::Key(color)] = GroupId(*fine);
  }
}

// "0016E5_07959" -> val; see the top.
std::string OriginalSplit(const std::string& stem) {
  const std::size_t bar = stem.find('_');
  const std::string drive = stem.substr(0, bar);
  int frame = -1;
  if (bar != std::string::npos) {
    const char* digits = stem.c_str() + bar + 1;
    if (*digits == 'f') ++digits;  // 0006R0_f00930
    std::from_chars(digits, stem.c_str() + stem.size(), frame);
  }
  if (drive == "Seq05VD" || (drive == "0001TP" && frame >= 8550)) return "test";
  if (drive == "0016E5" && frame >= 7959 && frame <= 8159 && frame % 2 == 1) return "val";
  return "train";
}

bool IsOriginal(const std::string& root) { return fs::is_directory(fs::path(root) / kRawFolder); }

// Where the labels of an image lie; relative to the root.
std::string LabelOf(const std::string& root, const fs::path& image) {
  const std::string stem = image.stem().string();
  if (IsOriginal(root)) return (fs::path(kApprovedFolder) / (stem + "_L.png")).generic_string();
  const std::string folder = image.parent_path().generic_string();
  if (fs::is_directory(fs::path(root) / (folder + "_labels"))) return folder + "_labels/" + stem + "_L.png";
  return folder + "annot/" + stem + ".png";
}

// SegNet's own lists say "/SegNet/CamVid/train/x.png": the part below the data set is what counts.
std::string BelowRoot(const std::string& root, const std::string& path) {
  const fs::path given(path);
  if (!given.is_absolute()) return given.lexically_normal().generic_string();  // "./train/x.png", by find
  if (fs::exists(given)) return path;
  const fs::path tail = given.parent_path().filename() / given.filename();
  return fs::exists(fs::path(root) / tail) ? tail.generic_string() : path;
}

void AddLines(Listing& listing, const std::string& list) {
  const fs::path root(listing.root);
  const auto is_there = [&](const std::string& name) { return IsFile(root / name); };
  for (const ListLine& line : ReadListFile(list, is_there)) {
    const std::string image = BelowRoot(listing.root, line.image);
    const std::string label =
        line.label.empty() ? LabelOf(listing.root, image) : BelowRoot(listing.root, line.label);
    AddPair(listing, image, (root / image).string(), (root / label).string());
  }
}

void AddOriginalSplit(Listing& listing, const std::string& split) {
  const fs::path root(listing.root);
  for (const std::string& file : ListImages(listing, root / kRawFolder)) {
    const fs::path image = fs::path(kRawFolder) / file;
    if (OriginalSplit(image.stem().string()) != split) continue;
    AddPair(listing, image.generic_string(), (root / image).string(),
            (root / LabelOf(listing.root, image)).string());
  }
}

void AddSplit(Listing& listing, const std::string& split) {
  const fs::path root(listing.root);
  if (IsOriginal(listing.root)) return AddOriginalSplit(listing, split);
  if (fs::is_regular_file(root / (split + ".txt")))
    return AddLines(listing, (root / (split + ".txt")).string());
  if (!fs::is_directory(root / split)) {
    throw Error(
        ErrorCode::kNotFound,
        fmt::format("{}: neither {}.txt nor a folder {}/ nor {}/ is there; wanted CamVid in SegNet's or the "
                    "original layout",
                    listing.root, split, split, kRawFolder));
  }
  for (const std::string& file : ListImages(listing, root / split)) {
    const fs::path image = fs::path(split) / file;
    AddPair(listing, image.generic_string(), (root / image).string(),
            (root / LabelOf(listing.root, image)).string());
  }
}

bool StoresColorLayout(const std::string& root) {
  for (const char* split : {"train", "val", "test"}) {
    if (fs::is_directory(fs::path(root) / (std::string(split) + "_labels"))) return true;
  }
  return IsOriginal(root);
}

}  // namespace

const Classes& CamVidClasses() {
  static const Classes classes{.names = {"sky", "building", "pole", "road", "pavement", "tree", "sign",
                                         "fence", "car", "pedestrian", "bicyclist"},
                               .palette = {{128, 128, 128},
                                           {128, 0, 0},
                                           {192, 192, 128},
                                           {128, 64, 128},
                                           {60, 40, 222},
                                           {128, 128, 0},
                                           {192, 128, 128},
                                           {64, 64, 128},
                                           {64, 0, 128},
                                           {64, 64, 0},
                                           {0, 128, 192}},
                               .label_ids = {}};
  return classes;
}

LabelCoding CamVidIdCoding() {
  LabelCoding coding;
  for (int id = 0; id < 11; ++id) coding.table[id] = static_cast<std::int16_t>(id);
  coding.table[11] = kVoidLabel;
  coding.wanted = "0..10, or 11 for void";
  return coding;
}

LabelCoding CamVidColorCoding() {
  LabelCoding coding;
  coding.kind = LabelCoding::Kind::kColors;
  for (const FineClass& fine : kFineClasses) coding.colors[LabelCoding::Key(fine.color)] = GroupId(fine);
  return coding;
}

Listing ListCamVid(const DatasetSpec& spec, const std::string& root) {
  Listing listing{.root = root, .classes = CamVidClasses()};
  listing.coding = CamVidIdCoding();
  if (StoresColorLayout(root)) {
    listing.coding = CamVidColorCoding();
    const std::string colors = (fs::path(root) / "label_colors.txt").string();
    if (fs::is_regular_file(colors)) ReadLabelColors(colors, listing.coding);
  }
  if (!spec.list.empty()) {
    listing.title = "camvid " + fs::path(spec.list).filename().string();
    AddLines(listing, FindListFile(spec.list, root));
    return listing;
  }
  listing.title = "camvid " + spec.split;
  for (const std::string& split : SplitParts(spec.split)) AddSplit(listing, split);
  return listing;
}

}  // namespace frf
