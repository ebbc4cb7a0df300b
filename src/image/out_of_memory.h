// SPDX-License-Identifier: Apache-2.0
// At the functions that other programs call: an allocation that fails leaves them as the library's own error.
#pragma once

#include <new>
#include <string>

#include "frf/error.h"

namespace frf {

// What `body` returns; kOutOfMemory where it throws std::bad_alloc. `file` starts the error.
template <typename Body>
decltype(auto) OrOutOfMemory(const Body& body, const std::string& file = "") {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::kOutOfMemory, file + (file.empty() ? "" : ": ") +
                                             "out of memory; a smaller input or fewer sessions need less");
  }
}

}  // namespace frf
