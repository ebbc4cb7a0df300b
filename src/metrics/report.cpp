// SPDX-License-Identifier: Apache-2.0
// Self-contained HTML reports. Subtle: charts are SVG written here with colours as CSS variables, so one file reads well
// in light, in dark and on paper without any script.
#include "metrics/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/files.h"
#include "image/image_io.h"
#include "image/transform.h"

namespace frf {
namespace {

constexpr int kPlotWidth = 720, kPlotHeight = 260, kLeft = 58, kRight = 12, kTop = 10, kBottom = 34;
constexpr const char* kLineColors[] = {"var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"};

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--fg:#1c2430;--dim:#5d6878;--bg:#fff;--panel:#f5f7fa;--rule:#d9dfe7;--bar:#3b6fb6;
--c0:#2f6db5;--c1:#d1602b;--c2:#2b8a57;--c3:#8a4fb0;--c4:#b28a12;--c5:#5d6878}
@media(prefers-color-scheme:dark){:root{--fg:#e6eaf0;--dim:#9aa6b6;--bg:#14181e;--panel:#1d232b;--rule:#333c48;--bar:#5b93dc;
--c0:#6aa5ea;--c1:#ee8d5c;--c2:#5cc08c;--c3:#be8ae0;--c4:#dfb94a;--c5:#9aa6b6}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:1120px;margin:0 auto;padding:24px}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:34px 0 8px;border-bottom:1px solid var(--rule);padding-bottom:4px}
p{max-width:75ch}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:3px 10px 3px 0;text-align:left;vertical-align:middle}td.n,th.n{text-align:right}
.facts td:first-child{color:var(--dim)}.bar{height:11px;background:var(--bar);border-radius:2px}
.sw{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:7px;vertical-align:-1px;border:1px solid #0004}
.legend span{display:inline-block;margin:0 16px 4px 0}.scroll{overflow-x:auto}
.cm td{padding:2px 5px;text-align:right;font-size:12px;min-width:34px}.cm th{font-size:12px;font-weight:500}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:8px;margin:4px 0 18px}
.row figure{margin:0}.row img{width:100%;border-radius:4px;display:block}.row figcaption{color:var(--dim);font-size:13px}
.cap{margin:10px 0 2px}svg text{fill:var(--dim);font:12px system-ui,sans-serif}svg{max-width:100%;height:auto}
@media print{body{max-width:none;padding:0}h2{break-after:avoid}.row{break-inside:avoid}}
)";

std::string Escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string Base64(const std::string& bytes) {
  constexpr const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t triple = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      triple = triple << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += i + k > bytes.size() ? '=' : kDigits[triple >> (18 - 6 * k) & 63u];
    }
  }
  return out;
}

std::string Hex(const Color& color) { return fmt::format("#{:02x}{:02x}{:02x}", color[0], color[1], color[2]); }

std::string Swatch(const Classes& classes, int id) {
  if (id >= static_cast<int>(classes.palette.size())) return {};
  return fmt::format("<span class=sw style=\"background:{}\"></span>", Hex(classes.palette[id]));
}

// Round tick distance: 1, 2 or 5 times a power of ten.
double TickStep(double range, int ticks) {
  const double rough = range / ticks;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

struct Axis {
  double low = std::numeric_limits<double>::max(), high = std::numeric_limits<double>::lowest();
  void Take(double value) {
    if (std::isfinite(value)) low = std::min(low, value), high = std::max(high, value);
  }
  void Settle() {
    if (low > high) low = 0, high = 1;
    if (low == high) low -= 0.5, high += 0.5;
  }
};

}  // namespace

HtmlReport::HtmlReport(std::string title) : title_(std::move(title)) {}

void HtmlReport::Section(const std::string& heading, const std::string& text) {
  body_ += fmt::format("<h2>{}</h2>\n", Escape(heading));
  if (!text.empty()) body_ += fmt::format("<p>{}</p>\n", Escape(text));
}

void HtmlReport::Facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  body_ += "<table class=facts>";
  for (const auto& [name, value] : facts) {
    body_ += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", Escape(name), Escape(value));
  }
  body_ += "</table>\n";
}

