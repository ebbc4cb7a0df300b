// SPDX-License-Identifier: Apache-2.0
// DrawSvg: a graph as one standalone SVG file, layers from top to bottom in a frame per scope, sizes on the
// lines; the depth of a convolution's colour is its share of the multiply-accumulates. Hovering a block shows
// its numbers. Subtle: names come from files and may hold anything, so all text is escaped; the file uses no
// fonts or scripts of its own.
#include "graph/draw.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace frf {
namespace {

using namespace draw;

constexpr double kHeader = 92;

std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) < 32)
      out += c == '\n' ? "&#10;" : "?";
    else
      out += c;
  }
  return out;
}

struct Look {
  Kind kind;
  const char *fill, *stroke, *what;
};
constexpr Look kLooks[] = {
    {Kind::kInput, "#263238", "#263238", ""},
    {Kind::kConv, "#e3edf7", "#5b87b5", "convolution, product"},
    {Kind::kPool, "#d9efe6", "#4f9d83", "pooling"},
    {Kind::kResize, "#eae2f5", "#8a6bb8", "resize"},
    {Kind::kJoin, "#eeeeee", "#8d8d8d", "sum, concatenation"},
    {Kind::kGate, "#fdeccd", "#d19a3a", "gate, mask"},
    {Kind::kMove, "#f5f5f5", "#9e9e9e", "other"},
    {Kind::kOutput, "#263238", "#263238", ""},
};

const Look& LookOf(Kind kind) {
  return *std::find_if(std::begin(kLooks), std::end(kLooks),
                       [&](const Look& look) { return look.kind == kind; });
}

// From a pale to a strong blue.
std::string Heat(double share) {
  const double t = std::sqrt(std::clamp(share, 0.0, 1.0));
  const auto mix = [&](int pale, int strong) {
    return static_cast<int>(std::lround(pale + t * (strong - pale)));
  };
  return fmt::format("#{:02x}{:02x}{:02x}", mix(0xee, 0x6f), mix(0xf4, 0xa8), mix(0xfb, 0xdc));
}

std::string Cut(const std::string& text, double width, double size) {
  const std::size_t room = static_cast<std::size_t>(std::max(4.0, width / (0.54 * size)));
  std::size_t count = 0, bytes = 0;
  for (; bytes < text.size(); ++bytes) {
    if ((static_cast<unsigned char>(text[bytes]) & 0xc0) != 0x80 && ++count > room) break;
  }
  return bytes == text.size() ? text : text.substr(0, bytes) + "…";
}

std::string DrawPanel(const Panel& panel) {
  const char* fill = panel.depth % 2 == 1 ? "#fafbfc" : "#ffffff";
  return fmt::format(
      "<rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' rx='10' fill='{}' stroke='#d5dbe1'/>\n",
      panel.x, panel.y, panel.width, panel.height, fill);
}

// Right angles with rounded corners.
std::string DrawLine(std::vector<Point> points) {
  std::vector<Point> line;
  for (const Point& point : points) {  // equal points and points on a straight line go
    if (!line.empty() && std::abs(line.back().x - point.x) + std::abs(line.back().y - point.y) < 0.01)
      continue;
    if (line.size() > 1) {
      const Point &a = line[line.size() - 2], &b = line.back();
      if ((a.x == b.x && b.x == point.x) || (a.y == b.y && b.y == point.y)) line.pop_back();
    }
    line.push_back(point);
  }
  std::string path = fmt::format("M{:.1f} {:.1f}", line[0].x, line[0].y);
  for (std::size_t i = 1; i < line.size(); ++i) {
    const Point& at = line[i];
    if (i + 1 == line.size()) {
      path += fmt::format("L{:.1f} {:.1f}", at.x, at.y);
      break;
    }
    const Point &before = line[i - 1], &after = line[i + 1];
    const auto toward = [&](const Point& other) {
      const double length = std::abs(other.x - at.x) + std::abs(other.y - at.y),
                   step = std::min(6.0, length / 2) / length;
      return Point{at.x + (other.x - at.x) * step, at.y + (other.y - at.y) * step};
    };
    const Point in = toward(before), out = toward(after);
    path += fmt::format("L{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}", in.x, in.y, at.x, at.y, out.x, out.y);
  }
  return fmt::format("<path d='{}' class='line' marker-end='url(#tip)'/>\n", path);
}

std::string DrawBlock(const Block& block) {
  const Look& look = LookOf(block.kind);
  const bool dark = block.kind == Kind::kInput || block.kind == Kind::kOutput;
  const bool conv = block.kind == Kind::kConv;
  const double middle = block.x + block.width / 2;
  std::string svg = fmt::format(
      "<g><title>{}</title><rect x='{:.1f}' y='{:.1f}' width='{:.1f}' height='{:.1f}' rx='{}' fill='{}' "
      "stroke='{}'/>\n",
      Escape(block.tip.empty() ? block.title : block.tip), block.x, block.y, block.width, block.height,
      block.detail.empty() ? 12 : 6, conv ? Heat(block.share) : look.fill, look.stroke);
  const double first = block.y + (block.detail.empty() ? 16 : 17);
  svg += fmt::format("<text x='{:.1f}' y='{:.1f}' class='name{}'>{}</text>", middle, first,
                     dark ? " light" : "", Escape(Cut(block.title, block.width - 10, 12)));
  if (!block.detail.empty()) {
    svg += fmt::format("<text x='{:.1f}' y='{:.1f}' class='detail'>{}</text>", middle, block.y + 32,
                       Escape(Cut(block.detail, block.width - 10, 10.5)));
  }
  return svg + "</g>\n";
}

