// SPDX-License-Identifier: Apache-2.0
// What libfrf-video.so shows to frf (two functions, see src/video/library.cpp), and FFmpeg's log.
#include <fmt/format.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "base/passwords.h"
#include "base/version.h"
#include "video/ffmpeg/ffmpeg.h"

namespace frf::video {
namespace {

std::mutex log_mutex;  // codecs log from threads of their own
std::string last_line;

void Log(void* context, int level, const char* format, va_list arguments) {
  static const bool debug = [] {
    const char* wanted = std::getenv("FRF_LOG");
    return wanted != nullptr && std::string_view(wanted) == "debug";
  }();
  if (debug && level <= AV_LOG_INFO) {
    va_list copy;
    va_copy(copy, arguments);
    char shown[1024];
    int with_prefix = 1;
    av_log_format_line2(context, level, format, copy, shown, sizeof shown, &with_prefix);
    va_end(copy);
    std::fputs(WithoutPasswords(shown).c_str(), stderr);
  }
  if (level > AV_LOG_ERROR) return;
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  std::string text = line;
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' '; }, ' ');
  text.erase(text.find_last_not_of(" .") + 1);
  if (text.empty()) return;
  const std::lock_guard lock(log_mutex);
  last_line = text;
}

class Library final : public VideoLibrary {
 public:
  Library() { KeepLog(); }
  std::unique_ptr<FrameSource> Open(const SourceOptions& options) override { return OpenSource(options); }
  std::unique_ptr<VideoWriter> Create(const WriterOptions& options) override { return CreateWriter(options); }
};

}  // namespace

void KeepLog() { av_log_set_callback(Log); }

void ForgetLog() {
  const std::lock_guard lock(log_mutex);
  last_line.clear();
}

std::string LastLogLine() {
  const std::lock_guard lock(log_mutex);
  return WithoutPasswords(last_line);
}

void Throw(ErrorCode code, const std::string& name, const std::string& what, int result) {
  char text[AV_ERROR_MAX_STRING_SIZE];
  av_strerror(result, text, sizeof text);
  const std::lock_guard lock(log_mutex);
  throw Error(code, WithoutPasswords(fmt::format("{}: {}: {}{}", name, what, text,
                                                 last_line.empty() ? "" : " (" + last_line + ")")));
}

AVColorSpace ColorSpaceOf(AVColorSpace stated, int height) {
  if (stated != AVCOL_SPC_UNSPECIFIED && stated != AVCOL_SPC_RGB) return stated;
  return height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}

}  // namespace frf::video

extern "C" {
__attribute__((visibility("default"))) const char* frf_video_commit() { return frf::Commit(); }
__attribute__((visibility("default"))) frf::VideoLibrary* frf_video_library() {
  static frf::video::Library library;
  return &library;
}
}
