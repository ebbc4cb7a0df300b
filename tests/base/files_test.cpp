// SPDX-License-Identifier: Apache-2.0
// Whole-file reading and atomic writing: what was there stays until its successor is complete, also on a full
// disk.
#include "base/files.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/stop_signal.h"
#include "support/support.h"

namespace frf {
namespace {

std::ptrdiff_t FilesIn(const std::filesystem::path& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

TEST(ReadFile, GivesEveryByteOfAnySize) {
  const test::TempFolder folder;
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{13}, std::size_t{65536}, std::size_t{300001}}) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) bytes += static_cast<char>(i * 31);
    WriteFileAtomically(folder / "x", bytes);
    EXPECT_EQ(ReadFile(folder / "x"), bytes);
    EXPECT_EQ(ReadFile(folder / "x", size), bytes);
  }
}

TEST(ReadFile, NamesTheFileInEveryRefusal) {
  const test::TempFolder folder;
  WriteFileAtomically(folder / "ten", "0123456789");
  EXPECT_FRF_ERROR(ReadFile(folder / "none"), ErrorCode::kNotFound, "none: cannot open");
  EXPECT_FRF_ERROR(ReadFile(folder.path()), ErrorCode::kInvalidArgument, "is a folder");
  EXPECT_FRF_ERROR(ReadFile(folder / "ten", 9), ErrorCode::kOutOfMemory, "ten: 10 bytes, at most 9");
  EXPECT_FRF_ERROR(ReadFile("/dev/zero", 100000), ErrorCode::kOutOfMemory,
                   "/dev/zero: more than 100000 bytes");
}

TEST(ReadFile, ReadsAPipeToItsEnd) {
  const test::TempFolder folder;
  const std::string pipe = folder / "pipe", bytes(200000, 'p');
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(pipe, std::ios::binary) << bytes; });
  EXPECT_EQ(ReadFile(pipe), bytes);
  writer.join();
}

TEST(WriteFileAtomically, ReplacesAndLeavesNothingElse) {
  const test::TempFolder folder;
  WriteFileAtomically(folder / "a", "old, and longer");
  WriteFileAtomically(folder / "a", "new");
  EXPECT_EQ(ReadFile(folder / "a"), "new");
  WriteFileAtomically(folder / "a", [](const AppendBytes& append) {
    append("one ", 4);
    append("", 0);
    append("two", 3);
  });
  EXPECT_EQ(ReadFile(folder / "a"), "one two");
  EXPECT_EQ(FilesIn(folder.path()), 1);
}

TEST(WriteFileAtomically, KeepsTheOldFileWhenTheWriterThrows) {
  const test::TempFolder folder;
  WriteFileAtomically(folder / "a", "old");
  EXPECT_THROW(WriteFileAtomically(folder / "a",
                                   [](const AppendBytes& append) {
                                     append("half", 4);
                                     throw std::runtime_error("no more");
                                   }),
               std::runtime_error);
  EXPECT_EQ(ReadFile(folder / "a"), "old");
  EXPECT_EQ(FilesIn(folder.path()), 1);
}

// A limit on file size stands for a full disk: write fails half way. In a process of its own, as the limit
// stays.
TEST(WriteFileAtomically, KeepsTheOldFileWhenTheDiskIsFull) {
  const test::TempFolder folder;
  WriteFileAtomically(folder / "a", "old");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit { 1000, 1000 };
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      WriteFileAtomically(folder / "a", std::string(5000, 'x'));
    } catch (const Error& error) {
      ::_exit(error.code() == ErrorCode::kIo &&
                      std::string(error.what()).find("/a: cannot write: ") != std::string::npos
                  ? 0
                  : 1);
    }
    ::_exit(2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(ReadFile(folder / "a"), "old");
  EXPECT_EQ(FilesIn(folder.path()), 1);
}

TEST(WriteFileAtomically, NamesThePlaceItCannotWriteTo) {
  const test::TempFolder folder;
  EXPECT_FRF_ERROR(WriteFileAtomically(folder / "no/such/a", "x"), ErrorCode::kNotFound,
                   "no/such/a: cannot create");
  std::filesystem::create_directory(folder / "taken");
  EXPECT_FRF_ERROR(WriteFileAtomically(folder / "taken", "x"), ErrorCode::kInvalidArgument,
                   "taken: cannot replace");
  EXPECT_EQ(FilesIn(folder.path()), 1);
}

// A model that others find by a link ("latest") must not cut the link off.
TEST(WriteFileAtomically, FillsWhatALinkNames) {
  const test::TempFolder folder;
  std::filesystem::create_directory(folder / "models");
  WriteFileAtomically(folder / "models/one", "old");
  std::filesystem::create_symlink("models/one", folder / "latest");
  std::filesystem::create_symlink("latest", folder / "link");
  std::filesystem::create_symlink("models/two", folder / "next");  // to what is not there yet
  std::filesystem::create_symlink("no/such/folder", folder / "lost");
  std::filesystem::create_symlink("loop", folder / "loop");
  WriteFileAtomically(folder / "link", "new");
  WriteFileAtomically(folder / "next", "two");
  EXPECT_EQ(ReadFile(folder / "models/one"), "new");
  EXPECT_EQ(ReadFile(folder / "models/two"), "two");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "latest"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "next"));
  EXPECT_EQ(FilesIn(folder / "models"), 2);
  EXPECT_FRF_ERROR(WriteFileAtomically(folder / "lost", "x"), ErrorCode::kNotFound, "lost: cannot create");
  EXPECT_FRF_ERROR(WriteFileAtomically(folder / "loop", "x"), ErrorCode::kInvalidArgument,
                   "loop: cannot follow the link");
  EXPECT_EQ(FilesIn(folder.path()), 6);
}

