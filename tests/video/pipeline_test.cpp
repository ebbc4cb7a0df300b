// SPDX-License-Identifier: Apache-2.0
// The pipeline with sources played by code: order, drops, overlap, errors, stops. No codec, no clock that
// could be late.
#include "video/pipeline.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "support/support.h"
#include "video/bounded_queue.h"

namespace frf {
namespace {

// A number that threads wait for; after ten seconds the test fails instead of hanging.
class Count {
 public:
  void Add() {
    const std::lock_guard lock(mutex_);
    ++value_;
    changed_.notify_all();
  }
  bool WaitFor(int wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return value_ >= wanted; });
  }
  int value() {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int value_ = 0;
};

class PlayedSource final : public FrameSource {
 public:
  PlayedSource(int frames, bool live) : frames_(frames) { info_ = {.height = 2, .width = 2, .live = live}; }
  const VideoInfo& info() const override { return info_; }
  bool Read(VideoFrame& frame) override {
    if (before) before(next_);
    if (next_ == frames_) return false;
    frame.image.height = frame.image.width = 2;
    frame.image.pixels.assign(12, static_cast<std::uint8_t>(next_));
    frame.pts = next_++;
    read.Add();
    return true;
  }
  std::function<void(int number)> before;
  Count read;

 private:
  VideoInfo info_;
  int frames_, next_ = 0;
};

const auto kNothing = [](VideoFrame&) {};

TEST(Pipeline, AFileLosesNoFrameWhoeverIsSlow) {
  for (const bool slow_writer : {false, true}) {
    PlayedSource source(40, false);
    const auto slow = [](VideoFrame&) { std::this_thread::sleep_for(std::chrono::milliseconds(2)); };
    std::vector<std::int64_t> numbers;
    const PipelineResult result = RunPipeline(
        source, [&](VideoFrame& frame) { slow_writer ? kNothing(frame) : slow(frame); },
        [&](VideoFrame& frame) {
          if (slow_writer) slow(frame);
          EXPECT_EQ(frame.image.pixels[0], frame.number);
          EXPECT_EQ(frame.pts, frame.number);
          numbers.push_back(frame.number);
        });
    EXPECT_EQ(result.frames, 40);
    EXPECT_EQ(result.dropped, 0);
    EXPECT_EQ(result.label_ms.size(), 40u);
    for (std::size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], static_cast<std::int64_t>(i));
  }
}

// The first frame is labelled only once all others were read: of those just the two that fit the queue can be
// left.
TEST(Pipeline, ALiveSourceThatOutrunsLosesTheOldestAndTheyAreCounted) {
  PlayedSource source(30, true);
  Count first;  // the first frame is being labelled
  source.before = [&](int number) {
    if (number > 0) {
      EXPECT_TRUE(first.WaitFor(1));
    }
  };
  std::vector<std::int64_t> numbers;
  const PipelineResult result = RunPipeline(
      source,
      [&](VideoFrame& frame) {
        if (frame.number > 0) return;
        first.Add();
        EXPECT_TRUE(source.read.WaitFor(30));
        // The last one is counted when read, and queued a moment later: the end of the source follows that.
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      },
      [&](VideoFrame& frame) {
        EXPECT_EQ(frame.image.pixels[0], frame.number);
        numbers.push_back(frame.number);
      },
      {.waiting = 2});
  EXPECT_EQ(numbers, (std::vector<std::int64_t>{0, 28, 29}));
  EXPECT_EQ(result.frames, 3);
  EXPECT_EQ(result.dropped, 27);
}

TEST(Pipeline, ALiveSourceThatIsKeptUpWithLosesNothing) {
  PlayedSource source(20, true);
  Count written;
  source.before = [&](int number) {
    EXPECT_TRUE(written.WaitFor(number));
  };  // the next frame comes when the last is done
  const PipelineResult result = RunPipeline(source, kNothing, [&](VideoFrame&) { written.Add(); });
  EXPECT_EQ(result.frames, 20);
  EXPECT_EQ(result.dropped, 0);
}

// One after the other this would wait for ever: each stage waits for the one before it to be a frame ahead.
TEST(Pipeline, ReadingLabellingAndWritingOverlap) {
  PlayedSource source(10, false);
  Count labelled;
  RunPipeline(
      source,
      [&](VideoFrame& frame) {
        if (frame.number < 9) {
          EXPECT_TRUE(source.read.WaitFor(static_cast<int>(frame.number) + 2));
        }
        labelled.Add();
      },
      [&](VideoFrame& frame) {
        if (frame.number < 9) {
          EXPECT_TRUE(labelled.WaitFor(static_cast<int>(frame.number) + 2));
        }
      });
}

TEST(Pipeline, QueuesAreBoundedAndFramesGoRound) {
  PlayedSource source(50, false);
  std::atomic<int> most{0}, written{0};
  std::set<const void*> frames;
  RunPipeline(
      source, [&](VideoFrame& frame) { frames.insert(&frame); },
      [&](VideoFrame&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        most = std::max(most.load(), source.read.value() - written.load());
        ++written;
      });
  EXPECT_LE(most, FramesInFlight({}));
  EXPECT_LE(static_cast<int>(frames.size()), FramesInFlight({}));
}

