// SPDX-License-Identifier: Apache-2.0
// A peer that failed has ended, and what it had started with it: whatever still runs takes cores from the
// engines that are timed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "base/files.h"
#include "cli/bench_peer.h"
#include "support/support.h"

namespace frf {
namespace {

// Gone within ten seconds: an orphan's end is its new parent's affair.
bool Gone(pid_t process) {
  const std::string stat = "/proc/" + std::to_string(process) + "/stat";
  for (int i = 0; i < 1000; ++i) {
    std::string text;
    try {
      text = ReadFile(stat);
    } catch (const Error&) {
      return true;
    }
    if (text.find(") Z") != std::string::npos) return true;
    ::usleep(10'000);
  }
  return false;
}

TEST(PeerProcess, OneThatDoesNotAnswerIsEnded) {
  const test::TempFolder folder;
  cli::PeerProcess peer({"/bin/sh", "-c", "printf 'ready\\t1\\n' >&4; exec sleep 300"}, folder / "log");
  EXPECT_EQ(peer.Ask({}, "ready", 60).at(0), "1");
  const pid_t process = peer.id();
  EXPECT_FRF_ERROR(peer.Ask({"run"}, "ms", 0.2), ErrorCode::kInternal,
                   "no answer within 0.2 s; it was ended");
  EXPECT_EQ(::kill(process, 0), -1) << "it still runs";
  EXPECT_FRF_ERROR(peer.Ask({"run"}, "ms", 0.2), ErrorCode::kInternal, "it ended before");
}

TEST(PeerProcess, OneThatTalksNonsenseIsEnded) {
  for (const auto& [said, wanted] : {std::pair("hello\\t1", "'ready' was expected, it said 'hello'"),
                                     {"error\\tno such layer", "no such layer"}}) {
    const test::TempFolder folder;
    cli::PeerProcess peer({"/bin/sh", "-c", std::string("printf '") + said + "\\n' >&4; exec sleep 300"},
                          folder / "log");
    const pid_t process = peer.id();
    EXPECT_FRF_ERROR(peer.Ask({}, "ready", 60), ErrorCode::kInternal, wanted);
    EXPECT_EQ(::kill(process, 0), -1) << "it still runs";
  }
}

// ncnn's end with a pnnx that never comes to an end.
TEST(PeerProcess, AConverterEndsWithItsPeer) {
  const std::string python = "/usr/bin/python3";
  if (!std::filesystem::exists(python)) GTEST_SKIP() << python << " is not here";
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "pnnx");
  WriteFileAtomically(folder / "numpy.py", "");
  WriteFileAtomically(folder / "ncnn.py", "__version__ = '1'\n");
  WriteFileAtomically(folder / "pnnx/__init__.py", "");
  WriteFileAtomically(folder / "pnnx/pnnx", "#!/bin/sh\necho $$ > '" + (folder / "id") + ".new'\nmv '" +
                                                (folder / "id") + ".new' '" + (folder / "id") +
                                                "'\nexec sleep 300\n");
  std::filesystem::permissions(folder / "pnnx/pnnx", std::filesystem::perms::owner_all);
  cli::PeerProcess peer(
      {"/usr/bin/env", "PYTHONPATH=" + folder.path().string(), python, "-c", cli::kNcnnProgram},
      folder / "log");
  EXPECT_EQ(peer.Ask({}, "ready", 60).at(0), "1");
  const std::vector<std::string> load{"load", folder / "m.onnx", "in", "out", "f32", "64", "96", "1"};
  EXPECT_FRF_ERROR(peer.Ask(load, "ok", 5), ErrorCode::kInternal, "no answer within 5 s");
  ASSERT_TRUE(std::filesystem::exists(folder / "id")) << ReadFile(folder / "log");
  EXPECT_TRUE(Gone(std::stoi(ReadFile(folder / "id")))) << "pnnx still runs";
}

}  // namespace
}  // namespace frf
