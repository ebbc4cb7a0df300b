// SPDX-License-Identifier: Apache-2.0
// What `frf VERB ... --json` printed, and what frf refuses.
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

// `frf WORDS...` is wrong usage: exit code 2, one line that says `named`, nothing on standard output.
inline void Refused(const std::vector<std::string>& words, const std::string& named) {
  const Finished finished = RunFrf(words);
  EXPECT_EQ(finished.code, 2) << words[0] << finished.err;
  EXPECT_NE(finished.err.find(named), std::string::npos) << finished.err;
  EXPECT_EQ(LineCount(finished.err), 1) << finished.err;
  EXPECT_TRUE(finished.out.empty()) << finished.out;
}

}  // namespace frf::test
