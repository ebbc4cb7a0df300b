// SPDX-License-Identifier: Apache-2.0
// What `frf segment` writes of a video: a folder of masks, a video of class colours, a video of overlays.
// Subtle: until Finish everything stands under temporary names. Masks of an earlier, longer run must not stay
// among the new ones: files called like masks are removed from the folder, times.csv is replaced, all others
// are left alone. Masks are numbered without gaps, also where frames of a camera are dropped: times.csv says
// which frame each is of, and when.
//
// Threads: used by one. Errors: one line with the output's name.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include "cli/segment.h"
#include "video/video.h"

namespace frf::cli {

// Whether a file is called like a video's mask: "000017.png".
bool IsMaskName(const std::filesystem::path& file);

class MaskFolder {
 public:
  explicit MaskFolder(std::filesystem::path path);
  ~MaskFolder();
  MaskFolder(const MaskFolder&) = delete;
  MaskFolder& operator=(const MaskFolder&) = delete;
  // Has `write` fill 000000.png, 000001.png, ... `frame`: its number in the source; `seconds`: when it is
  // shown. Where that fails, what was added before is whole.
  void Add(std::int64_t frame, double seconds, const std::function<void(const std::string& file)>& write);
  void Finish();

 private:
  void WriteTime(const std::string& line);

  std::filesystem::path path_, temporary_;
  std::int64_t next_ = 0;
  std::ofstream times_;
};

class VideoOutputs {
 public:
  VideoOutputs(const SegmentArguments& arguments, const Job& job, const Classes& classes,
               const VideoInfo& info);
  void Write(VideoFrame& frame);  // draws in frame.image
  // kind -> path. Of a camera, which cannot be recorded again, one that fails does not lose the others.
  Json Finish();
  const std::string& lost() const { return lost_; }  // why an output of a camera could not be finished

 private:
  void Create(std::unique_ptr<VideoWriter>& writer, const std::string& path, const VideoInfo& info);
  const SegmentArguments& arguments_;
  const Classes& classes_;
  std::unique_ptr<MaskFolder> masks_;
  Ratio time_base_;
  bool live_;
  std::string lost_;
  std::unique_ptr<VideoWriter> color_, overlay_;
  Image colors_;
  Json paths_ = Json::object();
};

}  // namespace frf::cli
