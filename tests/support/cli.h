// SPDX-License-Identifier: Apache-2.0
// What `frf VERB ... --json` printed.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include "base/json.h"
#include "support/process.h"

namespace frf::test {

// Whether the build has the program that `frf train` becomes.
inline bool HasTrain() { return std::filesystem::exists(FRF_BINARY_DIR "/bin/frf-train"); }

// Fails the test where the program failed.
inline Json ParsedOutput(const Finished& finished) {
  EXPECT_EQ(finished.code, 0) << finished.err;
  return ParseJson(finished.out, "standard output");
}

}  // namespace frf::test
