// SPDX-License-Identifier: Apache-2.0
// Where results go: never in an input's place, never outside the folder that was named; and what cannot be
// written is said before the work, or with what the work gave.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "data/synth.h"
#include "image/image_io.h"
#include "support/cli.h"

namespace frf {
namespace {

namespace fs = std::filesystem;

using test::Finished;
using test::HasTrain;
using test::RunFrf;

// A network of a small fixed size, made once.
const std::string& Model() {
  static const test::TempFolder folder;
  static const std::string path = [] {
    test::ParsedOutput(
        RunFrf({"export", "frfnet-slim", "--size", "32x32", "-o", folder / "net.onnx", "--json"}));
    return folder / "net.onnx";
  }();
  return path;
}

void Refused(const std::vector<std::string>& words, const std::string& named, int code = 2) {
  const Finished finished = RunFrf(words);
  EXPECT_EQ(finished.code, code) << words[0] << finished.err;
  EXPECT_NE(finished.err.find(named), std::string::npos) << finished.err;
  EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
  EXPECT_TRUE(finished.out.empty()) << finished.out;
}

TEST(Outputs, AModelsFileTakesNoInputsPlace) {
  const test::TempFolder work;
  const std::string model = work / "net.onnx";
  ASSERT_EQ(RunFrf({"export", "frfnet-slim", "-o", model}).code, 0);
  const std::string bytes = ReadFile(model);
  Refused({"export", model, "-o", work / "./net.onnx", "--half"},
          "net.onnx: is one of the inputs, which would be lost");
  ASSERT_EQ(RunFrf({"synth", "--count", "3", "-o", work / "scenes"}).code, 0);
  const std::string data = "camvid:" + (work / "scenes");
  Refused({"quantize", model, "--data", data, "-o", model}, "which would be lost");
  Refused({"quantize", model, "--data", data, "-o", work / "scenes/q.png"},
          "q.png: a model is written, not a picture");
  Refused({"export", model, "-o", work / "street.JPG"}, "a model is written, not a picture");
  Refused({"data", "pack", data, "-o", work / "a.png"}, "a pack is written, not a picture");
  ASSERT_EQ(RunFrf({"data", "pack", data, "-o", work / "a.pack"}).code, 0);
  Refused({"data", "pack", "pack:" + (work / "a.pack"), "-o", work / "a.pack"}, "which would be lost");
  EXPECT_EQ(ReadFile(model), bytes);
  WriteFileAtomically(work / "classes.json", R"({"names": ["a", "b"]})");
  Refused({"data", "convert", work / "mask.png", "--from", "colors", "--classes", work / "classes.json", "-o",
           work / "classes.json"},
          "which would be lost");
}

TEST(SegmentOutputs, APictureIsNotReplacedByItsResult) {
  const test::TempFolder work;
  const std::string picture = work / "p.png", link = work / "link.png", earlier = work / "p_color.png";
  WritePng(picture, DrawScene(1, {.height = 64, .width = 64}).image);
  WritePng(earlier, DrawScene(2, {.height = 64, .width = 64}).image);
  fs::create_symlink(picture, link);
  const std::string bytes = ReadFile(picture), earlier_bytes = ReadFile(earlier);
  Refused({"segment", picture, "-o", picture, "-m", Model()}, "originals would be lost");
  Refused({"segment", picture, "-o", work / "./p.png", "-m", Model()}, "originals would be lost");
  Refused({"segment", picture, "-o", link, "-m", Model()}, "originals would be lost");
  Refused({"segment", link, "-o", picture, "-m", Model()}, "originals would be lost");
  // A folder's output takes another input's place.
  Refused({"segment", picture, earlier, "-o", work / "", "-m", Model()}, "p_color.png: input and output");
  EXPECT_EQ(ReadFile(picture), bytes);
  EXPECT_EQ(ReadFile(earlier), earlier_bytes);
  EXPECT_FALSE(fs::exists(work / "p_mask.png")) << "refused before any work";
  EXPECT_EQ(RunFrf({"segment", picture, earlier, "-o", work / "", "-m", Model(), "--write", "overlay"}).code,
            0);
}

TEST(SegmentOutputs, AVideoIsNotReplacedByItsResult) {
  const test::TempFolder work;
  WriteFileAtomically(work / "clip.mp4", "an original");
  Refused({"segment", work / "clip.mp4", "-o", work / "clip.mp4", "-m", Model()}, "originals would be lost");
  WriteFileAtomically(work / "clip_color.mp4", "another");
  Refused({"segment", work / "clip.mp4", work / "clip_color.mp4", "-o", work / "", "-m", Model()},
          "clip_color.mp4: input and output");
  fs::create_directories(work.path() / "clip_mask");
  WritePng(work / "clip_mask/000007.png", DrawScene(1, {.height = 64, .width = 64}).image);
  Refused({"segment", work / "clip.mp4", work / "clip_mask/000007.png", "-o", work / "", "-m", Model(),
           "--write", "mask"},
          "clip_mask: input and output");
  EXPECT_EQ(ReadFile(work / "clip.mp4"), "an original");
}

TEST(SegmentOutputs, ALinkedPicturesResultsStayInTheFolder) {
  const test::TempFolder work;
  fs::create_directories(work.path() / "in/sub");
  fs::create_directories(work.path() / "elsewhere");
  WritePng(work / "elsewhere/p.png", DrawScene(1, {.height = 64, .width = 64}).image);
  fs::create_symlink(work / "elsewhere/p.png", work / "in/sub/q.png");
  const std::vector<std::string> call{"segment", "-m", Model(), "--write", "mask", "-o", work / "new/out"};
  for (const std::string folder : {"in", "in/", "in/../in"}) {
    std::vector<std::string> words = call;
    words.push_back(work / folder);
    const Finished finished = RunFrf(words);
    EXPECT_EQ(finished.code, 0) << finished.err;
    EXPECT_TRUE(fs::remove(work / "new/out/sub/q_mask.png")) << folder;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(work / "elsewhere"), {}), 1);
}

TEST(Outputs, QuantizeLooksBeforeTheWork) {
  const test::TempFolder work;
  const auto words = [&](const std::string& output) {
    return std::vector<std::string>{"quantize", "frfnet-slim-synth", "--data", "synth:9", "-o", output};
  };
  Refused(words(work / ""), "a file's name is wanted");
  Refused(words(work / "absent/q.onnx"), "absent does not exist", 1);
  WriteFileAtomically(work / "file", "in the way");
  Refused(words(work / "file/q.onnx"), "cannot write", 1);
  Refused({"export", "frfnet-slim", "-o", work / "absent/x.onnx"}, "absent does not exist", 1);
}

// A disk that fills up between the check and the writing: the scores are printed all the same.
TEST(Outputs, QuantizePrintsItsScoresBeforeItWrites) {
  const test::TempFolder work;
  const std::string command = fmt::format(
      "trap '' XFSZ; ulimit -f 64; exec {}/bin/frf quantize frfnet-slim-synth --data synth:9 --select-images "
      "3 --method minmax --size 64x96 -o {}",
      FRF_BINARY_DIR, work / "q.onnx");
  const Finished finished = test::RunProgram("/bin/bash", {"-c", command});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.out.find("mean IoU"), std::string::npos) << finished.out << finished.err;
  EXPECT_NE(finished.err.find("q.onnx"), std::string::npos) << finished.err;
  EXPECT_FALSE(fs::exists(work / "q.onnx"));
}

