// SPDX-License-Identifier: Apache-2.0
#include "video/ffmpeg/frame_clock.h"

#include <algorithm>

namespace frf::video {

constexpr std::int64_t kRunsOnSeconds = 60;

FrameClock::FrameClock(AVRational time_base, std::int64_t step, std::int64_t start, int wrap_bits)
    : step_(std::max<std::int64_t>(1, step)),
      first_(start),
      range_(wrap_bits > 0 && wrap_bits < 62 ? std::int64_t{1} << wrap_bits : 0),
      runs_on_(av_rescale_q(kRunsOnSeconds, {1, 1}, time_base)) {}

std::int64_t FrameClock::Next(std::int64_t stated, std::int64_t number) {
  if (stated == AV_NOPTS_VALUE)  // a raw stream: evenly, at its rate
    return last_ = last_ == AV_NOPTS_VALUE ? 0 : last_ + step_;
  if (first_ == AV_NOPTS_VALUE) first_ = stated;
  if (last_ == AV_NOPTS_VALUE) return last_ = stated - first_;
  // Two frames in disorder, or with one time, are no jump.
  if (const std::int64_t back = last_ - (stated - first_); back > 2 * step_) {
    if (range_ > back && range_ - back < runs_on_) {  // it has run over, and counts on
      first_ -= range_;
    } else {
      // Two recordings put into one file: the second one's clock begins anew and counts on from where the
      // first ended.
      if (jumps_++ == 0) first_jump_ = number;
      first_ = stated - (last_ + step_);
    }
  }
  return last_ = std::max(stated - first_, last_ + 1);
}

}  // namespace frf::video
