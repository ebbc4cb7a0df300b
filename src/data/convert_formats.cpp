// SPDX-License-Identifier: Apache-2.0
// The label formats by name: how each is read and written.
#include "data/convert_formats.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/convert.h"

namespace frf {
namespace {

// Of Cityscapes' *_gtFine_color.png beside black: dynamic, ground, parking, rail track, guard rail, bridge,
// tunnel, caravan, trailer (cityscapesScripts' table of labels).
constexpr Color kCityscapesVoidColors[] = {{111, 74, 0},    {81, 0, 81},     {250, 170, 160},
                                           {230, 150, 140}, {180, 165, 180}, {150, 100, 100},
                                           {150, 120, 90},  {0, 0, 90},      {0, 0, 110}};

std::array<std::uint8_t, 256> StoredIds(const std::vector<int>& label_ids, int void_id) {
  std::array<std::uint8_t, 256> ids;
  for (int id = 0; id < 256; ++id) ids[id] = static_cast<std::uint8_t>(id);
  for (std::size_t id = 0; id < label_ids.size(); ++id) ids[id] = static_cast<std::uint8_t>(label_ids[id]);
  ids[kVoidLabel] = static_cast<std::uint8_t>(void_id);
  return ids;
}

}  // namespace

std::optional<int> VoidId(const LabelCoding& coding) {
  if (coding.table[kVoidLabel] == kVoidLabel) return kVoidLabel;
  for (int id = 0; id < 256; ++id) {
    if (coding.table[id] == kVoidLabel) return id;
  }
  return std::nullopt;
}

void StoreIds(Format& format, const FolderClasses& facts) {
  const std::optional<int> void_id = VoidId(facts.coding);
  format.has_void = void_id.has_value();
  format.ids = StoredIds(facts.classes.label_ids, void_id.value_or(kVoidLabel));
}

void RefuseVoid(const LabelImage& labels, const std::string& name, const Format& to) {
  const bool writes_void = to.colors ? to.void_color.has_value() : to.has_void;
  if (writes_void || std::find(labels.ids.begin(), labels.ids.end(), kVoidLabel) == labels.ids.end()) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: holds void pixels, for which {} has no {}", name, to.classes_file,
                          to.colors ? "colour: give it a void_color" : "id: give it a void"));
}

LabelImage StoredLabels(LabelImage labels, const std::string& name, const Format& to) {
  RefuseVoid(labels, name, to);
  for (std::uint8_t& id : labels.ids) id = to.ids[id];
  return labels;
}

FolderClasses ClassesByName(const std::string& name, const std::string& format) {
  if (name == "camvid" || name == "cityscapes") {
    FolderClasses facts;
    facts.classes = name == "camvid" ? CamVidClasses() : CityscapesClasses();
    facts.classes.label_ids.clear();
    facts.coding = IdentityCoding(facts.classes.count());
    for (int id = 0; id < facts.classes.count(); ++id) {
      facts.coding.colors[LabelCoding::Key(facts.classes.palette[id])] = static_cast<std::uint8_t>(id);
    }
    facts.coding.colors.emplace(0u, kVoidLabel);
    if (name == "cityscapes") {
      for (const Color& color : kCityscapesVoidColors)
        facts.coding.colors.emplace(LabelCoding::Key(color), kVoidLabel);
    }
    return facts;
  }
  if (name.empty()) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("label format '{}' needs its classes: a classes.json, 'camvid' or 'cityscapes'", format));
  }
  return ReadFolderClasses(name);
}

Format MakeFormat(const std::string& name, const std::string& classes) {
  Format format;
  if (name == "ids" || name == "colors") {
    const FolderClasses facts = ClassesByName(classes, name);
    format.in = facts.coding;
    format.in.kind = name == "ids" ? LabelCoding::Kind::kIds : LabelCoding::Kind::kColors;
    format.colors = name == "colors";
    format.palette = facts.classes.palette;
    format.classes = facts.classes.count();
    // A palette left out of classes.json was made up for display; no mask can hold it.
    if (format.colors && format.in.colors.empty()) {
      throw Error(ErrorCode::kUsage, classes + ": has no palette, so colour masks cannot be read or written");
    }
    if (!format.colors) StoreIds(format, facts);
    format.classes_file = classes;
    std::optional<std::uint32_t> darkest;  // black, where it is void
    for (const auto& [key, id] : format.in.colors) {
      if (id == kVoidLabel) darkest = std::min<std::uint32_t>(key, darkest.value_or(key));
    }
    if (darkest) {
      format.void_color =
          Color{static_cast<std::uint8_t>(*darkest >> 16), static_cast<std::uint8_t>(*darkest >> 8),
                static_cast<std::uint8_t>(*darkest)};
    }
  } else if (name == "camvid-ids") {
    format = {.in = CamVidIdCoding(), .ids = StoredIds({}, 11), .classes = 11};
  } else if (name == "camvid-colors") {
    format = {.in = CamVidColorCoding(), .colors = true, .palette = CamVidClasses().palette, .classes = 11};
    format.void_color = Color{0, 0, 0};
    format.palette[4] = {0, 0,
                         192};  // pavement as the original's Sidewalk: SegNet's own colour is none of the 32
  } else if (name == "labelIds") {
    format = {.in = CityscapesCoding("labelIds"),
              .ids = StoredIds(CityscapesClasses().label_ids, 0),
              .classes = 19};
  } else if (name == "trainIds") {
    format = {.in = CityscapesCoding("trainIds"), .ids = StoredIds({}, kVoidLabel), .classes = 19};
  } else {
    std::string known;
    for (const std::string& each : LabelFormats()) known += (known.empty() ? "" : ", ") + each;
    throw Error(ErrorCode::kUsage, fmt::format("label format '{}': wanted one of {}", name, known));
  }
  return format;
}

}  // namespace frf
