// SPDX-License-Identifier: Apache-2.0
// `frf segment` on folders as users have them: links, folders that are not theirs to read, names that meet,
// results of earlier calls, and Ctrl-C in the middle; and how `frf demo` shows a photo of any size.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <set>
#include <thread>

#include "base/files.h"
#include "data/synth.h"
#include "image/image_io.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::RunFrf;

namespace fs = std::filesystem;

class SegmentFolder : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    model_ = new test::TempFolder;
    ParsedOutput(RunFrf({"export", "frfnet-slim", "--size", "64x96", "-o", *model_ / "net.onnx", "--json"}));
    fs::permissions(model_->path(), fs::perms(0755));
  }
  static void TearDownTestSuite() {
    delete model_;
    model_ = nullptr;
  }
  void SetUp() override { fs::create_directories(work_.path() / "in"); }

  static std::string Model() { return *model_ / "net.onnx"; }
  static Image Picture(int seed) {
    return DrawScene(static_cast<std::uint64_t>(seed), {.height = 64, .width = 96}).image;
  }
  std::vector<std::string> Words(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words{"segment", work_ / "in", "-o",     work_ / "out", "-m", Model(),
                                   "--write", "mask",       "--json", "--threads",   "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  // File names of the inputs, in order.
  static std::vector<std::string> Inputs(const Finished& finished) {
    std::vector<std::string> names;
    const Json report = ParseJson(finished.out, "standard output");
    for (const Json& file : report["files"])
      names.push_back(fs::path(file["input"].get<std::string>()).filename().string());
    return names;
  }

  test::TempFolder work_;
  static test::TempFolder* model_;
};
test::TempFolder* SegmentFolder::model_ = nullptr;

TEST_F(SegmentFolder, LinksThatLeadNowhereAreNamedAndTheOthersLabelled) {
  WritePng(work_ / "in/a.png", Picture(1));
  fs::create_symlink("loop.png", work_.path() / "in/loop.png");
  fs::create_symlink("missing", work_.path() / "in/lost.png");
  fs::create_symlink("missing", work_.path() / "in/notes.txt");
  fs::create_directories(work_.path() / "in/folder.png");
  const Finished finished = RunFrf(Words());
  EXPECT_EQ(finished.code, 1);
  EXPECT_EQ(Inputs(finished), (std::vector<std::string>{"a.png", "loop.png", "lost.png"})) << finished.err;
  EXPECT_NE(finished.err.find("loop.png: cannot look at it: Too many levels"), std::string::npos)
      << finished.err;
  EXPECT_NE(finished.err.find("lost.png: is a link to a file that does not exist"), std::string::npos);
  EXPECT_EQ(finished.err.find("please report"), std::string::npos) << finished.err;
  EXPECT_TRUE(fs::exists(work_ / "out/a_mask.png"));
}

TEST_F(SegmentFolder, AFolderThatCannotBeReadIsNamedAndTheOthersLabelled) {
  WritePng(work_ / "in/a.png", Picture(1));
  fs::create_directories(work_.path() / "in/closed");
  fs::create_directories(work_.path() / "out");
  WritePng(work_ / "in/closed/b.png", Picture(2));
  fs::permissions(work_.path(), fs::perms(0755));
  fs::permissions(work_.path() / "out", fs::perms(0777));
  fs::permissions(work_.path() / "in/closed", fs::perms::none);
  // Root may read everything, so it becomes another user.
  const std::string frf = FRF_BINARY_DIR "/bin/frf";
  std::vector<std::string> other{"--reuid", "65534", "--regid", "65534", "--clear-groups", frf};
  const auto run = [&](std::vector<std::string> words) {
    if (::geteuid() != 0) return RunFrf(words);
    words.insert(words.begin(), other.begin(), other.end());
    return test::RunProgram("/usr/bin/setpriv", words);
  };
  if (run({"info", Model()}).code != 0) GTEST_SKIP() << "no other user can run frf here";
  const Finished finished = run(Words());
  EXPECT_EQ(finished.code, 1) << "not every picture was labelled";
  EXPECT_NE(finished.err.find("in/closed: cannot look into this folder: Permission denied"),
            std::string::npos)
      << finished.err;
  EXPECT_EQ(Inputs(finished), (std::vector<std::string>{"closed", "a.png"}));
  EXPECT_TRUE(fs::exists(work_ / "out/a_mask.png")) << finished.err;
  const Finished alone = run({"segment", work_ / "in/closed", "-o", work_ / "out", "-m", Model()});
  EXPECT_EQ(alone.code, 1);
  EXPECT_NE(alone.err.find("in/closed: cannot look into this folder"), std::string::npos) << alone.err;
  fs::permissions(work_.path() / "in/closed", fs::perms(0755));
}

// One name that no file can have, and one folder behind a link, stop no other picture.
TEST_F(SegmentFolder, ANameThatCannotBeWrittenIsToldAndTheOthersLabelled) {
  WritePng(work_ / "in/a.png", Picture(1));
  WritePng(work_ / ("in/" + std::string(248, 'b') + ".png"), Picture(2));
  WritePng(work_ / "in/c.png", Picture(3));
  fs::create_directory(work_.path() / "else");
  WritePng(work_ / "else/d.png", Picture(4));
  fs::create_directory_symlink("../else", work_.path() / "in/linked");
  const Finished finished = RunFrf(Words());
  EXPECT_EQ(finished.code, 1) << finished.err;
  EXPECT_NE(finished.err.find("_mask.png: cannot replace: File name too long"), std::string::npos)
      << finished.err;
  EXPECT_NE(finished.err.find("1 link to folders not followed"), std::string::npos) << finished.err;
  EXPECT_EQ(Inputs(finished).size(), 3u);
  EXPECT_TRUE(fs::exists(work_ / "out/a_mask.png"));
  EXPECT_TRUE(fs::exists(work_ / "out/c_mask.png"));
}

// A video's masks are in a folder of their own; only where that is named are they pictures.
TEST_F(SegmentFolder, MasksOfAVideoAreNoPicturesOfALaterCall) {
  WritePng(work_ / "in/a.png", Picture(1));
  fs::create_directories(work_.path() / "in/clip_mask");
  for (const char* name : {"in/clip_mask/000000.png", "in/clip_mask/000001.png"})
    WriteLabels(work_ / name, {.height = 64, .width = 96, .ids = std::vector<std::uint8_t>(64 * 96, 3)});
  WritePng(work_ / "in/clip_mask/mine.png", Picture(2));
  Finished finished = RunFrf(Words());
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(Inputs(finished), (std::vector<std::string>{"a.png", "mine.png"}));
  EXPECT_NE(finished.err.find("2 named like results"), std::string::npos) << finished.err;
  std::vector<std::string> words = Words();
  words[1] = work_ / "in/clip_mask/";
  finished = RunFrf(words);
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(Inputs(finished).size(), 3u);
}

TEST_F(SegmentFolder, PicturesOfOtherFormatsAreCounted) {
  WritePng(work_ / "in/a.png", Picture(1));
  for (const char* name : {"in/b.webp", "in/c.BMP", "in/d.webp"}) WriteFileAtomically(work_ / name, "x");
  Finished finished = RunFrf(Words());
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(Inputs(finished), (std::vector<std::string>{"a.png"}));
  EXPECT_NE(finished.err.find("in: 3 files of other formats left out (bmp, webp): frf reads PNG and JPEG"),
            std::string::npos)
      << finished.err;
  fs::remove(work_ / "in/a.png");
  finished = RunFrf(Words());
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("no PNG or JPEG files in this folder; 3 files of other formats"),
            std::string::npos)
      << finished.err;
}

