// SPDX-License-Identifier: Apache-2.0
// What machine this is: shown beside every time, and what decides memory limits and thread counts.
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

namespace frf {

struct Machine {
  std::string cpu;                 // "AMD EPYC", from /proc/cpuinfo
  int cores = 1;                   // cores this process may run on (affinity and cgroup limits heeded)
  std::string isa;                 // best of "avx512-vnni", "avx512", "avx2", "baseline"
  std::uint64_t memory_bytes = 0;  // RAM or the cgroup's limit, the smaller
};

const Machine& ThisMachine();
Json ToJson(const Machine& machine);

// Number of threads to use when none is asked for: ThisMachine().cores.
int DefaultThreads();

// Half of RAM unless set: what --max-memory means when it is not given.
std::uint64_t DefaultMaxMemory();

// "4.2 GiB", "812 KiB".
std::string FormatBytes(std::uint64_t bytes);

}  // namespace frf
