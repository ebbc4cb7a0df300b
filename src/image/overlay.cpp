// SPDX-License-Identifier: Apache-2.0
// A picture to look at: class colours over the image, borders between classes, and a legend below.
// Subtle: the legend lists what is in this picture, the largest first, and takes text size and columns from
// the picture's width, so that a thumbnail and a 4K frame both stay readable.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "frf/error.h"
#include "image/transform.h"

namespace frf {
namespace {

constexpr Color kPaper{24, 26, 30}, kInk{232, 234, 238}, kFaint{178, 183, 192};
constexpr std::size_t kLongestName = 22;

struct Entry {
  std::string name, share;
  Color color;
  std::int64_t pixels = 0;
};

void Check(const Image& image, const LabelImage& labels, const Classes& classes,
           const OverlayOptions& options) {
  if (image.height != labels.height || image.width != labels.width || image.channels != 3 ||
      image.pixels.size() != image.bytes() || labels.ids.size() * 3 != image.pixels.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("Overlay: image of {}x{} with {} channels, labels of {}x{}; wanted RGB and "
                            "labels of one size",
                            image.height, image.width, image.channels, labels.height, labels.width));
  }
  if (classes.palette.size() != classes.names.size()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("Overlay: {} class names and {} colours",
                                                         classes.names.size(), classes.palette.size()));
  }
  if (!(options.opacity >= 0 && options.opacity <= 1)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("Overlay: opacity {} is not within 0..1", options.opacity));
  }
  for (const std::uint8_t id : labels.ids) {
    if (id != kVoidLabel && id >= classes.names.size()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("Overlay: label {}, but there are {} classes", id, classes.count()));
    }
  }
}

int ScaleFor(int width) { return std::max(1, (width + 320) / 640); }

// Whether the class changes within `reach` pixels to the right or below.
bool OnBorder(const LabelImage& labels, int y, int x, int reach) {
  const std::uint8_t id = labels.at(y, x);
  for (int r = 1; r <= reach; ++r) {
    if (x + r < labels.width && labels.at(y, x + r) != id) return true;
    if (y + r < labels.height && labels.at(y + r, x) != id) return true;
  }
  return false;
}

void Blend(const LabelImage& labels, const std::vector<Color>& palette, const OverlayOptions& options,
           Image& image) {
  // Opacity in 1/256, and one table row a class: mixed = pixel * (256 - a) + colour * a.
  const int opacity = static_cast<int>(options.opacity * 256 + 0.5);
  const int reach = std::max(1, image.width / 800);
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* pixel = image.at(y, 0);
    for (int x = 0; x < image.width; ++x, pixel += 3) {
      const std::uint8_t id = labels.at(y, x);
      const bool border = options.outlines && OnBorder(labels, y, x, reach);
      if (id == kVoidLabel && !border) continue;
      for (std::size_t c = 0; c < 3; ++c) {
        int value = pixel[c];
        if (id != kVoidLabel) value = (value * (256 - opacity) + palette[id][c] * opacity + 128) >> 8;
        if (border) value = value * 2 / 5;
        pixel[c] = static_cast<std::uint8_t>(value);
      }
    }
  }
}

std::string ShortName(const std::string& name) {
  return name.size() <= kLongestName ? name : name.substr(0, kLongestName - 2) + "..";
}

std::vector<Entry> Entries(const LabelImage& labels, const Classes& classes) {
  std::array<std::int64_t, 256> counts{};
  for (const std::uint8_t id : labels.ids) ++counts[id];
  std::vector<Entry> entries;
  const auto add = [&](const std::string& name, const Color& color, std::int64_t pixels) {
    const double percent = 100.0 * static_cast<double>(pixels) / static_cast<double>(labels.ids.size());
    entries.push_back(
        {ShortName(name), percent < 0.05 ? "<0.1 %" : fmt::format("{:.1f} %", percent), color, pixels});
  };
  for (std::size_t id = 0; id < classes.names.size(); ++id) {
    if (counts[id] > 0) add(classes.names[id], classes.palette[id], counts[id]);
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.pixels > b.pixels; });
  if (counts[kVoidLabel] > 0) add("void", {0, 0, 0}, counts[kVoidLabel]);
  return entries;
}

void FillRectangle(Image& image, int x, int y, int width, int height, const Color& color) {
  for (int row = std::max(0, y); row < std::min(image.height, y + height); ++row) {
    for (int column = std::max(0, x); column < std::min(image.width, x + width); ++column) {
      std::copy(color.begin(), color.end(), image.at(row, column));
    }
  }
}

// Where everything of the legend goes, in pixels.
struct LegendLayout {
  int scale, margin, swatch, swatch_width, gap;
  int name_width = 0, share_width = 0, cell_width, row_height, columns, rows, height;

