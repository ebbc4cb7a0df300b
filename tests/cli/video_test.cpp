// SPDX-License-Identifier: Apache-2.0
// `frf segment` on videos, as a user runs it. The network here tells bright from dark, so that a mask shows
// which frame it is of.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <sstream>
#include <thread>

#include "base/files.h"
#include "base/json.h"
#include "data/synth.h"
#include "graph/builder.h"
#include "image/image_io.h"
#include "onnx/onnx_file.h"
#include "support/mjpeg_camera.h"
#include "support/process.h"
#include "support/video_clip.h"

namespace frf {
namespace {

using test::EvenPts;
using test::Finished;
using test::NumberOf;
using test::RunFrf;

namespace fs = std::filesystem;

// Class 1 where r + g + b > 384, else class 0.
Model BrightOrDark() {
  Builder g("bright");
  g.Output(g.Conv(g.Input("image", 3), {.name = "classifier", .out = 2, .bias = true, .classifier = true}),
           "scores", OutputRole::kScores);
  Model model;
  model.graph = std::move(g).Build();
  InitializeWeights(model.graph, 1);
  const auto fill = [&](const char* name, std::vector<float> values) {
    std::copy(values.begin(), values.end(), model.graph.FindInitializer(name)->value.data<float>());
  };
  fill("classifier.weight", {0, 0, 0, 1, 1, 1});
  fill("classifier.bias", {0, -384});
  model.info.classes = {{"dark", "bright"}, {{20, 20, 90}, {240, 200, 40}}, {}};
  model.info.input = {.mean = {0, 0, 0}, .std = {1, 1, 1}, .fit = Fit::kNative};
  return model;
}

class CliVideo : public ::testing::Test {
 protected:
  void SetUp() override {
    FRF_SKIP_WITHOUT_VIDEO();
    WriteOnnx(BrightOrDark(), folder_ / "bright.onnx");
  }
  Finished Segment(const std::vector<std::string>& more) {
    std::vector<std::string> words{"segment", "-m", folder_ / "bright.onnx", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    return RunFrf(words);
  }
  static Json Entry(const Finished& finished) {
    EXPECT_FALSE(finished.out.empty()) << finished.err;
    return finished.out.empty() ? Json::object() : ParseJson(finished.out, "standard output")["files"][0];
  }
  // One line on standard error, with `part` in it, and nothing under the output's name or a temporary one.
  void ExpectOneLine(const Finished& finished, const std::string& part, int code = 1) {
    EXPECT_EQ(finished.code, code) << finished.err;
    EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
    EXPECT_NE(finished.err.find(part), std::string::npos) << finished.err;
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      EXPECT_FALSE(entry.path().filename().string().starts_with("out")) << entry.path();
  }
  bool HasTemporary(const std::string& name) {
    for (const auto& entry : fs::directory_iterator(folder_.path()))
      if (entry.path().filename().string().starts_with(name + ".tmp")) return true;
    return false;
  }
  bool TemporaryComes(const std::string& name) {
    for (int i = 0; i < 1000 && !HasTemporary(name); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return HasTemporary(name);
  }
  test::TempFolder folder_;
};

TEST_F(CliVideo, EachMaskIsOfItsFrame) {
  test::WriteClip(folder_ / "clip.mp4", {.pts = EvenPts(40)});
  fs::create_directories(folder_.path() / "out/clip_mask");
  WriteFileAtomically(folder_ / "out/clip_mask/000099.png", "of a longer run");
  WriteFileAtomically(folder_ / "out/clip_mask/notes.txt", "not ours");
  const Finished finished = Segment({folder_ / "clip.mp4", "-o", folder_ / "out"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  const Json entry = Entry(finished);
  EXPECT_EQ(entry["frames"], 40);
  EXPECT_EQ(entry["dropped"], 0);
  EXPECT_GT(entry["fps"].get<double>(), 0);
  EXPECT_EQ(entry["outputs"]["mask"], folder_ / "out/clip_mask");
  for (int i = 0; i < 40; ++i) {
    const LabelImage mask = ReadLabels(folder_ / fmt::format("out/clip_mask/{:06}.png", i));
    EXPECT_EQ(mask.height, 48);
    EXPECT_EQ(mask.width, 128);
    EXPECT_EQ(NumberOf(mask), i);
  }
  const std::string times = ReadFile(folder_ / "out/clip_mask/times.csv");
  EXPECT_TRUE(times.starts_with("file,frame,seconds\n000000.png,0,0.000000\n000001.png,1,0.040000\n"))
      << times;
  EXPECT_TRUE(times.ends_with("\n000039.png,39,1.560000\n")) << times;
  EXPECT_FALSE(fs::exists(folder_ / "out/clip_mask/000099.png"));
  EXPECT_TRUE(fs::exists(folder_ / "out/clip_mask/notes.txt"));
  for (const char* kind : {"color", "overlay"})
    EXPECT_EQ(test::DecodeClip(entry["outputs"][kind]).frames.size(), 40u) << kind;
}

TEST_F(CliVideo, OneVideoKeepsSizeAndTimes) {
  const std::vector<std::int64_t> pts{0, 33, 50, 150, 400, 433, 1000, 1040, 1999, 2500};
  test::WriteClip(folder_ / "clip.mp4", {.pts = pts});
  for (const char* kind : {"overlay", "color"}) {
    const Finished finished = Segment({folder_ / "clip.mp4", "-o", folder_ / "out.mp4", "--write", kind});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_EQ(Entry(finished)["outputs"], (Json{{kind, folder_ / "out.mp4"}}));
    const test::DecodedClip clip = test::DecodeClip(folder_ / "out.mp4");
    EXPECT_EQ(clip.info.height, 48);
    EXPECT_EQ(clip.info.width, 128);
    ASSERT_EQ(clip.frames.size(), pts.size());
    for (std::size_t i = 0; i < pts.size(); ++i) {
      EXPECT_NEAR(clip.seconds[i], static_cast<double>(pts[i]) / 1000, 0.0011);
      EXPECT_EQ(NumberOf(clip.frames[i].image), static_cast<int>(i))
          << kind;  // bright stays brighter in colours and overlay
    }
    // Bar 0 of frame 1 is bright: yellow, the class's colour, alone or over the white.
    const std::uint8_t* pixel = clip.frames[1].image.at(10, 8);
    EXPECT_GT(pixel[0] - pixel[2], 60) << kind;
  }
  EXPECT_FALSE(fs::exists(folder_ / "clip_mask"));
}

TEST_F(CliVideo, ScenesGiveTheLabelsOfTheStillPath) {
  const auto writer = LoadVideoLibrary().Create(
      {.path = folder_ / "s.mp4",
       .info = {.height = 96, .width = 128, .rate = {10, 1}, .time_base = {1, 10}}});
  for (int i = 0; i < 4; ++i)
    writer->Write(
        DrawScene(kSynthTestSeed + static_cast<std::uint64_t>(i), {.height = 96, .width = 128}).image, i);
  writer->Finish();
  const test::DecodedClip clip = test::DecodeClip(folder_ / "s.mp4");
  ASSERT_EQ(clip.frames.size(), 4u);
  std::vector<std::string> words{"segment",           folder_ / "s.mp4", "-o",   folder_ / "out", "-m",
                                 "frfnet-slim-synth", "--write",         "mask", "--size",        "96x128"};
  for (std::size_t i = 0; i < 4; ++i) {
    words.push_back(folder_ / fmt::format("f{}.png", i));
    WritePng(words.back(), clip.frames[i].image);
  }
  const Finished finished = RunFrf(words);
  ASSERT_EQ(finished.code, 0) << finished.err;
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(ReadLabels(folder_ / fmt::format("out/s_mask/00000{}.png", i)).ids,
              ReadLabels(folder_ / fmt::format("out/f{}_mask.png", i)).ids)
        << i;
  }
  EXPECT_NE(finished.out.find("s.mp4: 4 frames labelled by frfnet-slim-synth"), std::string::npos)
      << finished.out;
  EXPECT_NE(finished.out.find("frames/s end to end"), std::string::npos);
  EXPECT_NE(finished.out.find("0 dropped"), std::string::npos);
  EXPECT_NE(finished.out.find("4 images labelled"), std::string::npos);
}

TEST_F(CliVideo, ACameraThatOutrunsTheNetworkLosesFramesInOrder) {
  const test::MjpegCamera camera({.frames = 100000, .every = 2});  // far faster than this network runs
  const Finished finished =
      RunFrf({"segment", "--camera", camera.Address(), "-o", folder_ / "out", "--write", "mask", "-m",
              "frfnet-slim-synth", "--size", "360x480", "--frames", "120", "--json"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  const Json entry = Entry(finished);
  EXPECT_GT(entry["dropped"].get<int>(), 0);
  EXPECT_GE(entry["frames"].get<int>(), 1);
  EXPECT_EQ(entry["frames"].get<int>() + entry["dropped"].get<int>(), 120);
  // Masks are numbered without gaps: which frames they are of, and when, stands beside them.
  std::istringstream times(ReadFile(folder_ / "out/camera_mask/times.csv"));
  std::string line, last;
  int lines = -1;
  for (; std::getline(times, line); ++lines) last = line;
  EXPECT_EQ(lines, entry["frames"]);
  EXPECT_NE(last.find(".png,119,"), std::string::npos) << last;
  // Without -o nothing is written.
  const Finished watched = Segment({"--camera", camera.Address(), "--frames", "20"});
  EXPECT_EQ(Entry(watched)["outputs"], Json::object());
  EXPECT_EQ(Entry(watched)["frames"].get<int>() + Entry(watched)["dropped"].get<int>(), 20);
}

// What a camera showed cannot be recorded again.
TEST_F(CliVideo, ACameraThatDropsOutLeavesItsRecording) {
  for (const test::CameraEnd end : {test::CameraEnd::kReset, test::CameraEnd::kClose}) {
    const test::MjpegCamera camera({.frames = 30, .end = end});
    const Finished finished = Segment({"--camera", camera.Address(), "-o", folder_ / "out.mp4"});
    const Json entry = Entry(finished);
    const int frames = entry["frames"];
    EXPECT_EQ(test::DecodeClip(folder_ / "out.mp4").frames.size(), static_cast<std::size_t>(frames));
    const std::string error = entry.value("error", "");
    EXPECT_EQ(finished.code, 1) << finished.err;
    EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
    const char* why =
        end == test::CameraEnd::kReset ? ": no more frames: " : ": the camera closed its connection";
    EXPECT_TRUE(error.starts_with(camera.Address() + why)) << error;
    EXPECT_TRUE(
        error.ends_with(fmt::format("; it ended after {} frames, what was labelled by then is written",
                                    frames + entry["dropped"].get<int>())))
        << error;
    EXPECT_FALSE(entry.contains("interrupted"));
    fs::remove(folder_ / "out.mp4");
  }
}

// What a camera showed is written, but for about a second, when the program is killed.
TEST_F(CliVideo, ACamerasMkvOutlivesTheProgram) {
  const test::MjpegCamera camera({.frames = 6000});
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  const std::string address = camera.Address(), out = folder_ / "out.mkv", net = folder_ / "bright.onnx";
  if (child == 0) {
    ::execl(FRF_BINARY_DIR "/bin/frf", "frf", "segment", "--camera", address.c_str(), "-o", out.c_str(), "-m",
            net.c_str(), nullptr);
    ::_exit(9);
  }
  EXPECT_TRUE(TemporaryComes("out.mkv"));
  fs::path recording;
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    if (entry.path().filename().string().starts_with("out.mkv.tmp")) recording = entry.path();
  }
  // It is written in clusters, whose mark this is.
  const auto clusters = [&] {
    int found = 0;
    const std::string bytes = ReadFile(recording);
    for (std::size_t at = 0; (at = bytes.find("\x1F\x43\xB6\x75", at)) != std::string::npos; ++at) ++found;
    return found;
  };
  for (int i = 0; i < 600 && clusters() < 3; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ::kill(child, SIGKILL);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const int written = clusters();
  ASSERT_GE(written, 3);
  const test::DecodedClip clip = test::DecodeClip(recording);
  EXPECT_GE(clip.frames.size(), 20u);
  EXPECT_LT(clip.seconds.back() / written, 2);  // Matroska's own habit is one in five seconds
}

TEST_F(CliVideo, APasswordIsNotPrinted) {
  const Finished finished =
      Segment({"--camera", "rtsp://admin:s3cret@127.0.0.1:1/x", "-o", folder_ / "out.mp4"});
  ExpectOneLine(finished, "rtsp://***@127.0.0.1:1/x: cannot open the camera");
  EXPECT_EQ(finished.err.find("s3cret"), std::string::npos) << finished.err;
  EXPECT_EQ(finished.out.find("s3cret"), std::string::npos) << finished.out;
  EXPECT_EQ(Entry(finished)["input"], "rtsp://***@127.0.0.1:1/x");
}

TEST_F(CliVideo, CtrlCLeavesAPlayableVideo) {
  test::WriteClip(folder_ / "long.mp4", {.pts = EvenPts(1500), .height = 48, .width = 64});
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  const std::string out = folder_ / "out.mp4", in = folder_ / "long.mp4";
  if (child == 0) {
    const std::string err = folder_ / "err";
    if (std::freopen(err.c_str(), "w", stderr) == nullptr ||
        std::freopen("/dev/null", "w", stdout) == nullptr)
      ::_exit(9);
    ::execl(FRF_BINARY_DIR "/bin/frf", "frf", "segment", in.c_str(), "-o", out.c_str(), "-m",
            "frfnet-slim-synth", "--size", "192x256", nullptr);
    ::_exit(9);
  }
  EXPECT_TRUE(TemporaryComes("out.mp4"));
  EXPECT_FALSE(fs::exists(out));  // nothing under the final name while it grows
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);  // not all was labelled
  EXPECT_FALSE(HasTemporary("out.mp4"));
  ASSERT_TRUE(fs::exists(out)) << test::ReadWhole(folder_ / "err");
  const std::size_t frames = test::DecodeClip(out).frames.size();
  EXPECT_GE(frames, 1u);
  EXPECT_LT(frames, 1500u);
  const std::string err = test::ReadWhole(folder_ / "err");
  EXPECT_NE(err.find(fmt::format("stopped after {} frames", frames)), std::string::npos) << err;
}

// As where an ssh connection drops: the signal comes, and nothing can be written on standard error any more.
TEST_F(CliVideo, AClosedTerminalLeavesAPlayableVideo) {
  test::WriteClip(folder_ / "long.mp4", {.pts = EvenPts(1500), .height = 48, .width = 64});
  const std::string out = folder_ / "out.mp4", in = folder_ / "long.mp4";
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child < 0) GTEST_SKIP() << "no terminal can be made here";
  if (child == 0) {
    ::execl(FRF_BINARY_DIR "/bin/frf", "frf", "segment", in.c_str(), "-o", out.c_str(), "-m",
            "frfnet-slim-synth", "--size", "384x512", nullptr);
    ::_exit(9);
  }
  EXPECT_TRUE(TemporaryComes("out.mp4"));
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));  // the progress line is shown
  ::close(terminal);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_FALSE(HasTemporary("out.mp4"));
  ASSERT_TRUE(fs::exists(out));
  EXPECT_GE(test::DecodeClip(out).frames.size(), 1u);
}

TEST_F(CliVideo, BadInputIsOneLineAndLeavesNothing) {
  test::WriteClip(folder_ / "clip.mp4", {.pts = EvenPts(20)});
  const std::string bytes = ReadFile(folder_ / "clip.mp4");
  WriteFileAtomically(folder_ / "cut.mp4", bytes.substr(0, bytes.size() / 2));
  WriteFileAtomically(folder_ / "text.mp4", "this is a letter");
  WriteFileAtomically(folder_ / "empty.mp4", "");
  for (const char* name : {"cut.mp4", "text.mp4", "empty.mp4", "absent.mp4"}) {
    ExpectOneLine(Segment({folder_ / name, "-o", folder_ / "out.mp4"}), folder_ / name);
  }
  ExpectOneLine(Segment({"--camera", "977", "-o", folder_ / "out.mp4"}), "/dev/video977");
  ExpectOneLine(Segment({folder_ / "clip.mp4", "-o", (folder_ / "clip.mp4") + "/out.mp4"}),
                "clip.mp4: cannot create");
  ExpectOneLine(Segment({folder_ / "clip.mp4", "-o", folder_ / "out.mp4", "--write", "mask"}),
                "name a folder", 2);
  ExpectOneLine(Segment({folder_ / "clip.mp4", folder_ / "text.mp4", "-o", folder_ / "out.mp4"}),
                "name a folder", 2);
  // A file-size limit plays the full disk; ignored, its signal leaves the error to us.
  const std::string command =
      fmt::format("trap '' XFSZ; ulimit -f 1; exec {}/bin/frf segment {} -o {} -m {}", FRF_BINARY_DIR,
                  folder_ / "clip.mp4", folder_ / "out.mp4", folder_ / "bright.onnx");
  ExpectOneLine(test::RunProgram("/bin/bash", {"-c", command}), "out.mp4: cannot write");
}

TEST_F(CliVideo, ABadVideoDoesNotStopTheOthers) {
  test::WriteClip(folder_ / "b.mp4", {.pts = EvenPts(5)});
  WriteFileAtomically(folder_ / "a.mp4", "this is a letter");
  const Finished finished =
      Segment({folder_ / "a.mp4", folder_ / "b.mp4", "-o", folder_ / "labels", "--write", "color"});
  EXPECT_EQ(finished.code, 1);
  const Json files = ParseJson(finished.out, "standard output")["files"];
  EXPECT_TRUE(files[0].contains("error"));
  EXPECT_EQ(files[1]["frames"], 5);
}

// The program alone, as a build without FFmpeg leaves it. Not of the fixture: it holds without video too.
TEST(CliWithoutVideo, OneLineSaysHowToGetIt) {
  const test::TempFolder folder;
  fs::create_directories(folder.path() / "bin");
  fs::copy_file(FRF_BINARY_DIR "/bin/frf", folder / "bin/frf");
  WriteOnnx(BrightOrDark(), folder / "bright.onnx");
  WriteFileAtomically(folder / "clip.mp4", "never read");
  const Finished finished = test::RunProgram(
      folder / "bin/frf",
      {"segment", folder / "clip.mp4", "-o", folder / "out.mp4", "-m", folder / "bright.onnx"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
  EXPECT_NE(finished.err.find("clip.mp4: this build of frf has no video"), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find("FRF_VIDEO=ON"), std::string::npos);
}

// Masks are moved: the folder that a link leads to may lie on another file system.
TEST_F(CliVideo, MasksGoBehindALinkToAnotherFileSystem) {
  const fs::path shm = "/dev/shm";
  struct stat here {
  }, there{};
  if (::stat(folder_.path().c_str(), &here) != 0 || ::stat(shm.c_str(), &there) != 0 ||
      here.st_dev == there.st_dev || ::access(shm.c_str(), W_OK) != 0)
    GTEST_SKIP() << "no second file system here";
  const fs::path target = shm / fmt::format("frf-test-masks-{}", ::getpid());
  fs::create_directories(target);
  WriteFileAtomically(target / "000077.png", "of a longer run");
  fs::create_directories(folder_.path() / "out");
  fs::create_symlink(target, folder_.path() / "out/clip_mask");
  test::WriteClip(folder_ / "clip.mp4", {.pts = EvenPts(3)});
  const Finished finished = Segment({folder_ / "clip.mp4", "-o", folder_ / "out", "--write", "mask"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(std::distance(fs::directory_iterator(target), {}), 4);  // and times.csv
  EXPECT_TRUE(fs::is_symlink(folder_.path() / "out/clip_mask"));
  fs::remove_all(target);
}

TEST_F(CliVideo, OneVideoThatCannotBeWrittenDoesNotStopTheOthers) {
  for (const char* name : {"a.mp4", "b.mp4"}) test::WriteClip(folder_ / name, {.pts = EvenPts(3)});
  fs::create_directories(folder_.path() / "out/a_overlay.mp4");  // in the way
  const Finished finished =
      Segment({folder_ / "a.mp4", folder_ / "b.mp4", "-o", folder_ / "out", "--write", "overlay"});
  EXPECT_EQ(finished.code, 1);
  const Json files = ParseJson(finished.out, "standard output")["files"];
  ASSERT_EQ(files.size(), 2u);
  EXPECT_NE(files[0]["error"].get<std::string>().find("a_overlay.mp4"), std::string::npos);
  EXPECT_EQ(files[1]["frames"], 3);
}

TEST_F(CliVideo, ErrorsOfTheNetworkNameTheVideo) {
  test::WriteClip(folder_ / "clip.mp4", {.pts = EvenPts(3)});
  const Finished finished =
      RunFrf({"segment", folder_ / "clip.mp4", "-o", folder_ / "masks", "-m", "frfnet-slim-synth", "--size",
              "360x480", "--max-memory", "1", "--write", "mask"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("clip.mp4: the network needs"), std::string::npos) << finished.err;
}

TEST_F(CliVideo, ContainersThatTakeNoEncoderSaySo) {
  test::WriteClip(folder_ / "clip.mp4", {.pts = EvenPts(3)});
  ExpectOneLine(Segment({folder_ / "clip.mp4", "-o", folder_ / "out.ogv"}), "mp4, mkv, mov and webm do");
}

}  // namespace
}  // namespace frf
