// SPDX-License-Identifier: Apache-2.0
// Machine facts. Subtle: in a container or a service the cgroup's limits, not the hardware's, decide memory
// and cores.
#include "base/system.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/cgroup.h"

namespace frf {
namespace {

std::string CpuName() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) {
      const auto colon = line.find(':');
      if (colon != std::string::npos && colon + 2 <= line.size()) return line.substr(colon + 2);
    }
  }
  return "unknown CPU";
}

int AvailableCores(const CgroupLimits& limits) {
  cpu_set_t set;
  CPU_ZERO(&set);
  const int cores = ::sched_getaffinity(0, sizeof(set), &set) == 0
                        ? CPU_COUNT(&set)
                        : static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  // A part of a core is rounded up.
  return std::max(1, static_cast<int>(std::ceil(std::min<double>(cores, limits.cores))));
}

std::string BestIsa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512vnni")) return "avx512-vnni";
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return "avx512";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
  return "baseline";
}

std::uint64_t MemoryBytes(const CgroupLimits& limits) {
  const auto bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                     static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return std::min(bytes, limits.memory_bytes);
}

}  // namespace

const Machine& ThisMachine() {
  static const Machine machine = [] {
    const CgroupLimits limits = ReadCgroupLimits();
    return Machine{CpuName(), AvailableCores(limits), BestIsa(), MemoryBytes(limits)};
  }();
  return machine;
}

Json ToJson(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"cores", machine.cores},
          {"isa", machine.isa},
          {"memory_bytes", machine.memory_bytes}};
}

int DefaultThreads() { return ThisMachine().cores; }
std::uint64_t DefaultMaxMemory() { return ThisMachine().memory_bytes / 2; }

std::string FormatBytes(std::uint64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

}  // namespace frf
