// SPDX-License-Identifier: Apache-2.0
// The table as a picture: a group of horizontal bars a size, with an axis of its own, since sizes differ by
// an order of magnitude. A bar ends at the median; the line through its end goes from the fastest frame to
// the 90th percentile. Subtle: one frame that something else held up must not squeeze all bars: lines are cut
// where the axis ends.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/system.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/bench.h"
#include "metrics/chart.h"

namespace frf::cli {
namespace {

constexpr int kWidth = 900, kLeft = 196, kRight = 214, kTop = 70, kBar = 20, kStep = 30, kHead = 34,
              kAxis = 30, kFoot = 46;
constexpr int kPlot = kWidth - kLeft - kRight;
constexpr const char* kInk = "#1f2933";
constexpr const char* kSoft = "#6b7785";
constexpr const char* kGrid = "#e3e8ee";

struct Group {
  std::string size;
  std::vector<const BenchRow*> rows;
};

std::vector<Group> GroupsOf(const BenchReport& report) {
  std::vector<Group> groups;
  for (const BenchRow& row : report.rows) {
    auto it = std::find_if(groups.begin(), groups.end(),
                           [&](const Group& group) { return group.size == row.size; });
    if (it == groups.end()) it = groups.insert(groups.end(), {row.size, {}});
    it->rows.push_back(&row);
  }
  return groups;
}

const char* ColorOf(const std::string& engine) {
  if (engine == "frf") return "#0f766e";
  if (IsOurs(engine)) return "#34a89b";
  if (engine == "onnxruntime") return "#8aa4c8";
  return engine.starts_with("openvino") ? "#b59ac9" : "#d2b48c";
}

std::string Text(double x, double y, const std::string& text, const std::string& style) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" {}>{}</text>\n", x, y, style, EscapeHtml(text));
}

std::string Milliseconds(double value) {
  return value < 10 ? fmt::format("{:.2f} ms", value) : fmt::format("{:.1f} ms", value);
}

std::string ValueText(const BenchReport& report, const BenchRow& row) {
  std::string text = fmt::format("{} · {:.1f} fps", Milliseconds(row.ms.median), row.fps());
  const BenchRow* ours = report.OursFor(row);
  if (ours != nullptr && ours != &row) text += fmt::format(" · {:.2f}x", row.ms.median / ours->ms.median);
  return text;
}

std::string DrawBar(const BenchReport& report, const BenchRow& row, const std::string& label, double y,
                    double scale) {
  const bool ours = IsOurs(row.engine);
  const std::string weight = ours ? " font-weight=\"600\"" : "";
  const double middle = y + kBar / 2.0;
  std::string svg =
      Text(kLeft - 12, middle + 4.5, label, fmt::format("text-anchor=\"end\" fill=\"{}\"{}", kInk, weight));
  if (!row.error.empty()) {
    const std::string reason = Printable(row.error, 70);
    return svg + Text(kLeft + 6, middle + 4.5, "no result: " + reason,
                      fmt::format("fill=\"{}\" font-size=\"12\" font-style=\"italic\"", kSoft));
  }
  const double end = kLeft + row.ms.median * scale, low = kLeft + row.ms.min * scale;
  const double high = std::min(kLeft + row.ms.p90 * scale, kLeft + static_cast<double>(kPlot));
  const bool cut = row.ms.p90 * scale > kPlot;
  svg += fmt::format("<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" rx=\"2\" fill=\"{}\"/>\n",
                     kLeft, y, end - kLeft, kBar, ColorOf(row.engine));
  const std::string tip = cut ? fmt::format("M{:.1f} {:.1f}l5 4l-5 4", high - 5, middle - 4)
                              : fmt::format("M{:.1f} {:.1f}v8", high, middle - 4);
  svg += fmt::format(
      "<path d=\"M{0:.1f} {1:.1f}H{2:.1f}M{0:.1f} {3:.1f}v8{4}\" stroke=\"{5}\" stroke-width=\"1.4\" "
      "fill=\"none\"/>\n",
      low, middle, high, middle - 4, tip, kInk);
  return svg + Text(std::max(end, high) + 8, middle + 4.5, ValueText(report, row),
                    fmt::format("fill=\"{}\"{}", kInk, weight));
}