// a_2.png's results must not be a.png's, who only shares its name with a.jpg.
TEST_F(SegmentFolder, EqualNamesAreNumberedPastThoseOfOthers) {
  WriteJpeg(work_ / "in/a.jpg", Picture(1));
  WritePng(work_ / "in/a.png", Picture(2));
  WritePng(work_ / "in/a_2.png", Picture(3));
  const Finished finished = RunFrf(Words());
  EXPECT_EQ(finished.code, 0) << finished.err;
  const Json files = ParseJson(finished.out, "standard output")["files"];
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0]["outputs"]["mask"], work_ / "out/a_mask.png");
  EXPECT_EQ(files[1]["outputs"]["mask"], work_ / "out/a_3_mask.png");
  EXPECT_EQ(files[2]["outputs"]["mask"], work_ / "out/a_2_mask.png");
  EXPECT_NE(finished.err.find("in/a.png gives a_3_*"), std::string::npos) << finished.err;
}

TEST_F(SegmentFolder, CtrlCEndsBehindThePictureAtHand) {
  WritePng(work_ / "in/a.png", Picture(1));
  std::vector<std::string> words = Words();
  words.insert(words.begin(), "frf");
  words.insert(words.end(), 3000, work_ / "in/a.png");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const std::string out = work_ / "stdout", err = work_ / "stderr";
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (std::freopen(err.c_str(), "w", stderr) == nullptr ||
        std::freopen(out.c_str(), "w", stdout) == nullptr)
      ::_exit(9);
    ::execv(FRF_BINARY_DIR "/bin/frf", arguments.data());
    ::_exit(9);
  }
  for (int i = 0; i < 6000 && !fs::exists(work_ / "out/a_3_mask.png"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  ::kill(child, SIGINT);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 1);  // not all were labelled
  const Json files = ParseJson(test::ReadWhole(out), "standard output")["files"];
  EXPECT_LT(files.size(), 3001u);
  std::set<std::string> reported, there;
  for (const Json& file : files) reported.insert(file["outputs"]["mask"]);
  for (const auto& entry : fs::directory_iterator(work_.path() / "out")) there.insert(entry.path().string());
  EXPECT_EQ(reported, there) << "nothing under a temporary name";
  const std::string said = test::ReadWhole(err);
  EXPECT_NE(said.find(fmt::format("stopped after {} of 3001 inputs", files.size())), std::string::npos)
      << said;
}

