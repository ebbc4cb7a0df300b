// SPDX-License-Identifier: Apache-2.0
// What the decoder and the encoder share: FFmpeg's objects with owners, its errors as one line.
// Subtle: FFmpeg returns a number ("Invalid data found") and logs the reason ("moov atom not found"); the
// last line logged is kept and put behind the number's text. Nothing is printed unless FRF_LOG=debug.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

#include "frf/error.h"
#include "video/video.h"

namespace frf::video {

struct Deleter {
  void operator()(AVCodecContext* x) const { avcodec_free_context(&x); }
  void operator()(AVFrame* x) const { av_frame_free(&x); }
  void operator()(AVPacket* x) const { av_packet_free(&x); }
  void operator()(SwsContext* x) const { sws_freeContext(x); }
};
template <class T>
using Owned = std::unique_ptr<T, Deleter>;

// FFmpeg's dictionary of options; what a callee did not take stays in it.
class Dictionary {
 public:
  Dictionary() = default;
  ~Dictionary() { av_dict_free(&dictionary_); }
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  void Set(const char* key, const std::string& value) { av_dict_set(&dictionary_, key, value.c_str(), 0); }
  AVDictionary** get() { return &dictionary_; }

 private:
  AVDictionary* dictionary_ = nullptr;
};

// Takes over FFmpeg's log; called once.
void KeepLog();
// Forgets the line kept, before a call whose failure is to be explained.
void ForgetLog();
std::string LastLogLine();  // "" where there was none since

// "NAME: what: Invalid data found when processing input (moov atom not found)".
[[noreturn]] void Throw(ErrorCode code, const std::string& name, const std::string& what, int result);

// Allocation by FFmpeg, checked.
template <class T>
T* Checked(T* pointer, const std::string& name) {
  if (pointer == nullptr) throw Error(ErrorCode::kOutOfMemory, name + ": out of memory");
  return pointer;
}

// The matrix that turns YUV of a frame into RGB where the file does not say: BT.709 from 720 rows on, BT.601
// below, as players do.
AVColorSpace ColorSpaceOf(AVColorSpace stated, int height);

std::unique_ptr<FrameSource> OpenSource(const SourceOptions& options);
std::unique_ptr<VideoWriter> CreateWriter(const WriterOptions& options);

}  // namespace frf::video
