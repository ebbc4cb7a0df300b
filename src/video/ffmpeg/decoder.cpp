// SPDX-License-Identifier: Apache-2.0
#include "video/ffmpeg/decoder.h"

extern "C" {
#include <libavutil/time.h>
}

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <thread>

#include "base/passwords.h"
#include "base/system.h"
#include "image/transform.h"
#include "video/ffmpeg/containers.h"
#include "video/pipeline.h"

namespace frf::video {
namespace {

// libavformat takes parts of "image/jpeg" and of no other name. Without the parts' heads, which its reader of
// plain JPEG passes over, a picture is whole once the next begins: right, but one picture later.
constexpr std::string_view kOtherType = "Unexpected Content-Type";

constexpr int kMostBehind = 300;  // frames

constexpr auto kPoll = std::chrono::milliseconds(2);

}  // namespace

Decoder::Decoder(const SourceOptions& options)
    : options_(options), name_(options.camera ? AddressWithoutPassword(options.input) : options.input) {
  packet_.reset(Checked(av_packet_alloc(), name_));
  frame_.reset(Checked(av_frame_alloc(), name_));
  try {
    if (options.camera)
      OpenCamera(nullptr);
    else
      OpenContainer();
    OpenCodec();
    Describe();
    behind_ = IsLive() && !by_arrival_;
  } catch (...) {
    avformat_close_input(&format_);
    throw;
  }
}

Decoder::~Decoder() { avformat_close_input(&format_); }

int Decoder::Interrupted(void* self) {
  const auto* decoder = static_cast<const Decoder*>(self);
  return decoder->Stopped() || decoder->Late();
}

bool Decoder::IsAddress() const { return options_.input.find("://") != std::string::npos; }

// "file://" stands for a camera in tests and has an end.
bool Decoder::IsLive() const { return options_.camera && !options_.input.starts_with("file:"); }

void Decoder::StartWaiting() {
  deadline_ = av_gettime_relative() + static_cast<std::int64_t>(options_.patience * 1e6);
}

bool Decoder::Late() const { return deadline_ != 0 && av_gettime_relative() > deadline_; }

void Decoder::ExplainCutOff(const char* awaited) const {
  if (Stopped())
    throw Error(ErrorCode::kInterrupted, fmt::format("{}: stopped before its first frame", name_));
  if (Late()) ThrowLate(awaited);
}

void Decoder::ThrowLate(const char* awaited) const {
  throw Error(ErrorCode::kIo, fmt::format("{}: no {} for {} s", name_, awaited, options_.patience));
}

void Decoder::OpenContainer() {
  format_ = Checked(avformat_alloc_context(), name_);
  format_->interrupt_callback = {Interrupted, this};
  // It would take a clock that jumps back for one that has run over, and add 26 hours; FrameClock tells them
  // apart.
  format_->correct_ts_overflow = 0;
  Dictionary dictionary;
  // A playlist that calls itself a video would otherwise have us fetch what it names.
  dictionary.Set("protocol_whitelist", "file");
  ForgetLog();
  // "file:" in front: a name with a colon in it is no address.
  const int result =
      avformat_open_input(&format_, ("file:" + options_.input).c_str(), nullptr, dictionary.get());
  if (result < 0) ExplainCutOff("answer");
  if (result == AVERROR(ENOENT))
    throw Error(ErrorCode::kNotFound, fmt::format("{}: cannot open: {}", name_, std::strerror(ENOENT)));
  if (result < 0)
    Throw(result == AVERROR_INVALIDDATA ? ErrorCode::kCorruptFile : ErrorCode::kIo, name_,
          "cannot be read as a video", result);
}

void Decoder::OpenCodec() {
  ForgetLog();
  int searched = avformat_find_stream_info(format_, nullptr);
  if (by_arrival_ && LastLogLine().starts_with(kOtherType)) {
    avformat_close_input(&format_);
    OpenCamera("mjpeg");
    searched = avformat_find_stream_info(format_, nullptr);
  }
  const std::string reason = LastLogLine();
  const AVCodec* codec = nullptr;
  const int index = av_find_best_stream(format_, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
  // A search that was cut off may end without an error, and with a stream of which nothing is known.
  if (searched < 0 || index < 0 || format_->streams[index]->codecpar->width < 1) ExplainCutOff("frame");
  if (searched < 0) Throw(ErrorCode::kCorruptFile, name_, "cannot be read as a video", searched);
  if (index == AVERROR_DECODER_NOT_FOUND) {
    const int any = av_find_best_stream(format_, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: this libavcodec cannot decode {}", name_,
                            avcodec_get_name(format_->streams[std::max(0, any)]->codecpar->codec_id)));
  }
  if (index < 0)
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: there is no video in it ({})", name_, format_->iformat->long_name));
  stream_ = format_->streams[index];
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    if (static_cast<int>(i) != index) format_->streams[i]->discard = AVDISCARD_ALL;
  }
  const AVCodecParameters& parameters = *stream_->codecpar;
  if (parameters.width < 1 || parameters.height < 1) {
    throw Error(ErrorCode::kCorruptFile, options_.camera
                                             ? fmt::format("{}: nothing is known of the camera's pictures{}",
                                                           name_, reason.empty() ? "" : " (" + reason + ")")
                                             : fmt::format("{}: frames of {}x{}; was the file cut short?",
                                                           name_, parameters.height, parameters.width));
  }
  const std::uint64_t limit = options_.max_memory > 0 ? options_.max_memory : DefaultMaxMemory();
  // Picture and labels of each frame that goes round, and about as many again inside the decoder.
  const std::uint64_t bytes = std::uint64_t{4} * parameters.width * parameters.height * 2 *
                              static_cast<std::uint64_t>(FramesInFlight({}));
  if (bytes > limit) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: frames of {}x{} take {} of memory, {} are allowed (--max-memory)", name_,
                            parameters.height, parameters.width, FormatBytes(bytes), FormatBytes(limit)));
  }
  if (!options_.camera) CheckIndex();
  codec_.reset(Checked(avcodec_alloc_context3(codec), name_));
  time_base_ = by_arrival_ ? AVRational{1, 1000} : stream_->time_base;
  codec_->pkt_timebase = time_base_;
  codec_->thread_count = 0;  // as many as there are cores
  // A live picture must not wait for the next ones, which decoding several frames at once does.
  codec_->thread_type = options_.camera ? FF_THREAD_SLICE : FF_THREAD_FRAME | FF_THREAD_SLICE;
  int result = avcodec_parameters_to_context(codec_.get(), &parameters);
  if (result >= 0) result = avcodec_open2(codec_.get(), codec, nullptr);
  if (result < 0)
    Throw(ErrorCode::kUnsupported, name_, fmt::format("cannot start the decoder {}", codec->name), result);
}

