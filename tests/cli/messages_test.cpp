// SPDX-License-Identifier: Apache-2.0
// What frf says: help of each verb's own, names that were mistyped, colours and levels of its log, figures of
// `frf eval` that are written twice.
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "cli/quantize_score.h"
#include "data/synth.h"
#include "image/image_io.h"
#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::ParsedOutput;
using test::Refused;
using test::RunFrf;

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Exit code 1 and one line with all of `parts`.
void Fails(const std::vector<std::string>& words, const std::vector<std::string>& parts) {
  const Finished finished = RunFrf(words);
  EXPECT_EQ(finished.code, 1) << finished.err;
  EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
  for (const std::string& part : parts) EXPECT_TRUE(Has(finished.err, part)) << part << "\n" << finished.err;
}

TEST(Messages, HelpOfAVerbEndsInItsOwnExamples) {
  const std::string general = "First steps";
  EXPECT_TRUE(Has(RunFrf({"--help"}).out, general));
  for (const auto& [words, example] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"demo", "--help"}, "frf demo photo.jpg"},
           {{"data", "--help"}, "frf data check folder:"},
           {{"data", "pack", "--help"}, "frf data pack camvid:"}}) {
    const std::string help = RunFrf(words).out;
    EXPECT_TRUE(Has(help, example)) << help;
    EXPECT_FALSE(Has(help, general)) << help;
  }
}

TEST(Messages, NamesThatWereMistypedOrAreANetworks) {
  const test::TempFolder work;
  WritePng(work / "a.png", DrawScene(1, {.height = 32, .width = 48}).image);
  const auto segment = [&](const std::string& model) {
    return std::vector<std::string>{"segment", work / "a.png", "-o", work / "out", "-m", model};
  };
  Fails(segment("frfnet-camvd"), {"did you mean frfnet-camvid? there are frfnet-camvid, "});
  Fails(segment("frfnet"), {"is a network", "weights of it are frfnet-camvid"});
  Fails({"info", "frfnt"}, {"or a network of that name; did you mean frfnet? there are frfnet-camvid, ",
                            "networks: frfnet, frfnet-slim"});
  Fails({"bench", "frfnet-slin"}, {"did you mean frfnet-slim? "});
}

