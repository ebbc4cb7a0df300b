// SPDX-License-Identifier: Apache-2.0
// Outside text (names in a file, values of metadata) made fit for a one-line error message.
#pragma once

#include <string>
#include <string_view>

namespace frf {

// Control characters and bytes above ASCII become '?', long text is cut with "...": "'conv1?'" never breaks a
// line.
inline std::string Printable(std::string_view text, std::size_t max_length = 80) {
  std::string result;
  for (const char c : text.substr(0, max_length)) result += c >= 32 && c < 127 ? c : '?';
  return text.size() > max_length ? result + "..." : result;
}

}  // namespace frf
