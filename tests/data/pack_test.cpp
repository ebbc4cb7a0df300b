// SPDX-License-Identifier: Apache-2.0
// A pack hands out what its source did, and refuses every byte that was changed.
#include "data/pack.h"

#include <fstream>

#include "base/files.h"
#include "data/check.h"
#include "data/trees.h"
#include "support/support.h"

namespace frf::test {
namespace {

void ExpectSame(const Dataset& a, const Dataset& b) {
  ASSERT_EQ(a.size(), b.size());
  for (int i = 0; i < a.size(); ++i) {
    const Sample x = a.Get(i), y = b.Get(i);
    EXPECT_EQ(x.name, y.name);
    EXPECT_EQ(x.image.pixels, y.image.pixels);
    EXPECT_EQ(x.labels.ids, y.labels.ids);
    EXPECT_EQ(b.GetLabels(i).ids, x.labels.ids);
  }
}

TEST(Pack, IsLosslessAndKeepsSplits) {
  const TempFolder folder;
  MakeCamVid(folder / "c", 19, 2);  // more than one window of the writer
  const std::string spec = "camvid:" + folder / "c", pack = "pack:" + folder / "c.frfpack";
  const PackResult result = PackData({.spec = spec}, folder / "c.frfpack");
  EXPECT_EQ(result.samples, 21);
  EXPECT_EQ(result.bytes, std::filesystem::file_size(folder / "c.frfpack"));
  EXPECT_EQ(result.contents, (std::vector<std::string>{"train: 19 images", "val: 2 images"}));
  for (const char* split : {"train", "val", "trainval"}) {
    ExpectSame(*OpenDataset({.spec = spec, .split = split}), *OpenDataset({.spec = pack, .split = split}));
  }
  const auto val = OpenDataset({.spec = pack});
  EXPECT_EQ(val->description(), "camvid val (packed), 2 images");
  EXPECT_EQ(val->classes(), CamVidClasses());
  EXPECT_FRF_ERROR(OpenDataset({.spec = pack, .split = "test"}), ErrorCode::kNotFound,
                   "no sample of split 'test'");
  PutText(folder / "l.txt", "val/d1_101.png\ntrain/d0_100.png trainannot/d0_100.png\n");
  ExpectSame(*OpenDataset({.spec = spec, .list = folder / "l.txt"}),
             *OpenDataset({.spec = pack, .list = folder / "l.txt"}));
  PutText(folder / "m.txt", "val/nothing.png\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = pack, .list = folder / "m.txt"}), ErrorCode::kNotFound,
                   "'val/nothing.png' is not in");
  EXPECT_EQ(CheckData({.spec = pack}).errors(), 0);
}

TEST(Pack, SplitsByTheirOwnNames) {
  const TempFolder folder;
  MakeCamVid(folder / "c", 3, 2);
  const PackResult result =
      PackData({.spec = "camvid:" + folder / "c"}, folder / "p", {.splits = {"trainval", "val"}});
  EXPECT_EQ(result.contents, (std::vector<std::string>{"train: 3 images", "val: 2 images"}));
  EXPECT_EQ(OpenDataset({.spec = "pack:" + folder / "p", .split = "trainval"})->size(), 5);
  EXPECT_FRF_ERROR(PackData({.spec = "camvid:" + folder / "c"}, folder / "q", {.splits = {"all of it"}}),
                   ErrorCode::kUsage, "split 'all of it'");
}

TEST(Pack, DrawnScenesAreTheirSplits) {
  const TempFolder folder;
  const DatasetSpec scenes{.spec = "synth:2", .split = "train", .height = 32, .width = 48};
  PackData(scenes, folder / "p");
  ExpectSame(*OpenDataset(scenes), *OpenDataset({.spec = "pack:" + folder / "p", .split = "train"}));
  EXPECT_FRF_ERROR(OpenDataset({.spec = "pack:" + folder / "p", .split = "val"}), ErrorCode::kNotFound,
                   "split 'val'");
}

TEST(Pack, NamesThatItCannotHoldAreSaidFirst) {
  const TempFolder folder;
  MakeCamVid(folder / "c", 1, 1);
  PutImage(folder /
               "c/train/stra\xdf"
               "e.png",
           Picture(4, 6));
  PutLabels(folder /
                "c/trainannot/stra\xdf"
                "e.png",
            Stripes(4, 6, 11, 11));
  std::filesystem::remove(folder / "c/train.txt");
  EXPECT_FRF_ERROR(PackData({.spec = "camvid:" + folder / "c"}, folder / "p"), ErrorCode::kInvalidArgument,
                   "train/stra?e.png: the name is not UTF-8");
  EXPECT_FALSE(std::filesystem::exists(folder / "p"));
}

TEST(Pack, AListBelongsToEverySplit) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  PutText(folder / "l.txt", "val/d1_101.png\ntrain/d0_100.png\n");
  EXPECT_EQ(PackData({.spec = "camvid:" + folder / "c", .list = folder / "l.txt"}, folder / "p").samples, 2);
  for (const char* split : {"train", "val", "test"}) {
    EXPECT_EQ(OpenDataset({.spec = "pack:" + folder / "p", .split = split})->size(), 2);
  }
  // A pack of a pack is the same again.
  EXPECT_EQ(PackData({.spec = "pack:" + folder / "p"}, folder / "q").samples, 2);
}

TEST(Pack, JpegIsSmallerAndKeepsLabels) {
  const TempFolder folder;
  PutImage(folder / "c/train/a.png", Picture(90, 120));
  PutLabels(folder / "c/trainannot/a.png", Stripes(90, 120, 11, 11));
  const std::string spec = "camvid:" + folder / "c";
  PackData({.spec = spec}, folder / "png", {.splits = {"train"}});
  PackData({.spec = spec}, folder / "jpg", {.splits = {"train"}, .jpeg_quality = 60});
  const auto png = OpenDataset({.spec = "pack:" + folder / "png", .split = "train"});
  const auto jpg = OpenDataset({.spec = "pack:" + folder / "jpg", .split = "train"});
  EXPECT_EQ(jpg->Get(0).labels.ids, png->Get(0).labels.ids);
  EXPECT_NE(jpg->Get(0).image.pixels, png->Get(0).image.pixels);
  EXPECT_FRF_ERROR(PackData({.spec = spec}, folder / "x", {.jpeg_quality = 101}), ErrorCode::kUsage,
                   "JPEG quality 101");
  EXPECT_FALSE(std::filesystem::exists(folder / "x"));
}

TEST(Pack, AFailureLeavesNoFile) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  PutText(folder / "c/val/d0_100.png", "junk");
  EXPECT_FRF_ERROR(PackData({.spec = "camvid:" + folder / "c"}, folder / "p"), ErrorCode::kUnsupported,
                   "val/d0_100.png");
  EXPECT_FALSE(std::filesystem::exists(folder / "p"));
}

