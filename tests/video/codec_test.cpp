// SPDX-License-Identifier: Apache-2.0
// Decoder and encoder. What one half could get wrong together with the other is held against files written
// byte by byte here.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <random>
#include <thread>

#include "base/files.h"
#include "data/synth.h"
#include "support/video_clip.h"

namespace frf {
namespace {

using test::CodedFrame;
using test::DecodeClip;
using test::DecodedClip;
using test::EvenPts;
using test::NumberOf;
using test::WriteClip;

class Codec : public ::testing::Test {
 protected:
  void SetUp() override { FRF_SKIP_WITHOUT_VIDEO(); }
  test::TempFolder folder_;
};

TEST_F(Codec, EveryFrameComesBackInOrderAtItsTime) {
  // Uneven times: what a phone or a screen recording writes.
  const std::vector<std::int64_t> pts{0,    33,   50,   150,  151,  400,  433,  466,  1000,
                                      1040, 1080, 1999, 2000, 2100, 2500, 2600, 2700, 3300};
  for (const char* name : {"a.mp4", "a.mkv", "a.mov", "a.webm"}) {
    WriteClip(folder_ / name, {.pts = pts});
    const DecodedClip clip = DecodeClip(folder_ / name);
    EXPECT_EQ(clip.info.height, 48) << name;
    EXPECT_EQ(clip.info.width, 128) << name;
    EXPECT_EQ(clip.warning, "") << name;
    ASSERT_EQ(clip.frames.size(), pts.size()) << name;
    for (std::size_t i = 0; i < pts.size(); ++i) {
      EXPECT_EQ(NumberOf(clip.frames[i].image), static_cast<int>(i)) << name;
      EXPECT_NEAR(clip.seconds[i], static_cast<double>(pts[i]) / 1000, 0.0011) << name << " frame " << i;
    }
  }
}

TEST_F(Codec, AClipOfScenesLooksLikeTheScenes) {
  const Image scene = DrawScene(kSynthTestSeed + 3, {.height = 120, .width = 160}).image;
  const auto writer = LoadVideoLibrary().Create(
      {.path = folder_ / "s.mp4",
       .info = {.height = 120, .width = 160, .rate = {25, 1}, .time_base = {1, 25}}});
  for (int i = 0; i < 3; ++i) writer->Write(scene, i);
  writer->Finish();
  EXPECT_EQ(writer->encoder(), "libx264");  // Debian's libavcodec has it
  const DecodedClip clip = DecodeClip(folder_ / "s.mp4");
  ASSERT_EQ(clip.frames.size(), 3u);
  double sum = 0;
  for (std::size_t i = 0; i < scene.pixels.size(); ++i)
    sum += std::abs(scene.pixels[i] - clip.frames[2].image.pixels[i]);
  EXPECT_LT(sum / static_cast<double>(scene.pixels.size()), 6);
}

TEST_F(Codec, OddSizesStayWhole) {
  for (const auto& [height, width] : {std::pair{49, 128}, {48, 131}, {51, 133}, {16, 16}}) {
    const std::string path = folder_ / fmt::format("{}x{}.mp4", height, width);
    WriteClip(path, {.pts = EvenPts(5), .height = height, .width = width});
    const DecodedClip clip = DecodeClip(path);
    ASSERT_EQ(clip.frames.size(), 5u);
    EXPECT_EQ(clip.frames[3].image.height, height);
    EXPECT_EQ(clip.frames[3].image.width, width);
    EXPECT_EQ(NumberOf(clip.frames[3].image), 3);
  }
}

// One frame of YUV4MPEG2, a text header and bare planes: nothing of our encoder is in it.
std::string Y4m(int height, int width, const std::string& words, const std::vector<std::uint8_t>& luma, int u,
                int v) {
  std::string bytes = fmt::format("YUV4MPEG2 W{} H{} F25:1 Ip A1:1 {}\nFRAME\n", width, height, words);
  bytes.append(luma.begin(), luma.end());
  const auto chroma = static_cast<std::size_t>((height + 1) / 2) * ((width + 1) / 2);
  bytes.append(chroma, static_cast<char>(u));
  bytes.append(chroma, static_cast<char>(v));
  return bytes;
}

TEST_F(Codec, RangeAndMatrixAreThoseOfTheFile) {
  struct Case {
    int height, width;
    const char* words;
    int y, u, v;
    std::array<int, 3> rgb;  // by the standards' formulas, by hand
  };
  // Red: BT.601 limited 81, 90, 240; full 76, 85, 255; BT.709 limited 63, 102, 240. Black and white of both
  // ranges.
  const Case cases[] = {{64, 64, "C420jpeg", 81, 90, 240, {254, 0, 0}},
                        {64, 64, "C420jpeg XCOLORRANGE=FULL", 76, 85, 255, {254, 0, 0}},
                        {720, 64, "C420jpeg", 63, 102, 240, {255, 1, 0}},
                        {64, 64, "C420jpeg", 16, 128, 128, {0, 0, 0}},
                        {64, 64, "C420jpeg", 235, 128, 128, {255, 255, 255}},
                        {64, 64, "C420jpeg XCOLORRANGE=FULL", 16, 128, 128, {16, 16, 16}},
                        {64, 64, "C420jpeg XCOLORRANGE=FULL", 235, 128, 128, {235, 235, 235}}};
  for (const Case& c : cases) {
    const std::vector<std::uint8_t> luma(static_cast<std::size_t>(c.height) * c.width,
                                         static_cast<std::uint8_t>(c.y));
    WriteFileAtomically(folder_ / "c.y4m", Y4m(c.height, c.width, c.words, luma, c.u, c.v));
    const DecodedClip clip = DecodeClip(folder_ / "c.y4m");
    ASSERT_EQ(clip.frames.size(), 1u);
    for (int i = 0; i < 3; ++i) {
      EXPECT_NEAR(clip.frames[0].image.at(c.height / 2, 30)[i], c.rgb[static_cast<std::size_t>(i)], 2)
          << c.words << " Y " << c.y << " channel " << i;
    }
  }
}

// Full range without colour: RGB is the luma itself, so every pixel of every width can be checked.
TEST_F(Codec, EveryColumnAndRowIsConverted) {
  for (const int height : {16, 17}) {
    for (int width = 16; width <= 50; ++width) {
      std::vector<std::uint8_t> luma;
      for (int i = 0; i < height * width; ++i) luma.push_back(static_cast<std::uint8_t>(i * 7 % 251));
      WriteFileAtomically(folder_ / "w.y4m", Y4m(height, width, "C420jpeg XCOLORRANGE=FULL", luma, 128, 128));
      const DecodedClip clip = DecodeClip(folder_ / "w.y4m");
      ASSERT_EQ(clip.frames.size(), 1u);
      const Image& image = clip.frames[0].image;
      ASSERT_EQ(image.pixels.size(), luma.size() * 3);
      int worst = 0;
      for (std::size_t i = 0; i < image.pixels.size(); ++i)
        worst = std::max(worst, std::abs(image.pixels[i] - luma[i / 3]));
      EXPECT_LE(worst, 1) << height << "x" << width;
    }
  }
}

// Writes the matrix into the mp4's track header, as a phone does.
void SetMatrix(const std::string& path, std::array<int, 4> turn) {
  std::string bytes = ReadFile(path);
  const std::size_t at = bytes.find("tkhd") + 44;
  const auto put = [&](std::size_t index, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + 4 * index + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  for (std::size_t i = 0; i < 4; ++i) put(i < 2 ? i : i + 1, static_cast<std::uint32_t>(turn[i] * 65536));
  WriteFileAtomically(path, bytes);
}

TEST_F(Codec, PhonesRotationIsHonoured) {
  struct Case {
    std::array<int, 4> turn;  // a b c d of the matrix: x' = a x + c y, y' = b x + d y
    std::array<int, 2> red,
        green;  // where the stored picture's top left and top right corners come to be: {bottom?, right?}
  };
  const Case cases[] = {{{1, 0, 0, 1}, {0, 0}, {0, 1}},
                        {{0, 1, -1, 0}, {0, 1}, {1, 1}},  // as stored; a quarter turn to the right
                        {{-1, 0, 0, -1}, {1, 1}, {1, 0}},
                        {{0, -1, 1, 0}, {1, 0}, {0, 0}},  // upside down; a quarter turn to the left
                        {{-1, 0, 0, 1}, {0, 1}, {0, 0}},
                        {{1, 0, 0, -1}, {1, 0}, {1, 1}}};  // mirrored
  Image image{.height = 48, .width = 96, .channels = 3};
  image.pixels.assign(image.bytes(), 30);
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 16; ++x) image.at(y, x)[0] = image.at(y, 80 + x)[1] = 220;
  }
  for (const Case& c : cases) {
    const auto writer = LoadVideoLibrary().Create(
        {.path = folder_ / "r.mp4",
         .info = {.height = 48, .width = 96, .rate = {25, 1}, .time_base = {1, 25}}});
    for (int i = 0; i < 3; ++i) writer->Write(image, i);
    writer->Finish();
    SetMatrix(folder_ / "r.mp4", c.turn);
    const DecodedClip clip = DecodeClip(folder_ / "r.mp4");
    ASSERT_EQ(clip.frames.size(), 3u);
    const bool turned = c.turn[0] == 0;
    const Image& got = clip.frames[1].image;
    EXPECT_EQ(clip.info.height, turned ? 96 : 48);
    ASSERT_EQ(got.height, turned ? 96 : 48);
    ASSERT_EQ(got.width, turned ? 48 : 96);
    const auto corner = [&](const std::array<int, 2>& where) {
      return got.at(where[0] ? got.height - 8 : 8, where[1] ? got.width - 8 : 8);
    };
    EXPECT_GT(corner(c.red)[0], 150) << c.turn[0] << c.turn[1];
    EXPECT_LT(corner(c.red)[1], 90);
    EXPECT_GT(corner(c.green)[1], 150) << c.turn[0] << c.turn[1];
    EXPECT_LT(corner(c.green)[0], 90);
  }
}

// Frames of the file, or one line that names it.
int FramesOrOneLine(const std::string& path) {
  try {
    return static_cast<int>(DecodeClip(path).frames.size());
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_TRUE(message.starts_with(path)) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_NE(error.code(), ErrorCode::kInternal) << message;
    return -1;
  }
}

TEST_F(Codec, CutFilesGiveFramesOrOneLine) {
  for (const char* ending : {"mp4", "mkv", "avi", "ts"}) {
    const std::string whole = folder_ / fmt::format("whole.{}", ending),
                      cut = folder_ / fmt::format("cut.{}", ending);
    WriteClip(whole, {.pts = EvenPts(30)});
    const std::string bytes = ReadFile(whole);
    EXPECT_EQ(FramesOrOneLine(whole), 30) << ending;
    int refused = 0, fewer = 0;
    for (int part = 0; part < 24; ++part) {
      WriteFileAtomically(cut, bytes.substr(0, bytes.size() * static_cast<std::size_t>(part) / 24));
      const int frames = FramesOrOneLine(cut);
      EXPECT_LE(frames, 30) << ending;
      refused += frames < 0, fewer += frames >= 0 && frames < 30;
    }
    EXPECT_GT(refused, 0) << ending;
    // An mp4's index stands at its end: cut, it holds nothing that can be found. The others can be read up to
    // the cut.
    if (ending == std::string("mp4")) {
      EXPECT_EQ(refused, 24);
    }
    if (ending == std::string("mkv")) {
      EXPECT_GT(fewer, 3);
    }
  }
}

TEST_F(Codec, ACutBehindTheIndexIsFoundBeforeAnyWork) {
  WriteClip(folder_ / "a.avi", {.pts = EvenPts(60)});
  WriteClip(folder_ / "a.mp4", {.pts = EvenPts(60)});
  // The index moved to the front is what "fast start" files have; here the data is named longer than it is.
  std::string bytes = ReadFile(folder_ / "a.mp4");
  const std::size_t data = bytes.find("mdat"), index = bytes.find("moov");
  ASSERT_LT(data, index);
  const std::string table = bytes.substr(index - 4);
  WriteFileAtomically(folder_ / "b.mp4", bytes.substr(0, data - 4) + table);
  EXPECT_FRF_ERROR(DecodeClip(folder_ / "b.mp4"), ErrorCode::kCorruptFile, "cut short");
}

TEST_F(Codec, DamagedBytesGiveFramesOrOneLine) {
  for (const char* ending : {"mp4", "mkv"}) {
    WriteClip(folder_ / fmt::format("whole.{}", ending), {.pts = EvenPts(20)});
    const std::string bytes = ReadFile(folder_ / fmt::format("whole.{}", ending)),
                      path = folder_ / fmt::format("damaged.{}", ending);
    for (std::size_t round = 0; round < 40; ++round) {
      std::string damaged = bytes;
      for (std::size_t i = 0; i < 8; ++i)
        damaged[(round * 7919 + i * 104729) % damaged.size()] ^= static_cast<char>(0x55 + round);
      WriteFileAtomically(path, damaged);
      EXPECT_LE(FramesOrOneLine(path), 1000) << ending << " round " << round;
    }
  }
}

TEST_F(Codec, WhatIsNoVideoIsNamed) {
  WriteFileAtomically(folder_ / "text.mp4", "Dear diary, today I was called a video.\n");
  WriteFileAtomically(folder_ / "empty.mp4", "");
  const std::string wave =
      std::string(
          "RIFF\x24\x20\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\x20\0\0", 44) +
      std::string(8192, '\0');
  WriteFileAtomically(folder_ / "sound.mp4", wave);
  EXPECT_FRF_ERROR(DecodeClip(folder_ / "text.mp4"), ErrorCode::kCorruptFile,
                   "text.mp4: cannot be read as a video");
  EXPECT_FRF_ERROR(DecodeClip(folder_ / "empty.mp4"), ErrorCode::kCorruptFile,
                   "empty.mp4: cannot be read as a video");
  EXPECT_FRF_ERROR(DecodeClip(folder_ / "sound.mp4"), ErrorCode::kCorruptFile,
                   "sound.mp4: there is no video in it");
  EXPECT_FRF_ERROR(DecodeClip(folder_ / "absent.mp4"), ErrorCode::kNotFound, "absent.mp4: cannot open");
  EXPECT_FRF_ERROR(DecodeClip("/dev/video977", true), ErrorCode::kNotFound,
                   "/dev/video977: there is no such camera");
  EXPECT_FRF_ERROR(DecodeClip("977", true), ErrorCode::kNotFound, "/dev/video977: there is no such camera");
  WriteClip(folder_ / "sound.mp4", {.pts = EvenPts(3)});
  EXPECT_FRF_ERROR(LoadVideoLibrary().Open({.input = folder_ / "sound.mp4", .max_memory = 1000}),
                   ErrorCode::kOutOfMemory, "--max-memory");
}

TEST_F(Codec, AnAddressTakesNoDevicesOptions) {
  const auto open = [](SourceOptions options) {
    options.input = "rtsp://127.0.0.1:1/none", options.camera = true;
    LoadVideoLibrary().Open(options);
  };
  EXPECT_FRF_ERROR(open({.height = 480, .width = 640}), ErrorCode::kUsage, "--camera-size");
  EXPECT_FRF_ERROR(open({.rate = 30}), ErrorCode::kUsage, "--camera-rate");
  EXPECT_FRF_ERROR(open({.format = "mjpeg"}), ErrorCode::kUsage, "--camera-format");
  EXPECT_FRF_ERROR(open({}), ErrorCode::kIo, "cannot open the camera");
}

// A playlist under a video's name must not make us fetch what it names: nobody may call at this port.
TEST_F(Codec, APlaylistReachesNoNetwork) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::atomic<bool> done{false};
  std::atomic<int> calls{0};
  std::thread answer([&] {
    for (pollfd ready{.fd = listener, .events = POLLIN}; !done;) {
      if (::poll(&ready, 1, 20) == 1 && ++calls) ::close(::accept(listener, nullptr, nullptr));
    }
  });
  WriteFileAtomically(
      folder_ / "list.mp4",
      fmt::format(
          "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{}/other.ts\n#EXT-X-ENDLIST\n",
          ntohs(address.sin_port)));
  EXPECT_EQ(FramesOrOneLine(folder_ / "list.mp4"), -1);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  done = true;
  answer.join();
  ::close(listener);
  EXPECT_EQ(calls, 0);
}

