// SPDX-License-Identifier: Apache-2.0
// From what a label file stores to class ids. Every value must be one that the format knows: a stray value is
// an error naming file, value and position, never a guess, because one bad id silently becomes a wrong class.
#include <fmt/format.h>

#include <fstream>

#include "data/internal.h"
#include "image/image_io.h"

namespace frf {

LabelCoding IdentityCoding(int classes) {
  LabelCoding coding;
  for (int id = 0; id < classes; ++id) coding.table[id] = static_cast<std::int16_t>(id);
  coding.table[kVoidLabel] = kVoidLabel;
  coding.wanted = fmt::format("0..{}, or 255 for void", classes - 1);
  return coding;
}

LabelImage MapIds(LabelImage stored, const LabelCoding& coding, const std::string& path) {
  int all = 0;  // negative as soon as one value is bad
  for (const std::uint8_t value : stored.ids) all |= coding.table[value];
  if (all < 0) {
    for (std::size_t i = 0; i < stored.ids.size(); ++i) {
      if (coding.table[stored.ids[i]] >= 0) continue;
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: label value {} at row {}, column {}; wanted {}", path, stored.ids[i],
                              i / stored.width, i % stored.width, coding.wanted));
    }
  }
  for (std::uint8_t& value : stored.ids) value = static_cast<std::uint8_t>(coding.table[value]);
  return stored;
}

LabelImage MapColors(const Image& stored, const LabelCoding& coding, const std::string& path) {
  LabelImage labels{.height = stored.height, .width = stored.width};
  labels.ids.resize(static_cast<std::size_t>(stored.height) * stored.width);
  std::uint32_t last = 0xffffffff;  // neighbours mostly share a colour: one look-up a run
  std::uint8_t id = kVoidLabel;
  const std::uint8_t* pixel = stored.pixels.data();
  for (std::size_t i = 0; i < labels.ids.size(); ++i, pixel += 3) {
    const std::uint32_t key = LabelCoding::Key({pixel[0], pixel[1], pixel[2]});
    if (key != last) {
      const auto found = coding.colors.find(key);
      if (found == coding.colors.end()) {
        const bool grey = pixel[0] == pixel[1] && pixel[0] == pixel[2];
        throw Error(
            ErrorCode::kCorruptFile,
            fmt::format(
                "{}: colour ({}, {}, {}) at row {}, column {} is none of the {} known label colours; {}",
                path, pixel[0], pixel[1], pixel[2], i / stored.width, i % stored.width, coding.colors.size(),
                grey ? "if it is a class id stored as RGB, `frf data convert --from ids` makes a grey mask"
                     : "was the mask saved as JPEG, resized or smoothed?"));
      }
      last = key;
      id = found->second;
    }
    labels.ids[i] = id;
  }
  return labels;
}

namespace {

// The first bytes of a file, up to the colour type of a PNG (IHDR's tenth byte).
std::string Head(const std::string& path) {
  std::string head(26, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  return head;
}

// 2: RGB, 3: palette, 6: RGBA; -1 where it is no PNG.
int ColorType(const std::string& head) {
  return head.size() == 26 && head.starts_with("\x89PNG\r\n\x1a\n") ? head[25] : -1;
}

}  // namespace

bool HasPalette(const std::string& path) { return ColorType(Head(path)) == 3; }

bool HoldsColors(const std::string& path, const LabelCoding& coding) {
  const std::string head = Head(path);
  if (head.starts_with("\xff\xd8")) {
    throw Error(
        ErrorCode::kUnsupported,
        path + ": is a JPEG, whose compression changes values: masks must be lossless, save them as PNG");
  }
  if (coding.kind != LabelCoding::Kind::kEither) return coding.kind == LabelCoding::Kind::kColors;
  const int type = ColorType(head);
  return (type == 2 || type == 6) && !coding.colors.empty();  // without a palette RGB can hold only ids
}

LabelImage ReadCodedLabels(const std::string& path, const LabelCoding& coding) {
  if (HoldsColors(path, coding)) return MapColors(ReadImage(path), coding, path);
  return MapIds(ReadLabels(path), coding, path);
}

}  // namespace frf
