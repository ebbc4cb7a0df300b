// SPDX-License-Identifier: Apache-2.0
// See chart.h. Subtle: the figure is as wide as half a page, so that text in it, which shrinks with it, stays
// readable on a phone, and two charts stand side by side on a screen.
#include "metrics/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace frf {
namespace {

constexpr int kWidth = 540, kHeight = 250, kLeft = 54, kRight = 14, kTop = 10, kBottom = 38;
constexpr const char* kLineColors[] = {"var(--c0)", "var(--c1)", "var(--c2)",
                                       "var(--c3)", "var(--c4)", "var(--c5)"};

// Round tick distance: 1, 2 or 5 times a power of ten.
double TickStep(double range, int ticks) {
  const double rough = range / ticks;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough * (1 - 1e-9)) return factor * power;
  }
  return 10 * power;
}

struct Range {
  double low = std::numeric_limits<double>::max(), high = std::numeric_limits<double>::lowest();
  void Take(double value) { low = std::min(low, value), high = std::max(high, value); }
};

bool Drawable(const std::pair<double, double>& point, bool log_y) {
  return std::isfinite(point.first) && std::isfinite(point.second) && (!log_y || point.second > 0);
}

std::string Number(double value, bool percent) {
  return percent ? fmt::format("{:.3g} %", value * 100) : fmt::format("{:.3g}", value);
}

std::string Heading(const ChartSpec& spec, const std::vector<ChartLine>& lines) {
  std::string text = fmt::format("<figcaption><b>{}</b>{}<span class=legend>", EscapeHtml(spec.title),
                                 spec.log_y ? " (log scale)" : "");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const bool alone = lines.size() == 1;
    const std::string last =
        lines[i].points.empty() ? "" : Number(lines[i].points.back().second, spec.percent);
    text += fmt::format(
        "<span>{}{} <span class=dim>{}</span></span>",
        alone ? "" : fmt::format("<span class=sw style=\"background:{}\"></span>", kLineColors[i % 6]),
        alone ? "last" : EscapeHtml(lines[i].name), last);
  }
  return text + "</span></figcaption>";
}

}  // namespace

std::string EscapeHtml(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

ChartAxis LinearAxis(double low, double high, int ticks, bool ends_on_ticks) {
  if (low == high) low = std::min(0.0, low), high = std::max(0.0, high);  // one value: beside 0
  if (low >= 0 && low <= high / 2) low = 0;
  if (!(high > low)) high = low + 1;
  ChartAxis axis{low, high, {}};
  const double step = TickStep(high - low, ticks);
  if (ends_on_ticks)
    axis.low = std::floor(low / step + 1e-9) * step, axis.high = std::ceil(high / step - 1e-9) * step;
  const auto last = static_cast<long>(std::floor(axis.high / step + 1e-9));
  for (auto k = static_cast<long>(std::ceil(axis.low / step - 1e-9)); k <= last; ++k)
    axis.ticks.push_back(static_cast<double>(k) * step);
  return axis;
}

ChartAxis LogAxis(double low, double high) {
  low *= 0.93, high *= 1.07;
  ChartAxis axis{low, high, {}};
  const auto add = [&](std::initializer_list<double> factors) {
    axis.ticks.clear();
    for (int k = static_cast<int>(std::floor(std::log10(low)));
         k <= static_cast<int>(std::ceil(std::log10(high))); ++k) {
      for (const double factor : factors) {
        const double tick = factor * std::pow(10.0, k);
        if (tick >= low && tick <= high) axis.ticks.push_back(tick);
      }
    }
  };
  add({1.0, 2.0, 5.0});
  if (axis.ticks.size() > 7) add({1.0});
  if (axis.ticks.size() < 3) add({1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0});
  if (axis.ticks.size() < 2) axis.ticks = {low / 0.93, high / 1.07};
  return axis;
}

std::string ChartHtml(const ChartSpec& spec, const std::vector<ChartLine>& lines) {
  Range xs, ys;
  for (const ChartLine& line : lines) {
    for (const auto& point : line.points) {
      if (Drawable(point, spec.log_y)) xs.Take(point.first), ys.Take(point.second);
    }
  }
  if (xs.low > xs.high) xs = {0, 1}, ys = {0.1, 1};
  // Epochs are whole: two of them have no tick between.
  bool whole = true;
  for (const ChartLine& line : lines)
    for (const auto& [x, y] : line.points) whole &= x == std::floor(x);
  const double most = whole ? std::clamp(xs.high - xs.low, 1.0, 7.0) : 7;
  const ChartAxis x_axis = LinearAxis(xs.low, xs.high, static_cast<int>(most), false);
  const ChartAxis y_axis = spec.log_y ? LogAxis(ys.low, ys.high) : LinearAxis(ys.low, ys.high, 5, true);
  const auto scaled = [&](double y) { return spec.log_y ? std::log10(y) : y; };
  const auto px = [&](double x) {
    return kLeft + (x - x_axis.low) / (x_axis.high - x_axis.low) * (kWidth - kLeft - kRight);
  };
  const auto py = [&](double y) {
    return kHeight - kBottom -
           (scaled(y) - scaled(y_axis.low)) / (scaled(y_axis.high) - scaled(y_axis.low)) *
               (kHeight - kTop - kBottom);
  };
  std::string html =
      fmt::format("<figure class=chart>{}<svg viewBox=\"0 0 {} {}\" width={} role=img aria-label=\"{}\">\n",
                  Heading(spec, lines), kWidth, kHeight, kWidth, EscapeHtml(spec.title));
  for (const double y : y_axis.ticks) {
    html += fmt::format(
        "<line x1={} x2={} y1={:.1f} y2={:.1f} stroke=\"var(--rule)\"/><text x={} y={:.1f} "
        "text-anchor=end>{}</text>\n",
        kLeft, kWidth - kRight, py(y), py(y), kLeft - 7, py(y) + 4, Number(y, spec.percent));
  }
  const int floor = kHeight - kBottom;
  for (const double x : x_axis.ticks) {
    html += fmt::format(
        "<line x1={0:.1f} x2={0:.1f} y1={1} y2={2} stroke=\"var(--dim)\"/><text x={0:.1f} y={3} "
        "text-anchor=middle>{4:.6g}</text>\n",
        px(x), floor, floor + 4, floor + 17, x);
  }
  html += fmt::format(
      "<path d=\"M{0} {1}V{2}H{3}\" fill=none stroke=\"var(--dim)\"/><text x={4} y={5} "
      "text-anchor=middle>{6}</text>\n",
      kLeft, kTop, floor, kWidth - kRight, (kWidth - kRight + kLeft) / 2, kHeight - 4,
      EscapeHtml(spec.x_name));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string points;
    int drawn = 0;
    for (const auto& point : lines[i].points) {
      if (!Drawable(point, spec.log_y)) continue;
      points += fmt::format("{:.1f},{:.1f} ", px(point.first), py(point.second));
      // One point draws no line, a few are worth seeing.
      if (lines[i].points.size() <= 30)
        html += fmt::format("<circle cx={:.1f} cy={:.1f} r=2.4 fill=\"{}\"/>", px(point.first),
                            py(point.second), kLineColors[i % 6]);
      ++drawn;
    }
    if (drawn > 1) {
      html += fmt::format(
          "<polyline points=\"{}\" fill=none stroke=\"{}\" stroke-width=1.8 stroke-linejoin=round />\n",
          points, kLineColors[i % 6]);
    }
  }
  return html + "</svg></figure>\n";
}

}  // namespace frf
