// SPDX-License-Identifier: Apache-2.0
// The C API's promises about files: what a failed read leaves, a model's file that changes under its
// sessions.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "engine/c_api_status.h"
#include "engine/small_model.h"
#include "frf/frf.h"
#include "support/support.h"

namespace frf::test {
namespace {

TEST(CApiFiles, AFailedReadLeavesTheImageAlone) {
  const TempFolder folder;
  const std::uint8_t pixels[3] = {};
  frf_image image{pixels, 1, 2, 3, FRF_BGR};
  WriteFileAtomically(folder / "text.png", "no picture");
  EXPECT_STATUS(frf_image_read((folder / "text.png").c_str(), &image), FRF_UNSUPPORTED, "text.png");
  EXPECT_STATUS(frf_image_read((folder / "none.png").c_str(), &image), FRF_NOT_FOUND, "none.png");
  EXPECT_STATUS(frf_image_read(nullptr, &image), FRF_INVALID_ARGUMENT, "path is NULL");
  EXPECT_EQ(image.data, pixels);
  EXPECT_EQ(image.height, 1);
  EXPECT_EQ(image.width, 2);
  EXPECT_EQ(image.row_stride, 3);
  EXPECT_EQ(image.order, FRF_BGR);
}

// A session reads a fixed-size file anew where another one has used up the first reading (frf/frf.h).
TEST(CApiFiles, AFileThatChangesBetweenSessionsIsNoticed) {
  const TempFolder folder;
  const std::string path = folder / "m.onnx";
  WriteFileAtomically(path, MakeModelBytes("frfnet-slim", {}, {.size = std::pair{48, 64}}));
  frf_model* model = nullptr;
  ASSERT_EQ(frf_model_load(path.c_str(), &model), FRF_OK) << frf_last_error();
  const Image image = Photo(48, 64);
  std::vector<std::uint8_t> labels(48 * 64);
  const frf_image in{image.pixels.data(), 48, 64, std::ptrdiff_t{3} * 64, FRF_RGB};
  const frf_labels out{labels.data(), 48, 64, 64};
  const auto run = [&] {
    frf_session* session = nullptr;
    EXPECT_EQ(frf_session_create(model, nullptr, &session), FRF_OK) << frf_last_error();
    const frf_status status = frf_session_run(session, &in, &out);
    frf_session_free(session);
    return status;
  };
  EXPECT_EQ(run(), FRF_OK) << frf_last_error();
  WriteFileAtomically(path, MakeModelBytes("frfnet-slim", {.fit = Fit::kNative}));
  EXPECT_STATUS(run(), FRF_INVALID_ARGUMENT, "has changed since it was loaded");
  std::filesystem::remove(path);
  EXPECT_STATUS(run(), FRF_NOT_FOUND, "m.onnx");
  frf_model_free(model);
}

}  // namespace
}  // namespace frf::test
