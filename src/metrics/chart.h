// SPDX-License-Identifier: Apache-2.0
// A line chart as an HTML figure with inline SVG; colours are the report's CSS variables. Used by
// HtmlReport::Chart.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace frf {

std::string EscapeHtml(const std::string& text);

struct ChartSpec {
  std::string title, x_name;  // the title names what y is
  bool percent = false;       // y is a share
  bool log_y = false;
};
struct ChartLine {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x, y; what is not finite is left out
};
std::string ChartHtml(const ChartSpec& spec, const std::vector<ChartLine>& lines);

// Where an axis begins and ends and what stands at it. Linear axes begin at 0 where the values come near it
// or are all the same, and end on ticks; logarithmic ones have ticks at 1, 2 and 5 times powers of ten and
// closer where those are too few.
struct ChartAxis {
  double low = 0, high = 1;
  std::vector<double> ticks;
};
ChartAxis LinearAxis(double low, double high, int ticks, bool ends_on_ticks);
ChartAxis LogAxis(double low, double high);

}  // namespace frf
