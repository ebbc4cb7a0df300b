// SPDX-License-Identifier: Apache-2.0
#include "base/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace frf {

std::string FlushOutput() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return "";
  const std::string why = errno != 0 ? std::string(": ") + std::strerror(errno) : "";
  return "standard output: cannot write" + why;
}

}  // namespace frf
