// SPDX-License-Identifier: Apache-2.0
#include "cli/video_outputs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <vector>

#include "base/files.h"
#include "base/log.h"
#include "frf/error.h"
#include "image/image_io.h"
#include "image/transform.h"

namespace frf::cli {

namespace fs = std::filesystem;

constexpr const char* kTimes = "times.csv";

bool IsMaskName(const fs::path& file) {
  const std::string stem = file.stem().string();
  return file.extension() == ".png" && stem.size() >= 6 &&
         std::all_of(stem.begin(), stem.end(), [](unsigned char c) { return std::isdigit(c); });
}

MaskFolder::MaskFolder(fs::path path) : path_(std::move(path)) {
  std::error_code code;
  if (fs::exists(path_, code) && !fs::is_directory(path_, code))
    MakeFolder(path_);  // says what is in the way, before any work is done
  // Masks are moved, which only goes within one file system: inside the folder where it is there, for it may
  // be a mount or a link; else beside it.
  std::string made =
      fs::is_directory(path_, code) ? (path_ / ".tmpXXXXXX").string() : path_.string() + ".tmpXXXXXX";
  if (::mkdtemp(made.data()) == nullptr) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot create a folder there: {}", path_.string(), std::strerror(errno)));
  }
  temporary_ = made;
  times_.open(temporary_ / kTimes);
  WriteTime("file,frame,seconds\n");
}

void MaskFolder::WriteTime(const std::string& line) {
  errno = 0;
  times_ << line << std::flush;
  if (times_) return;
  throw Error(ErrorCode::kIo,
              fmt::format("{}: cannot write: {}", (path_ / kTimes).string(), std::strerror(errno)));
}

MaskFolder::~MaskFolder() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void MaskFolder::Add(std::int64_t frame, double seconds,
                     const std::function<void(const std::string& file)>& write) {
  const std::string name = fmt::format("{:06}.png", next_);
  write((temporary_ / name).string());
  const auto whole = times_.tellp();
  try {
    WriteTime(fmt::format("{},{},{:.6f}\n", name, frame, seconds));
  } catch (...) {  // what is kept of a camera has a line for each mask, and none is half
    std::error_code ignored;
    fs::remove(temporary_ / name, ignored);
    times_.close();
    fs::resize_file(temporary_ / kTimes, static_cast<std::uintmax_t>(whole), ignored);
    throw;
  }
  ++next_;
}

void MaskFolder::Finish() {
  times_.close();
  try {
    MakeFolder(path_);
    std::set<fs::path> names;
    for (const auto& entry : fs::directory_iterator(temporary_)) names.insert(entry.path().filename());
    for (const fs::path& name : names) fs::rename(temporary_ / name, path_ / name);
    std::vector<fs::path> earlier;
    for (const auto& entry : fs::directory_iterator(path_)) {
      if (entry.is_regular_file() && IsMaskName(entry.path()) && !names.contains(entry.path().filename()))
        earlier.push_back(entry.path());
    }
    for (const fs::path& file : earlier) fs::remove(file);
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot write: {}", path_.string(), error.code().message()));
  }
}

VideoOutputs::VideoOutputs(const SegmentArguments& arguments, const Job& job, const Classes& classes,
                           const VideoInfo& info)
    : arguments_(arguments), classes_(classes), time_base_(info.time_base), live_(info.live) {
  if (arguments.output_is_video()) {
    const bool others = arguments.write_given &&
                        (arguments.Wants("mask") || (arguments.Wants("overlay") && arguments.Wants("color")));
    if (others) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("-o {} is one video, of --write overlay or --write color; for '{}' name a folder",
                      arguments.output, arguments.write));
    }
  }
  for (const auto& [kind, path] : OutputsOf(arguments, job)) {
    if (fs::path(path).has_parent_path()) MakeFolder(fs::path(path).parent_path());
    if (kind == "mask")
      masks_ = std::make_unique<MaskFolder>(path);
    else
      Create(kind == "color" ? color_ : overlay_, path, info);
    paths_[kind] = path;
  }
}

void VideoOutputs::Create(std::unique_ptr<VideoWriter>& writer, const std::string& path,
                          const VideoInfo& info) {
  writer = LoadVideoLibrary().Create({.path = path, .info = info});
  LogDebug(fmt::format("{}: written by {}", path, writer->encoder()));
}

void VideoOutputs::Write(VideoFrame& frame) {
  if (masks_) {
    const double seconds = static_cast<double>(frame.pts) * time_base_.value();
    masks_->Add(frame.number, seconds,
                [&](const std::string& file) { WriteMask(file, frame.labels, classes_, arguments_); });
  }
  if (color_) {
    Colorize(frame.labels, classes_.palette, colors_);
    color_->Write(colors_, frame.pts);
  }
  if (overlay_) {  // last, since it draws over the picture
    OverlayInPlace(frame.image, frame.labels, classes_,
                   {.opacity = arguments_.opacity, .legend = !arguments_.no_legend});
    overlay_->Write(frame.image, frame.pts);
  }
}

Json VideoOutputs::Finish() {
  const auto finish = [&](const char* kind, auto& output) {
    try {
      if (output) output->Finish();
    } catch (const Error& error) {
      if (!live_) throw;
      paths_.erase(kind);
      if (lost_.empty()) lost_ = error.what();
    }
  };
  finish("color", color_);
  finish("overlay", overlay_);
  finish("mask", masks_);
  return paths_;
}

}  // namespace frf::cli
