// SPDX-License-Identifier: Apache-2.0
// Event files are read back byte by byte, checksums included.
#include "train/tensorboard.h"

#include <cstring>

#include "base/files.h"
#include "support/support.h"
#include "train/run_folder.h"

namespace frf {
namespace {

std::vector<std::string> Records(const std::string& path) {
  const std::string bytes = ReadFile(path);
  std::vector<std::string> records;
  const auto masked = [](std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; };
  for (std::size_t at = 0; at < bytes.size();) {
    std::uint64_t length = 0;
    std::uint32_t crc = 0;
    std::memcpy(&length, &bytes[at], 8);
    std::memcpy(&crc, &bytes[at + 8], 4);
    EXPECT_EQ(crc, masked(Crc32c(&bytes[at], 8)));
    records.push_back(bytes.substr(at + 12, length));
    std::memcpy(&crc, &bytes[at + 12 + length], 4);
    EXPECT_EQ(crc, masked(Crc32c(records.back().data(), length)));
    at += 16 + length;
  }
  return records;
}

TEST(TensorBoard, Crc32cEqualsThePublishedVectors) {
  EXPECT_EQ(Crc32c("123456789", 9), 0xe3069283u);
  const std::string zeros(32, '\0');
  EXPECT_EQ(Crc32c(zeros.data(), zeros.size()), 0x8a9136aau);  // RFC 3720, B.4
}

TEST(TensorBoard, WritesVersionScalarAndPicture) {
  test::TempFolder folder;
  EventWriter events(folder.path().string());
  events.Scalar("loss", 0.5, 300);
  Image image{.height = 2, .width = 3, .channels = 3};
  image.pixels.assign(18, 7);
  events.Picture("val/a", image, 301);
  ASSERT_TRUE(events.Flush());
  const auto records = Records(events.path());
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].substr(11), std::string("\x1a\x0d") + "brain.Event:2");
  // step 300 = 0xac 0x02; summary{value{tag, simple_value 0.5 = 00 00 00 3f}}.
  const char scalar[] = "\x10\xac\x02\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f";
  EXPECT_EQ(records[1].substr(9), std::string(scalar, sizeof(scalar) - 1));
  EXPECT_NE(records[2].find("\x89PNG"), std::string::npos);
}

TEST(TensorBoard, AResumedRunSaysSo) {
  test::TempFolder folder;
  EventWriter events(folder.path().string(), 5);
  const auto records = Records(events.path());
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].substr(9), std::string("\x10\x05\x3a\x02\x08\x01"));  // session_log {status: START}
  // Killed before its first checkpoint, a run begins anew: what it wrote is to go too.
  const test::TempFolder other;  // a file's name is of this second and process
  const EventWriter anew(other.path().string(), 0);
  EXPECT_EQ(Records(anew.path()).size(), 2u);
}

TEST(RunFolder, RefusesWhatWouldOverwriteARun) {
  test::TempFolder folder;
  const std::string path = folder / "run";
  {
    const RunFolder run = RunFolder::Create(path + "/");
    EXPECT_EQ(run.path(), path);
    EXPECT_FRF_ERROR(RunFolder::Create(path), ErrorCode::kUsage, "another frf-train");
    EXPECT_TRUE(run.Has("lock"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));  // it never began
  { const RunFolder deep = RunFolder::Create(folder / "a/b/run"); }
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
  EXPECT_TRUE(std::filesystem::exists(folder.path()));
  std::filesystem::create_directory(path);
  { const RunFolder run = RunFolder::Create(path); }
  EXPECT_TRUE(std::filesystem::exists(path));  // it was there before
  EXPECT_FRF_ERROR(RunFolder::Open(path), ErrorCode::kNotFound, "config.json");
  WriteFileAtomically(path + "/config.json", "{}");
  EXPECT_FRF_ERROR(RunFolder::Create(path), ErrorCode::kUsage, "--resume");
  WriteFileAtomically(path + "/last.ckpt.tmp123", "half");
  for (const char* half : {"/best.ckpt.tmp1", "/init.ckpt.tmp2", "/teacher-1.ckpt.tmp3"})
    WriteFileAtomically(path + half, "half");
  WriteFileAtomically(path + "/mine.tmp123", "not ours");
  WriteFileAtomically(path + "/mine.ckpt.tmp1", "not ours");
  const RunFolder run = RunFolder::Open(path);
  for (const char* half : {"last.ckpt.tmp123", "best.ckpt.tmp1", "init.ckpt.tmp2", "teacher-1.ckpt.tmp3"})
    EXPECT_FALSE(run.Has(half)) << half;
  EXPECT_TRUE(run.Has("mine.tmp123"));
  EXPECT_TRUE(run.Has("mine.ckpt.tmp1"));
}

TEST(RunFolder, LogSurvivesATornLineAndRewinds) {
  test::TempFolder folder;
  RunFolder run = RunFolder::Create(folder / "run");
  for (int step = 1; step <= 3; ++step) run.Log({{"type", "epoch"}, {"step", step}});
  WriteFileAtomically(run / "log.jsonl", ReadFile(run / "log.jsonl") + R"({"type":"epo)");
  EXPECT_EQ(run.ReadLog().size(), 3u);
  run.Rewind([](const Json& line) { return line["step"] < 3; });
  EXPECT_EQ(ReadFile(run / "log.jsonl"),
            "{\"type\":\"epoch\",\"step\":1}\n{\"type\":\"epoch\",\"step\":2}\n");
}

}  // namespace
}  // namespace frf
