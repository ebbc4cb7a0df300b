// SPDX-License-Identifier: Apache-2.0
// Three threads and three queues: free frames -> read -> labelled -> free again.
// Subtle: with FramesInFlight() frames a free one is always there for the reader of a live source: the others
// are at most in the two queues and in the two other threads. So a camera is never kept waiting by us.
#include "video/pipeline.h"

#include <atomic>
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
        labelled_(static_cast<std::size_t>(options.waiting)),
        first_(source.info().live && options.prepare ? -1 : 0) {
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
    if (result_.lost.empty()) result_.lost = lost_reading_;
    return std::move(result_);
  }

 private:
  // Nobody waits for anybody any more.
  void AbortAll() {
    free_.Abort();
    read_.Abort();
    labelled_.Abort();
  }

  // The first error is kept; it empties the queues.
  template <class Work>
  void Guarded(const Work& work) {
    try {
      work();
    } catch (...) {
      {
        const std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
      AbortAll();
    }
  }

  void ReadAll() {
    const bool live = source_.info().live;
    for (std::int64_t number = 0;; ++number) {
      const std::int64_t first = first_;
      if (options_.max_frames > 0 && first >= 0 && number - first >= options_.max_frames) return;
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
      lost_reading_ = error.what();
      return false;
    }
  }

  void LabelAll(const std::function<void(VideoFrame&)>& label) {
    if (options_.prepare) options_.prepare();
    std::int64_t origin = 0, next = 0;  // `origin`: pts of the first
    while (std::optional<FramePointer> frame = read_.Pop()) {
      if (first_ < 0) {
        first_ = (*frame)->number;
        origin = (*frame)->pts;
      }
      (*frame)->number -= first_;
      (*frame)->pts -= origin;
      result_.dropped += (*frame)->number - next;
      next = (*frame)->number + 1;
      const auto start = std::chrono::steady_clock::now();
      label(**frame);
      result_.label_ms.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
      if (!labelled_.Push(std::move(*frame))) return;
    }
  }

  void WriteAll(const std::function<void(VideoFrame&)>& write) {
    while (std::optional<FramePointer> frame = labelled_.Pop()) {
      if (!WriteOne(write, **frame)) return;
      ++result_.frames;
      free_.Push(std::move(*frame));
    }
  }

  // As for reading: what a camera showed until the disk was full is kept, and nothing can be added to it.
  bool WriteOne(const std::function<void(VideoFrame&)>& write, VideoFrame& frame) {
    try {
      write(frame);
      return true;
    } catch (const Error& error) {
      if (!source_.info().live || result_.frames == 0) throw;
      result_.lost = error.what();
      AbortAll();
      return false;
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
  std::string lost_reading_;
  std::atomic<std::int64_t> first_;  // number of the first frame that counts; below 0: not known yet
  PipelineResult result_;  // each member is written by one of the threads, and read once all have ended
};

}  // namespace

PipelineResult RunPipeline(FrameSource& source, const std::function<void(VideoFrame&)>& label,
                           const std::function<void(VideoFrame&)>& write, const PipelineOptions& options) {
  return Pipeline(source, options).Run(label, write);
}

}  // namespace frf
