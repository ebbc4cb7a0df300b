// SPDX-License-Identifier: Apache-2.0
// Outside text (names in a file, values of metadata): fit for a one-line error message, or for comparing.
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

// A file's name as it is, UTF-8 too; control characters, which would break a line of output, become '?'.
inline std::string PrintableName(std::string_view name) {
  std::string result(name);
  for (char& c : result)
    if ((c >= 0 && c < 32) || c == 127) c = '?';
  return result;
}

// As a shell wants one word: in single quotes where it holds more than letters, digits and a few signs.
inline std::string ShellWord(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/+:,@%=";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

// ASCII letters in lower case, other bytes (UTF-8's too) as they are, whatever the locale.
inline std::string Lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

}  // namespace frf
