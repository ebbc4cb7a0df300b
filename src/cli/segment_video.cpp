// SPDX-License-Identifier: Apache-2.0
// `frf segment clip.mp4` and `--camera`: decoding, labelling and encoding side by side (video/pipeline.h),
// Ctrl-C at any time.
#include <fmt/format.h>

#include <chrono>

#include "base/log.h"
#include "base/named.h"
#include "base/plural.h"
#include "base/progress.h"
#include "base/stats.h"
#include "base/stop_signal.h"
#include "cli/cli.h"
#include "cli/segment.h"
#include "cli/video_outputs.h"
#include "frf/error.h"
#include "video/pipeline.h"

namespace frf::cli {
namespace {

SourceOptions SourceFor(const SegmentArguments& arguments, const Job& job) {
  SourceOptions options{.input = job.input, .camera = job.camera};
  options.max_memory = arguments.max_memory_mb << 20;
  options.stop = [] { return StopSignal::Requested(); };
  if (job.camera) {
    if (!arguments.camera_size.empty())
      std::tie(options.height, options.width) = ParseSize(arguments.camera_size, "--camera-size");
    options.rate = arguments.camera_rate;
    options.format = arguments.camera_format;
  }
  return options;
}

struct Labelled {
  PipelineResult result;
  Json outputs;
  std::string unfinished;  // why one of a camera's outputs is not among them
  double seconds = 0;      // end to end, from the first frame read to the files finished
};

Labelled LabelAll(const SegmentArguments& arguments, const Job& job, Segmenter& segmenter,
                  FrameSource& source, VideoOutputs& outputs) {
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  std::int64_t expected = source.info().frames;  // 0: unknown
  if (arguments.frames > 0 && !job.camera)
    expected = expected > 0 ? std::min(arguments.frames, expected) : arguments.frames;
  Progress progress("segment", expected);
  PipelineOptions options{.max_frames = arguments.frames, .stop = [] { return StopSignal::Requested(); }};
  // A camera shows from its first frame on what it is labelled with: planning takes as long as many of them.
  if (job.camera) {
    options.prepare = [&] {
      Image blank;
      blank.height = source.info().height, blank.width = source.info().width;
      blank.pixels.resize(std::size_t{3} * blank.height * blank.width);
      LabelImage labels;
      Named(job.shown(), [&] { segmenter.Run(blank.view(), labels); });
    };
  }
  std::int64_t done = 0;
  const auto label = [&](VideoFrame& frame) {
    Named(job.shown(), [&] { segmenter.Run(frame.image.view(), frame.labels); });
    ++done;
    const std::int64_t dropped = frame.number + 1 - done;
    progress.Advance(1, fmt::format("{:.1f} frames/s{}", static_cast<double>(done) / seconds(),
                                    dropped > 0 ? fmt::format(", {} dropped", dropped) : ""));
  };
  Labelled labelled{RunPipeline(
      source, label, [&](VideoFrame& frame) { outputs.Write(frame); }, options)};
  // Not Finish: empty files would take the place of what an earlier run wrote.
  if (labelled.result.frames == 0)
    throw Error(ErrorCode::kInterrupted, fmt::format("{}: stopped before its first frame", job.shown()));
  labelled.outputs = outputs.Finish();
  labelled.unfinished = outputs.lost();
  if (labelled.result.lost.empty()) labelled.result.lost = labelled.unfinished;
  labelled.seconds = seconds();
  return labelled;
}

std::string Summary(const SegmentArguments& arguments, const Job& job, const Labelled& labelled) {
  const TimingStats stats = Summarize(labelled.result.label_ms);
  const std::string target =
      labelled.outputs.empty()
          ? ""
          : " into " + (arguments.output_is_video() ? arguments.output : arguments.output + "/");
  return fmt::format(
      "{}: {} labelled by {}{}: {:.1f} frames/s end to end, {:.1f} ms a frame of inference{}, {} "
      "dropped",
      job.shown(), Counted(labelled.result.frames, "frame"), arguments.model, target,
      static_cast<double>(labelled.result.frames) / labelled.seconds, stats.median,
      stats.runs > 1 ? fmt::format(" (median, +-{:.1f})", stats.mad) : "", labelled.result.dropped);
}

// Of a camera that ended, or whose outputs could not be written further.
std::string KeptOf(const Labelled& labelled) {
  if (labelled.unfinished.empty()) return "what was labelled by then is written";
  return labelled.outputs.empty() ? "nothing of it could be kept" : "the other outputs are written";
}

void Report(const SegmentArguments& arguments, const Job& job, const Labelled& labelled,
            const FrameSource& source, Json& entry) {
  const PipelineResult& result = labelled.result;
  entry["outputs"] = labelled.outputs;
  entry["height"] = source.info().height;
  entry["width"] = source.info().width;
  entry["frames"] = result.frames;
  entry["dropped"] = result.dropped;
  entry["seconds"] = labelled.seconds;
  entry["fps"] = static_cast<double>(result.frames) / labelled.seconds;
  entry["ms"] = Summarize(result.label_ms).median;
  entry["timing"] = ToJson(Summarize(result.label_ms));
  ClearProgressLine();
  if (!arguments.json) fmt::print("{}\n", Summary(arguments, job, labelled));
  if (result.stopped && !job.camera) {  // a camera has no other end
    entry["interrupted"] = true;
    LogWarning(fmt::format("{}: stopped after {}; what was labelled by then is written", job.shown(),
                           Counted(result.frames, "frame")));
  }
  const std::string warning = source.warning();
  if (source.cut_short()) {
    entry["error"] = warning + "; the frames before that are written";
  } else if (!warning.empty()) {
    entry["warning"] = warning;
    LogWarning(warning);
  }
  if (result.lost.empty()) return;
  entry["error"] = fmt::format("{}; it ended after {}, {}", result.lost,
                               Counted(result.frames + result.dropped, "frame"), KeptOf(labelled));
}

}  // namespace

Json SegmentVideo(const SegmentArguments& arguments, const Job& job, Segmenter& segmenter) {
  Json entry{{"input", job.shown()}};
  try {
    VideoLibrary* const library = Named(job.shown(), [] { return &LoadVideoLibrary(); });
    const std::unique_ptr<FrameSource> source = library->Open(SourceFor(arguments, job));
    VideoOutputs outputs(arguments, job, segmenter.info().classes, source->info());
    const Labelled labelled = LabelAll(arguments, job, segmenter, *source, outputs);
    Report(arguments, job, labelled, *source, entry);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kUsage) throw;
    entry["error"] = error.what();
    if (error.code() == ErrorCode::kInterrupted) entry["interrupted"] = true;
  }
  return entry;
}

}  // namespace frf::cli
