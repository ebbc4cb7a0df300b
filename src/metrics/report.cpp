// SPDX-License-Identifier: Apache-2.0
// Self-contained HTML reports. Subtle: colours are CSS variables, in charts too, so one file reads well in
// light, in dark and on paper without any script; and a picture is stored as PNG where that is smaller, which
// masks are, so their borders stay clean.
#include "metrics/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/files.h"
#include "image/image_io.h"
#include "image/transform.h"
#include "metrics/chart.h"

namespace frf {
namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--fg:#1c2430;--dim:#5d6878;--bg:#fff;--panel:#f5f7fa;--rule:#d9dfe7;--bar:#3b6fb6;
--c0:#2f6db5;--c1:#d1602b;--c2:#2b8a57;--c3:#8a4fb0;--c4:#b28a12;--c5:#5d6878}
@media(prefers-color-scheme:dark){:root{--fg:#e6eaf0;--dim:#9aa6b6;--bg:#14181e;--panel:#1d232b;--rule:#333c48;--bar:#5b93dc;
--c0:#6aa5ea;--c1:#ee8d5c;--c2:#5cc08c;--c3:#be8ae0;--c4:#dfb94a;--c5:#9aa6b6}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--fg);background:var(--bg);max-width:1120px;margin:0 auto;padding:24px}
h1{font-size:24px;margin:0 0 8px;line-height:1.25}h2{font-size:18px;margin:34px 0 8px;border-bottom:1px solid var(--rule);padding-bottom:4px}
p{max-width:75ch;margin:8px 0}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:3px 12px 3px 0;text-align:left;vertical-align:middle}td.n,th.n{text-align:right}.dim{color:var(--dim)}
.facts td{vertical-align:top;overflow-wrap:anywhere}.facts td:first-child{color:var(--dim);overflow-wrap:normal;white-space:nowrap}
.track{width:300px;height:11px;background:color-mix(in srgb,var(--rule) 55%,transparent);border-radius:2px}.bar{height:11px;background:var(--bar);border-radius:2px}
.sum td{border-top:1px solid var(--rule)}
.sw{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:6px;vertical-align:-1px;box-sizing:border-box;
border:1px solid color-mix(in srgb,var(--fg) 40%,transparent)}
.legend>span{display:inline-block;margin:0 18px 4px 0;white-space:nowrap}p.legend{max-width:none}.scroll{overflow-x:auto}
.cm td{padding:2px 6px;text-align:right;font-size:12px;min-width:32px;border:1px solid var(--bg)}.cm th{font-size:12px;font-weight:500;white-space:nowrap}
.cm .v{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;vertical-align:bottom;padding:8px 8px 0 0}
.chart{display:inline-block;vertical-align:top;width:min(100%,540px);margin:10px 14px 10px 0}.chart .legend{margin-left:12px}
.row{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:8px;margin:4px 0 18px}
.row figure{margin:0}.row img{width:100%;border-radius:4px;display:block}.row figcaption{color:var(--dim);font-size:13px}
.cap{margin:10px 0 2px}svg text{fill:var(--dim);font:12px system-ui,sans-serif}svg{max-width:100%;height:auto}
@media print{body{max-width:none;padding:0}h2{break-after:avoid}.row,.chart{break-inside:avoid}
.bar,.track,.sw,.cm td{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
)";

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

// 1161890 as "1 161 890", with spaces that do not break.
std::string Grouped(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, "\u202f");
  return digits;
}

std::string Hex(const Color& color) {
  return fmt::format("#{:02x}{:02x}{:02x}", color[0], color[1], color[2]);
}

std::string Swatch(const Classes& classes, int id) {
  if (id >= static_cast<int>(classes.palette.size())) return {};
  return fmt::format("<span class=sw style=\"background:{}\"></span>", Hex(classes.palette[id]));
}

}  // namespace

HtmlReport::HtmlReport(std::string title) : title_(std::move(title)) {}

void HtmlReport::Section(const std::string& heading, const std::string& text) {
  body_ += fmt::format("<h2>{}</h2>\n", EscapeHtml(heading));
  if (!text.empty()) body_ += fmt::format("<p>{}</p>\n", EscapeHtml(text));
}

void HtmlReport::Facts(const std::vector<std::pair<std::string, std::string>>& facts) {
  body_ += "<table class=facts>";
  for (const auto& [name, value] : facts) {
    body_ += fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", EscapeHtml(name), EscapeHtml(value));
  }
  body_ += "</table>\n";
}

void HtmlReport::Chart(const std::string& title, const std::string& x_name, const std::vector<Line>& lines,
                       bool percent, bool log_y) {
  body_ += ChartHtml({.title = title, .x_name = x_name, .percent = percent, .log_y = log_y}, lines);
}

void HtmlReport::ScoreTable(const ConfusionMatrix& matrix, const Classes& classes) {
  const auto iou = matrix.Iou(), recall = matrix.Recall(), precision = matrix.Precision();
  std::vector<std::int64_t> pixels(matrix.classes());
  std::int64_t all = 0;
  for (int c = 0; c < matrix.classes(); ++c) {
    pixels[c] = matrix.TruthCount(c);
    all += pixels[c];
  }
  body_ +=
      "<div class=scroll><table><tr><th>class</th><th class=n>IoU</th><th></th><th class=n>recall</th><th "
      "class=n>precision</th><th class=n>share</th><th "
      "class=n>pixels</th></tr>\n";
  for (int c = 0; c < matrix.classes(); ++c) {
    const double share = all > 0 ? static_cast<double>(pixels[c]) / static_cast<double>(all) : 0;
    body_ += fmt::format(
        "<tr><td>{}{}</td><td class=n>{}</td><td><div class=track><div class=bar "
        "style=\"width:{:.1f}%\"></div></div></td>"
        "<td class=n>{}</td><td class=n>{}</td><td class=n>{:.1f} %</td><td class=\"n dim\">{}</td></tr>\n",
        Swatch(classes, c), EscapeHtml(classes.names.at(c)), Percent(iou[c]), iou[c].value_or(0) * 100,
        Percent(recall[c]), Percent(precision[c]), share * 100, Grouped(pixels[c]));
  }
  body_ += fmt::format(
      "<tr class=sum><td><b>mean IoU</b></td><td "
      "class=n><b>{}</b></td><td></td><td></td><td></td><td></td><td class=\"n "
      "dim\">{}</td></tr>"
      "<tr><td>frequency weighted IoU</td><td class=n>{}</td></tr>"
      "<tr><td>mean class accuracy</td><td class=n>{}</td></tr>"
      "<tr><td>pixel accuracy</td><td class=n>{}</td></tr></table></div>\n",
      Percent(matrix.MeanIou(), 2), Grouped(all), Percent(matrix.FrequencyWeightedIou(), 2),
      Percent(matrix.MeanClassAccuracy(), 2), Percent(matrix.PixelAccuracy(), 2));
}

void HtmlReport::ConfusionTable(const ConfusionMatrix& matrix, const Classes& classes) {
  body_ +=
      "<p class=cap>Rows: truth; columns: prediction; per cent of the truth's pixels.</p><div "
      "class=scroll><table class=cm><tr><th></th>";
  for (int p = 0; p < matrix.classes(); ++p) {
    body_ += fmt::format("<th class=v>{}</th>", EscapeHtml(classes.names.at(p)));
  }
  body_ += "</tr>\n";
  for (int t = 0; t < matrix.classes(); ++t) {
    std::int64_t sum = 0;
    for (int p = 0; p <= matrix.classes(); ++p) sum += matrix.count(t, p);
    body_ += fmt::format("<tr><th>{}{}</th>", Swatch(classes, t), EscapeHtml(classes.names.at(t)));
    for (int p = 0; p < matrix.classes(); ++p) {
      const double share = sum > 0 ? static_cast<double>(matrix.count(t, p)) / static_cast<double>(sum) : 0;
      // The diagonal in the bar's colour, confusions in the warning colour; strength by square root so that 2
      // % shows.
      body_ += fmt::format("<td style=\"background:color-mix(in srgb,{} {:.0f}%,transparent)\">{}</td>",
                           t == p ? "var(--c0)" : "var(--c1)", std::sqrt(share) * 65,
                           share >= 0.0005 ? fmt::format("{:.1f}", share * 100) : "");
    }
    body_ += "</tr>\n";
  }
  body_ += "</table></div>\n";
}

void HtmlReport::Legend(const Classes& classes) {
  body_ += "<p class=legend>";
  for (int c = 0; c < classes.count(); ++c)
    body_ += fmt::format("<span>{}{}</span>", Swatch(classes, c), EscapeHtml(classes.names[c]));
  body_ += "<span><span class=sw style=\"background:#000\"></span>void, not scored</span></p>\n";
}

void HtmlReport::Pictures(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    body_ += fmt::format("<p class=cap>{}</p><div class=row>", EscapeHtml(row.caption));
    for (const auto& [heading, picture] : row.pictures) {
      const std::string jpeg = EncodeJpeg(picture, 88), png = EncodePng(picture);
      body_ += fmt::format(
          "<figure><img loading=lazy alt=\"{}\" "
          "src=\"data:image/{};base64,{}\"><figcaption>{}</figcaption></figure>",
          EscapeHtml(heading), png.size() < jpeg.size() ? "png" : "jpeg",
          Base64(png.size() < jpeg.size() ? png : jpeg), EscapeHtml(heading));
    }
    body_ += "</div>\n";
  }
}