TEST(Pack, DamageIsFoundWhereverItIs) {
  const TempFolder folder;
  MakeCamVid(folder / "c", 1, 1);
  PackData({.spec = "camvid:" + folder / "c"}, folder / "p");
  const std::string good = ReadFile(folder / "p");
  const auto read_all = [&](const std::string& bytes) {
    PutText(folder / "q", bytes);
    for (const char* split : {"train", "val"}) {
      const auto data = OpenDataset({.spec = "pack:" + folder / "q", .split = split});
      for (int i = 0; i < data->size(); ++i) data->Get(i);
    }
  };
  read_all(good);
  for (std::size_t i = 0; i < good.size();
       i += 7) {  // any flipped byte is an Error, never a crash or a wrong sample
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x40);
    EXPECT_THROW(read_all(bad), Error) << "byte " << i;
  }
  for (std::size_t size = 0; size < good.size(); size += 97)
    EXPECT_THROW(read_all(good.substr(0, size)), Error) << size;
  EXPECT_FRF_ERROR(OpenDataset({.spec = "pack:" + folder / "none"}), ErrorCode::kNotFound,
                   "none: cannot open");
  EXPECT_FRF_ERROR(OpenDataset({.spec = "pack:" + folder / "c"}), ErrorCode::kInvalidArgument,
                   "no regular file");
  PutText(folder / "r", std::string(100, 'x'));
  EXPECT_FRF_ERROR(OpenDataset({.spec = "pack:" + folder / "r"}), ErrorCode::kCorruptFile, "is no pack");
}

}  // namespace
}  // namespace frf::test
