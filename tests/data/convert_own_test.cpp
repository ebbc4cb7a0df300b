// SPDX-License-Identifier: Apache-2.0
// Converting data of one's own: what check and train refuse is not written, splits and ids stay what they
// are, and what fails leaves nothing behind.
#include <fmt/format.h>

#include "base/files.h"
#include "data/check.h"
#include "data/convert.h"
#include "data/internal.h"
#include "data/pack.h"
#include "data/trees.h"
#include "support/support.h"

namespace frf::test {
namespace {

namespace fs = std::filesystem;

ConvertResult Add(const TempFolder& folder, const std::string& classes, const std::string& split = "train") {
  PutText(folder / "classes.json", classes);
  return AddToFolder(folder / "i", folder / "m", folder / "out", split,
                     {.from = "ids", .classes = folder / "classes.json"});
}

constexpr const char* kTwo = R"({"names": ["a", "b"]})";

TEST(ConvertOwn, PairsThatTrainRefusesFail) {
  const TempFolder folder;
  for (const char* name : {"cut", "good", "other"}) {
    PutImage(folder / fmt::format("i/{}.png", name), Picture(33, 40, name[0]));
    PutLabels(folder / fmt::format("m/{}.png", name), Stripes(33, 40, 2));
  }
  PutLabels(folder / "m/other.png", Stripes(40, 33, 2));
  fs::resize_file(folder / "i/cut.png", fs::file_size(folder / "i/cut.png") / 2);
  const ConvertResult result = Add(folder, kTwo);
  EXPECT_EQ(result.files, 1);
  ASSERT_EQ(result.failures.size(), 2u);
  EXPECT_NE(result.failures[0].find("i/cut.png"), std::string::npos) << result.failures[0];
  EXPECT_NE(result.failures[1].find("m/other.png: labels are 40x33, the image"), std::string::npos)
      << result.failures[1];
  EXPECT_EQ(CheckData({.spec = "folder:" + folder / "out"}).errors(), 0);
}

TEST(ConvertOwn, FoldersOfSplitsStaySplits) {
  const TempFolder folder;
  for (const char* name : {"train/x", "Validation/x", "Validation/y", "z"}) {
    PutImage(folder / fmt::format("i/{}.png", name), Picture(33, 40, name[0] + name[1]));
    PutLabels(folder / fmt::format("m/{}.png", name), Stripes(33, 40, 2));
  }
  EXPECT_EQ(Add(folder, kTwo).files, 4);
  EXPECT_EQ(ImageFilesBelow(folder / "out/masks"),
            (std::vector<std::string>{"train/x.png", "train/z.png", "val/x.png", "val/y.png"}));
  EXPECT_EQ(ReadFile(folder / "out/images/val/x.png"), ReadFile(folder / "i/Validation/x.png"));
  fs::remove_all(folder / "out");
  EXPECT_EQ(Add(folder, kTwo, "test").files, 4) << "all where another split is asked for";
  EXPECT_EQ(ImageFilesBelow(folder / "out/masks").size(), 4u);
  EXPECT_TRUE(fs::exists(folder / "out/masks/test/x_train.png"));
  EXPECT_FALSE(fs::exists(folder / "out/masks/val"));
  // Onto itself it would write over the originals.
  fs::rename(folder / "i", folder / "images");
  fs::rename(folder / "m", folder / "masks");
  EXPECT_FRF_ERROR(AddToFolder(folder / "images", folder / "masks", folder / ".", "train",
                               {.from = "ids", .classes = folder / "classes.json"}),
                   ErrorCode::kUsage, "the originals would be lost");
}

TEST(ConvertOwn, IdsOfOnesOwnStay) {
  const TempFolder folder;
  const auto ids = [](const std::string& path) { return ReadLabels(path).ids; };
  const auto classes = [](const std::string& root) { return ReadFolderClasses(root + "/classes.json"); };
  PutText(folder / "f/classes.json", R"({"names": ["a", "b"], "label_ids": [7, [21, 22]], "void": [3, 0]})");
  PutImage(folder / "f/images/train/x.png", Picture(1, 5));
  PutLabels(folder / "f/masks/train/x.png", {.height = 1, .width = 5, .ids = {7, 21, 22, 3, 0}});
  EXPECT_EQ(ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "g").files, 1);
  EXPECT_EQ(ids(folder / "g/masks/train/x.png"), (std::vector<std::uint8_t>{7, 21, 21, 0, 0}));
  EXPECT_EQ(classes(folder / "g").classes.label_ids, (std::vector<int>{7, 21}));
  PackData({.spec = "folder:" + folder / "f"}, folder / "f.pack", {});
  EXPECT_EQ(ConvertToFolder({.spec = "pack:" + folder / "f.pack"}, folder / "h").files, 1);
  EXPECT_EQ(ids(folder / "h/masks/train/x.png"), (std::vector<std::uint8_t>{7, 21, 21, 255, 255}));
  EXPECT_EQ(OpenDataset({.spec = "folder:" + folder / "h", .split = "train"})->Get(0).labels.ids,
            (std::vector<std::uint8_t>{0, 1, 1, 255, 255}));
  // Into a folder whose classes.json counts otherwise: as that one says.
  PutText(folder / "k/classes.json", R"({"names": ["a", "b"], "label_ids": [5, 6], "void": 9})");
  EXPECT_EQ(ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "k").files, 1);
  EXPECT_EQ(ids(folder / "k/masks/train/x.png"), (std::vector<std::uint8_t>{5, 6, 6, 9, 9}));
  PutText(folder / "n/classes.json", R"({"names": ["a", "b"], "void": []})");
  const ConvertResult refused = ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "n");
  ASSERT_EQ(refused.failures.size(), 1u);
  EXPECT_NE(refused.failures[0].find("holds void pixels, for which"), std::string::npos)
      << refused.failures[0];
}

