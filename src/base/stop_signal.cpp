// SPDX-License-Identifier: Apache-2.0
#include "base/stop_signal.h"

#include <atomic>
#include <csignal>

namespace frf {
namespace {

using Handler = void (*)(int);

std::atomic<bool> stop_requested{false};
Handler interrupt_before = SIG_DFL, terminate_before = SIG_DFL;  // what they did before a StopSignal lived

extern "C" void OnStopSignal(int signal) {
  stop_requested = true;
  std::signal(signal,
              signal == SIGINT ? interrupt_before : terminate_before);  // the second one ends the process
}

// What was ignored, in a job that a script runs in the background say, can be stopped as well.
Handler Ending(Handler before) {
  return before == SIG_IGN || before == SIG_ERR || before == OnStopSignal ? SIG_DFL : before;
}

}  // namespace

StopSignal::StopSignal() {
  stop_requested = false;
  interrupt_before = Ending(std::signal(SIGINT, OnStopSignal));
  terminate_before = Ending(std::signal(SIGTERM, OnStopSignal));
}

StopSignal::~StopSignal() {
  std::signal(SIGINT, interrupt_before);
  std::signal(SIGTERM, terminate_before);
}

bool StopSignal::Requested() { return stop_requested; }
void StopSignal::Request() { stop_requested = true; }

}  // namespace frf