// mp4 and avi say where each packet lies: a copy that was cut short is found before any work is done.
void Decoder::CheckIndex() const {
  const std::int64_t size = avio_size(format_->pb);
  if (!IsOwnIndex(*format_) || size <= 0) return;
  std::int64_t end = 0;
  for (int i = 0; i < avformat_index_get_entries_count(stream_); ++i)
    end = std::max(end, EndOf(*avformat_index_get_entry(stream_, i)));
  if (end > size) {
    throw Error(
        ErrorCode::kCorruptFile,
        fmt::format("{}: its index wants {} bytes, {} are there; was the copy cut short?", name_, end, size));
  }
}

void Decoder::Describe() {
  const AVCodecParameters& parameters = *stream_->codecpar;
#if LIBAVFORMAT_VERSION_MAJOR >= 61
  const AVPacketSideData* side = av_packet_side_data_get(
      parameters.coded_side_data, parameters.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  const std::uint8_t* matrix = side != nullptr ? side->data : nullptr;
#else
  const std::uint8_t* matrix = av_stream_get_side_data(stream_, AV_PKT_DATA_DISPLAYMATRIX, nullptr);
#endif
  if (matrix != nullptr) orientation_ = OrientationOf(reinterpret_cast<const std::int32_t*>(matrix));
  AVRational rate = av_guess_frame_rate(format_, stream_, nullptr);
  if (rate.num <= 0 || rate.den <= 0) rate = {25, 1};
  const AVRational aspect = av_guess_sample_aspect_ratio(format_, stream_, nullptr);
  const bool turned = orientation_ >= 5;
  info_.height = turned ? parameters.width : parameters.height;
  info_.width = turned ? parameters.height : parameters.width;
  info_.rate = {rate.num, rate.den};
  info_.time_base = {time_base_.num, time_base_.den};
  if (aspect.num > 0 && aspect.den > 0)
    info_.pixel_aspect = turned ? Ratio{aspect.den, aspect.num} : Ratio{aspect.num, aspect.den};
  info_.live = options_.camera;
  if (info_.live) return;
  info_.frames = stream_->nb_frames;
  if (IsOwnIndex(*format_) && info_.frames > 0 && stream_->duration > 0 &&
      stream_->start_time != AV_NOPTS_VALUE) {
    const std::int64_t start = format_->start_time == AV_NOPTS_VALUE
                                   ? stream_->start_time
                                   : av_rescale_q(format_->start_time, {1, AV_TIME_BASE}, time_base_);
    info_.end = stream_->start_time - start + stream_->duration;
  }
  if (info_.frames <= 0 && format_->duration > 0)
    info_.frames = std::llround(format_->duration / 1e6 * info_.rate.value());
  // A file's sound may begin before its picture: its own start is 0. A camera counts from its first frame.
  const bool known = !options_.camera && format_->start_time != AV_NOPTS_VALUE;
  clock_ =
      FrameClock(time_base_, av_rescale_q(1, {info_.rate.den, info_.rate.num}, time_base_),
                 known ? av_rescale_q(format_->start_time, {1, AV_TIME_BASE}, time_base_) : AV_NOPTS_VALUE,
                 stream_->pts_wrap_bits);
}

bool Decoder::ReadPacket() {
  for (;;) {
    if (Stopped()) return false;
    if (options_.camera && deadline_ == 0) StartWaiting();
    ForgetLog();
    const int result = av_read_frame(format_, packet_.get());
    if (result == AVERROR(EAGAIN)) {  // a camera between two frames
      if (Late()) ThrowLate("frame");
      std::this_thread::sleep_for(kPoll);
      continue;
    }
    if (result < 0 && Stopped()) return false;
    // An address has no end of its own. libavformat calls one in the middle of what HTTP promised, and of
    // what it promised no end of, an error of input.
    const bool over = result == AVERROR_EOF || result == AVERROR(EIO);
    if (IsLive() && IsAddress() && over)
      throw Error(ErrorCode::kIo, name_ + ": the camera closed its connection");
    if (options_.camera && result < 0 && result != AVERROR_EOF) {
      if (Late()) ThrowLate("frame");
      Throw(ErrorCode::kIo, name_, "no more frames", result);
    }
    if (result == AVERROR(EIO)) Throw(ErrorCode::kIo, name_, "cannot read", result);
    if (result < 0) {  // the end, or what cannot be told from it
      partial_packet_ |= result != AVERROR_EOF;
      return false;
    }
    if (packet_->stream_index == stream_->index) {
      deadline_ = 0;
      if (by_arrival_)
        packet_->pts = packet_->dts = av_rescale_q(av_gettime_relative(), {1, AV_TIME_BASE}, time_base_);
      partial_packet_ = (packet_->flags & AV_PKT_FLAG_CORRUPT) != 0;
      return true;
    }
    av_packet_unref(packet_.get());
  }
}

bool Decoder::Read(VideoFrame& frame) {
  if (!(behind_ ? ReceiveCurrent() : Receive())) return false;
  Deliver(frame);
  return true;
}

// What a camera sent while it was looked at waits in libavformat: a second or more, which would come in one
// burst and be dropped but for its first frame. A frame is of now once as much time passes between it and the
// one before as they are apart.
bool Decoder::ReceiveCurrent() {
  behind_ = false;
  std::int64_t before = AV_NOPTS_VALUE, came = 0;
  for (int passed_over = 0; Receive(); ++passed_over) {
    const std::int64_t stated = frame_->best_effort_timestamp, now = av_gettime_relative();
    if (stated == AV_NOPTS_VALUE || passed_over == kMostBehind) return true;
    if (before != AV_NOPTS_VALUE) {
      const std::int64_t apart = av_rescale_q(stated - before, time_base_, {1, AV_TIME_BASE});
      if (apart <= 0 || now - came >= apart / 2) return true;
    }
    before = stated;
    came = now;
    av_frame_unref(frame_.get());
  }
  return false;
}

// The next frame, in frame_; false at the end or on `stop`.
bool Decoder::Receive() {
  for (;;) {
    ForgetLog();
    const int got = avcodec_receive_frame(codec_.get(), frame_.get());
    if (got == 0) return true;
    if (got == AVERROR_EOF) {
      NoteEnd();
      return false;
    }
    if (got != AVERROR(EAGAIN)) {
      // No more packets can be damaged than there were: a decoder that never ends its errors is not waited
      // for.
      if (got != AVERROR_INVALIDDATA || damaged_ >= sent_)
        Throw(ErrorCode::kCorruptFile, name_, "cannot decode", got);
      ++damaged_;
    }
    // What goes wrong in a thread of the decoder is told some packets later, so of the last ones behind the
    // end.
    if (ended_) {
      if (got == AVERROR_INVALIDDATA) continue;
      return false;
    }
    if (!ReadPacket()) {
      if (Stopped()) return false;
      ended_ = true;
      CountDamage(avcodec_send_packet(codec_.get(), nullptr));  // what the decoder still holds
      continue;
    }
    ++sent_;
    CountDamage(avcodec_send_packet(codec_.get(), packet_.get()));
    av_packet_unref(packet_.get());
  }
}

void Decoder::CountDamage(int sent) {
  if (sent == AVERROR(ENOMEM)) throw Error(ErrorCode::kOutOfMemory, name_ + ": out of memory while decoding");
  if (sent < 0) ++damaged_;  // one packet; the next ones may be sound
}

// Whether the container promised more than it held. A Matroska segment's size settles it. Elsewhere only gaps
// beyond rounding and a longer sound track count, and no last frame that is shown for long, as a screen
// recording's is: where the container counts its packets (and CheckIndex has seen that they lie within the
// file) some must be missing too.
void Decoder::NoteEnd() {
  if (options_.camera) return;
  if (delivered_ == 0)
    throw Error(ErrorCode::kCorruptFile, fmt::format("{}: no frame of it can be decoded{}", name_,
                                                     damaged_ > 0 ? "" : "; was the file cut short?"));
  const double base = av_q2d(time_base_);
  const double shown = static_cast<double>(last_duration_) * base;
  const double end = static_cast<double>(clock_.last()) * base + std::max(shown, 1 / info_.rate.value());
  const double promised =
      stream_->duration > 0 ? static_cast<double>(stream_->duration) * base : SecondsOfTag(*stream_);
  std::optional<bool> whole;
  if (std::string_view(format_->iformat->name).starts_with("matroska"))
    whole = HoldsWholeSegment(options_.input);
  else if (IsOwnIndex(*format_) && stream_->nb_frames > 0 && delivered_ + damaged_ >= stream_->nb_frames)
    whole = true;
  cut_short_ = partial_packet_ || !whole.value_or(promised - end <= std::max(1.0, promised / 10));
  if (!cut_short_) return;
  end_note_ = fmt::format("{}: ends after {} frames ({:.1f} s{}); was the copy cut short?", name_, delivered_,
                          end, promised > end ? fmt::format(" of {:.1f}", promised) : "");
}

std::string Decoder::warning() const {
  if (!end_note_.empty()) return end_note_;
  std::string note =
      damaged_ == 0 ? "" : fmt::format("{} damaged packet{} skipped", damaged_, damaged_ == 1 ? "" : "s");
  if (const std::int64_t jumps = clock_.jumps(); jumps > 0) {
    note += fmt::format("{}its clock jumps back{} after {} frames; what follows is shown right behind",
                        note.empty() ? "" : "; ", jumps > 1 ? fmt::format(" {} times, first", jumps) : "",
                        clock_.first_jump());
  }
  return note.empty() ? note : name_ + ": " + note;
}

void Decoder::Deliver(VideoFrame& frame) {
  const AVCodecParameters& parameters = *stream_->codecpar;
  if (frame_->width != parameters.width || frame_->height != parameters.height) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("{}: frames of {}x{}, but from number {} on of {}x{}; one size is wanted, {}", name_,
                    parameters.height, parameters.width, delivered_, frame_->height, frame_->width,
                    options_.camera ? "a new recording has the new one" : "split the file there"));
  }
  if (orientation_ == 1) {
    converter_.Convert(*frame_, frame.image, name_);
  } else {
    converter_.Convert(*frame_, unturned_, name_);
    ApplyOrientation(unturned_, orientation_, frame.image);
  }
  frame.pts = clock_.Next(frame_->best_effort_timestamp, delivered_);
#if LIBAVUTIL_VERSION_MAJOR >= 58
  last_duration_ = frame_->duration;
#else
  last_duration_ = frame_->pkt_duration;
#endif
  ++delivered_;
  av_frame_unref(frame_.get());
}

std::unique_ptr<FrameSource> OpenSource(const SourceOptions& options) {
  return std::make_unique<Decoder>(options);
}

}  // namespace frf::video
