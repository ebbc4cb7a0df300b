// SPDX-License-Identifier: Apache-2.0
// What every test needs: a folder of its own, CamVid where it is, and the expectation of an Error.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "frf/error.h"

namespace frf::test {

// A fresh folder, removed at the end of the test.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "frf-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// CamVid at FRF_CAMVID or beside the checkout; empty when it is not there.
inline std::string CamVidFolder() {
  const char* given = std::getenv("FRF_CAMVID");
  const std::filesystem::path folder =
      given != nullptr ? std::filesystem::path(given)
                       : std::filesystem::path(FRF_SOURCE_DIR) / ".." / "shared" / "camvid";
  return std::filesystem::exists(folder / "train.txt") ? folder.lexically_normal().string() : std::string();
}

#define FRF_SKIP_WITHOUT_CAMVID()                                                                \
  if (::frf::test::CamVidFolder().empty()) {                                                     \
    GTEST_SKIP() << "CamVid is not at ../shared/camvid nor at FRF_CAMVID: this test is skipped"; \
  }

// Runs `statement`, expects an Error of `code` whose message is one line and contains `part`.
#define EXPECT_FRF_ERROR(statement, wanted_code, part)                                        \
  try {                                                                                       \
    statement;                                                                                \
    ADD_FAILURE() << "no error from " #statement;                                             \
  } catch (const ::frf::Error& error) {                                                       \
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(wanted_code)) << error.what(); \
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();       \
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();       \
  }

}  // namespace frf::test
