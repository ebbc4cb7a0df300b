// SPDX-License-Identifier: Apache-2.0
// Ctrl-C (SIGINT), SIGTERM and SIGHUP (the terminal is closed, unless nohup has it ignored) ask for a stop
// while a StopSignal lives; a second Ctrl-C or SIGTERM ends the process at once. Those that come within half
// a second of the first are not a second one: `timeout` sends two.
//
//   const StopSignal signals;
//   while (!StopSignal::Requested()) Step();
#pragma once

namespace frf {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  static bool Requested();  // from any thread
  static void Request();    // as if a signal had come (tests)
};

}  // namespace frf
