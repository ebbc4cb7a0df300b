// SPDX-License-Identifier: Apache-2.0
// Network cameras that give nothing, or no more: what is said, and that a stop is heard.
#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "support/mjpeg_camera.h"

namespace frf {
namespace {

using test::CameraEnd;
using test::MjpegCamera;

using Seconds = std::chrono::duration<double>;

class Camera : public ::testing::Test {
 protected:
  void SetUp() override { FRF_SKIP_WITHOUT_VIDEO(); }
  static std::unique_ptr<FrameSource> Open(const std::string& address, std::function<bool()> stop = {},
                                           double patience = 0.4) {
    return LoadVideoLibrary().Open(
        {.input = address, .camera = true, .stop = std::move(stop), .patience = patience});
  }
};

TEST_F(Camera, SilenceIsSaidAsSuch) {
  for (const char* scheme : {"http://", "rtsp://"}) {
    const MjpegCamera mute({.frames = -1, .end = CameraEnd::kSilence});
    EXPECT_FRF_ERROR(Open(mute.Address(scheme)), ErrorCode::kIo,
                     mute.Address(scheme) + ": no answer for 0.4 s");
  }
  const MjpegCamera empty({.frames = 0, .end = CameraEnd::kSilence});
  EXPECT_FRF_ERROR(Open(empty.Address()), ErrorCode::kIo, " for 0.4 s");
  const MjpegCamera stalls({.frames = 5, .end = CameraEnd::kSilence});
  const auto source = Open(stalls.Address(), {}, 2);
  VideoFrame frame;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(source->Read(frame)) << i;
  EXPECT_FRF_ERROR(source->Read(frame), ErrorCode::kIo, stalls.Address() + ": no frame for 2 s");
}

TEST_F(Camera, AStopBeforeTheFirstFrameIsSaidAsSuch) {
  for (const char* scheme : {"http://", "rtsp://"}) {
    const MjpegCamera mute({.frames = -1, .end = CameraEnd::kSilence});
    EXPECT_FRF_ERROR(Open(mute.Address(scheme), [] { return true; }), ErrorCode::kInterrupted,
                     mute.Address(scheme) + ": stopped before its first frame");
  }
}

TEST_F(Camera, PicturesInHttpAreOfWhenTheyCome) {
  for (const int every : {8, 100}) {  // not 25 a second
    const int frames = every < 40 ? 120 : 12;
    const MjpegCamera camera({.frames = frames, .end = CameraEnd::kSilence, .every = every});
    const auto source = Open(camera.Address(), {}, 10);
    VideoFrame frame;
    std::vector<std::int64_t> came;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < frames; ++i) {
      ASSERT_TRUE(source->Read(frame)) << i;
      came.push_back(frame.pts);
    }
    const double passed = Seconds(std::chrono::steady_clock::now() - start).count();
    const double shown = static_cast<double>(came.back() - came.front()) * source->info().time_base.value();
    EXPECT_GT(shown, 0.0007 * every * frames) << every;
    EXPECT_LT(shown, passed + 0.005) << every;
    EXPECT_EQ(std::adjacent_find(came.begin(), came.end(), std::greater_equal<>()), came.end());
    EXPECT_EQ(source->warning(), "");
  }
}

TEST_F(Camera, PasswordsAreNotShown) {
  const MjpegCamera mute({.frames = -1, .end = CameraEnd::kSilence});
  EXPECT_FRF_ERROR(Open(mute.Address("rtsp://admin:s3c@ret@")), ErrorCode::kIo,
                   mute.Address("rtsp://***@") + ": no answer");
}

}  // namespace
}  // namespace frf