TEST(Outputs, AnEmptyNameIsNone) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"synth", "-o", ""},
                                             {"segment", "p.png", "-o", ""},
                                             {"demo", "-o", ""},
                                             {"bench", "frfnet-slim", "-o", ""},
                                             {"export", "frfnet-slim", "-o", ""},
                                             {"quantize", "frfnet-slim-synth", "--data", "synth:9", "-o", ""},
                                             {"data", "pack", "synth:2", "-o", ""},
                                             {"data", "convert", "masks", "-o", ""}}) {
    Refused(words, "an empty name was given");
  }
}

TEST(Outputs, StandardOutputThatCannotBeWrittenIsAFailure) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  // Some lines, and one text that is longer than a buffer.
  for (const std::string words :
       {"info --list", "info frfnet", "info frfnet --json", "--version", "synth --help"}) {
    const Finished finished = test::RunProgram(
        "/bin/sh", {"-c", fmt::format("exec {}/bin/frf {} >/dev/full", FRF_BINARY_DIR, words)});
    EXPECT_EQ(finished.code, 1) << words;
    EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
    EXPECT_NE(finished.err.find("standard output: cannot write"), std::string::npos) << finished.err;
  }
}

// What is refused leaves no run folder: not by frf-train's parser, not by what frf reads for it.
TEST(Outputs, AnErrorThatNobodyCanReadKeepsItsExitCode) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  for (const auto& [words, code] :
       {std::pair("info nothing-of-that-name", 1), {"info --no-such-option", 2}}) {
    const std::string command = std::string(FRF_BINARY_DIR "/bin/frf ") + words + " 2>/dev/full";
    EXPECT_EQ(test::RunProgram("/bin/sh", {"-c", command}).code, code) << words;
  }
  if (!HasTrain()) return;
  EXPECT_EQ(
      test::RunProgram("/bin/sh", {"-c", FRF_BINARY_DIR "/bin/frf-train --no-such-option 2>/dev/full"}).code,
      2);
}