std::string HtmlReport::Html() const {
  return fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport "
      "content=\"width=device-width,initial-scale=1\">"
      "<title>{0}</title><style>{1}</style><h1>{0}</h1>\n{2}</html>\n",
      EscapeHtml(title_), kStyle, body_);
}

void HtmlReport::Write(const std::string& path) const { WriteFileAtomically(path, Html()); }

Shown ToShow(const Image& image, const LabelImage& truth, const LabelImage& prediction) {
  const int longer = std::max(image.height, image.width);
  if (longer <= kShownSide) return {image, truth, prediction};
  const auto side = [&](int own) {
    return std::max(1, static_cast<int>(static_cast<std::int64_t>(own) * kShownSide / longer));
  };
  const int height = side(image.height), width = side(image.width);
  return {ResizeArea(image.view(), height, width), ResizeNearest(truth, height, width),
          ResizeNearest(prediction, height, width)};
}

HtmlReport::Row PredictionRow(const std::string& caption, const Image& whole_image,
                              const LabelImage& whole_truth, const LabelImage& whole_prediction,
                              const Classes& classes) {
  const auto [image, truth, prediction] = ToShow(whole_image, whole_truth, whole_prediction);
  Image errors = image;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      std::uint8_t* pixel = errors.at(y, x);
      const bool labelled = truth.at(y, x) != kVoidLabel;
      const bool wrong = labelled && truth.at(y, x) != prediction.at(y, x);
      const int grey = (pixel[0] * 2 + pixel[1] * 5 + pixel[2]) / 8;
      const auto dim = static_cast<std::uint8_t>(grey / 2), blue = static_cast<std::uint8_t>(grey / 4 + 150);
      const Color shown = wrong      ? Color{255, 64, 48}
                          : labelled ? Color{dim, dim, dim}
                                     : Color{static_cast<std::uint8_t>(grey / 3),
                                             static_cast<std::uint8_t>(grey / 3 + 30), blue};
      std::copy(shown.begin(), shown.end(), pixel);
    }
  }
  return {caption,
          {{"image", image},
           {"truth", Colorize(truth, classes.palette)},
           {"prediction", Colorize(prediction, classes.palette)},
           {"errors (red), void (blue)", errors}}};
}

}  // namespace frf
