// SPDX-License-Identifier: Apache-2.0
// The file that libavformat writes a video into. Subtle: a recording that fills the disk is worth having up
// to there, but an mp4's index is written at its end. So a recording keeps some room for its end beside it,
// in a file without a name, and gives it up once there is no other. Files may also be limited in size: by a
// rlimit, and to 4 GiB on FAT, as on memory cards.
//
// Threads: used by one. Errors: AVERROR(errno) by way of libavformat; opening throws one line with the name.
#pragma once

#include <cstdint>
#include <string>

#include "video/ffmpeg/ffmpeg.h"

namespace frf::video {

class OutputFile {
 public:
  // `file` is there and is written from its start; `name` is what errors call it. `reserve`: bytes kept for
  // the end; 0: none.
  OutputFile(const std::string& file, const std::string& name, std::int64_t reserve);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  AVIOContext* context() const { return context_; }
  // The reserve is being used: nothing but the end should be written.
  bool full() const { return full_; }
  int Close();  // 0 or the first error of any write

 private:
  static int Write(void* self, std::uint8_t* data, int size);
  static std::int64_t Seek(void* self, std::int64_t offset, int whence);
  void Release();

  AVIOContext* context_ = nullptr;
  int fd_ = -1, reserve_fd_ = -1;
  std::int64_t room_;  // bytes that the file may have before it counts as full
  bool full_ = false;
};

}  // namespace frf::video