TEST(Outputs, ARefusedTrainingLeavesNothing) {
  if (!HasTrain()) GTEST_SKIP() << "frf-train was not built";
  const test::TempFolder work;
  const std::string run = work / "run";
  const auto refused = [&](std::vector<std::string> more, int code, const std::string& named) {
    more.insert(more.begin(), {"train", "-o", run});
    Refused(more, named, code);
    EXPECT_FALSE(fs::exists(run)) << named;
  };
  refused({"--data", "synth:4", "--init", "frfnet-camvid", "--bogus"}, 2, "--bogus");
  refused({"--data", "synth:4", "--teacher", "frfnet-camvid", "--epochs", "many"}, 2, "--epochs");
  refused({"--data", "synth:4", "--teacher", "frfnet-camvid", "--teacher", "absent"}, 1, "absent");
  refused({"--data", "synth:4", "--qat", "frfnet-slim-synth-int8", "--set", "nothing=1"}, 2, "nothing");
  refused({"--data", "camvid:/no/such/folder", "--init", "frfnet-camvid"}, 1, "/no/such/folder");
  refused({"--init", "frfnet-camvid"}, 2, "--data");
  refused({"--data", "synth:4", "--net", "nosuch"}, 2, "nearest are");
  EXPECT_EQ(RunFrf({"train", "-o", run, "--init", "frfnet-camvid", "--print-recipe"}).code, 0);
  EXPECT_FALSE(fs::exists(run));
}

TEST(EvalOutputs, TakeNoInputsPlace) {
  const test::TempFolder work;
  ASSERT_EQ(RunFrf({"synth", "-o", work / "s", "--count", "2", "--size", "64x96"}).code, 0);
  std::string label, image;
  for (const auto& file : fs::recursive_directory_iterator(work.path() / "s")) {
    if (file.path().extension() != ".png") continue;
    (file.path().string().find("annot") != std::string::npos ? label : image) = file.path().string();
  }
  fs::copy_file(Model(), work / "net.onnx");
  const std::vector<std::string> call{"eval",    work / "net.onnx", "--data", "camvid:" + (work / "s"),
                                      "--split", "trainval"};
  for (const std::string& taken : {work / "net.onnx", label, image}) {
    const std::string bytes = ReadFile(taken);
    std::vector<std::string> words = call;
    words.insert(words.end(), {"--report", taken});
    Refused(words, "which would be lost");
    EXPECT_EQ(ReadFile(taken), bytes);
  }
  // A pack, a list in the data's folder, a run's checkpoint.
  ASSERT_EQ(RunFrf({"data", "pack", call[3], "-o", work / "s.frfpack"}).code, 0);
  Refused({"eval", work / "net.onnx", "--data", "pack:" + (work / "s.frfpack"), "--split", "val", "--report",
           work / "s.frfpack"},
          "which would be lost");
  WriteFileAtomically(work / "s/own.txt", fs::relative(image, work / "s").string() + "\n");
  Refused({"eval", work / "net.onnx", "--data", call[3], "--list", "own.txt", "--report", work / "s/own.txt"},
          "which would be lost");
  if (!HasTrain()) return;
  ASSERT_EQ(
      RunFrf({"train", "--net", "frfnet-slim", "--data", "synth:2", "--val-data", "synth:1", "--scene-size",
              "64x96", "--batch", "2", "--epochs", "3", "--device", "cpu", "-o", work / "run"})
          .code,
      0);
  for (const std::string backend : {"engine", "torch"}) {
    Refused(
        {"eval", work / "run", "--data", "synth:1", "--backend", backend, "--report", work / "run/last.ckpt"},
        "which would be lost");
  }
}