TEST_F(SegmentFolder, AVideoWithoutAVideosEndingIsToldWhatToDo) {
  WriteFileAtomically(work_ / "clip", std::string("\0\0\0\x20"
                                                  "ftypisom\0\0\2\0isomiso2",
                                                  24));
  const Finished finished = RunFrf({"segment", work_ / "clip", "-o", work_ / "out", "-m", Model()});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("clip: is an MP4 video"), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find("by their ending: mp4"), std::string::npos) << finished.err;
  EXPECT_EQ(finished.err.find("frf reads PNG and JPEG, convert"), std::string::npos) << finished.err;
  test::Refused({"segment", work_ / "clip", "-o", work_ / "out.mp4", "-m", Model()},
                "clip, whose ending is no video's, is given");
}

TEST(DemoSheet, CaptionsFitThePictures) {
  const test::TempFolder work;
  const auto demo = [&](const Image& photo) {
    WritePng(work / "photo.png", photo);
    ParsedOutput(RunFrf({"demo", work / "photo.png", "-o", work / "demo", "--threads", "1", "--json"}));
    return ReadImage(work / "demo/demo.png");
  };
  // Three captions of at least 7, 14 and 11 letters beside each other, however narrow the pictures are.
  EXPECT_GT(demo(DrawScene(1, {.height = 32, .width = 32}).image).width, 180);
  // A large photo's are in proportion: it begins below them.
  Image large{.height = 20, .width = 2400, .channels = 3};
  large.pixels.assign(large.bytes(), 200);
  const Image sheet = demo(large);
  const int head = 12 * 10;
  EXPECT_EQ(*sheet.at(head, 0), 200);
  EXPECT_LT(*sheet.at(head - 1, 0), 100);
}

}  // namespace
}  // namespace frf