void HtmlReport::Chart(const std::string& title, const std::string& x_name, const std::vector<Line>& lines, bool percent,
                       bool log_y) {
  const auto scaled = [&](double y) { return log_y ? std::log10(std::max(y, 1e-12)) : y; };
  Axis xs, ys;
  for (const Line& line : lines) {
    for (const auto& [x, y] : line.points) xs.Take(x), ys.Take(scaled(y));
  }
  xs.Settle();
  ys.Settle();
  const auto px = [&](double x) { return kLeft + (x - xs.low) / (xs.high - xs.low) * (kPlotWidth - kLeft - kRight); };
  const auto py = [&](double y) {
    return kPlotHeight - kBottom - (scaled(y) - ys.low) / (ys.high - ys.low) * (kPlotHeight - kTop - kBottom);
  };
  body_ += fmt::format("<p class=cap><b>{}</b> <span class=legend>", Escape(title));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    body_ += fmt::format(" <span><span class=sw style=\"background:{}\"></span>{}</span>", kLineColors[i % 6], Escape(lines[i].name));
  }
  body_ += fmt::format("</span></p><svg viewBox=\"0 0 {} {}\" width={} role=img aria-label=\"{}\">", kPlotWidth, kPlotHeight,
                       kPlotWidth, Escape(title));
  const double y_step = TickStep(ys.high - ys.low, 5);
  for (double y = std::ceil(ys.low / y_step) * y_step; y <= ys.high + 1e-9; y += y_step) {
    const double value = log_y ? std::pow(10.0, y) : y;
    const std::string label = percent ? fmt::format("{:.3g} %", value * 100) : fmt::format("{:.3g}", value);
    body_ += fmt::format("<line x1={} x2={} y1={:.1f} y2={:.1f} stroke=\"var(--rule)\"/><text x={} y={:.1f} text-anchor=end>{}</text>",
                         kLeft, kPlotWidth - kRight, py(value), py(value), kLeft - 6, py(value) + 4, label);
  }
  const double x_step = TickStep(xs.high - xs.low, 8);
  for (double x = std::ceil(xs.low / x_step) * x_step; x <= xs.high + 1e-9; x += x_step) {
    body_ += fmt::format("<text x={:.1f} y={} text-anchor=middle>{:.6g}</text>", px(x), kPlotHeight - kBottom + 16, x);
  }
  body_ += fmt::format("<text x={} y={} text-anchor=middle>{}</text>", (kPlotWidth + kLeft) / 2, kPlotHeight - 3, Escape(x_name));
  for (std::size_t i = 0; i < lines.size(); ++i) {
    std::string points;
    for (const auto& [x, y] : lines[i].points) {
      if (std::isfinite(x) && std::isfinite(y)) points += fmt::format("{:.1f},{:.1f} ", px(x), py(y));
    }
    if (lines[i].points.size() == 1) {  // one point draws no line
      const auto& [x, y] = lines[i].points.front();
      body_ += fmt::format("<circle cx={:.1f} cy={:.1f} r=3 fill=\"{}\"/>", px(x), py(y), kLineColors[i % 6]);
    }
    body_ += fmt::format("<polyline points=\"{}\" fill=none stroke=\"{}\" stroke-width=1.8 stroke-linejoin=round />", points, kLineColors[i % 6]);
  }
  body_ += "</svg>\n";
}

void HtmlReport::ScoreTable(const ConfusionMatrix& matrix, const Classes& classes) {
  const auto iou = matrix.Iou();
  body_ += "<div class=scroll><table><tr><th>class</th><th class=n>IoU</th><th></th><th class=n>pixels</th></tr>\n";
  for (int c = 0; c < matrix.classes(); ++c) {
    std::int64_t pixels = 0;
    for (int p = 0; p <= matrix.classes(); ++p) pixels += matrix.count(c, p);
    body_ += fmt::format("<tr><td>{}{}</td><td class=n>{}</td><td style=\"width:320px\"><div class=bar style=\"width:{:.1f}%\"></div></td><td class=n>{}</td></tr>\n",
                         Swatch(classes, c), Escape(classes.names.at(c)), iou[c] ? fmt::format("{:.1f} %", *iou[c] * 100) : "-",
                         iou[c].value_or(0) * 100, pixels);
  }
  const auto mean = matrix.MeanIou();
  const auto accuracy = matrix.PixelAccuracy();
  body_ += fmt::format("<tr><td><b>mean IoU</b></td><td class=n><b>{}</b></td></tr><tr><td>pixel accuracy</td><td class=n>{}</td></tr></table></div>\n",
                       mean ? fmt::format("{:.2f} %", *mean * 100) : "-", accuracy ? fmt::format("{:.2f} %", *accuracy * 100) : "-");
}

