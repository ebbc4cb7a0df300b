// SPDX-License-Identifier: Apache-2.0
// Frames' times from file to file, ends and damage: what must be kept, and what must be said.
#include <fmt/format.h>

#include <algorithm>

#include "base/files.h"
#include "support/video_clip.h"

namespace frf {
namespace {

using test::CodedFrame;
using test::DecodeClip;
using test::DecodedClip;
using test::EvenPts;
using test::NumberOf;
using test::WriteClip;

class CodecTimes : public ::testing::Test {
 protected:
  void SetUp() override { FRF_SKIP_WITHOUT_VIDEO(); }
  test::TempFolder folder_;
};

// Where each packet of an mp4 written here lies: its sizes (stsz) from its one chunk (stco) on.
struct Packets {
  std::vector<std::size_t> at, size;
};
std::uint32_t Word(const std::string& bytes, std::size_t at) {
  std::uint32_t word = 0;
  for (std::size_t i = 0; i < 4; ++i) word = word << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return word;
}
Packets PacketsOf(const std::string& mp4) {
  Packets packets;
  const std::size_t sizes = mp4.find("stsz"), chunks = mp4.find("stco");
  EXPECT_EQ(Word(mp4, chunks + 8), 1u);
  std::size_t at = Word(mp4, chunks + 12);
  for (std::size_t i = 0; i < Word(mp4, sizes + 12); ++i) {
    packets.at.push_back(at);
    packets.size.push_back(Word(mp4, sizes + 16 + 4 * i));
    at += packets.size.back();
  }
  return packets;
}

// Decoders with threads tell of a bad packet some packets later; of the last ones once the file has ended.
TEST_F(CodecTimes, DamagedPacketsAreSkippedWhereverTheyAre) {
  WriteClip(folder_ / "whole.mp4", {.pts = EvenPts(30)});
  const std::string bytes = ReadFile(folder_ / "whole.mp4"), path = folder_ / "damaged.mp4";
  const Packets packets = PacketsOf(bytes);
  ASSERT_EQ(packets.at.size(), 30u);
  for (const std::vector<std::size_t>& bad :
       {std::vector<std::size_t>{15}, {29}, {28, 29}, {20, 29}, {26, 27, 28, 29}}) {
    std::string damaged = bytes;
    for (const std::size_t i : bad)
      std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(packets.at[i]), packets.size[i], '\xff');
    WriteFileAtomically(path, damaged);
    const DecodedClip clip = DecodeClip(path);
    EXPECT_EQ(clip.frames.size(), 30 - bad.size());
    EXPECT_EQ(clip.warning,
              fmt::format("{}: {} damaged packet{} skipped", path, bad.size(), bad.size() == 1 ? "" : "s"));
  }
}

double LengthOf(const std::string& path) {
  const auto source = LoadVideoLibrary().Open({.input = path});
  return static_cast<double>(source->info().end) * source->info().time_base.value();
}

// A screen recording: nothing moves at its end. The file is whole, and as long when it is written again.
TEST_F(CodecTimes, ALastFrameShownForLongIsKept) {
  for (const std::int64_t last : {20000, 40}) {
    const VideoInfo info{.height = 48,
                         .width = 128,
                         .rate = {25, 1},
                         .time_base = {1, 1000},
                         .frames = 30,
                         .end = 29 * 40 + last};
    for (const char* name : {"a.mp4", "a.mov", "a.mkv"}) {
      const auto writer = LoadVideoLibrary().Create({.path = folder_ / name, .info = info});
      for (int i = 0; i < 30; ++i) writer->Write(CodedFrame(i), std::int64_t{i} * 40);
      writer->Finish();
      const DecodedClip clip = DecodeClip(folder_ / name);
      EXPECT_EQ(clip.warning, "") << name;
      ASSERT_EQ(clip.frames.size(), 30u) << name;
      EXPECT_NEAR(clip.seconds[29], 1.16, 0.0011) << name;
      if (name == std::string("a.mkv")) continue;  // it states its length, but not its last frame's
      EXPECT_NEAR(LengthOf(folder_ / name), 1.16 + static_cast<double>(last) / 1000, 0.01) << name;
      const auto again = LoadVideoLibrary().Create({.path = folder_ / "b.mp4", .info = clip.info});
      for (const VideoFrame& frame : clip.frames) again->Write(frame.image, frame.pts);
      again->Finish();
      EXPECT_NEAR(LengthOf(folder_ / "b.mp4"), 1.16 + static_cast<double>(last) / 1000, 0.01) << name;
      const DecodedClip copy = DecodeClip(folder_ / "b.mp4");
      ASSERT_EQ(copy.frames.size(), 30u);
      for (std::size_t i = 0; i < 30; ++i) EXPECT_NEAR(copy.seconds[i], clip.seconds[i], 0.0011) << i;
    }
  }
}

// Nor may what other containers make of it look like a cut; a real cut still does.
TEST_F(CodecTimes, OnlyACutLooksLikeOne) {
  const VideoInfo info{
      .height = 48, .width = 128, .rate = {25, 1}, .time_base = {1, 1000}, .frames = 200, .end = 30000};
  for (const char* ending : {"mkv", "webm", "avi", "ts", "flv", "wmv"}) {
    const std::string path = folder_ / fmt::format("a.{}", ending);
    const auto writer = LoadVideoLibrary().Create({.path = path, .info = info});
    for (int i = 0; i < 200; ++i) writer->Write(CodedFrame(i), std::int64_t{i} * 40);
    writer->Finish();
    EXPECT_EQ(DecodeClip(path).warning, "") << ending;
  }
  for (const char* ending : {"mkv", "webm"}) {  // they state their size: a twentieth less is noticed too
    const std::string uncut = folder_ / fmt::format("b.{}", ending);
    WriteClip(uncut, {.pts = EvenPts(200)});
    const std::string bytes = ReadFile(uncut);
    for (const std::size_t kept : {bytes.size() / 2, bytes.size() / 20 * 19}) {
      const std::string path = folder_ / fmt::format("cut.{}", ending);
      WriteFileAtomically(path, bytes.substr(0, kept));
      EXPECT_NE(DecodeClip(path).warning.find("was the copy cut short?"), std::string::npos)
          << ending << ", " << kept << " of " << bytes.size();
    }
  }
}

// Containers that keep one time a packet get no frames that are stored in another order than shown.
TEST_F(CodecTimes, UnevenTimesStayInEveryContainer) {
  const std::vector<std::int64_t> pts{0, 40, 80, 240, 280, 480, 520, 560, 1000, 1040};
  for (const char* ending : {"mp4", "mov", "mkv", "webm", "ts", "flv", "avi", "wmv"}) {
    const std::string path = folder_ / fmt::format("a.{}", ending);
    WriteClip(path, {.pts = pts});
    const DecodedClip clip = DecodeClip(path);
    ASSERT_EQ(clip.frames.size(), pts.size()) << ending;
    for (std::size_t i = 0; i < pts.size(); ++i) {
      EXPECT_EQ(NumberOf(clip.frames[i].image), static_cast<int>(i)) << ending;
      EXPECT_NEAR(clip.seconds[i] - clip.seconds[0], static_cast<double>(pts[i]) / 1000, 0.0011)
          << ending << " " << i;
    }
  }
}

// Video4Linux counts microseconds, RTSP 90000ths of a second.
TEST_F(CodecTimes, ACamerasFineClockFitsEveryContainer) {
  for (const char* ending : {"mp4", "mov", "mkv", "webm", "ts", "flv", "avi", "wmv"}) {
    const std::string path = folder_ / fmt::format("a.{}", ending);
    const auto writer = LoadVideoLibrary().Create(
        {.path = path,
         .info = {.height = 48, .width = 128, .rate = {30, 1}, .time_base = {1, 1000000}, .live = true}});
    for (int i = 0; i < 60; ++i) writer->Write(CodedFrame(i), std::int64_t{i} * 33333 + i % 3 * 1500);
    writer->Finish();
    EXPECT_LT(std::filesystem::file_size(path), 400000u) << ending;
    const DecodedClip clip = DecodeClip(path);
    ASSERT_EQ(clip.frames.size(), 60u) << ending;
    for (int i = 0; i < 60; ++i) {
      const VideoFrame& frame = clip.frames[static_cast<std::size_t>(i)];
      EXPECT_EQ(NumberOf(frame.image), i) << ending;
      EXPECT_NEAR(clip.seconds[static_cast<std::size_t>(i)] - clip.seconds[0],
                  (i * 33333 + i % 3 * 1500) / 1e6, 0.0011)
          << ending << " " << i;
    }
  }
}

TEST_F(CodecTimes, AClockThatJumpsBackGoesOn) {
  WriteClip(folder_ / "a.ts", {.pts = EvenPts(30)});
  WriteFileAtomically(folder_ / "twice.ts",
                      ReadFile(folder_ / "a.ts") + ReadFile(folder_ / "a.ts") + ReadFile(folder_ / "a.ts"));
  const DecodedClip clip = DecodeClip(folder_ / "twice.ts");
  EXPECT_NE(clip.warning.find("twice.ts: its clock jumps back 2 times, first after 30 frames"),
            std::string::npos)
      << clip.warning;
  ASSERT_EQ(clip.frames.size(), 90u);
  for (std::size_t i = 0; i < 90; ++i) {
    EXPECT_EQ(NumberOf(clip.frames[i].image), static_cast<int>(i % 30)) << i;
    EXPECT_NEAR(clip.seconds[i] - clip.seconds[0], 0.04 * static_cast<double>(i), 0.0011) << i;
  }
}

// MPEG streams count in 33 bits. A clock that runs over counts on; one that jumps back by minutes was not run
// over by it.
TEST_F(CodecTimes, AClockThatRunsOverIsToldFromOneThatJumpsBack) {
  std::vector<std::int64_t> late = EvenPts(100);
  for (std::int64_t& pts : late) pts += 95'440'500;  // ms; 2^33 ticks of 90 kHz are 95 443 718
  WriteClip(folder_ / "over.ts", {.pts = late});
  const DecodedClip over = DecodeClip(folder_ / "over.ts");
  EXPECT_EQ(over.warning, "");
  ASSERT_EQ(over.frames.size(), 100u);
  for (std::size_t i = 0; i < 100; ++i)
    EXPECT_NEAR(over.seconds[i] - over.seconds[0], 0.04 * static_cast<double>(i), 0.0011) << i;

  WriteClip(folder_ / "long.ts", {.pts = EvenPts(100, 1000)});
  WriteFileAtomically(folder_ / "twice.ts", ReadFile(folder_ / "long.ts") + ReadFile(folder_ / "long.ts"));
  const DecodedClip twice = DecodeClip(folder_ / "twice.ts");
  EXPECT_NE(twice.warning.find("its clock jumps back after 100 frames"), std::string::npos) << twice.warning;
  ASSERT_EQ(twice.frames.size(), 200u);
  EXPECT_LT(twice.seconds.back(), 202);
}

TEST_F(CodecTimes, OutputsWithoutTimesAreRefused) {
  for (const char* name : {"a.h264", "a.264", "a.hevc", "a.265", "a.mpg", "a.mpeg", "a.vob", "a.mjpeg"}) {
    EXPECT_FRF_ERROR(WriteClip(folder_ / name, {.pts = EvenPts(3)}), ErrorCode::kUsage,
                     "keeps no time of each frame; mp4");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

}  // namespace
}  // namespace frf
