// SPDX-License-Identifier: Apache-2.0
#include "base/temporaries.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstring>
#include <mutex>

namespace frf {
namespace {

struct Place {
  std::atomic<bool> used{false};  // its name is whole
  char path[PATH_MAX];
};
static_assert(std::atomic<bool>::is_always_lock_free);

std::array<Place, 16> places;  // more than there are writers at once; never freed, so always readable
std::mutex writing;            // of places; the handler reads alone

extern "C" void OnEndingSignal(int signal) {
  for (const Place& place : places)
    if (place.used) ::unlink(place.path);
  std::signal(signal, SIG_DFL);
  ::raise(signal);  // it comes once this handler returns
}

}  // namespace

void RememberTemporary(const std::string& path) {
  if (path.size() >= PATH_MAX) return;
  const std::lock_guard lock(writing);
  for (Place& place : places) {
    if (place.used) continue;
    std::memcpy(place.path, path.c_str(), path.size() + 1);
    place.used = true;
    return;
  }
}

void ForgetTemporary(const std::string& path) {
  const std::lock_guard lock(writing);
  for (Place& place : places) {
    if (!place.used || path != place.path) continue;
    place.used = false;
    return;
  }
}

void RemoveTemporariesOnSignals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
      std::signal(signal, OnEndingSignal);
  }
}

}  // namespace frf
