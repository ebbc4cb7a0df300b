// SPDX-License-Identifier: Apache-2.0
// /proc/self/cgroup names the process's group in each hierarchy, /proc/self/mountinfo where that hierarchy is
// mounted. Subtle: a group's limit holds for all below it, and files of the group at the top alone say
// nothing of a service's; and a mount may show only a part of the hierarchy ("root" of mountinfo), as in a
// container that shares its host's names.
#include "base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace frf {
namespace {

namespace fs = std::filesystem;

struct Group {
  bool v2;
  std::string controllers;  // "cpu,cpuacct"; of version 2 empty
  std::string path;         // "/system.slice/frf.service"
};

struct Mount {
  bool v2;
  std::string options;  // of version 1 the controllers are among them
  std::string root;     // the group that is seen at `point`
  std::string point;
};

bool Lists(const std::string& words, const std::string& word) {
  return ("," + words + ",").find("," + word + ",") != std::string::npos;
}

// "\134" -> "\": mountinfo's spaces and backslashes, which systemd has in names of groups.
std::string Unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      const auto digit = [&](std::size_t at) { return text[i + at] - '0'; };
      plain += static_cast<char>(64 * digit(1) + 8 * digit(2) + digit(3));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Lines of "4:memory:/docker/1f", and "0::/system.slice/frf.service" for version 2.
std::vector<Group> ReadGroups(const fs::path& file) {
  std::vector<Group> groups;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    groups.push_back({.v2 = line.starts_with("0:"),
                      .controllers = line.substr(first + 1, second - first - 1),
                      .path = line.substr(second + 1)});
  }
  return groups;
}

// Lines of "35 31 0:32 ROOT POINT rw,relatime shared:9 - cgroup SOURCE rw,memory".
std::vector<Mount> ReadMounts(const fs::path& file) {
  std::vector<Mount> mounts;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string word, root, point, type, options;
    words >> word >> word >> word >> root >> point;
    while (words >> word && word != "-") continue;
    words >> type >> word >> options;
    if (type != "cgroup" && type != "cgroup2") continue;
    mounts.push_back(
        {.v2 = type == "cgroup2", .options = options, .root = Unescape(root), .point = Unescape(point)});
  }
  return mounts;
}

// `path` as seen from `root`: "" for itself, "/b" for "/a/b" in "/a"; false where it is not inside.
bool Inside(const std::string& root, const std::string& path, std::string& below) {
  if (path.find("/..") != std::string::npos) return false;  // above what this process may see
  const std::string folder = root == "/" ? "" : root;
  if (!path.starts_with(folder + "/") && path != folder) return false;
  below = path == "/" ? "" : path.substr(folder.size());
  return true;
}

// The group's folder, and those above it up to the mount point.
std::vector<fs::path> FoldersOf(const Group& group, const std::string& controller,
                                const std::vector<Mount>& mounts, const fs::path& root) {
  const Mount* chosen = nullptr;
  std::string below;
  for (const Mount& mount : mounts) {
    if (mount.v2 != group.v2 || (!mount.v2 && !Lists(mount.options, controller))) continue;
    const bool inside = Inside(mount.root, group.path, below);
    if (chosen == nullptr || inside) chosen = &mount;  // else what can be seen holds for this process too
    if (inside) break;
  }
  std::vector<fs::path> folders;
  if (chosen == nullptr) return folders;
  const fs::path point = root / fs::path(chosen->point).relative_path();
  for (; !below.empty(); below.resize(below.rfind('/'))) {
    folders.push_back(point / fs::path(below).relative_path());
  }
  folders.push_back(point);
  return folders;
}

// False where the file is not there or starts with a word ("max").
template <class T>
bool ReadNumber(const fs::path& file, T& number) {
  std::ifstream in(file);
  return static_cast<bool>(in >> number);
}

void HeedCpu(const fs::path& folder, bool v2, CgroupLimits& limits) {
  double quota = 0, period = 0;
  if (v2) {
    std::ifstream in(folder / "cpu.max");
    if (!(in >> quota >> period)) return;
  } else if (!ReadNumber(folder / "cpu.cfs_quota_us", quota) ||
             !ReadNumber(folder / "cpu.cfs_period_us", period)) {
    return;
  }
  if (quota > 0 && period > 0) limits.cores = std::min(limits.cores, quota / period);  // -1: none
}

void HeedMemory(const fs::path& folder, bool v2, CgroupLimits& limits) {
  std::uint64_t bytes = 0;
  if (ReadNumber(folder / (v2 ? "memory.max" : "memory.limit_in_bytes"), bytes) && bytes > 0)
    limits.memory_bytes = std::min(limits.memory_bytes, bytes);
}

}  // namespace

CgroupLimits ReadCgroupLimits(const fs::path& root) {
  CgroupLimits limits;
  const std::vector<Mount> mounts = ReadMounts(root / "proc/self/mountinfo");
  for (const Group& group : ReadGroups(root / "proc/self/cgroup")) {
    if (group.v2 || Lists(group.controllers, "cpu")) {
      for (const fs::path& folder : FoldersOf(group, "cpu", mounts, root)) HeedCpu(folder, group.v2, limits);
    }
    if (group.v2 || Lists(group.controllers, "memory")) {
      for (const fs::path& folder : FoldersOf(group, "memory", mounts, root))
        HeedMemory(folder, group.v2, limits);
    }
  }
  return limits;
}

}  // namespace frf
