// SPDX-License-Identifier: Apache-2.0
// HTML reports in one self-contained file: inline CSS, SVG curves and PNG/JPEG pictures as data URIs;
// readable in light and dark, on a phone and on paper. Used by training (curves) and by eval (worst and best
// images).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/model_info.h"
#include "frf/image.h"
#include "metrics/chart.h"
#include "metrics/confusion.h"

namespace frf {

class HtmlReport {
 public:
  explicit HtmlReport(std::string title);

  void Section(const std::string& heading, const std::string& text = {});
  // Name-value pairs: what was run, on which machine.
  void Facts(const std::vector<std::pair<std::string, std::string>>& facts);
  // One chart with several lines; points (x, y); `percent` formats y as a percentage.
  using Line = ChartLine;
  void Chart(const std::string& title, const std::string& x_name, const std::vector<Line>& lines,
             bool percent = false, bool log_y = false);
  void ScoreTable(const ConfusionMatrix& matrix,
                  const Classes& classes);  // per class IoU as bars, share of the truth's pixels
  void ConfusionTable(const ConfusionMatrix& matrix, const Classes& classes);  // row-normalised heat map
  void Legend(const Classes& classes);
  struct Row {
    std::string caption;
    std::vector<std::pair<std::string, Image>> pictures;  // heading, picture
  };
  void Pictures(const std::vector<Row>& rows);

  std::string Html() const;
  void Write(const std::string& path) const;  // atomically

 private:
  std::string title_, body_;
};

// A picture with its labels, small enough to be looked at in reports: no side above kShownSide, so that a
// data set of large photographs does not make reports of hundreds of megabytes.
inline constexpr int kShownSide = 1280;
struct Shown {
  Image image;
  LabelImage truth, prediction;
};
Shown ToShow(const Image& image, const LabelImage& truth, const LabelImage& prediction);

// Image | truth | prediction | errors (wrong pixels bright) for a report's row.
HtmlReport::Row PredictionRow(const std::string& caption, const Image& image, const LabelImage& truth,
                              const LabelImage& prediction, const Classes& classes);

}  // namespace frf