TEST(SegmentOutputs, EndingsThatAreNotWrittenMakeNoFolder) {
  const test::TempFolder work;
  WritePng(work / "p.png", DrawScene(1, {.height = 64, .width = 64}).image);
  for (const char* name : {"o.bmp", "o.GIF", "o.webp"}) {
    Refused({"segment", work / "p.png", "-o", work / name, "-m", Model()}, ".png, .jpg or .jpeg");
    EXPECT_FALSE(fs::exists(work / name));
  }
  fs::create_directories(work.path() / "o.bmp");
  EXPECT_EQ(RunFrf({"segment", work / "p.png", "-o", work / "o.bmp", "-m", Model()}).code, 0);
}

TEST(SegmentOutputs, ErrorsNameFilesAsTheyAre) {
  const test::TempFolder work;
  WritePng(work / "\xe8\xa1\x97.png", DrawScene(1, {.height = 64, .width = 64}).image);
  const Finished finished = RunFrf({"segment", work / "\xe8\xa1\x97.png", "-o", work / "o", "-m",
                                    "frfnet-slim-synth", "--max-memory", "1"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("\xe8\xa1\x97.png: the network needs"), std::string::npos) << finished.err;
}

// In a script that an array job runs for one file, or beside one camera, the file is this task's.
TEST(SegmentOutputs, TheOnePictureThatIsNamedIsEveryTasks) {
  const test::TempFolder work;
  fs::create_directories(work.path() / "in");
  WritePng(work / "in/a.png", DrawScene(1, {.height = 64, .width = 64}).image);
  const std::string slurm = "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=10 SLURM_ARRAY_TASK_MIN=0";
  for (const std::string& environment : {slurm, std::string("JOB_COMPLETION_INDEX=3")}) {
    const Finished finished =
        RunFrf({"segment", work / "in/a.png", "-o", work / "out.png", "-m", Model()}, environment);
    EXPECT_EQ(finished.code, 0) << finished.err;
    EXPECT_TRUE(fs::exists(work / "out.png")) << environment;
    fs::remove(work / "out.png");
  }
  const Finished camera = RunFrf({"segment", "--camera", "977", "-m", Model()}, "JOB_COMPLETION_INDEX=3");
  EXPECT_EQ(camera.err.find("JOB_COMPLETION"), std::string::npos) << camera.err;
  // Of a folder's pictures there may be none for a task: not without a word.
  const Finished none = RunFrf({"segment", work / "in", "-o", work / "out", "-m", Model()}, slurm);
  EXPECT_EQ(none.code, 0) << none.err;
  EXPECT_NE(none.err.find("warning: task 3 of 10 has none of the 1 input"), std::string::npos) << none.err;
}

// An array job's default share is said.
TEST(SegmentOutputs, AShareOfTheEnvironmentIsSaid) {
  const test::TempFolder work;
  fs::create_directories(work.path() / "in");
  for (int i = 0; i < 3; ++i)
    WritePng(work / fmt::format("in/{}.png", i), DrawScene(1, {.height = 64, .width = 64}).image);
  const Finished finished = test::RunProgram(
      "/bin/sh",
      {"-c",
       fmt::format("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=2 exec {}/bin/frf segment {} -o {} -m {}",
                   FRF_BINARY_DIR, work / "in", work / "out", Model())});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_NE(finished.err.find("1 of 3 inputs"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace frf
