// SPDX-License-Identifier: Apache-2.0
// Two ranks for tests, over 127.0.0.1: as threads of one process, which is quick, or as frf-train's
// processes.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "support/process.h"
#include "train/distributed.h"

// As in cmake/Train.cmake, which looks for these headers.
#if __has_include(<gloo/config.h>)
#define FRF_SKIP_WITHOUT_GLOO()
#else
#define FRF_SKIP_WITHOUT_GLOO() \
  GTEST_SKIP() << "Gloo's headers are not here (Debian: libgloo-dev): frf-train was built without it"
#endif

namespace frf::test {

// A port that nothing listens on.
inline int FreePort() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ::bind(socket, reinterpret_cast<sockaddr*>(&address), size);
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  ::close(socket);
  return ntohs(address.sin_port);
}

// Runs `body` once a rank, each in its thread; returns what each threw ("" for nothing).
inline std::vector<std::string> AsRanks(int size, double timeout,
                                        const std::function<void(Distributed&)>& body) {
  std::vector<std::string> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  const int port = FreePort();
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const World world{.rank = rank, .size = size, .address = "127.0.0.1", .port = port};
        const auto distributed = Distributed::Join(world, {.timeout_seconds = timeout});
        try {
          body(*distributed);
          distributed->Leave("");
        } catch (const std::exception& error) {
          distributed->Leave(error.what());
          throw;
        }
      } catch (const std::exception& error) {
        errors[static_cast<std::size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

// A process of frf-train with its output in files.
class Rank {
 public:
  Rank(std::vector<std::string> words, std::vector<std::string> environment) {
    words.insert(words.begin(), FRF_BINARY_DIR "/bin/frf-train");
    std::vector<char*> argv, envp;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    for (std::string& entry : environment) envp.push_back(entry.data());
    for (char** entry = environ; *entry != nullptr; ++entry) envp.push_back(*entry);
    envp.push_back(nullptr);
    const std::string out = folder_ / "out", err = folder_ / "err";
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(::open("/dev/null", O_RDONLY), 0);
      ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT, 0600), 1);
      ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT, 0600), 2);
      ::execve(argv[0], argv.data(), envp.data());
      ::_exit(127);
    }
  }
  ~Rank() {
    if (pid_ <= 0) return;
    Kill(SIGKILL);
    Wait(10);
  }
  Rank(const Rank&) = delete;
  Rank& operator=(const Rank&) = delete;

  void Kill(int signal) const {
    if (pid_ > 0) ::kill(pid_, signal);
  }
  // Exit code, 128 + signal, or -1 where it still runs after so long.
  int Wait(double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    int status = 0;
    while (pid_ > 0 && std::chrono::steady_clock::now() < end) {
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return -1;
  }
  std::string out() const { return ReadWhole(folder_ / "out"); }
  std::string err() const { return ReadWhole(folder_ / "err"); }

 private:
  TempFolder folder_;
  pid_t pid_ = -1;
};

inline std::vector<std::string> RankEnvironment(int rank, int size, int port) {
  return {"RANK=" + std::to_string(rank),
          "WORLD_SIZE=" + std::to_string(size),
          "MASTER_ADDR=127.0.0.1",
          "MASTER_PORT=" + std::to_string(port),
          "OMP_NUM_THREADS=1",
          "OMP_WAIT_POLICY=passive"};
}

}  // namespace frf::test
