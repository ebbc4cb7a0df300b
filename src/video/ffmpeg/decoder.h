// SPDX-License-Identifier: Apache-2.0
// A file's or camera's pictures through libavformat, libavcodec and libswscale: upright 8-bit RGB, in the
// order they are shown. Subtle: a phone stores the sensor's rows and a matrix that says how to turn them; the
// matrix is one of eight, those of EXIF orientation, so pictures and videos are turned by one piece of code.
//
// Threads: used by one; the codec has some of its own. Ownership: its own buffers, the caller's frames.
// Errors: a file that cannot be read at all throws when opened, so does an mp4 or avi whose index points
// beyond its end. Packets that cannot be decoded are skipped and counted in warning(), which also tells of a
// clock that jumps back; a size that changes throws.
#pragma once

#include "frf/image.h"
#include "video/ffmpeg/ffmpeg.h"
#include "video/ffmpeg/frame_clock.h"

namespace frf::video {

// EXIF orientation of a display matrix; 1 where it is none of the eight.
int OrientationOf(const std::int32_t* matrix);

// Any pixel format to RGB, rows without padding.
class RgbConverter {
 public:
  void Convert(const AVFrame& frame, Image& image, const std::string& name);

 private:
  Owned<SwsContext> scaler_;
  int format_ = -1, space_ = -1, range_ = -1;
};

class Decoder final : public FrameSource {
 public:
  explicit Decoder(const SourceOptions& options);
  ~Decoder() override;
  const VideoInfo& info() const override { return info_; }
  bool Read(VideoFrame& frame) override;
  std::string warning() const override;
  bool cut_short() const override { return cut_short_; }

 private:
  void OpenContainer();
  void OpenCamera(const char* format);  // libavformat's name of what it sends; null: as it looks
  void OpenCodec();
  void Describe();
  void CheckIndex() const;
  bool IsAddress() const;  // of a camera: "rtsp://...", no device
  bool IsLive() const;
  bool ReceiveCurrent();
  bool Receive();
  bool ReadPacket();  // false at the end or on `stop`
  void CountDamage(int sent);
  void NoteEnd();
  void Deliver(VideoFrame& frame);
  bool Stopped() const { return options_.stop && options_.stop(); }
  void StartWaiting();
  bool Late() const;
  [[noreturn]] void ThrowLate(const char* awaited) const;
  // While opening: throws where what failed was cut off by a stop or by the deadline: FFmpeg's own reason
  // says nothing then.
  void ExplainCutOff(const char* awaited) const;
  static int Interrupted(void* self);

  SourceOptions options_;
  std::string name_;  // as it is shown
  AVFormatContext* format_ = nullptr;
  AVStream* stream_ = nullptr;
  AVRational time_base_{0, 1};  // of packets, frames and clock_
  bool by_arrival_ = false;     // a camera whose packets state no times
  Owned<AVCodecContext> codec_;
  Owned<AVPacket> packet_;
  Owned<AVFrame> frame_;
  RgbConverter converter_;
  Image unturned_;
  VideoInfo info_;
  int orientation_ = 1;
  std::int64_t deadline_ = 0;  // av_gettime_relative() at which waiting ends, 0: never
  FrameClock clock_;
  bool behind_ = false;             // a camera of which frames of before now may wait
  std::int64_t last_duration_ = 0;  // of the last frame, as its packet says; 0: not said
  std::int64_t sent_ = 0, delivered_ = 0, damaged_ = 0;
  bool ended_ = false, partial_packet_ = false, cut_short_ = false;
  std::string end_note_;
};

}  // namespace frf::video
