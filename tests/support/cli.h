// SPDX-License-Identifier: Apache-2.0
// What `frf VERB ... --json` printed.
#pragma once

#include <gtest/gtest.h>

#include "base/json.h"
#include "support/process.h"

namespace frf::test {

// Fails the test where the program failed.
inline Json ParsedOutput(const Finished& finished) {
  EXPECT_EQ(finished.code, 0) << finished.err;
  return ParseJson(finished.out, "standard output");
}

}  // namespace frf::test