void HtmlReport::ConfusionTable(const ConfusionMatrix& matrix, const Classes& classes) {
  body_ += "<p class=cap>Rows: truth; columns: prediction; per cent of the truth's pixels.</p><div class=scroll><table class=cm><tr><th></th>";
  for (int p = 0; p < matrix.classes(); ++p) {
    body_ += fmt::format("<th title=\"{}\">{}</th>", Escape(classes.names.at(p)), Escape(classes.names.at(p).substr(0, 5)));
  }
  body_ += "</tr>\n";
  for (int t = 0; t < matrix.classes(); ++t) {
    std::int64_t sum = 0;
    for (int p = 0; p <= matrix.classes(); ++p) sum += matrix.count(t, p);
    body_ += fmt::format("<tr><th>{}{}</th>", Swatch(classes, t), Escape(classes.names.at(t)));
    for (int p = 0; p < matrix.classes(); ++p) {
      const double share = sum > 0 ? static_cast<double>(matrix.count(t, p)) / static_cast<double>(sum) : 0;
      // The diagonal in the bar's colour, confusions in the warning colour; strength by square root so that 2 % shows.
      body_ += fmt::format("<td style=\"background:color-mix(in srgb,{} {:.0f}%,transparent)\">{}</td>", t == p ? "var(--c0)" : "var(--c1)",
                           std::sqrt(share) * 80, share >= 0.0005 ? fmt::format("{:.1f}", share * 100) : "");
    }
    body_ += "</tr>\n";
  }
  body_ += "</table></div>\n";
}

void HtmlReport::Legend(const Classes& classes) {
  body_ += "<p class=legend>";
  for (int c = 0; c < classes.count(); ++c) body_ += fmt::format("<span>{}{}</span>", Swatch(classes, c), Escape(classes.names[c]));
  body_ += "</p>\n";
}

void HtmlReport::Pictures(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    body_ += fmt::format("<p class=cap>{}</p><div class=row>", Escape(row.caption));
    for (const auto& [heading, picture] : row.pictures) {
      body_ += fmt::format("<figure><img loading=lazy alt=\"{}\" src=\"data:image/jpeg;base64,{}\"><figcaption>{}</figcaption></figure>",
                           Escape(heading), Base64(EncodeJpeg(picture, 88)), Escape(heading));
    }
    body_ += "</div>\n";
  }
}

std::string HtmlReport::Html() const {
  return fmt::format("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">"
                     "<title>{0}</title><style>{1}</style><h1>{0}</h1>\n{2}</html>\n", Escape(title_), kStyle, body_);
}

void HtmlReport::Write(const std::string& path) const { WriteFileAtomically(path, Html()); }

HtmlReport::Row PredictionRow(const std::string& caption, const Image& image, const LabelImage& truth,
                              const LabelImage& prediction, const Classes& classes) {
  Image errors = image;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      std::uint8_t* pixel = errors.at(y, x);
      const bool labelled = truth.at(y, x) != kVoidLabel;
      const bool wrong = labelled && truth.at(y, x) != prediction.at(y, x);
      const int grey = (pixel[0] * 2 + pixel[1] * 5 + pixel[2]) / 8;
      const Color shown = wrong ? Color{255, 64, 48}
                                : Color{static_cast<std::uint8_t>(grey / 3), static_cast<std::uint8_t>(grey / 3),
                                        static_cast<std::uint8_t>(labelled ? grey / 3 : grey / 2 + 30)};
      std::copy(shown.begin(), shown.end(), pixel);
    }
  }
  return {caption, {{"image", image}, {"truth", Colorize(truth, classes.palette)},
                    {"prediction", Colorize(prediction, classes.palette)}, {"errors (red), void (blue)", errors}}};
}

}  // namespace frf
