// SPDX-License-Identifier: Apache-2.0
// What was measured, as a table on the terminal, as JSON and as Markdown.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/system.h"
#include "base/text.h"
#include "base/version.h"
#include "cli/bench.h"
#include "cli/cli.h"

namespace frf::cli {
namespace {

// Machine, threads, commit: what stands beside every time.
std::string Caption(const BenchReport& report) {
  return fmt::format("frf {} ({}) on {} ({}), {}, batch 1, {}", Version(), Commit(), ThisMachine().cpu,
                     IsaInUse(), ThreadsText(report.threads()),
                     report.to_labels ? "to labels: 8-bit RGB in, 8-bit labels out at full size"
                                      : "to scores: normalised float planes in, full-size float scores out");
}

std::string PeakLine(const BenchReport& report) {
  std::string line = "peak now";
  for (const Peaks& peaks : report.peaks) {
    const std::string with = report.peaks.size() > 1 ? " with " + ThreadsText({peaks.threads}) : "";
    line += fmt::format("{}{}: {}", &peaks == &report.peaks.front() ? "" : ";", with, ToText(peaks));
  }
  return line;
}

std::string Notes(const BenchReport& report) {
  std::string notes =
      "of peak: 2 x multiply-accumulates of the network / median / float32 peak; Winograd computes fewer and "
      "8-bit files cheaper ones, "
      "so it may pass 100 %. Arithmetic is float32, 8 bits where a file says so, and in rows of frf bf16 or "
      "frf f16 the products of "
      "convolutions are of 16 bits\n";
  notes += report.compared ? "labels equal: a peer's with frf's, frf's own with the plain executor's, in the "
                             "worst of the timed frames\n"
                           : "labels equal: with the plain executor's, in the worst of the timed frames\n";
  if (report.peaks.size() > 1)
    notes +=
        "speed-up: times as fast as the same engine with the fewest threads; frames of all thread counts "
        "take turns\n";
  return notes;
}

// How many times as long as frf; 0: unknown.
double TimesOurs(const BenchReport& report, const BenchRow& row) {
  const BenchRow* ours = report.OursFor(row);
  return ours != nullptr && row.error.empty() ? row.ms.median / ours->ms.median : 0;
}

std::string Milliseconds(double value) {
  return value < 10 ? fmt::format("{:.2f}", value) : fmt::format("{:.1f}", value);
}

std::string Percent(double share) {  // 99.996 must not read as 100
  if (share < 0) return "";
  const double shown = share < 1 ? std::min(share * 100, 99.999) : 100;
  return fmt::format("{:.3f} %", shown);
}

std::string Engine(const BenchRow& row) {
  return row.version.empty() ? row.engine : fmt::format("{} {}", row.engine, row.version);
}

constexpr std::array kHeads{"network", "size", "threads",   "engine",   "runs",    "median ms",    "MAD",
                            "p90",     "fps",  "times frf", "speed-up", "of peak", "labels equal", "file"};
enum Column {
  kThreads = 2,
  kEngine,
  kRuns,
  kMedian,
  kMad,
  kP90,
  kFps,
  kTimesOurs,
  kSpeedUp,
  kOfPeak,
  kEqual,
  kFile
};
using Cells = std::array<std::string, kHeads.size()>;
constexpr std::size_t kLeft[] = {0, 1, kEngine, kFile};  // columns of words

Cells CellsOf(const BenchReport& report, const BenchRow& row) {
  Cells cells{row.name, row.size, std::to_string(row.threads), Engine(row)};
  if (!row.error.empty()) {
    cells.back() = "no result: " + Printable(row.error, 300);
    return cells;
  }
  const double times = TimesOurs(report, row);
  cells[kRuns] = std::to_string(row.ms.runs);
  cells[kMedian] = Milliseconds(row.ms.median) + (row.wide_spread() ? "!" : "");
  cells[kMad] = Milliseconds(row.ms.mad);
  cells[kP90] = Milliseconds(row.ms.p90);
  cells[kFps] = fmt::format("{:.1f}", row.fps());
  cells[kTimesOurs] = times > 0 && &row != report.OursFor(row) ? fmt::format("{:.2f}", times) : "";
  cells[kSpeedUp] = row.speedup > 0 ? fmt::format("{:.2f}", row.speedup) : "";
  const double peak = report.PeaksOf(row).f32_gflops;
  cells[kOfPeak] = peak > 0 ? fmt::format("{:.0f} %", 100 * row.gflops() / peak) : "";
  cells[kEqual] = Percent(row.agreement);
  cells[kFile] = row.file;
  return cells;
}

bool Shown(const BenchReport& report, std::size_t column) {
  if (column == kThreads || column == kSpeedUp) return report.peaks.size() > 1;
  return report.compared || (column != kTimesOurs && column != kFile);
}

bool IsLeft(std::size_t column) {
  return std::find(std::begin(kLeft), std::end(kLeft), column) != std::end(kLeft);
}

// A bar would end the cell.
std::string EscapedBars(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

Json ErrorOrNull(const std::string& error) {
  return error.empty() ? Json(nullptr) : Json(Printable(error, 1000));
}

Json ToJson(const BenchReport& report, const BenchRow& row) {
  const bool good = row.error.empty();
  const auto number = [&](double value, bool known) { return good && known ? Json(value) : Json(nullptr); };
  const double times = TimesOurs(report, row);
  const Peaks& peaks = report.PeaksOf(row);
  return {{"name", row.name},
          {"size", row.size},
          {"engine", row.engine},
          {"version", row.version},
          {"precision", NameOf(row.precision)},
          {"threads", row.threads},
          {"batch", 1},
          {"runs", row.ms.runs},
          {"to", row.to_labels ? "labels" : "scores"},
          {"fps", number(row.fps(), true)},
          {"ms", good ? ToJson(row.ms) : Json(nullptr)},
          {"wide_spread", row.wide_spread()},
          {"macs", static_cast<std::int64_t>(row.macs)},
          {"peak_gops", peaks.f32_gflops},
          {"efficiency", number(row.gflops() / std::max(1e-9, peaks.f32_gflops), peaks.f32_gflops > 0)},
          {"peaks", ToJson(peaks)},
          {"speedup", number(row.speedup, row.speedup > 0)},
          {"times_frf", number(times, times > 0)},
          {"agreement", number(row.agreement, row.agreement >= 0)},
          {"agreement_with", IsOurs(row.engine) ? "plain executor" : "frf"},
          {"scores_difference", number(row.scores_difference, row.scores_difference >= 0)},
          {"file", row.file},
          {"error", ErrorOrNull(row.error)},
          {"kernels", IsaInUse()},
          {"machine", frf::ToJson(ThisMachine())},
          {"commit", Commit()}};
}

}  // namespace

const Peaks& BenchReport::PeaksOf(const BenchRow& row) const {
  return *std::find_if(peaks.begin(), peaks.end(),
                       [&](const Peaks& with) { return with.threads == row.threads; });
}

const BenchRow* BenchReport::OursFor(const BenchRow& row) const {
  for (const BenchRow& ours : rows) {
    if (IsOurs(ours.engine) && ours.name == row.name && ours.size == row.size &&
        ours.threads == row.threads && ours.error.empty())
      return &ours;
  }
  return nullptr;
}

std::vector<int> BenchReport::threads() const {
  std::vector<int> counts;
  for (const Peaks& with : peaks) counts.push_back(with.threads);
  return counts;
}

std::string ThreadsText(const std::vector<int>& counts) {
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : i + 1 == counts.size() ? " and " : ", ", counts[i]);
  }
  return text + (text == "1" ? " thread" : " threads");
}

