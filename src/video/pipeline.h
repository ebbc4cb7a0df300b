// SPDX-License-Identifier: Apache-2.0
// Reading, labelling and writing of a video, side by side: while frame n is labelled, n+1 is decoded and n-1
// encoded.
//
//   PipelineResult result = RunPipeline(*source,
//                                       [&](VideoFrame& frame) { segmenter.Run(frame.image.view(),
//                                       frame.labels); },
//                                       [&](VideoFrame& frame) { writer->Write(frame.image, frame.pts); });
//
// Threads: `label` runs in the caller's thread, since OpenMP's threads stay with the one that calls; the
// source is read in a second thread, `write` runs in a third. Frames keep their order. Ownership: a fixed set
// of frames goes round, so that no frame is allocated after the first few. `label` and `write` may keep no
// reference to one, but `write` may draw in it. Drops: a file's frames all arrive, whoever is slow. Of a live
// source that outruns the rest the oldest frame that waits is dropped and counted, so what is labelled is
// never older than the queue is long. Errors: the first one thrown in any of the three ends the others and is
// thrown here; but a live source that gives frames and then an error has ended, so has one of which a frame
// behind the first cannot be written, and the result says why. `stop` ends reading. What was read by then is
// still labelled, and written where it can be.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "video/video.h"

namespace frf {

struct PipelineOptions {
  int waiting = 2;              // frames that may wait before labelling, and as many before writing
  std::int64_t max_frames = 0;  // reading ends after so many; 0: no limit
  std::function<bool()> stop;   // asked before each frame
  // Called once before the first frame is labelled, in the same thread. What a live source gives meanwhile is
  // read, so that nothing piles up, and not counted: frames begin, with number and pts 0, when it is done.
  std::function<void()> prepare;
};

struct PipelineResult {
  std::int64_t frames = 0;   // written
  std::int64_t dropped = 0;  // of a live source
  bool stopped = false;      // by `stop`
  std::string lost;  // the error, of reading or writing, that ended a live source behind its first frame
  std::vector<double> label_ms;  // of each frame
};

PipelineResult RunPipeline(FrameSource& source, const std::function<void(VideoFrame&)>& label,
                           const std::function<void(VideoFrame&)>& write,
                           const PipelineOptions& options = {});

// Frames that exist at once: those that wait, and one at each of the three.
inline int FramesInFlight(const PipelineOptions& options) { return 2 * options.waiting + 3; }

}  // namespace frf
