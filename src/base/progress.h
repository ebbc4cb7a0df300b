// SPDX-License-Identifier: Apache-2.0
// A progress bar with the time left, on standard error, only where that is a terminal and the work takes over
// a second. Elsewhere (pipes, CI) it prints nothing.
//
//   Progress progress("segment", images.size());
//   for (const auto& image : images) { ...; progress.Advance(); }
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace frf {

class Progress {
 public:
  Progress(std::string title,
           std::int64_t total);  // total 0: unknown (a camera); steps and the time so far are shown
  ~Progress();                   // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `note` stands behind the time left, for instance "loss 0.412".
  void Advance(std::int64_t steps = 1, const std::string& note = {});

 private:
  using Clock = std::chrono::steady_clock;
  std::string title_;
  std::int64_t total_, done_ = 0;
  Clock::time_point started_, drawn_{};
  bool terminal_;
};

// Erases the bar from the terminal's last line so that a log line can stand there; the next Advance redraws
// it.
void ClearProgressLine();

// "1:02:03" or "4:05"; negative and non-finite values give "-:--".
std::string FormatDuration(double seconds);

}  // namespace frf
