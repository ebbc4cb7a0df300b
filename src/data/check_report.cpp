// SPDX-License-Identifier: Apache-2.0
// What `frf data check` prints: one JSON document, or tables for people. Shares are of labelled pixels, void
// of all.
#include <fmt/format.h>

#include <algorithm>

#include "base/plural.h"
#include "data/check.h"

namespace frf {
namespace {

std::uint64_t Labelled(const CheckSplit& split) {
  std::uint64_t sum = 0;
  for (const std::uint64_t pixels : split.class_pixels) sum += pixels;
  return sum;
}

double Share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

std::string Heading(const CheckIssue& issue) {
  return fmt::format("{}: {}", issue.error ? "error" : "warning", issue.kind);
}

std::string ShareTable(const CheckReport& report) {
  std::size_t name_width = 5;
  for (const std::string& name : report.classes.names) name_width = std::max(name_width, name.size());
  std::string text = fmt::format("{:<{}}", "class", name_width);
  for (const CheckSplit& split : report.splits) text += fmt::format("  {:>16}", split.split + " % (images)");
  text += '\n';
  for (int id = 0; id < report.classes.count(); ++id) {
    text += fmt::format("{:<{}}", report.classes.names[id], name_width);
    for (const CheckSplit& split : report.splits) {
      const double share = 100 * Share(split.class_pixels[id], Labelled(split));
      text += fmt::format("  {:>16}", fmt::format("{:.2f} ({})", share, split.class_images[id]));
    }
    text += '\n';
  }
  text += fmt::format("{:<{}}", "void", name_width);
  for (const CheckSplit& split : report.splits) {
    text += fmt::format("  {:>16}", fmt::format("{:.2f}", 100 * Share(split.void_pixels,
                                                                      Labelled(split) + split.void_pixels)));
  }
  return text + '\n';
}

}  // namespace

Json ToJson(const CheckReport& report) {
  Json splits = Json::array(), issues = Json::array();
  for (const CheckSplit& split : report.splits) {
    Json sizes = Json::object(), shares = Json::object(), pixels = Json::object(), images = Json::object();
    for (const auto& [size, count] : split.sizes) sizes[size] = count;
    const std::uint64_t labelled = Labelled(split);
    for (int id = 0; id < report.classes.count(); ++id) {
      const std::string& name = report.classes.names[id];
      shares[name] = Share(split.class_pixels[id], labelled);
      pixels[name] = split.class_pixels[id];
      images[name] = split.class_images[id];
    }
    splits.push_back({{"split", split.split},
                      {"images", split.images},
                      {"sizes", std::move(sizes)},
                      {"void_share", Share(split.void_pixels, labelled + split.void_pixels)},
                      {"shares", std::move(shares)},
                      {"void_pixels", split.void_pixels},
                      {"class_pixels", std::move(pixels)},
                      {"class_images", std::move(images)}});
  }
  for (const CheckIssue& issue : report.issues) {
    issues.push_back({{"severity", issue.error ? "error" : "warning"},
                      {"kind", issue.kind},
                      {"split", issue.split},
                      {"file", issue.file},
                      {"message", issue.message}});
  }
  return {{"data", report.data},           {"ok", report.errors() == 0},  {"errors", report.errors()},
          {"warnings", report.warnings()}, {"splits", std::move(splits)}, {"issues", std::move(issues)}};
}

std::string FormatCheck(const CheckReport& report, int max_issues) {
  std::string text = report.data + "\n";
  for (const CheckSplit& split : report.splits) {
    std::string sizes;
    for (const auto& [size, count] : split.sizes)
      sizes += fmt::format("{}{} ({})", sizes.empty() ? "" : ", ", size, count);
    text += fmt::format("  {}; {} good; sizes {}\n", split.description, split.images,
                        sizes.empty() ? "unknown" : sizes);
  }
  text += fmt::format("\n{}\n", ShareTable(report));
  std::vector<std::string> kinds;  // errors first, then in order of appearance
  for (const bool error : {true, false}) {
    for (const CheckIssue& issue : report.issues) {
      const std::string kind = Heading(issue);
      if (issue.error == error && std::find(kinds.begin(), kinds.end(), kind) == kinds.end())
        kinds.push_back(kind);
    }
  }
  for (const std::string& kind : kinds) {
    int shown = 0, count = 0;
    std::string lines;
    for (const CheckIssue& issue : report.issues) {
      if (Heading(issue) != kind) continue;
      ++count;
      if (shown < max_issues) lines += "  " + issue.message + "\n", ++shown;
    }
    text += fmt::format("{} ({})\n{}", kind, count, lines);
    if (count > shown) text += fmt::format("  ... and {} more (--json lists all)\n", count - shown);
  }
  return text +
         fmt::format("{}, {}\n", Counted(report.errors(), "error"), Counted(report.warnings(), "warning"));
}

}  // namespace frf
