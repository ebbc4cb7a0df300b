// SPDX-License-Identifier: Apache-2.0
#include "base/stop_signal.h"

#include <time.h>

#include <atomic>
#include <csignal>
#include <cstdint>

namespace frf {
namespace {

using Handler = void (*)(int);

std::atomic<bool> stop_requested{false};
std::atomic<std::int64_t> first_ms{0};  // when the first of SIGINT and SIGTERM came; 0: none yet
static_assert(std::atomic<std::int64_t>::is_always_lock_free);
// What they did before a StopSignal lived.
Handler interrupt_before = SIG_DFL, terminate_before = SIG_DFL, hangup_before = SIG_DFL;

// `timeout` sends its signal to the program and to the program's group, a terminal and a supervisor may each
// send one: what follows this soon is the same wish, not a second one.
constexpr std::int64_t kSameWish = 500;

std::int64_t NowMs() {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // POSIX allows it in a handler
  return std::int64_t{1000} * now.tv_sec + now.tv_nsec / 1'000'000 + 1;
}

extern "C" void OnStopSignal(int signal) {
  stop_requested = true;
  if (signal == SIGHUP) return;  // a shell passes on the one that the terminal's end has already sent
  const std::int64_t now = NowMs();
  std::int64_t first = 0;
  if (first_ms.compare_exchange_strong(first, now) || now - first < kSameWish) return;
  const Handler before = signal == SIGINT ? interrupt_before : terminate_before;
  // The second one ends the process, also where it was ignored: in a script's background job, say.
  std::signal(signal, before == SIG_IGN ? SIG_DFL : before);
  ::raise(signal);  // it comes once this handler returns
}

Handler Taken(int signal) {
  const Handler before = std::signal(signal, OnStopSignal);
  return before == SIG_ERR || before == OnStopSignal ? SIG_DFL : before;
}

}  // namespace

StopSignal::StopSignal() {
  stop_requested = false;
  first_ms = 0;
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