  LegendLayout(const std::vector<Entry>& entries, int width) : scale(ScaleFor(width)) {
    margin = 8 * scale, swatch = 9 * scale, swatch_width = 14 * scale, gap = 5 * scale;
    for (const Entry& entry : entries) {
      name_width = std::max(name_width, TextWidth(entry.name, scale));
      share_width = std::max(share_width, TextWidth(entry.share, scale));
    }
    cell_width = swatch_width + gap + name_width + 2 * gap + share_width;
    row_height = 14 * scale;
    const int count = static_cast<int>(entries.size()), between = 4 * gap;
    columns = std::clamp((width - 2 * margin + between) / (cell_width + between), 1, std::max(1, count));
    rows = (count + columns - 1) / columns;
    columns = (count + rows - 1) / std::max(1, rows);  // as few as the rows need
    height = 2 * margin + rows * row_height - (row_height - swatch);
  }
  int total_width() const { return 2 * margin + columns * cell_width + (columns - 1) * 4 * gap; }
};

Image DrawLegend(const Image& image, const std::vector<Entry>& entries) {
  if (entries.empty()) return image;
  const LegendLayout layout(entries, image.width);
  Image out{.height = image.height + layout.height,
            .width = std::max(image.width, layout.total_width()),
            .channels = 3};
  out.pixels.resize(out.bytes());
  FillRectangle(out, 0, 0, out.width, out.height, kPaper);
  for (int y = 0; y < image.height; ++y) {
    std::copy_n(image.at(y, 0), static_cast<std::size_t>(image.width) * 3, out.at(y, 0));
  }
  // Cells are spread over the whole width; reading order is down each column.
  const int free = out.width - 2 * layout.margin - layout.columns * layout.cell_width;
  const int pitch = layout.cell_width + (layout.columns > 1 ? free / (layout.columns - 1) : 0);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const int column = static_cast<int>(i) / layout.rows, row = static_cast<int>(i) % layout.rows;
    const int x = layout.margin + column * pitch, y = image.height + layout.margin + row * layout.row_height;
    FillRectangle(out, x, y, layout.swatch_width, layout.swatch,
                  kFaint);  // a thin frame keeps dark swatches visible
    FillRectangle(out, x + layout.scale, y + layout.scale, layout.swatch_width - 2 * layout.scale,
                  layout.swatch - 2 * layout.scale, entries[i].color);
    const int text_x = x + layout.swatch_width + layout.gap, text_y = y + layout.scale;
    DrawText(out, text_x, text_y, entries[i].name, kInk, layout.scale);
    const int share_x = x + layout.cell_width - TextWidth(entries[i].share, layout.scale);
    DrawText(out, share_x, text_y, entries[i].share, kFaint, layout.scale);
  }
  return out;
}

// A legend inside the picture: all classes in their own order, each always at one place.
void DrawLegendInside(Image& image, const LabelImage& labels, const Classes& classes) {
  std::array<bool, 256> present{};
  for (const std::uint8_t id : labels.ids) present[id] = true;
  std::vector<Entry> entries;
  for (std::size_t id = 0; id < classes.names.size(); ++id)
    entries.push_back({ShortName(classes.names[id]), "", classes.palette[id]});
  if (entries.empty()) return;
  LegendLayout layout(entries, image.width);
  const int top = image.height - layout.height;
  if (layout.total_width() > image.width || layout.height > image.height / 4) return;
  for (std::size_t i = image.bytes() / image.height * top; i < image.bytes();
       ++i) {  // the picture stays to be seen, darker
    image.pixels[i] = static_cast<std::uint8_t>((image.pixels[i] + 3 * kPaper[i % 3]) / 4);
  }
  const int free = image.width - 2 * layout.margin - layout.columns * layout.cell_width;
  const int pitch = layout.cell_width + (layout.columns > 1 ? free / (layout.columns - 1) : 0);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const int column = static_cast<int>(i) / layout.rows, row = static_cast<int>(i) % layout.rows;
    const int x = layout.margin + column * pitch, y = top + layout.margin + row * layout.row_height;
    Color color = entries[i].color, ink = kInk;
    for (std::size_t c = 0; c < 3 && !present[i]; ++c) color[c] = color[c] / 3, ink[c] = ink[c] / 3;
    FillRectangle(image, x, y, layout.swatch_width, layout.swatch, color);
    DrawText(image, x + layout.swatch_width + layout.gap, y + layout.scale, entries[i].name, ink,
             layout.scale);
  }
}

}  // namespace

void OverlayInPlace(Image& image, const LabelImage& labels, const Classes& classes,
                    const OverlayOptions& options) {
  Check(image, labels, classes, options);
  Blend(labels, classes.palette, options, image);
  if (options.legend) DrawLegendInside(image, labels, classes);
}

Image WithLegend(const Image& picture, const LabelImage& labels, const Classes& classes) {
  return DrawLegend(picture, Entries(labels, classes));
}

Image Overlay(const Image& image, const LabelImage& labels, const Classes& classes,
              const OverlayOptions& options) {
  Check(image, labels, classes, options);  // before the copy
  Image out = image;
  Blend(labels, classes.palette, options, out);
  return options.legend ? WithLegend(out, labels, classes) : out;
}

}  // namespace frf
