// SPDX-License-Identifier: Apache-2.0
// Our end of a peer's process: started with two pipes, asked line by line, never waited for without a limit.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/files.h"
#include "base/text.h"
#include "cli/bench_peer.h"
#include "frf/error.h"

extern char** environ;

namespace frf::cli {
namespace {

[[noreturn]] void FailIo(const std::string& what) {
  throw Error(ErrorCode::kIo, fmt::format("{}: {}", what, std::strerror(errno)));
}

// A pipe whose ends lie clear of the numbers that the other process gets, and which no third process
// inherits.
std::pair<int, int> MakePipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) FailIo("a pipe to a peer");
  for (int& end : ends) {
    const int moved = ::fcntl(end, F_DUPFD_CLOEXEC, 10);
    if (moved < 0) FailIo("a pipe to a peer");
    ::close(end);
    end = moved;
  }
  return {ends[0], ends[1]};
}

std::vector<std::string> Split(const std::string& line) {
  std::vector<std::string> words(1);
  for (const char c : line) {
    if (c == '\t')
      words.emplace_back();
    else
      words.back() += c;
  }
  return words;
}

}  // namespace

SharedBytes::SharedBytes(const std::filesystem::path& path, std::size_t bytes) {
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC | (bytes > 0 ? O_CREAT : 0), 0600);
  if (file < 0) FailIo(path.string());
  struct stat status {};
  // The blocks are asked for now: a full disk is an error here, and not a signal later.
  bool good = bytes == 0 || (errno = ::posix_fallocate(file, 0, static_cast<off_t>(bytes))) == 0;
  good = good && ::fstat(file, &status) == 0;
  if (good) {
    size_ = static_cast<std::size_t>(status.st_size);
    data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    good = data_ != MAP_FAILED;
  }
  const int error = errno;
  ::close(file);
  if (good) return;
  data_ = nullptr;
  errno = error;
  FailIo(path.string());
}

SharedBytes::~SharedBytes() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

SharedBytes::SharedBytes(SharedBytes&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

SharedBytes& SharedBytes::operator=(SharedBytes&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

PeerProcess::PeerProcess(const std::vector<std::string>& command, const std::filesystem::path& log)
    : log_(log) {
  const auto [their_in, our_out] = MakePipe();
  const auto [our_in, their_out] = MakePipe();
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, their_in, 3);
  ::posix_spawn_file_actions_adddup2(&actions, their_out, 4);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
  ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  std::vector<char*> words;
  for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const int error = ::posix_spawn(&process_, words[0], &actions, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(their_in);
  ::close(their_out);
  to_ = our_out, from_ = our_in;
  if (error == 0) return;
  process_ = -1;
  ::close(to_);
  ::close(from_);
  errno = error;
  FailIo(command[0]);
}

PeerProcess::~PeerProcess() {
  ::close(to_);
  ::close(from_);
  End();
}

void PeerProcess::End() {
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

std::string PeerProcess::HowItEnded() {
  int status = 0;
  pid_t gone = 0;
  // An end of file comes a moment before the process is gone; one that closed its pipe and lives on is ended.
  for (int i = 0; i < 100 && (gone = ::waitpid(process_, &status, WNOHANG)) == 0; ++i) ::usleep(10'000);
  if (gone == 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, &status, 0);
  }
  process_ = -1;
  std::string last;
  try {
    const std::string text = ReadFile(log_);
    for (std::size_t begin = 0, end; begin < text.size(); begin = end + 1) {
      end = std::min(text.find('\n', begin), text.size());
      if (end > begin) last = text.substr(begin, end - begin);
    }
  } catch (const Error&) {
  }
  const std::string how = WIFSIGNALED(status) ? fmt::format("it was ended by signal {}", WTERMSIG(status))
                                              : fmt::format("it ended with code {}", WEXITSTATUS(status));
  return last.empty() ? how : fmt::format("{}; its last words: {}", how, Printable(last, 160));
}

std::string PeerProcess::ReadLine(double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (;;) {
    const std::size_t line_end = received_.find('\n');
    if (line_end != std::string::npos) {
      const std::string line = received_.substr(0, line_end);
      received_.erase(0, line_end + 1);
      return line;
    }
    const double left =
        std::chrono::duration<double, std::milli>(end - std::chrono::steady_clock::now()).count();
    pollfd wanted{from_, POLLIN, 0};
    const int ready = ::poll(&wanted, 1, std::max(0, static_cast<int>(left)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) {
      End();
      throw Error(ErrorCode::kInternal, fmt::format("no answer within {:g} s; it was ended", seconds));
    }
    char buffer[4096];
    const ssize_t count = ::read(from_, buffer, sizeof buffer);
    if (count <= 0) throw Error(ErrorCode::kInternal, HowItEnded());
    received_.append(buffer, static_cast<std::size_t>(count));
  }
}

std::vector<std::string> PeerProcess::Ask(const std::vector<std::string>& words, const std::string& wanted,
                                          double seconds) {
  if (process_ <= 0) throw Error(ErrorCode::kInternal, "it ended before");
  if (!words.empty()) {
    const std::string line = fmt::format("{}\n", fmt::join(words, "\t"));
    // The signal of a pipe that nobody reads must not end us.
    struct sigaction ignore {
    }, before{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before);
    std::size_t done = 0;
    while (done < line.size()) {
      const ssize_t count = ::write(to_, line.data() + done, line.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      done += static_cast<std::size_t>(count);
    }
    ::sigaction(SIGPIPE, &before, nullptr);
    if (done < line.size()) throw Error(ErrorCode::kInternal, HowItEnded());
  }
  std::vector<std::string> answer = Split(ReadLine(seconds));
  if (answer[0] == wanted) {
    answer.erase(answer.begin());
    return answer;
  }
  End();
  if (answer[0] == "error")
    throw Error(ErrorCode::kInternal, Printable(answer.size() > 1 ? answer[1] : "", 240));
  throw Error(ErrorCode::kInternal,
              fmt::format("'{}' was expected, it said '{}'", wanted, Printable(answer[0])));
}

}  // namespace frf::cli
