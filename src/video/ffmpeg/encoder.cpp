// SPDX-License-Identifier: Apache-2.0
// RGB frames into a video file: H.264 where libavcodec has an encoder for it, else what the container takes.
// Subtle: an encoder that libavcodec lists may still refuse to start (no hardware, a licence), so the list is
// tried in order. 4:2:0, which every player shows, wants even sizes; a picture of an odd size is kept whole
// as 4:4:4.
//
// Threads: used by one; codecs have some of their own. Errors: one line with the file's name; without Finish
// nothing is left.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "video/ffmpeg/ffmpeg.h"
#include "video/ffmpeg/output_file.h"

namespace frf::video {
namespace {

constexpr const char* kEncoders[] = {"libx264", "libopenh264", "h264_nvenc", "libvpx-vp9",
                                     "libvpx",  "mpeg4",       "mjpeg"};

void SetQuality(AVCodecContext& codec, const std::string& encoder, Dictionary& dictionary) {
  if (encoder == "libx264") {
    dictionary.Set("preset", "veryfast");  // the cores are wanted for the network
    dictionary.Set("crf", "20");
  } else if (encoder == "libvpx-vp9" || encoder == "libvpx") {
    dictionary.Set("deadline", "realtime");
    dictionary.Set("cpu-used", "6");
    dictionary.Set("crf", "24");
    codec.bit_rate = encoder == "libvpx" ? std::int64_t{8} * codec.width * codec.height : 0;
  } else if (encoder == "mpeg4" || encoder == "mjpeg") {
    codec.flags |= AV_CODEC_FLAG_QSCALE;
    codec.global_quality = 3 * FF_QP2LAMBDA;
  } else {
    codec.bit_rate = static_cast<std::int64_t>(0.15 * codec.width * codec.height * av_q2d(codec.framerate));
  }
}

// Raw streams have no times; an MPEG program stream has one a packet of 2 KiB, in which several frames may
// begin.
bool LosesTimes(const AVOutputFormat& container) {
  constexpr std::string_view kProgramStreams[] = {"mpeg", "vcd", "svcd", "dvd", "vob"};
  return (container.flags & AVFMT_NOTIMESTAMPS) != 0 ||
         std::find(std::begin(kProgramStreams), std::end(kProgramStreams), container.name) !=
             std::end(kProgramStreams);
}

// Others would fill the time with empty frames, or state a length that nothing in them bears out.
bool KeepsLastDuration(const AVOutputFormat& container) {
  constexpr std::string_view kContainers[] = {"mp4", "mov", "ipod", "3gp", "3g2", "matroska", "webm"};
  return std::find(std::begin(kContainers), std::end(kContainers), container.name) != std::end(kContainers);
}

// One time a packet, when it is decoded: of frames that are shown in another order (B-frames) the times would
// be lost.
bool KeepsOneTimeOnly(const AVOutputFormat& container) {
  return std::string_view(container.name) == "avi" || std::string_view(container.name) == "asf";
}

class Encoder final : public VideoWriter {
 public:
  explicit Encoder(const WriterOptions& options)
      : options_(options),
        path_(options.path),
        file_(options.path),
        packet_(Checked(av_packet_alloc(), path_)),
        held_(Checked(av_packet_alloc(), path_)),
        frame_(Checked(av_frame_alloc(), path_)) {
    ForgetLog();
    avformat_alloc_output_context2(&format_, av_guess_format(nullptr, path_.c_str(), nullptr), nullptr,
                                   nullptr);
    if (format_ == nullptr) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format(
              "{}: libavformat knows no video container of this ending; mp4, mkv, mov and webm are usual",
              path_));
    }
    if (LosesTimes(*format_->oformat)) {
      const std::string kind = format_->oformat->long_name;
      Close();
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}: {} keeps no time of each frame; mp4, mkv, mov and webm do", path_, kind));
    }
    try {
      Start();
    } catch (...) {
      Close();
      throw;
    }
  }

  ~Encoder() override { Close(); }

  const std::string& encoder() const override { return encoder_; }

  void Write(const Image& image, std::int64_t pts) override {
    if (image.height != codec_->height || image.width != codec_->width || image.channels != 3) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: a frame of {}x{}, the video is of {}x{}", path_, image.height, image.width,
                              codec_->height, codec_->width));
    }
    if (const int result = av_frame_make_writable(frame_.get()); result < 0)
      Throw(ErrorCode::kOutOfMemory, path_, "cannot encode", result);
    const std::uint8_t* rows[4] = {image.pixels.data()};
    const int strides[4] = {3 * image.width};
    sws_scale(scaler_.get(), rows, strides, 0, image.height, frame_->data, frame_->linesize);
    frame_->pts =
        av_rescale_q(pts, {options_.info.time_base.num, options_.info.time_base.den}, codec_->time_base);
    if (last_pts_ != AV_NOPTS_VALUE) frame_->pts = std::max(frame_->pts, last_pts_ + 1);
    last_pts_ = frame_->pts;
    if (++written_ == options_.info.frames) NoteEnd(pts);
    frame_->quality = codec_->global_quality;
    Encode(frame_.get());
  }

  void Finish() override {
    finishing_ = true;
    Encode(nullptr);
    ForgetLog();
    int result = av_write_trailer(format_);
    const int closed = output_->Close();  // a full disk is noticed when a buffer is emptied
    format_->pb = nullptr;
    if (result >= 0) result = closed;
    if (result < 0) Throw(ErrorCode::kIo, path_, "cannot write", result);
    file_.Commit();
  }

 private:
  void Start() {
    const std::string tried = OpenEncoder();
    if (!codec_) {
      throw Error(ErrorCode::kUnsupported, fmt::format("{}: libavcodec has no encoder for this container "
                                                       "that starts; wanted libx264 or mpeg4 (Debian's "
                                                       "libavcodec59 has both), tried: {}",
                                                       path_, tried.empty() ? "none" : tried));
    }
    AVStream* stream = Checked(avformat_new_stream(format_, nullptr), path_);
    stream->time_base = codec_->time_base;
    stream->avg_frame_rate = codec_->framerate;
    stream->sample_aspect_ratio = codec_->sample_aspect_ratio;
    avcodec_parameters_from_context(stream->codecpar, codec_.get());
    MakeFrame();
    // What a camera showed should survive this program where the container allows it: Matroska would keep up
    // to five seconds.
    Dictionary dictionary;
    if (options_.info.live) {
      format_->flags |= AVFMT_FLAG_FLUSH_PACKETS;
      dictionary.Set("cluster_time_limit", "1000");  // ms; other containers know no such option
    }
    ForgetLog();
    const bool kept = options_.info.live && !file_.direct();
    output_ = std::make_unique<OutputFile>(file_.temporary().string(), path_, kept ? EndsRoom() : 0);
    format_->pb = output_->context();
    const int result = avformat_write_header(format_, dictionary.get());
    if (result >= 0) return;
    constexpr int kDisk[] = {AVERROR(ENOSPC), AVERROR(EIO), AVERROR(EDQUOT), AVERROR(EPIPE), AVERROR(EFBIG)};
    if (std::find(std::begin(kDisk), std::end(kDisk), result) != std::end(kDisk))
      Throw(ErrorCode::kIo, path_, "cannot write", result);
    // ogv and y4m cannot say beforehand which codecs they take.
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: {} does not take {}'s video; mp4, mkv, mov and webm do", path_,
                            format_->oformat->long_name, encoder_));
  }

  // Bytes of what is written behind the last frame: what the encoder still holds, some forty frames of a bit
  // a pixel, and an mp4's index, at most 36 bytes a frame.
  std::int64_t EndsRoom() const {
    return (std::int64_t{16} << 20) + std::int64_t{5} * options_.info.height * options_.info.width;
  }

  // The names that the container would take and that were tried in vain; codec_ is set when one starts.
  std::string OpenEncoder() {
    std::string tried;
    for (const char* name : kEncoders) {
      const AVCodec* encoder = avcodec_find_encoder_by_name(name);
      // 0 is no; some containers cannot say.
      if (encoder == nullptr ||
          avformat_query_codec(format_->oformat, encoder->id, FF_COMPLIANCE_NORMAL) == 0)
        continue;
      const std::optional<AVPixelFormat> pixels = PixelFormat(*encoder);
      tried += (tried.empty() ? "" : ", ") + std::string(name);
      if (!pixels) continue;
      Owned<AVCodecContext> codec(Checked(avcodec_alloc_context3(encoder), path_));
      Dictionary dictionary;
      Configure(*codec, *pixels);
      SetQuality(*codec, name, dictionary);
      if (avcodec_open2(codec.get(), encoder, dictionary.get()) < 0) continue;
      codec_ = std::move(codec);
      encoder_ = name;
      break;
    }
    return tried;
  }

  std::optional<AVPixelFormat> PixelFormat(const AVCodec& encoder) const {
    const bool even = options_.info.height % 2 == 0 && options_.info.width % 2 == 0;
    const auto takes = [&](AVPixelFormat wanted) {
      for (const AVPixelFormat* known = encoder.pix_fmts; known != nullptr && *known != AV_PIX_FMT_NONE;
           ++known) {
        if (*known == wanted) return true;
      }
      return false;
    };
    for (const AVPixelFormat format :
         {even ? AV_PIX_FMT_YUV420P : AV_PIX_FMT_YUV444P, AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P}) {
      const bool halves_odd = !even && format != AV_PIX_FMT_YUV444P &&
                              encoder.id == AV_CODEC_ID_H264;  // would lose a row or column
      if (takes(format) && !halves_odd) return format;
    }
    return std::nullopt;
  }

  void Configure(AVCodecContext& codec, AVPixelFormat pixels) const {
    const VideoInfo& info = options_.info;
    codec.width = info.width, codec.height = info.height;
    codec.pix_fmt = pixels;
    if (KeepsOneTimeOnly(*format_->oformat)) codec.max_b_frames = 0;
    codec.framerate = {info.rate.num, info.rate.den};
    codec.time_base = {info.time_base.num, info.time_base.den};
    // MPEG-4 part 2 counts time in at most 16 bits; a 60000th of a second holds the usual rates exactly.
    if (codec.codec_id == AV_CODEC_ID_MPEG4 && codec.time_base.den > 65535) codec.time_base = {1, 60000};
    codec.sample_aspect_ratio = {info.pixel_aspect.num, info.pixel_aspect.den};
    codec.colorspace = ColorSpaceOf(AVCOL_SPC_UNSPECIFIED, info.height);
    codec.color_primaries = codec.colorspace == AVCOL_SPC_BT709 ? AVCOL_PRI_BT709 : AVCOL_PRI_SMPTE170M;
    codec.color_trc = codec.colorspace == AVCOL_SPC_BT709 ? AVCOL_TRC_BT709 : AVCOL_TRC_SMPTE170M;
    codec.color_range = pixels == AV_PIX_FMT_YUVJ420P ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    if ((format_->oformat->flags & AVFMT_GLOBALHEADER) != 0) codec.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  }

  void MakeFrame() {
    frame_->format = codec_->pix_fmt;
    frame_->width = codec_->width, frame_->height = codec_->height;
    frame_->colorspace = codec_->colorspace, frame_->color_range = codec_->color_range;
    if (const int result = av_frame_get_buffer(frame_.get(), 0); result < 0)
      Throw(ErrorCode::kOutOfMemory, path_, "cannot encode", result);
    const bool full = codec_->color_range == AVCOL_RANGE_JPEG;
    scaler_.reset(sws_getContext(codec_->width, codec_->height, AV_PIX_FMT_RGB24, codec_->width,
                                 codec_->height, full ? AV_PIX_FMT_YUV420P : codec_->pix_fmt,
                                 SWS_BILINEAR | SWS_ACCURATE_RND, nullptr, nullptr, nullptr));
    if (!scaler_)
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{}: libswscale cannot make this encoder's pixels from RGB", path_));
    sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(SWS_CS_DEFAULT), 1,
                             sws_getCoefficients(codec_->colorspace), full, 0, 1 << 16, 1 << 16);
  }

  // The last frame of the source is shown as long as there: a screen recording ends in one that stands long.
  void NoteEnd(std::int64_t pts) {
    const VideoInfo& info = options_.info;
    if (info.end <= pts || !KeepsLastDuration(*format_->oformat)) return;
    last_duration_ =
        av_rescale_q(info.end - pts, {info.time_base.num, info.time_base.den}, codec_->time_base);
  }

  // A packet is written when the next one has come: the last one in the order of decoding, which may not be
  // the last one shown, tells an mp4 how long the whole is.
  void Encode(const AVFrame* frame) {
    ForgetLog();
    int result = avcodec_send_frame(codec_.get(), frame);
    if (result < 0) Throw(ErrorCode::kInternal, path_, "cannot encode", result);
    while ((result = avcodec_receive_packet(codec_.get(), packet_.get())) >= 0) {
      if (held_->data != nullptr) WriteHeld(false);
      av_packet_move_ref(held_.get(), packet_.get());
    }
    if (result != AVERROR(EAGAIN) && result != AVERROR_EOF)
      Throw(ErrorCode::kInternal, path_, "cannot encode", result);
    if (result == AVERROR_EOF && held_->data != nullptr) WriteHeld(true);
    if (output_->full() && !finishing_) Throw(ErrorCode::kIo, path_, "cannot write more", AVERROR(ENOSPC));
  }

  void WriteHeld(bool last) {
    AVStream* stream = format_->streams[0];
    // Decides how long the last frame is shown; for the others their successors do.
    if (held_->duration <= 0)
      held_->duration = av_rescale_q(1, av_inv_q(codec_->framerate), codec_->time_base);
    if (last_duration_ > 0 && (last || held_->pts == last_pts_)) held_->duration = last_duration_;
    av_packet_rescale_ts(held_.get(), codec_->time_base, stream->time_base);
    held_->stream_index = 0;
    const int result = av_interleaved_write_frame(format_, held_.get());
    if (result < 0) Throw(ErrorCode::kIo, path_, "cannot write", result);
  }

  void Close() {
    if (format_ == nullptr) return;
    output_.reset();
    format_->pb = nullptr;
    avformat_free_context(format_);
    format_ = nullptr;
  }

  WriterOptions options_;
  std::string path_, encoder_;
  PendingFile file_;
  AVFormatContext* format_ = nullptr;
  std::unique_ptr<OutputFile> output_;
  bool finishing_ = false;
  Owned<AVCodecContext> codec_;
  Owned<AVPacket> packet_, held_;
  Owned<AVFrame> frame_;
  Owned<SwsContext> scaler_;
  std::int64_t last_pts_ = AV_NOPTS_VALUE, written_ = 0;
  std::int64_t last_duration_ = 0;  // of the last frame, in the codec's time base; 0: one frame at the rate
};

}  // namespace

std::unique_ptr<VideoWriter> CreateWriter(const WriterOptions& options) {
  return std::make_unique<Encoder>(options);
}

}  // namespace frf::video
