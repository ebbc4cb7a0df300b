// SPDX-License-Identifier: Apache-2.0
// Machine facts, byte sizes, JSON's order and errors, durations, the progress bar on and off a terminal, log
// lines.
#include "base/system.h"

#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <sys/wait.h>

#include <array>
#include <limits>
#include <thread>

#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "support/support.h"

namespace frf {
namespace {

TEST(System, ThisMachineIsWithinItsAffinity) {
  const Machine& machine = ThisMachine();
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(::sched_getaffinity(0, sizeof(set), &set), 0);
  EXPECT_GE(machine.cores, 1);
  EXPECT_LE(machine.cores, CPU_COUNT(&set));
  EXPECT_FALSE(machine.cpu.empty());
  EXPECT_GT(machine.memory_bytes, std::uint64_t{1} << 26);
  EXPECT_EQ(DefaultThreads(), machine.cores);
  EXPECT_EQ(DefaultMaxMemory(), machine.memory_bytes / 2);
  const Json json = ToJson(machine);
  EXPECT_EQ(json.at("cores"), machine.cores);
  EXPECT_EQ(json.at("isa"), machine.isa);
}

TEST(System, BytesForPeople) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.0 KiB");
  EXPECT_EQ(FormatBytes(831488), "812.0 KiB");
  EXPECT_EQ(FormatBytes(std::uint64_t{4509715660}), "4.2 GiB");
  EXPECT_EQ(FormatBytes(std::uint64_t{5} << 50), "5120.0 TiB");
}

TEST(Json, KeepsOrderAndNamesTheSourceOfAnError) {
  EXPECT_EQ(ParseJson(R"({"z":1,"a":[true,null]})", "x").dump(), R"({"z":1,"a":[true,null]})");
  for (const std::string text : {"", "{", "{\"a\":}", "[1,\n\n2", "nul", "{\"a\":1}x", "\"\n\"", "\xff"}) {
    EXPECT_FRF_ERROR(ParseJson(text, "classes.json"), ErrorCode::kCorruptFile, "classes.json: not JSON: ");
  }
}

TEST(Progress, DurationsForPeople) {
  EXPECT_EQ(FormatDuration(0), "0:00");
  EXPECT_EQ(FormatDuration(59.4), "0:59");
  EXPECT_EQ(FormatDuration(59.6), "1:00");
  EXPECT_EQ(FormatDuration(245), "4:05");
  EXPECT_EQ(FormatDuration(3723), "1:02:03");
  EXPECT_EQ(FormatDuration(-1), "-:--");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::infinity()), "-:--");
  EXPECT_EQ(FormatDuration(std::numeric_limits<double>::quiet_NaN()), "-:--");
}

// What two steps of work, 1.1 s in all, write to standard error; `terminal`: a pseudo-terminal, else a pipe.
std::string ProgressOutput(bool terminal) {
  std::array<int, 2> ends{};
  if ((terminal ? ::openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr) : ::pipe(ends.data())) != 0)
    return "no channel";
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    {
      Progress progress("segment", 2);
      progress.Advance();
      std::this_thread::sleep_for(std::chrono::milliseconds(1100));
      progress.Advance(1, "loss 0.5");
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text;
  std::array<char, 512> buffer{};
  for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? text : "failed";
}

TEST(Progress, DrawsOnATerminalOnly) {
  const std::string shown = ProgressOutput(true);
  EXPECT_NE(shown.find("segment [========================] 2/2"), std::string::npos) << shown;
  EXPECT_NE(shown.find("loss 0.5"), std::string::npos);
  EXPECT_TRUE(shown.ends_with("\r\033[K")) << "the line is cleared at the end";
  EXPECT_EQ(ProgressOutput(false), "");
}

TEST(Log, LinesGoToStandardErrorAtTheirLevel) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  SetLogLevel(LogLevel::kWarning);
  LogInfo("not this");
  LogWarning("a {brace} stays");
  SetLogLevel(LogLevel::kInfo);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "warning: a {brace} stays\n");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

}  // namespace
}  // namespace frf
