// SPDX-License-Identifier: Apache-2.0
// Limits of control groups, read from folders that look like those of systemd, containers and the old
// version.
#include "base/cgroup.h"

#include "base/files.h"
#include "support/support.h"

namespace frf {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
const CgroupLimits kNone;

// A machine's /proc and /sys, as far as a test writes them.
class FakeRoot : public test::TempFolder {
 public:
  void Put(const std::string& file, const std::string& text) const {
    const auto path = this->path() / file;
    std::filesystem::create_directories(path.parent_path());
    WriteFileAtomically(path, text);
  }
  void Group(const std::string& lines) const { Put("proc/self/cgroup", lines); }
  void Mounts(const std::string& lines) const {
    Put("proc/self/mountinfo", "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n" + lines);
  }
  CgroupLimits Limits() const { return ReadCgroupLimits(path()); }
};

const std::string kUnified =
    "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

TEST(Cgroup, ASystemdServiceHasItsOwnLimitsAndItsSlices) {
  const FakeRoot root;
  root.Mounts(kUnified);
  root.Group("0::/system.slice/frf.service\n");
  EXPECT_EQ(root.Limits().cores, kNone.cores) << "the group at the top has no such files";
  root.Put("sys/fs/cgroup/system.slice/cpu.max", "max 100000\n");
  root.Put("sys/fs/cgroup/system.slice/memory.max", "max\n");
  root.Put("sys/fs/cgroup/system.slice/frf.service/cpu.max", "150000 100000\n");  // CPUQuota=150%
  root.Put("sys/fs/cgroup/system.slice/frf.service/memory.max", "536870912\n");
  EXPECT_EQ(root.Limits().cores, 1.5);
  EXPECT_EQ(root.Limits().memory_bytes, 512 * kMiB);

  root.Put("sys/fs/cgroup/system.slice/cpu.max", "50000 100000\n");
  root.Put("sys/fs/cgroup/system.slice/memory.max", "268435456\n");
  EXPECT_EQ(root.Limits().cores, 0.5) << "the slice allows less than its service";
  EXPECT_EQ(root.Limits().memory_bytes, 256 * kMiB);

  root.Put("sys/fs/cgroup/system.slice/other.service/cpu.max", "10000 100000\n");
  EXPECT_EQ(root.Limits().cores, 0.5) << "a neighbour's limit is not ours";
}

TEST(Cgroup, AContainerSeesItsOwnGroupAtTheTop) {
  const FakeRoot root;
  root.Mounts(kUnified);
  root.Put("sys/fs/cgroup/cpu.max", "400000 100000\n");
  root.Put("sys/fs/cgroup/memory.max", "1073741824\n");
  for (const std::string path : {"/", "/../../user.slice/session-1.scope"}) {  // joined from outside
    root.Group("0::" + path + "\n");
    EXPECT_EQ(root.Limits().cores, 4) << path;
    EXPECT_EQ(root.Limits().memory_bytes, 1024 * kMiB) << path;
  }
}

// Without a namespace of its own a container's group has the host's name, and its mount shows it and below.
TEST(Cgroup, AMountMayShowAPartOfTheHierarchy) {
  const FakeRoot root;
  const std::string own =
      "31 22 0:26 /a\\134x2db.slice/1f /sys/fs/cgroup rw shared:4 master:1 - cgroup2 cgroup2 rw\n";
  root.Mounts("30 22 0:26 /other /mnt/other rw - cgroup2 cgroup2 rw\n" + own);
  root.Group("0::/a\\x2db.slice/1f/job:2\n");
  root.Put("mnt/other/cpu.max", "10000 100000\n");
  root.Put("sys/fs/cgroup/cpu.max", "max 100000\n");
  root.Put("sys/fs/cgroup/job:2/cpu.max", "300000 100000\n");
  EXPECT_EQ(root.Limits().cores, 3);
  root.Put("sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_EQ(root.Limits().cores, 2);
  root.Mounts(own);
  root.Group("0::/a\\x2db.slice/1f2\n");  // another group, whose name starts alike
  root.Put("sys/fs/cgroup/2/cpu.max", "10000 100000\n");
  EXPECT_EQ(root.Limits().cores, 2) << "what the mount shows at its top";
}

TEST(Cgroup, VersionOneHasAHierarchyForEachController) {
  const FakeRoot root;
  root.Mounts(
      "31 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
      "32 31 0:29 /docker/1f /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
      "33 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "34 31 0:36 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
      "35 31 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  root.Group(
      "9:name=systemd:/docker/1f\n4:memory:/docker/1f\n3:cpuset:/\n2:cpu,cpuacct:/docker/1f\n0::/docker/"
      "1f\n");
  root.Put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  root.Put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  root.Put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(root.Limits().cores, kNone.cores);
  EXPECT_EQ(root.Limits().memory_bytes, 9223372036854771712U) << "more than any machine has";
  root.Put("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "25000\n");
  root.Put("sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes", "134217728\n");
  EXPECT_EQ(root.Limits().cores, 0.25);
  EXPECT_EQ(root.Limits().memory_bytes, 128 * kMiB);
}

TEST(Cgroup, NothingToReadIsNoLimit) {
  const FakeRoot root;
  EXPECT_EQ(root.Limits().cores, kNone.cores) << "no /proc";
  root.Group("0::/\n\nnot a line\n1:\n");
  root.Mounts("30 22\n\n");
  EXPECT_EQ(root.Limits().memory_bytes, kNone.memory_bytes) << "no mount of the group's";
  root.Mounts(kUnified);
  root.Put("sys/fs/cgroup/cpu.max", "100000");
  root.Put("sys/fs/cgroup/memory.max", "");
  EXPECT_EQ(root.Limits().cores, kNone.cores) << "no period";
  EXPECT_EQ(root.Limits().memory_bytes, kNone.memory_bytes);
}

}  // namespace
}  // namespace frf
