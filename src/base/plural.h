// SPDX-License-Identifier: Apache-2.0
// Counts in sentences for people.
#pragma once

#include <concepts>
#include <string>

namespace frf {

// "1 image", "2 images". Only for words whose plural is an "s".
std::string Counted(std::integral auto count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace frf