TEST_F(Codec, ASizeThatChangesIsAnError) {
  WriteClip(folder_ / "a.ts", {.pts = EvenPts(12)});
  WriteClip(folder_ / "b.ts", {.pts = EvenPts(12), .height = 64, .width = 64});
  WriteFileAtomically(folder_ / "both.ts", ReadFile(folder_ / "a.ts") + ReadFile(folder_ / "b.ts"));
  EXPECT_FRF_ERROR(DecodeClip(folder_ / "both.ts"), ErrorCode::kUnsupported, "of 64x64; one size is wanted");
}

// As on a full disk, by the limit that a process may have on files: what was recorded is finished and plays.
TEST_F(Codec, ARecordingForWhichThereIsNoMoreRoomIsKept) {
  struct rlimit before {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  struct rlimit limit = before;
  limit.rlim_cur = 19 << 20;
  for (const char* name : {"a.mp4", "a.mkv", "a.ts"}) {
    const std::string path = folder_ / name;
    const VideoInfo info{.height = 360, .width = 480, .rate = {25, 1}, .time_base = {1, 1000}, .live = true};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    const auto writer = LoadVideoLibrary().Create({.path = path, .info = info});
    Image noise{.height = 360, .width = 480, .channels = 3};
    noise.pixels.resize(noise.bytes());
    std::mt19937 random(1);
    for (auto& value : noise.pixels) value = static_cast<std::uint8_t>(random());
    std::string error;
    int frames = 0;
    for (; frames < 400 && error.empty(); ++frames) {
      std::rotate(noise.pixels.begin(), noise.pixels.begin() + 4321, noise.pixels.end());
      try {
        writer->Write(noise, std::int64_t{frames} * 40);
      } catch (const Error& what) {
        error = what.what();
      }
    }
    writer->Finish();
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_NE(error.find(std::string(name) + ": cannot write more: No space left"), std::string::npos)
        << error;
    EXPECT_GT(std::filesystem::file_size(path), 1u << 20) << name;
    const test::DecodedClip clip = DecodeClip(path);
    EXPECT_EQ(clip.frames.size(), static_cast<std::size_t>(frames)) << name;
    EXPECT_EQ(clip.warning, "");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
    std::filesystem::remove(path);
  }
}

TEST_F(Codec, OnlyAFinishedVideoIsLeft) {
  WriteFileAtomically(folder_ / "a.mp4", "before");
  {
    const auto writer = LoadVideoLibrary().Create(
        {.path = folder_ / "a.mp4",
         .info = {.height = 48, .width = 128, .rate = {25, 1}, .time_base = {1, 25}}});
    writer->Write(CodedFrame(0), 0);
    EXPECT_FRF_ERROR(writer->Write(CodedFrame(1, 50, 128), 1), ErrorCode::kInvalidArgument, "50x128");
  }
  EXPECT_EQ(ReadFile(folder_ / "a.mp4"), "before");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
  EXPECT_FRF_ERROR(WriteClip(folder_ / "no/a.mp4", {.pts = {0}}), ErrorCode::kNotFound,
                   "no/a.mp4: cannot create");
  EXPECT_FRF_ERROR(WriteClip(folder_ / "a.nothing", {.pts = {0}}), ErrorCode::kUsage, "a.nothing");
}

}  // namespace
}  // namespace frf
