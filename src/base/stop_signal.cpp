// SPDX-License-Identifier: Apache-2.0
#include "base/stop_signal.h"

#include <atomic>
#include <csignal>

namespace frf {
namespace {

using Handler = void (*)(int);

std::atomic<bool> stop_requested{false};
// What they did before a StopSignal lived.
Handler interrupt_before = SIG_DFL, terminate_before = SIG_DFL, hangup_before = SIG_DFL;

extern "C" void OnStopSignal(int signal) {
  stop_requested = true;
  if (signal == SIGHUP) return;  // a shell passes on the one that the terminal's end has already sent
  const Handler before = signal == SIGINT ? interrupt_before : terminate_before;
  // The second one ends the process, also where it was ignored: in a script's background job, say.
  std::signal(signal, before == SIG_IGN ? SIG_DFL : before);
}

Handler Taken(int signal) {
  const Handler before = std::signal(signal, OnStopSignal);
  return before == SIG_ERR || before == OnStopSignal ? SIG_DFL : before;
}

}  // namespace

StopSignal::StopSignal() {
  stop_requested = false;
  interrupt_before = Taken(SIGINT);
  terminate_before = Taken(SIGTERM);
  hangup_before = Taken(SIGHUP);
  if (hangup_before == SIG_IGN) std::signal(SIGHUP, SIG_IGN);  // nohup
}

StopSignal::~StopSignal() {
  std::signal(SIGINT, interrupt_before);
  std::signal(SIGTERM, terminate_before);
  std::signal(SIGHUP, hangup_before);
}

bool StopSignal::Requested() { return stop_requested; }
void StopSignal::Request() { stop_requested = true; }

}  // namespace frf
