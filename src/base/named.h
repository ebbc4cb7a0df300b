// SPDX-License-Identifier: Apache-2.0
// Errors of work on a file by code that does not know its name: the network's, an encoder's.
#pragma once

#include <string>
#include <string_view>

#include "base/text.h"
#include "frf/error.h"

namespace frf {

// What `work` gives; its errors begin with `name`.
template <typename Work>
auto Named(std::string_view name, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    throw Error(error.code(), PrintableName(name) + ": " + error.what());
  }
}

}  // namespace frf