TEST(Messages, APipeIsNoPicture) {
  const test::TempFolder work;
  const Finished finished = RunFrf({"segment", "-", "-o", work / "out", "-m", "frfnet-slim-synth"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_TRUE(Has(finished.err, "-: reading from a pipe is not supported")) << finished.err;
}

TEST(Messages, DrawingsAreSvg) {
  const test::TempFolder work;
  Refused({"info", "frfnet", "--draw", work / "x.png"}, "ends in .svg");
  EXPECT_FALSE(std::filesystem::exists(work / "x.png"));
  const Finished piped = RunFrf({"info", "frfnet-slim", "--draw", "/dev/stderr"});
  EXPECT_EQ(piped.code, 0);
  EXPECT_TRUE(Has(piped.err, "<svg"));
}

TEST(Messages, AnUnknownLevelIsSaidOnce) {
  const Finished finished = RunFrf({"info", "frfnet-slim", "--json"}, "FRF_LOG=loud");
  EXPECT_EQ(finished.code, 0);
  EXPECT_EQ(test::LineCount(finished.err), 1) << finished.err;
  EXPECT_TRUE(Has(finished.err, "FRF_LOG=loud: is no level; debug, info, warning, error and silent are"))
      << finished.err;
  EXPECT_EQ(RunFrf({"info", "frfnet-slim"}, "FRF_LOG=").err, "");
}

// What a person would see; `no_color`: of the environment, nullptr for unset.
std::string OnATerminal(const std::vector<std::string>& words, const char* no_color) {
  std::string program = FRF_BINARY_DIR "/bin/frf";
  std::vector<std::string> kept{program};
  kept.insert(kept.end(), words.begin(), words.end());
  std::vector<char*> arguments;
  for (std::string& word : kept) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    ::setenv("TERM", "xterm-256color", 1);
    no_color != nullptr ? ::setenv("NO_COLOR", no_color, 1) : ::unsetenv("NO_COLOR");
    ::execv(program.c_str(), arguments.data());
    ::_exit(127);
  }
  if (child < 0) return "";
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = ::read(terminal, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  ::waitpid(child, nullptr, 0);
  ::close(terminal);
  return text;
}

TEST(Messages, ColoursOnATerminalUnlessNoColorIsSet) {
  const test::TempFolder work;
  const std::vector<std::string> call{"segment", work / "missing.png", "-o", work / "out",
                                      "-m",      "frfnet-slim-synth"};
  const std::string colour = "\033[31m", line = "missing.png: no such file";
  const std::string plain = OnATerminal(call, nullptr);
  if (plain.empty()) GTEST_SKIP() << "no terminal can be made here";
  EXPECT_TRUE(Has(plain, line)) << plain;
  EXPECT_TRUE(Has(plain, colour)) << plain;
  EXPECT_TRUE(Has(OnATerminal(call, ""), colour)) << "set, but empty";
  const std::string without = OnATerminal(call, "1");
  EXPECT_TRUE(Has(without, line)) << without;
  EXPECT_FALSE(Has(without, colour)) << without;
}

TEST(Messages, AComparisonSaysPerCentOnceAndAStampIsSaid) {
  const test::TempFolder work;
  const std::string file = work / "net.onnx";
  ParsedOutput(RunFrf({"export", "frfnet-slim", "--size", "64x96", "-o", file, "--json"}));
  const std::vector<std::string> call{"eval", file, "--data", "synth:1", "--against", file};
  std::vector<std::string> words = call;
  words.insert(words.end(), {"--report", work / "r.html", "--stamp"});
  const Finished finished = RunFrf(words);
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_TRUE(Has(finished.out, "mean IoU")) << finished.out;
  EXPECT_FALSE(Has(finished.out, "% %")) << finished.out;
  EXPECT_TRUE(Has(finished.out, "(1 image)")) << finished.out;
  EXPECT_TRUE(Has(finished.out, "stamped " + file + "\n")) << finished.out;
  const std::string report = ReadFile(work / "r.html");
  EXPECT_FALSE(Has(report, "% %"));
  EXPECT_TRUE(Has(report, " % there, "));
  words = call;
  words.insert(words.end(), {"--stamp", "--json"});
  EXPECT_EQ(ParsedOutput(RunFrf(words))["stamp"], file);
}

TEST(Messages, WhatInt8CostsNeedsNoSign) {
  EXPECT_EQ(cli::ToText({.points = 0.16, .low = 0.02, .high = 0.31}),
            "int8 loses 0.16 points, 95 % 0.02 to 0.31");
  EXPECT_EQ(cli::ToText({.points = -0.15, .low = -0.3, .high = 0.02}),
            "int8 gains 0.15 points, 95 % -0.02 to 0.30");
  EXPECT_EQ(cli::ToText({.points = -0.001, .low = -0.1, .high = 0.1}),
            "int8 loses 0.00 points, 95 % -0.10 to 0.10");
}

TEST(Messages, ShippedWeightsAreNotStampedByName) {
  const test::TempFolder work;
  const std::string file = work / "some.onnx";
  ParsedOutput(RunFrf({"export", "frfnet-slim", "--size", "64x96", "-o", file, "--json"}));
  const std::string before = ReadFile(file);
  const std::vector<std::string> words{"eval", "some", "--data", "synth:1", "--stamp"};
  const Finished finished = RunFrf(words, "FRF_WEIGHTS=" + work.path().string());
  EXPECT_EQ(finished.code, 2);
  EXPECT_TRUE(Has(finished.err, "--stamp would rewrite the shipped weights " + file)) << finished.err;
  EXPECT_EQ(ReadFile(file), before);
}

}  // namespace
}  // namespace frf