TEST(Pipeline, TheFirstErrorOfAnyStageEndsAll) {
  const auto thrower = [](VideoFrame& frame) {
    if (frame.number >= 3) throw Error(ErrorCode::kIo, "disk full");
  };
  for (const bool live : {false, true}) {
    PlayedSource label_fails(1000, live), write_fails(1000, live), read_fails(1000, live);
    EXPECT_FRF_ERROR(RunPipeline(label_fails, thrower, kNothing), ErrorCode::kIo, "disk full");
    if (!live) {
      EXPECT_LT(label_fails.read.value(), 20);
    }
    const auto every = [&](VideoFrame&) { throw Error(ErrorCode::kIo, "no room"); };
    EXPECT_FRF_ERROR(RunPipeline(write_fails, kNothing, every), ErrorCode::kIo, "no room");
    read_fails.before = [](int number) {
      if (number == 5) throw Error(ErrorCode::kCorruptFile, "size changes");
    };
    if (live) continue;  // has ended then, see below
    EXPECT_FRF_ERROR(RunPipeline(read_fails, kNothing, kNothing), ErrorCode::kCorruptFile, "size changes");
  }
}

TEST(Pipeline, ALiveSourceThatFailsHasEndedAndTheResultSaysWhy) {
  PlayedSource source(1000, true), dead(1000, true);
  source.before = [](int number) {
    if (number == 5) throw Error(ErrorCode::kIo, "connection lost");
  };
  const PipelineResult result = RunPipeline(source, kNothing, kNothing);
  EXPECT_EQ(result.frames + result.dropped, 5);
  EXPECT_GE(result.frames, 1);
  EXPECT_EQ(result.lost, "connection lost");
  dead.before = [](int) { throw Error(ErrorCode::kIo, "no answer"); };
  EXPECT_FRF_ERROR(RunPipeline(dead, kNothing, kNothing), ErrorCode::kIo, "no answer");
}

TEST(Pipeline, ALiveSourceThatCannotBeWrittenFurtherHasEnded) {
  PlayedSource source(5000, true);
  source.before = [](int) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
  const PipelineResult result = RunPipeline(source, kNothing, [&, written = 0](VideoFrame&) mutable {
    if (++written == 4) throw Error(ErrorCode::kIo, "disk full");
  });
  EXPECT_EQ(result.frames, 3);
  EXPECT_EQ(result.lost, "disk full");
  EXPECT_LT(source.read.value(), 5000);
}

// Planning takes as long as many frames: the recording begins behind it, without a gap.
TEST(Pipeline, WhatALiveSourceGivesWhileAllIsPreparedIsNotCounted) {
  PlayedSource source(400, true);
  Count prepared, labelled;
  source.before = [&](int number) {
    if (number < 30) return;
    EXPECT_TRUE(prepared.WaitFor(1));
    EXPECT_TRUE(labelled.WaitFor(number - 29));
  };
  std::vector<std::int64_t> numbers, times;
  const PipelineResult result = RunPipeline(
      source, [&](VideoFrame&) { labelled.Add(); },
      [&](VideoFrame& frame) {
        EXPECT_EQ(frame.image.pixels[0], frame.number + 28);
        numbers.push_back(frame.number);
        times.push_back(frame.pts);
      },
      {.max_frames = 12, .prepare = [&] {
         EXPECT_TRUE(source.read.WaitFor(30));
         std::this_thread::sleep_for(std::chrono::milliseconds(50));  // from read to queued
         prepared.Add();
       }});
  std::vector<std::int64_t> expected;
  for (int i = 0; i < 12; ++i) expected.push_back(i);
  EXPECT_EQ(numbers, expected);
  EXPECT_EQ(times, expected);
  EXPECT_EQ(result.dropped, 0);
}

TEST(Pipeline, AStopWritesWhatWasRead) {
  PlayedSource source(1000, false);
  std::int64_t last = -1;
  const PipelineResult result = RunPipeline(source, kNothing, [&](VideoFrame& frame) { last = frame.number; },
                                            {.stop = [&] { return source.read.value() >= 12; }});
  EXPECT_TRUE(result.stopped);
  EXPECT_EQ(source.read.value(), 12);
  EXPECT_EQ(result.frames, 12);
  EXPECT_EQ(last, 11);
  PlayedSource limited(1000, false);
  EXPECT_EQ(RunPipeline(limited, kNothing, kNothing, {.max_frames = 7}).frames, 7);
}

TEST(BoundedQueue, NewestInOldestOut) {
  BoundedQueue<int> queue(2);
  EXPECT_FALSE(queue.PushNewest(1));
  EXPECT_FALSE(queue.PushNewest(2));
  EXPECT_EQ(queue.PushNewest(3), 1);
  queue.Close();
  EXPECT_FALSE(queue.Push(4));
  EXPECT_EQ(queue.Pop(), 2);
  EXPECT_EQ(queue.Pop(), 3);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(Video, EndingsDecide) {
  for (const char* name : {"a.mp4", "A.MP4", "x/y.MoV", "b.mkv"})
    EXPECT_TRUE(LooksLikeVideoFile(name)) << name;
  for (const char* name : {"a.png", "mp4", "a.mp4/b", "labelled"})
    EXPECT_FALSE(LooksLikeVideoFile(name)) << name;
}

}  // namespace
}  // namespace frf
