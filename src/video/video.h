// SPDX-License-Identifier: Apache-2.0
// Videos and cameras as frames in and frames out, and where the code that knows codecs comes from.
//
//   VideoLibrary& video = LoadVideoLibrary();                      // throws where this build has none
//   auto source = video.Open({.input = "clip.mp4"});
//   auto writer = video.Create({.path = "out.mp4", .info = source->info()});
//   for (VideoFrame frame; source->Read(frame);) writer->Write(frame.image, frame.pts);
//   writer->Finish();
//
// Subtle: FFmpeg's libraries bring about 200 others, which take longer to load than a picture takes to label.
// So they are linked by a library of their own (src/video/ffmpeg), which is opened when the first video is
// named; nothing in this header needs them.
//
// Threads: a source and a writer are each used by one thread at a time; two of them may work side by side.
// Ownership: frames belong to the caller, who hands the same ones back to be filled again.
// Errors: frf::Error, one line that begins with the file's or camera's name.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "frf/image.h"

namespace frf {

struct Ratio {
  int num = 0, den = 1;
  double value() const { return den == 0 ? 0 : static_cast<double>(num) / den; }
};

struct VideoInfo {
  int height = 0, width = 0;  // upright: the container's rotation is counted in
  Ratio rate;                 // frames a second; of a variable rate the average
  Ratio time_base{1, 1000};   // seconds that a pts counts
  Ratio pixel_aspect{1, 1};   // of one pixel, width to height
  std::int64_t frames = 0;    // about how many there are, for progress; 0: unknown
  std::int64_t end = 0;       // in time_base: when the last of exactly `frames` is over; 0: unknown
  bool live = false;          // frames come when they come: whoever is late loses some
};

struct VideoFrame {
  Image image;        // RGB
  LabelImage labels;  // of whoever labels it
  std::int64_t pts =
      0;  // when it is shown, in VideoInfo::time_base; rises from frame to frame, the file starts at 0
  std::int64_t number = 0;  // 0, 1, ... as the source gave them, dropped ones counted
};

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  virtual const VideoInfo& info() const = 0;
  // Fills `frame` (image, pts), its buffers used again; false at the end or when `stop` said so.
  virtual bool Read(VideoFrame& frame) = 0;
  // After the end: why there may be fewer frames than there should be ("" where all is well), and whether the
  // file was cut.
  virtual std::string warning() const { return {}; }
  virtual bool cut_short() const { return false; }
};

class VideoWriter {
 public:
  virtual ~VideoWriter() = default;  // without Finish nothing is left, and what was at the path stays
  // RGB of the size in `info`; `pts` in its time base, rising.
  virtual void Write(const Image& image, std::int64_t pts) = 0;
  virtual void Finish() = 0;
  virtual const std::string& encoder() const = 0;  // "libx264"
};

struct SourceOptions {
  std::string input;  // a file; with `camera` a number, a device ("/dev/video0") or an address ("rtsp://...")
  bool camera = false;
  int height = 0, width = 0;     // wanted of a camera; 0: as it likes
  double rate = 0;               // frames a second wanted of a camera; 0: as it likes
  std::string format;            // of a camera: "mjpeg", "yuyv422"; empty: as it likes
  std::uint64_t max_memory = 0;  // bytes that frames may take; 0: half of RAM
  std::function<bool()> stop;    // asked while waiting, from the thread that reads
  double patience = 10;          // seconds without an answer or a frame after which a camera is given up
};

struct WriterOptions {
  std::string path;  // its ending decides the container; written under a temporary name, renamed by Finish
  VideoInfo info;
};

class VideoLibrary {
 public:
  virtual ~VideoLibrary() = default;
  virtual std::unique_ptr<FrameSource> Open(const SourceOptions& options) = 0;
  virtual std::unique_ptr<VideoWriter> Create(const WriterOptions& options) = 0;
};

// Opened once and kept. kUnsupported where frf was built without it, or where FFmpeg's libraries are not on
// this machine; the line says what to install.
VideoLibrary& LoadVideoLibrary();

bool LooksLikeVideoFile(const std::string& path);  // by ending: mp4, mov, mkv, webm, avi, ...

}  // namespace frf
