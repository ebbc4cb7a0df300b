// SPDX-License-Identifier: Apache-2.0
#include "base/passwords.h"

#include <utility>

namespace frf {

namespace {

std::string Masked(std::string text, const char* ends) {
  for (std::size_t at = 0; (at = text.find("://", at)) != std::string::npos;) {
    at += 3;
    const std::size_t end = text.find_first_of(ends, at);
    // The last @: a password may hold one itself.
    const std::size_t host = text.substr(at, end == std::string::npos ? end : end - at).rfind('@');
    if (host != std::string::npos) text.replace(at, host, "***");
  }
  return text;
}

}  // namespace

std::string WithoutPasswords(std::string text) { return Masked(std::move(text), "/?# \"'"); }

std::string AddressWithoutPassword(std::string address) { return Masked(std::move(address), "/?#"); }

}  // namespace frf