void PrintTable(const BenchReport& report) {
  std::vector<Cells> lines;
  for (const BenchRow& row : report.rows) lines.push_back(CellsOf(report, row));
  std::array<std::size_t, kHeads.size()> widths{};
  for (std::size_t c = 0; c < kHeads.size(); ++c) {
    widths[c] = std::string(kHeads[c]).size();
    for (const Cells& cells : lines)
      widths[c] = std::max(widths[c], c + 1 < kHeads.size() ? cells[c].size() : 0);
  }
  const auto print = [&](const auto& cells) {
    std::string line;
    for (std::size_t c = 0; c < kHeads.size(); ++c) {
      if (!Shown(report, c) && std::string(cells[c]).rfind("no result", 0) != 0) continue;
      line += IsLeft(c) ? fmt::format("{:<{}}  ", cells[c], widths[c])
                        : fmt::format("{:>{}}  ", cells[c], widths[c]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  };
  fmt::print("{}\n{}\n\n", Caption(report), PeakLine(report));
  print(kHeads);
  for (const Cells& cells : lines) print(cells);
  fmt::print("\n{}", Notes(report));
}

Json ToJson(const BenchReport& report) {
  if (report.rows.size() == 1) return ToJson(report, report.rows.front());
  Json list = Json::array();
  for (const BenchRow& row : report.rows) list.push_back(ToJson(report, row));
  return list;
}

std::string Markdown(const BenchReport& report) {
  std::string text = fmt::format("# frf bench\n\n{}; {}.\n\n", Caption(report), PeakLine(report));
  const auto add = [&](const auto& cells) {
    std::string line = "|";
    for (std::size_t c = 0; c < kHeads.size(); ++c) {
      if (Shown(report, c)) line += fmt::format(" {} |", cells[c]);
    }
    text += line + "\n";
  };
  add(kHeads);
  Cells rule;
  for (std::size_t c = 0; c < kHeads.size(); ++c) rule[c] = IsLeft(c) ? "---" : "---:";
  add(rule);
  for (const BenchRow& row : report.rows) {
    Cells cells = CellsOf(report, row);
    for (std::string& cell : cells) cell = EscapedBars(cell);
    if (IsOurs(row.engine) && row.error.empty() && report.compared) {
      for (const std::size_t c : {kEngine, kMedian, kFps}) cells[c] = "**" + cells[c] + "**";
    }
    add(cells);
  }
  text += "\n![milliseconds a frame](bench.svg)\n\n";
  const std::string notes = Notes(report);
  for (std::size_t begin = 0, end; begin < notes.size(); begin = end + 1) {
    end = notes.find('\n', begin);
    text += "- " + notes.substr(begin, end - begin) + "\n";
  }
  return text;
}

}  // namespace frf::cli
