// SPDX-License-Identifier: Apache-2.0
// `frf eval --per-image FILE`: each image's scores, for tables, plots and tests of significance.
#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"
#include "base/text.h"
#include "cli/eval.h"
#include "frf/error.h"

namespace frf::cli {
namespace {

// As RFC 4180 wants a field: in quotes where it holds a comma, a quote or a line's end.
std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string CsvNumber(const std::optional<double>& value) {
  return value ? fmt::format("{:.6f}", *value) : "";
}

}  // namespace

bool IsPerImageName(const std::string& path) {
  const std::string ending = Lower(std::filesystem::path(path).extension().string());
  return ending == ".csv" || ending == ".json";
}

void ImageScores::Add(const std::string& name, const ConfusionMatrix& one) {
  std::int64_t pixels = 0;
  for (int c = 0; c < one.classes(); ++c) pixels += one.TruthCount(c);
  rows_.push_back({name, pixels, one.PixelAccuracy(), one.MeanIou(), one.Iou()});
}

void ImageScores::Write(const std::string& path, const Classes& classes) const {
  if (Lower(std::filesystem::path(path).extension().string()) == ".csv") {
    std::string text = "image,pixels,pixel_accuracy,miou";
    for (const std::string& name : classes.names) text += "," + CsvField("iou_" + name);
    for (const Row& row : rows_) {
      text += fmt::format("\n{},{},{},{}", CsvField(row.image), row.pixels, CsvNumber(row.pixel_accuracy),
                          CsvNumber(row.miou));
      for (const auto& iou : row.iou) text += "," + CsvNumber(iou);
    }
    WriteFileAtomically(path, text + "\n");
    return;
  }
  Json list = Json::array();
  for (const Row& row : rows_) {
    Json iou = Json::object();
    for (int c = 0; c < classes.count(); ++c) iou[classes.names[c]] = OrNull(row.iou[c]);
    list.push_back({{"image", row.image},
                    {"pixels", row.pixels},
                    {"pixel_accuracy", OrNull(row.pixel_accuracy)},
                    {"miou", OrNull(row.miou)},
                    {"iou", iou}});
  }
  WriteFileAtomically(path, list.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace frf::cli
