// SPDX-License-Identifier: Apache-2.0
// Checkpoint files: what is written comes back; every cut and every flipped byte is an error that names the
// file.
#include "base/checkpoint.h"

#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include "base/files.h"
#include "base/hash.h"
#include "support/support.h"

namespace frf {
namespace {

TEST(XxHash64, EqualsThePublishedVectors) {
  EXPECT_EQ(XxHash64(""), 0xEF46DB3751D8E999ULL);
  EXPECT_EQ(XxHash64("a"), 0xD24EC4F1A98C6E5BULL);
  EXPECT_EQ(XxHash64("abc"), 0x44BC2CF5AD770999ULL);
  // 44 bytes: one stripe of 32, one word of 8, one of 4.
  EXPECT_EQ(XxHash64("The quick brown fox jumps over the lazy dog."), 0x44AD33705751AD73ULL);
}

struct Written {
  std::vector<float> weights;
  std::vector<std::uint8_t> bytes;
  std::int64_t step = 7;
};

std::string WriteSample(const test::TempFolder& folder, Written& content) {
  for (int i = 0; i < 127; ++i) content.weights.push_back(0.5f * static_cast<float>(i) - 3);
  content.bytes.assign(13, 200);
  CheckpointWriter writer;
  writer.meta["step"] = 1200;
  writer.meta["note"] = "ä";
  writer.Add("model/weight", "float32", {127, 1}, content.weights.data(), 127 * 4);
  writer.Add("labels", "uint8", {13}, content.bytes.data(), 13);
  writer.Add("step", "int64", {}, &content.step, 8);
  writer.Add("empty", "float32", {0, 3}, nullptr, 0);
  const std::string path = folder / "a.ckpt";
  writer.Save(path);
  return path;
}

TEST(Checkpoint, ReturnsWhatWasWritten) {
  test::TempFolder folder;
  Written content;
  const Checkpoint checkpoint = Checkpoint::Load(WriteSample(folder, content));
  EXPECT_EQ(checkpoint.meta()["step"], 1200);
  EXPECT_EQ(checkpoint.meta()["note"], "ä");
  ASSERT_EQ(checkpoint.tensors().size(), 4u);
  const CheckpointTensor& weight = checkpoint.At("model/weight");
  EXPECT_EQ(weight.shape, (std::vector<std::int64_t>{127, 1}));
  ASSERT_EQ(weight.bytes, 127u * 4);
  EXPECT_EQ(std::memcmp(weight.data, content.weights.data(), weight.bytes), 0);
  EXPECT_EQ(*static_cast<const std::int64_t*>(checkpoint.At("step").data), 7);
  EXPECT_EQ(checkpoint.At("empty").bytes, 0u);
  EXPECT_EQ(checkpoint.Find("absent"), nullptr);
  EXPECT_FRF_ERROR(checkpoint.At("absent"), ErrorCode::kCorruptFile, "'absent'");
}

TEST(Checkpoint, StaysValidWhenMoved) {
  test::TempFolder folder;
  Written content;
  Checkpoint first = Checkpoint::Load(WriteSample(folder, content));
  const Checkpoint second = std::move(first);
  EXPECT_EQ(static_cast<const std::uint8_t*>(second.At("labels").data)[12], 200);
}

TEST(Checkpoint, RefusesEveryCut) {
  test::TempFolder folder;
  Written content;
  const std::string bytes = ReadFile(WriteSample(folder, content));
  const std::string cut = folder / "cut.ckpt";
  WriteFileAtomically(cut, bytes);
  for (std::size_t size = bytes.size();
       size-- > 0;) {  // shortened in place: a write of each would sync 1300 times
    std::filesystem::resize_file(cut, size);
    EXPECT_FRF_ERROR(Checkpoint::Load(cut), ErrorCode::kCorruptFile, "cut.ckpt");
  }
  WriteFileAtomically(cut, bytes + "x");
  EXPECT_FRF_ERROR(Checkpoint::Load(cut), ErrorCode::kCorruptFile, "announced");
}

TEST(Checkpoint, NamesTheDamagedTensor) {
  test::TempFolder folder;
  Written content;
  std::string bytes = ReadFile(WriteSample(folder, content));
  const std::size_t at = bytes.find(std::string(13, static_cast<char>(200)));
  ASSERT_NE(at, std::string::npos);
  bytes[at + 5] ^= 1;
  const std::string path = folder / "damaged.ckpt";
  WriteFileAtomically(path, bytes);
  EXPECT_FRF_ERROR(Checkpoint::Load(path), ErrorCode::kCorruptFile, "'labels'");
}

TEST(Checkpoint, AHeaderThatLiesIsRefusedBeforeAnythingIsAllocated) {
  test::TempFolder folder;
  const std::string path = folder / "lie.ckpt";
  const auto write = [&](const std::string& tensor, std::uint64_t length_lie = 0) {
    const std::string header = R"({"format":1,"meta":{},"tensors":[)" + tensor + "]}";
    const std::uint64_t words[] = {length_lie != 0 ? length_lie : header.size(), XxHash64(header)};
    std::string bytes = "FRFCKPT1" + std::string(reinterpret_cast<const char*>(words), 16) + header;
    bytes.resize((bytes.size() + 63) / 64 * 64 + 64);
    WriteFileAtomically(path, bytes);
  };
  write(
      R"({"name":"w","dtype":"float32","shape":[16],"offset":18446744073709551552,"bytes":64,"xxh64":"0"})");
  EXPECT_FRF_ERROR(Checkpoint::Load(path), ErrorCode::kCorruptFile, "'w' wants 64 bytes");
  write(
      R"({"name":"w","dtype":"float32","shape":[4611686018427387904,16],"offset":0,"bytes":0,"xxh64":"0"})");
  EXPECT_FRF_ERROR(Checkpoint::Load(path), ErrorCode::kCorruptFile, "does not fit");
  write(R"({"name":"w","dtype":"float32","shape":[-16],"offset":0,"bytes":64,"xxh64":"0"})");
  EXPECT_FRF_ERROR(Checkpoint::Load(path), ErrorCode::kCorruptFile, "does not fit");
  write(R"({"name":"w","dtype":"float31","shape":[16],"offset":0,"bytes":64,"xxh64":"0"})");
  EXPECT_FRF_ERROR(Checkpoint::Load(path), ErrorCode::kCorruptFile, "float31");
  write(R"({"name":"w"})");
  EXPECT_FRF_ERROR(Checkpoint::Load(path), ErrorCode::kCorruptFile, "malformed");
  write("", std::uint64_t{1} << 62);
  EXPECT_FRF_ERROR(Checkpoint::Load(path), ErrorCode::kCorruptFile, "header wants");
}

TEST(Checkpoint, RefusesOtherFilesAndNewerFormats) {
  test::TempFolder folder;
  WriteFileAtomically(folder / "x", "PK and more than twenty-four bytes of it");
  EXPECT_FRF_ERROR(Checkpoint::Load(folder / "x"), ErrorCode::kCorruptFile, "not a checkpoint");
  WriteFileAtomically(folder / "x", "FRFCKPT2 and more than twenty-four bytes");
  EXPECT_FRF_ERROR(Checkpoint::Load(folder / "x"), ErrorCode::kUnsupported, "format '2'");
  EXPECT_FRF_ERROR(Checkpoint::Load(folder / "none"), ErrorCode::kNotFound, "none");
}

TEST(Checkpoint, RefusesTensorsWhoseBytesDoNotFit) {
  CheckpointWriter writer;
  EXPECT_FRF_ERROR(writer.Add("w", "float32", {3}, nullptr, 13), ErrorCode::kInvalidArgument, "'w'");
}

// A full disk, drawn by a file-size limit: the old file stays, the temporary one goes.
TEST(Checkpoint, AFullDiskKeepsTheOldFile) {
  test::TempFolder folder;
  Written content;
  const std::string path = WriteSample(folder, content);
  const std::vector<float> large(100000, 1.0f);
  CheckpointWriter writer;
  writer.Add("model/large", "float32", {100000}, large.data(), large.size() * 4);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{4096, before.rlim_max};
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);  // write() then fails with EFBIG, as ENOSPC would
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_FRF_ERROR(writer.Save(path), ErrorCode::kIo, "a.ckpt");
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old_handler);
  EXPECT_NE(Checkpoint::Load(path).Find("model/weight"), nullptr);
  int files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) ++files;
  EXPECT_EQ(files, 1);
}

}  // namespace
}  // namespace frf
