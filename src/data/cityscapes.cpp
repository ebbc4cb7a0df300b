// SPDX-License-Identifier: Apache-2.0
// Cityscapes: leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with gtFine/SPLIT/CITY/*_gtFine_labelIds.png (34 ids
// of which 19 are trained on) or *_labelTrainIds.png. Subtle: label id -1 (licence plate) stands as 255 in
// 8-bit files and is void.
#include <fmt/format.h>

#include "data/internal.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

constexpr const char* kImageEnding = "_leftImg8bit";

// "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png" -> "gtFine/val/ulm/ulm_1_gtFine_labelIds.png"; empty when it is
// not such a name.
std::string LabelOf(const std::string& image, const std::string& variant) {
  const fs::path path(image);
  std::string stem = path.stem().string();
  if (!stem.ends_with(kImageEnding)) return {};
  stem.resize(stem.size() - std::string(kImageEnding).size());
  auto part = path.begin();
  if (part == path.end() || *part != "leftImg8bit") return {};
  fs::path label = "gtFine";
  for (++part; part != path.end(); ++part) label /= *part;
  const char* ending = variant == "trainIds" ? "_gtFine_labelTrainIds.png" : "_gtFine_labelIds.png";
  return label.replace_filename(stem + ending).generic_string();
}

void AddImage(Listing& listing, const std::string& given, std::string label, const std::string& variant) {
  const std::string image =
      fs::path(given).lexically_normal().generic_string();  // "./leftImg8bit/...", by find
  if (label.empty()) label = LabelOf(image, variant);
  const fs::path root(listing.root);
  if (label.empty()) {
    listing.problems.push_back(
        {"odd name", (root / image).string(),
         fmt::format("{}: not a Cityscapes image name (leftImg8bit/SPLIT/CITY/*_leftImg8bit.png)",
                     (root / image).string())});
    return;
  }
  AddPair(listing, image, (root / image).string(), (root / label).string());
}

}  // namespace

const Classes& CityscapesClasses() {
  static const Classes classes{
      .names = {"road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
                "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
                "motorcycle", "bicycle"},
      .palette = {{128, 64, 128},
                  {244, 35, 232},
                  {70, 70, 70},
                  {102, 102, 156},
                  {190, 153, 153},
                  {153, 153, 153},
                  {250, 170, 30},
                  {220, 220, 0},
                  {107, 142, 35},
                  {152, 251, 152},
                  {70, 130, 180},
                  {220, 20, 60},
                  {255, 0, 0},
                  {0, 0, 142},
                  {0, 0, 70},
                  {0, 60, 100},
                  {0, 80, 100},
                  {0, 0, 230},
                  {119, 11, 32}},
      .label_ids = {7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33}};
  return classes;
}

LabelCoding CityscapesCoding(const std::string& variant) {
  const Classes& classes = CityscapesClasses();
  if (variant == "trainIds") return IdentityCoding(classes.count());
  if (!variant.empty() && variant != "labelIds") {
    throw Error(ErrorCode::kUsage,
                fmt::format("Cityscapes labels '{}': wanted labelIds or trainIds", variant));
  }
  LabelCoding coding;
  for (int id = 0; id <= 33; ++id) coding.table[id] = kVoidLabel;
  for (int id = 0; id < classes.count(); ++id)
    coding.table[classes.label_ids[id]] = static_cast<std::int16_t>(id);
  coding.table[255] = kVoidLabel;
  coding.wanted = "label ids 0..33, or 255 for -1 (are these trainIds or colours?)";
  return coding;
}

Listing ListCityscapes(const DatasetSpec& spec, const std::string& root) {
  Listing listing{.root = root, .classes = CityscapesClasses()};
  listing.coding = CityscapesCoding(spec.variant);
  if (!spec.list.empty()) {
    listing.title = "cityscapes " + fs::path(spec.list).filename().string();
    const auto is_there = [&](const std::string& name) { return IsFile(fs::path(root) / name); };
    for (const ListLine& line : ReadListFile(FindListFile(spec.list, root), is_there)) {
      AddImage(listing, line.image, line.label, spec.variant);
    }
    return listing;
  }
  listing.title = "cityscapes " + spec.split;
  for (const std::string& split : SplitParts(spec.split)) {
    const fs::path folder = fs::path(root) / "leftImg8bit" / split;
    if (!fs::is_directory(folder)) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("{}: no such folder; wanted leftImg8bit/{{train,val,test}} and gtFine in {}",
                              folder.string(), root));
    }
    for (const std::string& file : ListImages(listing, folder)) {
      AddImage(listing, "leftImg8bit/" + split + "/" + file, {}, spec.variant);
    }
  }
  return listing;
}

}  // namespace frf