// 255 is a class, so void, should some pixel be void, needs another id.
TEST(ConvertOwn, MasksOf0And255Stay) {
  const TempFolder folder;
  PutText(folder / "f/classes.json", R"({"names": ["a", "b"], "label_ids": [0, 255], "void": []})");
  PutImage(folder / "f/images/train/x.png", Picture(1, 2));
  PutLabels(folder / "f/masks/train/x.png", {.height = 1, .width = 2, .ids = {0, 255}});
  EXPECT_EQ(ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "g").files, 1);
  EXPECT_EQ(ReadLabels(folder / "g/masks/train/x.png").ids, (std::vector<std::uint8_t>{0, 255}));
  EXPECT_EQ(OpenDataset({.spec = "folder:" + folder / "g", .split = "train"})->Get(0).labels.ids,
            (std::vector<std::uint8_t>{0, 1}));
}

TEST(ConvertOwn, WhereEveryFileFailsNothingStays) {
  const TempFolder folder;
  PutImage(folder / "i/x.png", Picture(33, 40));
  PutText(folder / "m/x.png", "junk");
  EXPECT_EQ(Add(folder, kTwo).failures.size(), 1u);
  EXPECT_FALSE(fs::exists(folder / "out"));
  PutText(folder / "out/notes.txt", "mine");
  EXPECT_EQ(Add(folder, kTwo).failures.size(), 1u);
  EXPECT_TRUE(fs::exists(folder / "out/notes.txt"));
  EXPECT_FALSE(fs::exists(folder / "out/classes.json"));
  EXPECT_FALSE(fs::exists(folder / "out/images"));
  PutText(folder / "f/classes.json", kTwo);
  PutImage(folder / "f/images/train/x.png", Picture(33, 40));
  PutText(folder / "f/masks/train/x.png", "junk");
  EXPECT_EQ(ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "g").failures.size(), 1u);
  EXPECT_FALSE(fs::exists(folder / "g"));
}

TEST(ConvertOwn, AMaskIsWrittenAsPng) {
  const TempFolder folder;
  PutLabels(folder / "m/x.png", Stripes(3, 20, 2));
  for (const char* name : {"one.jpg", "one.tif"}) {
    EXPECT_FRF_ERROR(ConvertLabelFiles(folder / "m/x.png", folder / name, {"trainIds", "labelIds"}),
                     ErrorCode::kUsage, "masks are written as PNG; name a file that ends in .png");
    EXPECT_FALSE(fs::exists(folder / name));
  }
  EXPECT_EQ(ConvertLabelFiles(folder / "m/x.png", folder / "one.PNG", {"trainIds", "labelIds"}).files, 1);
}

}  // namespace
}  // namespace frf::test
