// SPDX-License-Identifier: Apache-2.0
// Three threads and three queues: free frames -> read -> labelled -> free again.
// Subtle: with FramesInFlight() frames a free one is always there for the reader of a live source: the others
// are at most in the two queues and in the two other threads. So a camera is never kept waiting by us.
#include "video/pipeline.h"

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

#include "frf/error.h"
#include "video/bounded_queue.h"

namespace frf {
namespace {

using FramePointer = std::unique_ptr<VideoFrame>;

class Pipeline {
 public:
  Pipeline(FrameSource& source, const PipelineOptions& options)
      : source_(source),
        options_(options),
        free_(static_cast<std::size_t>(FramesInFlight(options))),
        read_(static_cast<std::size_t>(options.waiting)),
        labelled_(static_cast<std::size_t>(options.waiting)) {
    for (int i = 0; i < FramesInFlight(options); ++i) free_.Push(std::make_unique<VideoFrame>());
  }

  PipelineResult Run(const std::function<void(VideoFrame&)>& label,
                     const std::function<void(VideoFrame&)>& write) {
    std::thread reader([&] {
      Guarded([&] { ReadAll(); });
      read_.Close();
    });
    std::thread writer([&] { Guarded([&] { WriteAll(write); }); });
    Guarded([&] { LabelAll(label); });
    labelled_.Close();
    reader.join();
    writer.join();
    if (error_) std::rethrow_exception(error_);
    return std::move(result_);
  }

 private:
  // The first error is kept; it empties the queues, so that nobody waits for anybody.
  template <class Work>
  void Guarded(const Work& work) {
    try {
      work();
    } catch (...) {
      {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
      free_.Abort();
      read_.Abort();
      labelled_.Abort();
    }
  }

  void ReadAll() {
    const bool live = source_.info().live;
    for (std::int64_t number = 0; options_.max_frames == 0 || number < options_.max_frames; ++number) {
      if (Stopped()) return;
      std::optional<FramePointer> frame = free_.Pop();
      if (!frame) return;
      if (!ReadOne(**frame, live && number > 0)) {
        Stopped();
        return;
      }
      (*frame)->number = number;
      if (!live) {
        if (!read_.Push(std::move(*frame))) return;
      } else if (std::optional<FramePointer> late = read_.PushNewest(std::move(*frame))) {
        ++result_.dropped;
        free_.Push(std::move(*late));
      }
    }
  }

  // `keep`: an error is an end. What a camera showed before cannot be recorded again.
  bool ReadOne(VideoFrame& frame, bool keep) {
    try {
      return source_.Read(frame);
    } catch (const Error& error) {
      if (!keep) throw;
      result_.lost = error.what();
      return false;
    }
  }

  void LabelAll(const std::function<void(VideoFrame&)>& label) {
    while (std::optional<FramePointer> frame = read_.Pop()) {
      const auto start = std::chrono::steady_clock::now();
      label(**frame);
      result_.label_ms.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
      if (!labelled_.Push(std::move(*frame))) return;
    }
  }

  void WriteAll(const std::function<void(VideoFrame&)>& write) {
    while (std::optional<FramePointer> frame = labelled_.Pop()) {
      write(**frame);
      ++result_.frames;
      free_.Push(std::move(*frame));
    }
  }

  bool Stopped() {
    if (options_.stop && options_.stop()) result_.stopped = true;
    return result_.stopped;
  }

  FrameSource& source_;
  const PipelineOptions& options_;
  BoundedQueue<FramePointer> free_, read_, labelled_;
  std::mutex mutex_;
  std::exception_ptr error_;
  PipelineResult result_;  // each member is written by one of the threads, and read once all have ended
};

}  // namespace

PipelineResult RunPipeline(FrameSource& source, const std::function<void(VideoFrame&)>& label,
                           const std::function<void(VideoFrame&)>& write, const PipelineOptions& options) {
  return Pipeline(source, options).Run(label, write);
}

}  // namespace frf