// As root a rename over /dev/null would replace the machine's; through a link the test risks only the link.
TEST(WriteFileAtomically, WritesIntoPipesAndDevices) {
  const test::TempFolder folder;
  const std::string pipe = folder / "pipe", bytes(200000, 'p');
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = ReadFile(pipe); });
  WriteFileAtomically(pipe, bytes);
  reader.join();
  EXPECT_EQ(got, bytes);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));

  std::filesystem::create_symlink("/dev/null", folder / "null");
  WriteFileAtomically(folder / "null", bytes);
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "null"));
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  std::filesystem::create_symlink("/dev/full", folder / "full");
  EXPECT_FRF_ERROR(WriteFileAtomically(folder / "full", "x"), ErrorCode::kIo, "full: cannot write");
  EXPECT_TRUE(std::filesystem::is_character_file(folder / "full"));
  EXPECT_EQ(FilesIn(folder.path()), 3);
}

// /dev/stdout is a link to a link of the kernel's own, "pipe:[4711]", which no folder holds.
TEST(WriteFileAtomically, WritesIntoAPipeWithoutAName) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  WriteFileAtomically("/proc/self/fd/" + std::to_string(ends[1]), "bytes");
  ::close(ends[1]);
  EXPECT_EQ(ReadFile("/proc/self/fd/" + std::to_string(ends[0])), "bytes");
  ::close(ends[0]);
}

// Nobody is at the other side, or nobody goes on there: a stop must end the wait.
TEST(Pipes, AStopEndsWaiting) {
  const test::TempFolder folder;
  const std::string pipe = folder / "pipe", bytes(200000, 'p');
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const StopSignal signals;
  const auto stopped_after_a_while = [](const auto& work) {
    std::thread stopper([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      StopSignal::Request();
    });
    work();
    stopper.join();
    const StopSignal afresh;
  };
  stopped_after_a_while([&] {
    EXPECT_FRF_ERROR(WriteFileAtomically(pipe, bytes), ErrorCode::kInterrupted,
                     "pipe: stopped before anybody read this pipe");
  });
  stopped_after_a_while([&] {
    EXPECT_FRF_ERROR(ReadFile(pipe), ErrorCode::kInterrupted,
                     "pipe: stopped while waiting for the pipe's other side");
  });
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  stopped_after_a_while([&] {
    EXPECT_FRF_ERROR(WriteFileAtomically(pipe, bytes), ErrorCode::kInterrupted,
                     "pipe: stopped while waiting for the pipe's other side");
  });
  ::close(reader);
}

// Threads of one process, and processes that have one number in two containers, may write one name.
TEST(WriteFileAtomically, WritersOfOneNameAreInNobodysWay) {
  const test::TempFolder folder;
  const std::string path = folder / "same";
  std::vector<std::thread> writers;
  std::atomic<int> failed{0};
  for (const char letter : {'a', 'b', 'c'}) {
    writers.emplace_back([&, letter] {
      for (int i = 0; i < 60; ++i) {
        try {
          WriteFileAtomically(path, std::string(20000, letter));
        } catch (const Error&) {
          ++failed;
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(failed, 0);
  const std::string bytes = ReadFile(path);
  EXPECT_EQ(bytes, std::string(20000, bytes[0]));
  EXPECT_EQ(FilesIn(folder.path()), 1);
}

TEST(PendingFile, LeavesAPipeThatWasNotFilled) {
  const test::TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  { const PendingFile pending(folder / "pipe"); }
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
}

TEST(MakeFolder, MakesParentsAndMindsFilesInTheWay) {
  const test::TempFolder folder;
  MakeFolder(folder / "a/b/c");
  MakeFolder(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
  WriteFileAtomically(folder / "file", "x");
  EXPECT_FRF_ERROR(MakeFolder(folder / "file"), ErrorCode::kInvalidArgument,
                   "file: cannot create the folder");
  EXPECT_FRF_ERROR(MakeFolder(folder / "file/below"), ErrorCode::kInvalidArgument,
                   "below: cannot create the folder");
}

TEST(ProgramFolder, HoldsThisTest) {
  EXPECT_TRUE(std::filesystem::exists(ProgramFolder() / "frf_test_base"));
}

TEST(Files, AReplacedFileKeepsWhoMayReadIt) {
  const test::TempFolder folder;
  const std::string file = folder / "a";
  WriteFileAtomically(file, "one");
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  WriteFileAtomically(file, "two");
  EXPECT_EQ(ReadFile(file), "two");
  EXPECT_EQ(std::filesystem::status(file).permissions(), std::filesystem::perms(0600));
}

}  // namespace
}  // namespace frf
