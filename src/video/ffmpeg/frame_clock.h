// SPDX-License-Identifier: Apache-2.0
// When each frame is shown, from what its packet states: from 0 on and rising, whatever the source's clock
// does.
//
// Threads: used by one. Errors: none.
#pragma once

#include <cstdint>

#include "video/ffmpeg/ffmpeg.h"

namespace frf::video {

class FrameClock {
 public:
  FrameClock() = default;
  // `step`: a frame at the source's rate; `start`: what is stated at its beginning, AV_NOPTS_VALUE: what the
  // first frame states; `wrap_bits`: what is stated has so many (33 in MPEG streams, 64 where there is no
  // end). All times, here and below, in `time_base`.
  FrameClock(AVRational time_base, std::int64_t step, std::int64_t start, int wrap_bits);

  // The time of the next frame, `number` from the start, of which `stated` is known (AV_NOPTS_VALUE:
  // nothing).
  std::int64_t Next(std::int64_t stated, std::int64_t number);

  std::int64_t last() const { return last_; }  // AV_NOPTS_VALUE before the first
  std::int64_t jumps() const { return jumps_; }
  std::int64_t first_jump() const { return first_jump_; }  // frames before it

 private:
  std::int64_t step_ = 1, first_ = AV_NOPTS_VALUE, range_ = 0, runs_on_ = 0;
  std::int64_t last_ = AV_NOPTS_VALUE, jumps_ = 0, first_jump_ = 0;
};

}  // namespace frf::video
