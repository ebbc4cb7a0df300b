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

// Half of 6 s wait for whoever opens it; what is delivered is what comes from then on, in its own time.
TEST_F(Camera, WhatWaitedForTheCallerIsNotShownInOneBurst) {
  const test::TempFolder folder;
  test::WriteClip(folder / "a.ts", {.pts = test::EvenPts(150), .height = 96, .width = 128});
  const test::StreamCamera camera({.bytes = ReadFile(folder / "a.ts"), .at_once = 0.5, .ms = 3000});
  const auto source = Open(camera.Address(), {}, 10);
  const double base = source->info().time_base.value();
  VideoFrame frame;
  std::vector<double> shown;
  int behind = 0;  // frames that came much sooner than they are apart
  double came = 0;
  EXPECT_FRF_ERROR(
      [&] {
        const auto start = std::chrono::steady_clock::now();
        while (source->Read(frame)) {
          shown.push_back(static_cast<double>(frame.pts) * base);
          const double now = Seconds(std::chrono::steady_clock::now() - start).count();
          behind += shown.size() > 1 && now - came < 0.2 * (shown.back() - shown.end()[-2]);
          came = now;
        }
      }(),
      ErrorCode::kIo, "the camera closed its connection");
  ASSERT_GT(shown.size(), 20u);
  EXPECT_LT(shown.size(), 90u);
  EXPECT_EQ(shown.front(), 0);
  EXPECT_LT(behind, 30);
}

// Whose name for JPEG is not the standard's, or says more.
TEST_F(Camera, PicturesOfAnyNameForJpegAreTaken) {
  for (const char* type : {"image/jpg", "image/jpeg; charset=utf-8"}) {
    const MjpegCamera camera({.frames = 12, .end = CameraEnd::kSilence, .type = type});
    const auto source = Open(camera.Address(), {}, 10);
    VideoFrame frame;
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(source->Read(frame)) << i;
      EXPECT_EQ(test::NumberOf(frame.image), 5);
    }
  }
}

TEST_F(Camera, WhatIsNoPictureIsSaidToBeNone) {
  const MjpegCamera camera({.frames = 12, .type = "text/plain", .head = "Content-Type: text/plain"});
  EXPECT_FRF_ERROR(Open(camera.Address(), {}, 10), ErrorCode::kIo,
                   camera.Address() + ": cannot open the camera");
}

TEST_F(Camera, AnEndInTheMiddleIsTheCamerasEnd) {
  const MjpegCamera camera(
      {.frames = 9,
       .head = "Content-Length: 9999999\r\nContent-Type: multipart/x-mixed-replace;boundary=frame"});
  const auto source = Open(camera.Address(), {}, 10);
  VideoFrame frame;
  EXPECT_FRF_ERROR(while (source->Read(frame)){}, ErrorCode::kIo,
                   camera.Address() + ": the camera closed its connection");
}

TEST_F(Camera, AFileIsNone) {
  const test::TempFolder folder;
  WriteFileAtomically(folder / "clip.mp4", "x");
  EXPECT_FRF_ERROR(Open(folder / "clip.mp4"), ErrorCode::kUsage, "clip.mp4: is a file, no camera");
}

TEST_F(Camera, PasswordsAreNotShown) {
  const MjpegCamera mute({.frames = -1, .end = CameraEnd::kSilence});
  EXPECT_FRF_ERROR(Open(mute.Address("rtsp://admin:s3c@ret@")), ErrorCode::kIo,
                   mute.Address("rtsp://***@") + ": no answer");
}

}  // namespace
}  // namespace frf
