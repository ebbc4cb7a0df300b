// SPDX-License-Identifier: Apache-2.0
// A signal that ends the program leaves no half-written file, and ends it as it would have.
#include "base/temporaries.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/files.h"
#include "base/stop_signal.h"
#include "support/support.h"

namespace frf {
namespace {

// The signal that ended a process which did `work`; 0 where it ended by itself.
template <typename Work>
int SignalThatEnded(const Work& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);  // a test that runs in the background of a script has it ignored
    std::signal(SIGTERM, SIG_DFL);
    std::signal(SIGHUP, SIG_DFL);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

constexpr std::chrono::milliseconds kLater{600};  // than what counts as the same signal

bool IsEmpty(const test::TempFolder& folder) { return std::filesystem::is_empty(folder.path()); }

TEST(Temporaries, AreRemovedByASignalThatThenEndsTheProcess) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const test::TempFolder folder;
    EXPECT_EQ(SignalThatEnded([&] {
                RemoveTemporariesOnSignals();
                WriteFileAtomically(folder / "whole", "x");
                std::filesystem::remove(folder / "whole");
                WriteFileAtomically(folder / "half", [&](const AppendBytes& append) {
                  append("half", 4);
                  if (!IsEmpty(folder)) ::raise(signal);
                });
              }),
              signal);
    EXPECT_TRUE(IsEmpty(folder));
  }
}

TEST(Temporaries, AWholeFileStaysAndWhatIsIgnoredStaysIgnored) {
  const test::TempFolder folder;
  EXPECT_EQ(SignalThatEnded([&] {
              RemoveTemporariesOnSignals();
              WriteFileAtomically(folder / "whole", "x");
              ::raise(SIGINT);
            }),
            SIGINT);
  EXPECT_EQ(ReadFile(folder / "whole"), "x");
  EXPECT_EQ(SignalThatEnded([] {
              std::signal(SIGINT, SIG_IGN);
              RemoveTemporariesOnSignals();
              ::raise(SIGINT);
            }),
            0);
}

TEST(Temporaries, AStopSignalGoesFirstAndGivesTheSignalsBack) {
  const test::TempFolder folder;
  EXPECT_EQ(SignalThatEnded([&] {
              RemoveTemporariesOnSignals();
              {
                const StopSignal signals;
                ::raise(SIGTERM);
                if (!StopSignal::Requested()) ::_exit(1);
              }
              const PendingFile pending(folder / "a");
              std::ofstream(pending.temporary()) << "half";
              if (!IsEmpty(folder)) ::raise(SIGTERM);
            }),
            SIGTERM);
  EXPECT_TRUE(IsEmpty(folder));
}

TEST(Temporaries, WhatWasIgnoredIsIgnoredAgain) {
  const auto ended = [](int twice) {
    return SignalThatEnded([&] {
      std::signal(SIGINT, SIG_IGN);
      {
        const StopSignal signals;
        for (int i = 0; i < twice; ++i) {
          if (i > 0) std::this_thread::sleep_for(kLater);
          ::raise(SIGINT);
        }
      }
      ::raise(SIGINT);
    });
  };
  EXPECT_EQ(ended(1), 0);
  EXPECT_EQ(ended(2), SIGINT) << "the second one ends it";
}

// `timeout` sends its signal to the program and, at once, to the group that the program is in.
TEST(Temporaries, SignalsInOneMomentAreOneStop) {
  EXPECT_EQ(SignalThatEnded([] {
              const StopSignal signals;
              for (int i = 0; i < 3; ++i) ::raise(i == 1 ? SIGINT : SIGTERM);
              if (!StopSignal::Requested()) ::_exit(1);
            }),
            0);
}

// A shell whose terminal is closed passes on the signal that the terminal's end has sent already.
TEST(Temporaries, ATerminalsEndIsOneStopHoweverOftenItIsSaid) {
  EXPECT_EQ(SignalThatEnded([] {
              const StopSignal signals;
              for (int i = 0; i < 3; ++i) ::raise(SIGHUP);
              if (!StopSignal::Requested()) ::_exit(1);
              ::raise(SIGINT);
              std::this_thread::sleep_for(kLater);
              ::raise(SIGINT);
            }),
            SIGINT);
  EXPECT_EQ(SignalThatEnded([] {
              { const StopSignal signals; }
              ::raise(SIGHUP);
            }),
            SIGHUP);
  EXPECT_EQ(SignalThatEnded([] {
              std::signal(SIGHUP, SIG_IGN);  // nohup
              const StopSignal signals;
              ::raise(SIGHUP);
              if (StopSignal::Requested()) ::raise(SIGKILL);
            }),
            0);
}

TEST(Temporaries, ManyAtOnceAreNoFault) {
  const test::TempFolder folder;
  std::vector<std::unique_ptr<PendingFile>> files;
  for (int i = 0; i < 40; ++i) files.push_back(std::make_unique<PendingFile>(folder / std::to_string(i)));
  for (const auto& file : files) std::ofstream(file->temporary()) << "x";
  files.clear();
  EXPECT_TRUE(IsEmpty(folder));
}

}  // namespace
}  // namespace frf
