// SPDX-License-Identifier: Apache-2.0
#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>

namespace frf {
namespace {

std::atomic<bool> line_shown{false};
constexpr auto kQuietFor = std::chrono::milliseconds(1000);
constexpr auto kRedrawEvery = std::chrono::milliseconds(100);
constexpr int kBarWidth = 24;

// Not fmt::print, which throws: a terminal that was closed must not end the work.
void Draw(const std::string& line) {
  std::fputs(("\r\033[K" + line).c_str(), stderr);
  std::fflush(stderr);
  line_shown = true;
}

}  // namespace

std::string FormatDuration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-:--";
  const auto whole = static_cast<std::int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

void ClearProgressLine() {
  if (line_shown.exchange(false)) std::fputs("\r\033[K", stderr);
}

Progress::Progress(std::string title, std::int64_t total)
    : title_(std::move(title)),
      total_(total),
      started_(Clock::now()),
      terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() { ClearProgressLine(); }

void Progress::Advance(std::int64_t steps, const std::string& note) {
  done_ += steps;
  if (!terminal_) return;
  const auto now = Clock::now();
  if (now - started_ < kQuietFor || (now - drawn_ < kRedrawEvery && done_ != total_)) return;
  drawn_ = now;
  const double fraction =
      total_ > 0 ? std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)) : 0;
  const double elapsed = std::chrono::duration<double>(now - started_).count();
  if (total_ <= 0) {
    Draw(fmt::format("{} {}  {}  {}", title_, done_, FormatDuration(elapsed), note));
    return;
  }
  const double left = fraction > 0 ? elapsed / fraction - elapsed : -1;
  const int filled = static_cast<int>(fraction * kBarWidth);
  Draw(fmt::format("{} [{}{}] {}/{}  {} left  {}", title_, std::string(filled, '='),
                   std::string(kBarWidth - filled, ' '), done_, total_, FormatDuration(left), note));
}

}  // namespace frf