std::string DrawHeader(const Graph& graph, const Cost& cost, const std::string& size) {
  std::string svg = fmt::format("<text x='24' y='36' class='title'>{}</text>\n", Escape(graph.name));
  std::string line =
      fmt::format("{} · {:.3f} M parameters · {:.3f} G multiply-accumulates", size,
                  static_cast<double>(cost.params) / 1e6, static_cast<double>(cost.macs) / 1e9);
  if (static_cast<double>(cost.macs_all - cost.macs) > 0.001 * static_cast<double>(cost.macs)) {
    line += fmt::format(" ({:.3f} G with products of activations)", static_cast<double>(cost.macs_all) / 1e9);
  }
  svg += fmt::format("<text x='24' y='57' class='sub'>{}</text>\n", line);
  double x = 24;
  for (const Look& look : kLooks) {
    if (look.what[0] == '\0') continue;
    const std::string fill = look.kind == Kind::kConv ? Heat(0.6) : look.fill;
    svg += fmt::format(
        "<rect x='{:.0f}' y='68' width='13' height='13' rx='3' fill='{}' stroke='{}'/>"
        "<text x='{:.0f}' y='79' class='key'>{}</text>\n",
        x, fill, look.stroke, x + 18, look.what);
    x += 34 + 6.2 * static_cast<double>(std::string(look.what).size());
  }
  return svg;
}

// Text that stays readable on lines. The halo is an element of its own: some viewers do not know paint-order
// and would paint it over the letters.
std::string DrawHaloed(double x, double y, const char* look, const std::string& words) {
  const std::string place = fmt::format("<text x='{:.1f}' y='{:.1f}' class='{}", x, y, look);
  const std::string escaped = Escape(words);
  return fmt::format("{0} halo' aria-hidden='true'>{1}</text>{0}'>{1}</text>\n", place, escaped);
}

constexpr const char* kStyle =
    "text{font-family:'DejaVu Sans','Segoe UI',Helvetica,Arial,sans-serif}"
    ".title{font-size:22px;font-weight:bold;fill:#1d2733}.sub{font-size:13px;fill:#4a5866}.key{font-size:"
    "11px;fill:#4a5866}"
    ".scope{font-size:12px;font-weight:bold;fill:#8794a1}."
    "name{font-size:12px;fill:#1d2733;text-anchor:middle}"
    ".light{fill:#ffffff}.detail{font-size:10.5px;fill:#4a5866;text-anchor:middle}"
    ".size{font-size:9.5px;fill:#5c6b7a}"
    ".halo{fill:#ffffff;stroke:#ffffff;stroke-width:3.5px;stroke-linejoin:round}"
    ".line{fill:none;stroke:#7c8a98;stroke-width:1.3}";

}  // namespace

std::string DrawSvg(const Graph& graph, const TypeMap& types, const Cost& cost) {
  Picture picture = MakeBlocks(graph, types, cost);
  double width = 0, height = 0;
  std::vector<Panel> panels = Place(picture, width, height);
  const double shift = std::max(0.0, (640 - width) / 2);
  width = std::max(width, 640.0);
  for (Panel& panel : panels) panel.x += shift, panel.y += kHeader;
  for (Block& block : picture.blocks) block.x += shift, block.y += kHeader;
  const std::vector<std::vector<Point>> lines = Route(picture);
  double left = 0, right = width;
  for (const std::vector<Point>& line : lines) {
    for (const Point& point : line)
      left = std::min(left, point.x - 20), right = std::max(right, point.x + 20);
  }
  height += kHeader;
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' width='{0:.0f}' height='{1:.0f}' viewBox='{2:.0f} 0 {0:.0f} "
      "{1:.0f}'>\n"
      "<style>{3}</style>\n<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='6' "
      "markerHeight='6' orient='auto'>"
      "<path d='M0 0L8 4L0 8z' fill='#7c8a98'/></marker></defs>\n"
      "<rect x='{2:.0f}' width='{0:.0f}' height='{1:.0f}' fill='#ffffff'/>\n",
      right - left, height, left, kStyle);
  svg += DrawHeader(graph, cost, picture.blocks.empty() ? "" : picture.blocks[0].size);
  for (const Panel& panel : panels) svg += DrawPanel(panel);
  for (const std::vector<Point>& line : lines) {
    if (!line.empty()) svg += DrawLine(line);
  }
  for (const Panel& panel : panels) {  // on top of the lines
    svg += DrawHaloed(panel.x + 12, panel.y + 18, "scope", panel.name);
  }
  for (const Block& block : picture.blocks) svg += DrawBlock(block);
  std::set<int> read;
  for (const Edge& edge : picture.edges) read.insert(edge.from);
  for (const int i : read) {  // under what makes it
    const Block& block = picture.blocks[i];
    svg += DrawHaloed(block.x + block.width / 2 + 5, block.y + block.height + 11, "size", block.size);
  }
  return svg + "</svg>\n";
}

}  // namespace frf