std::string LabelOf(const BenchReport& report, const BenchRow& row, bool many_networks) {
  const std::string threads = report.peaks.size() > 1 ? ", " + ThreadsText({row.threads}) : "";
  if (many_networks) return fmt::format("{} {}{}", row.name, row.engine, threads);
  return row.version.empty() ? row.engine + threads
                             : fmt::format("{} {}{}", row.engine, row.version, threads);
}

// Pixels that labels need beyond the margin that is there; a bold letter of 13 pixels is about 8 wide.
int ExtraMargin(const BenchReport& report, bool many_networks) {
  std::size_t longest = 0;
  for (const BenchRow& row : report.rows)
    longest = std::max(longest, LabelOf(report, row, many_networks).size());
  return std::max(0, static_cast<int>(8 * longest) + 24 + 12 - kLeft);
}

// All but the heading lies `extra` pixels further right.
std::string DrawGroup(const BenchReport& report, const Group& group, bool many_networks, int extra,
                      double top, double& bottom) {
  double longest = 0, median = 0;
  for (const BenchRow* row : group.rows) {
    if (!row->error.empty()) continue;
    median = std::max(median, row->ms.median);
    longest = std::max(longest, row->ms.p90);
  }
  longest = std::clamp(longest, median, 1.3 * median);
  const ChartAxis axis = LinearAxis(0, longest > 0 ? longest : 1, 5, false);
  const double scale = kPlot / std::max(axis.high, longest), first = top + kHead;
  const double end = first + static_cast<double>(group.rows.size()) * kStep;
  std::string svg = Text(24 - extra, top + 20, group.size,
                         fmt::format("font-size=\"15\" font-weight=\"600\" fill=\"{}\"", kInk));
  for (const double tick : axis.ticks) {
    const double x = kLeft + tick * scale;
    if (x > kLeft + kPlot + 0.5) continue;
    svg += fmt::format("<path d=\"M{0:.1f} {1:.1f}V{2:.1f}\" stroke=\"{3}\"/>\n", x, first - 6, end, kGrid);
    svg += Text(x, end + 15, fmt::format("{:g}{}", tick, tick > 0 ? "" : " ms"),
                fmt::format("text-anchor=\"middle\" font-size=\"11\" fill=\"{}\"", kSoft));
  }
  double y = first;
  for (const BenchRow* row : group.rows) {
    svg += DrawBar(report, *row, LabelOf(report, *row, many_networks), y, scale);
    y += kStep;
  }
  bottom = end + kAxis;
  return svg;
}

}  // namespace

std::string PlotSvg(const BenchReport& report) {
  std::set<std::string> networks;
  for (const BenchRow& row : report.rows) networks.insert(row.name);
  std::string body;
  double y = kTop;
  const int extra = ExtraMargin(report, networks.size() > 1);
  for (const Group& group : GroupsOf(report))
    body += DrawGroup(report, group, networks.size() > 1, extra, y, y);
  const int height = static_cast<int>(y) + kFoot;
  const std::string what =
      report.to_labels ? "8-bit RGB in, 8-bit labels out" : "float planes in, full-size float scores out";
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\" font-size=\"13\">\n"
      "<rect width=\"{0}\" height=\"{1}\" rx=\"6\" fill=\"#ffffff\"/>\n",
      kWidth + extra, height);
  const std::string title = networks.size() == 1 ? *networks.begin() + ": " : "";
  svg += Text(24, 32, title + "milliseconds a frame, less is better",
              fmt::format("font-size=\"18\" font-weight=\"600\" fill=\"{}\"", kInk));
  svg +=
      Text(24, 53, fmt::format("{}, batch 1, {}, {}", what, ThreadsText(report.threads()), ThisMachine().cpu),
           fmt::format("fill=\"{}\"", kSoft));
  svg += fmt::format("<g transform=\"translate({},0)\">\n{}</g>\n", extra, body);
  svg += Text(24, height - 18,
              fmt::format("bar: median of the frames; line: fastest to 90th percentile{} · frf {} ({})",
                          report.compared ? "; x: times as long as frf" : "", Version(), Commit()),
              fmt::format("font-size=\"11\" fill=\"{}\"", kSoft));
  return svg + "</svg>\n";
}

}  // namespace frf::cli
