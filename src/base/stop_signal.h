// SPDX-License-Identifier: Apache-2.0
// Ctrl-C (SIGINT) and SIGTERM ask for a stop while a StopSignal lives; a second one ends the process at once.
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
