// SPDX-License-Identifier: Apache-2.0
// Runs a program as a user would and keeps what it printed.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/support.h"

namespace frf::test {

struct Finished {
  int code = -1;    // exit code; 128 + signal where one ended it
  std::string out;  // standard output
  std::string err;  // standard error
};

inline std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::string Quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// `program`: a path. `environment`: "NAME=value" words put in front.
inline Finished RunProgram(const std::string& program, const std::vector<std::string>& words,
                           const std::string& environment = {}) {
  const TempFolder folder;
  std::string command = environment.empty() ? "" : "env " + environment + " ";
  command += Quoted(program);
  for (const auto& word : words) command.append(" ").append(Quoted(word));
  command += " </dev/null >" + (folder / "out") + " 2>" + (folder / "err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), ReadWhole(folder / "out"),
          ReadWhole(folder / "err")};
}

inline Finished RunFrf(const std::vector<std::string>& words, const std::string& environment = {}) {
  return RunProgram(FRF_BINARY_DIR "/bin/frf", words, environment);
}

inline int LineCount(const std::string& text) {
  int lines = 0;
  for (const char c : text) lines += c == '\n';
  return lines;
}

}  // namespace frf::test
