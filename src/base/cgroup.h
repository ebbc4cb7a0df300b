// SPDX-License-Identifier: Apache-2.0
// What control groups leave this process of the machine: a container's limits, a systemd service's
// (CPUQuota=, MemoryMax=), a batch job's. Version 1 and 2, and both beside each other.
//
//   ReadCgroupLimits().cores                  // 1.5 under CPUQuota=150%, infinity where nothing is set
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>

namespace frf {

struct CgroupLimits {
  double cores = std::numeric_limits<double>::infinity();                  // seconds of CPU a second
  std::uint64_t memory_bytes = std::numeric_limits<std::uint64_t>::max();  // those of RAM, without swap
};

// The least of the process's own group and of all above it. `root` stands before every path that is read.
CgroupLimits ReadCgroupLimits(const std::filesystem::path& root = "/");

}  // namespace frf
