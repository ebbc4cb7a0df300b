// SPDX-License-Identifier: Apache-2.0
// Cameras: Video4Linux devices by number or path, and network cameras by address.
// Subtle: a device is opened so that reading never waits inside the kernel; Ctrl-C and a camera that has gone
// silent are then noticed by the loop in ReadPacket.
extern "C" {
#include <libavdevice/avdevice.h>
#include <libavutil/time.h>
}

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string_view>

#include "video/ffmpeg/decoder.h"

namespace frf::video {

void Decoder::OpenCamera(const char* format) {
  const bool address = IsAddress();
  std::string device = options_.input;
  const bool number = !name_.empty() && std::all_of(name_.begin(), name_.end(),
                                                    [](unsigned char c) { return std::isdigit(c); });
  if (number) name_ = device = "/dev/video" + device;
  if (!address && !std::filesystem::exists(device)) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: there is no such camera; `ls /dev/video*` shows what there is", name_));
  }
  if (!address && std::filesystem::is_regular_file(device)) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{}: is a file, no camera; a video is named as an input, without --camera", name_));
  }
  const char* option = options_.height > 0        ? "--camera-size"
                       : options_.rate > 0        ? "--camera-rate"
                       : !options_.format.empty() ? "--camera-format"
                                                  : nullptr;
  if (address && option != nullptr) {
    throw Error(ErrorCode::kUsage, fmt::format("{}: {} asks a device on this machine; what a network camera "
                                               "sends is set at the camera, leave the option out",
                                               name_, option));
  }
  Dictionary dictionary;
  const AVInputFormat* input = nullptr;
  format_ = Checked(avformat_alloc_context(), name_);
  format_->interrupt_callback = {Interrupted, this};
  format_->correct_ts_overflow = 0;  // as of files
  if (format != nullptr) input = av_find_input_format(format);
  if (!address) {
    avdevice_register_all();
    input = av_find_input_format("video4linux2,v4l2");
    if (input == nullptr)
      throw Error(ErrorCode::kUnsupported, fmt::format("{}: this libavdevice has no Video4Linux", name_));
    format_->flags |= AVFMT_FLAG_NONBLOCK;
    if (options_.height > 0)
      dictionary.Set("video_size", fmt::format("{}x{}", options_.width, options_.height));
    if (options_.rate > 0) dictionary.Set("framerate", fmt::format("{}", options_.rate));
    if (!options_.format.empty()) dictionary.Set("input_format", options_.format);
  }
  ForgetLog();
  StartWaiting();
  const int result = avformat_open_input(&format_, device.c_str(), input, dictionary.get());
  if (result < 0) ExplainCutOff("answer");
  if (result < 0) Throw(ErrorCode::kIo, name_, "cannot open the camera", result);
  StartWaiting();  // for its first frame
  // Pictures in HTTP have no times, libavformat counts each as a 25th of a second. Ours are the clock's, so
  // none may wait in libavformat, which would read twenty to learn a rate that is not there.
  by_arrival_ = std::string_view(format_->iformat->name) == "mpjpeg" || format != nullptr;
  if (by_arrival_) format_->fps_probe_size = 0;
}

}  // namespace frf::video
