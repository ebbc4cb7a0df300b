// SPDX-License-Identifier: Apache-2.0
// Finds and opens the library that links FFmpeg. Subtle: classes cross its border, so one built from another
// commit is refused before anything of it is called.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "base/files.h"
#include "base/text.h"
#include "base/version.h"
#include "frf/error.h"
#include "video/video.h"

namespace frf {
namespace {

VideoLibrary& Open() {
  const auto program = ProgramFolder();
  std::filesystem::path path;
  // Beside a build's programs, then where it is installed: lib/frf, on Debian under /usr
  // lib/<architecture>/frf.
  for (const char* folder : {"../lib/frf", FRF_VIDEO_FOLDER}) {
    const auto candidate = (program / folder / "libfrf-video.so").lexically_normal();
    if (path.empty() && std::filesystem::exists(candidate)) path = candidate;
  }
  if (path.empty()) {
    throw Error(
        ErrorCode::kUnsupported,
        "this build of frf has no video: install FFmpeg's libraries (`scripts/setup.sh test` does) and build "
        "with -DFRF_VIDEO=ON; docs/video.md");
  }
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format(
            "video needs FFmpeg's libraries (on Debian 12: apt-get install libavformat59 libavdevice59 "
            "libswscale6): {}",
            ::dlerror()));
  }
  const auto commit = reinterpret_cast<const char* (*)()>(::dlsym(handle, "frf_video_commit"));
  const auto library = reinterpret_cast<VideoLibrary* (*)()>(::dlsym(handle, "frf_video_library"));
  if (commit == nullptr || library == nullptr || std::string_view(commit()) != Commit()) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{} was built from commit {}, frf from {}: build both again", path.string(),
                            commit == nullptr ? "unknown" : commit(), Commit()));
  }
  return *library();
}

}  // namespace

VideoLibrary& LoadVideoLibrary() {
  static VideoLibrary& library = Open();
  return library;
}

bool LooksLikeVideoFile(const std::string& path) {
  static constexpr std::array<std::string_view, 20> kEndings{
      ".mp4",  ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg",  ".mpeg", ".ts",   ".mts",
      ".m2ts", ".wmv", ".flv", ".ogv", ".3gp",  ".y4m", ".h264", ".264",  ".hevc", ".265"};
  const std::string ending = Lower(std::filesystem::path(path).extension().string());
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

}  // namespace frf
