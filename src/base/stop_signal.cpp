// SPDX-License-Identifier: Apache-2.0
#include "base/stop_signal.h"

#include <atomic>
#include <csignal>

namespace frf {
namespace {

std::atomic<bool> stop_requested{false};

extern "C" void OnStopSignal(int signal) {
  stop_requested = true;
  std::signal(signal, SIG_DFL);  // the second one ends the process
}

}  // namespace

StopSignal::StopSignal() {
  stop_requested = false;
  std::signal(SIGINT, OnStopSignal);
  std::signal(SIGTERM, OnStopSignal);
}

StopSignal::~StopSignal() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool StopSignal::Requested() { return stop_requested; }
void StopSignal::Request() { stop_requested = true; }

}  // namespace frf
