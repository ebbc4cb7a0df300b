// SPDX-License-Identifier: Apache-2.0
// Files that a folder of one's own has beside those that frf would pick up by itself: splits of other names,
// pictures of other formats, names with spaces, pictures that EXIF turns. None is passed over without a word.
#include <algorithm>

#include "base/files.h"
#include "data/check.h"
#include "data/convert.h"
#include "data/internal.h"
#include "data/trees.h"
#include "support/support.h"

namespace frf::test {
namespace {

namespace fs = std::filesystem;

// Pairs images/NAME.png, masks/NAME.png.
std::string Pairs(const std::string& root, const std::vector<std::string>& names) {
  PutText(root + "/classes.json", R"({"names": ["a", "b"]})");
  for (const std::string& name : names) {
    PutImage(root + "/images/" + name + ".png", Picture(33, 40, name.back()));
    PutLabels(root + "/masks/" + name + ".png", Stripes(33, 40, 2));
  }
  return "folder:" + root;
}

std::vector<std::string> Names(const Dataset& data) {
  std::vector<std::string> names;
  for (int i = 0; i < data.size(); ++i) names.push_back(data.name(i));
  return names;
}

// The messages of one kind.
std::vector<std::string> Said(const CheckReport& report, const std::string& kind) {
  std::vector<std::string> messages;
  for (const CheckIssue& issue : report.issues)
    if (issue.kind == kind) messages.push_back(issue.message);
  return messages;
}

TEST(OwnFiles, SplitsAreKnownByOtherNames) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"Training/x", "Training/y", "validation/sub/z", "testing/t"});
  EXPECT_EQ(FindSplits({.spec = spec}), (std::vector<std::string>{"train", "val", "test"}));
  EXPECT_EQ(Names(*OpenDataset({.spec = spec, .split = "val"})),
            std::vector<std::string>{"images/validation/sub/z.png"});
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "trainval"})->size(), 3);
  EXPECT_TRUE(Said(CheckData({.spec = spec}), "unused file").empty());
  fs::create_directory(folder / "f/images/valid");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "val"}), ErrorCode::kInvalidArgument,
                   "valid and validation may both be split 'val'");
}

TEST(OwnFiles, FoldersThatAreNoSplitsAreNamed) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"trn/x", "vld/y"});
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "train"})->size(), 2);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("not divided into splits (its folders are trn, vld), so 'train' is all of it"),
            std::string::npos)
      << said;
}

TEST(OwnFiles, WhatNoSplitTakesIsTold) {
  const TempFolder folder;
  const std::string spec =
      Pairs(folder / "f", {"train/x", "val/y", "valid/a", "valid/b", "valid/c", "valid/d"});
  PutImage(folder / "f/images/stray.jpg", Picture(33, 40));
  PutText(folder / "f/images/other.webp", "RIFF");
  const CheckReport report = CheckData({.spec = spec});
  EXPECT_EQ(report.errors(), 0);
  EXPECT_EQ(Said(report, "unused file"),
            (std::vector<std::string>{
                folder / "f/images: 2 files that no split takes (stray.jpg, other.webp)",
                folder / "f/images/valid: 4 files that no split takes (a.png, b.png, c.png ...)",
                folder / "f/masks/valid: 4 files that no split takes (a.png, b.png, c.png ...)"}))
      << FormatCheck(report);
  EXPECT_TRUE(Said(CheckData({.spec = spec}, {"train"}), "unused file").empty()) << "val's are not unused";
}

TEST(OwnFiles, WhatIsToldOnceIsNotToldAgain) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"x", "y"});  // not divided into splits
  PutText(folder / "f/images/z.webp", "RIFF");
  const CheckReport report = CheckData({.spec = spec});
  EXPECT_EQ(Said(report, "other format").size(), 1u);
  EXPECT_TRUE(Said(report, "unused file").empty()) << Said(report, "unused file")[0];
}

TEST(OwnFiles, PicturesOfOtherFormatsAreTold) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"train/x", "train/y", "val/z"});
  PutText(folder / "f/images/train/w.webp", "RIFF");
  PutLabels(folder / "f/masks/train/w.png", Stripes(33, 40, 2));
  const std::string line =
      folder / "f/images/train: 1 file of other formats left out (webp): frf reads PNG and JPEG";
  const CheckReport report = CheckData({.spec = spec});
  EXPECT_EQ(Said(report, "other format"), std::vector<std::string>{line});
  ASSERT_EQ(Said(report, "label without image").size(), 1u);
  EXPECT_TRUE(
      Said(report, "label without image")[0].ends_with("; w.webp is there, but frf reads PNG and JPEG"))
      << Said(report, "label without image")[0];
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "train"})->size(), 2);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find(line), std::string::npos) << said;
  fs::rename(folder / "f/masks/train/x.png", folder / "f/masks/train/x.tif");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "train"}), ErrorCode::kNotFound,
                   "x.png: no such label file (x.tif is there: frf reads PNG and JPEG)");
  // A split of such pictures alone is no split without pictures.
  fs::rename(folder / "f/images/val/z.png", folder / "f/images/val/z.bmp");
  fs::remove(folder / "f/masks/val/z.png");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "val"}), ErrorCode::kNotFound,
                   "no images for split 'val', though there are pictures: ");
  EXPECT_EQ(FindSplits({.spec = spec}), (std::vector<std::string>{"train", "val"}));
}

TEST(OwnFiles, NamesWithSpacesCanBeListed) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"my x", "sub folder/y"});
  PutLabels(folder / "f/masks/y of mine.png", Stripes(33, 40, 2));
  for (const char* text :
       {"my x.png\nimages/sub folder/y.png\n", "my x  \r\nsub folder/y\r\n",
        "\"my x.png\"\n\"sub folder/y\"\n", "my x\tmasks/my x.png\nsub folder/y\tmasks/y of mine.png\n"}) {
    PutText(folder / "l.txt", text);
    const auto data = OpenDataset({.spec = spec, .list = folder / "l.txt"});
    EXPECT_EQ(Names(*data), (std::vector<std::string>{"images/my x.png", "images/sub folder/y.png"})) << text;
    EXPECT_EQ(data->Get(0).labels.ids, Stripes(33, 40, 2).ids);
  }
  EXPECT_EQ(fs::path(OpenDataset({.spec = spec, .list = folder / "l.txt"})->label_path(1)).filename(),
            "y of mine.png");
  PutText(folder / "l.txt", "my lost photo.png\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "l.txt"}), ErrorCode::kNotFound,
                   "f/my lost photo.png: no such image");
  PutText(folder / "l.txt", "a\tb\tc\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "l.txt"}), ErrorCode::kCorruptFile,
                   "more than two parts between tabs");
  // The same of the other layouts.
  PutImage(folder / "c/train/a b.png", Picture(9, 12));
  PutLabels(folder / "c/trainannot/a b.png", Stripes(9, 12, 11, 11));
  PutText(folder / "c/train.txt", "train/a b.png\n");
  EXPECT_EQ(OpenDataset({.spec = "camvid:" + folder / "c", .split = "train"})->size(), 1);
}

// As VOC's ImageSets/Segmentation/train.txt.
TEST(OwnFiles, AListOfStemsFindsThemInTheSplits) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"train/2007_000032", "train/2007_000039", "val/2007_000033"});
  PutText(folder / "l.txt", "2007_000033\n2007_000032\n");
  const auto data = OpenDataset({.spec = spec, .list = folder / "l.txt"});
  EXPECT_EQ(Names(*data),
            (std::vector<std::string>{"images/val/2007_000033.png", "images/train/2007_000032.png"}));
  EXPECT_EQ(data->Get(1).labels.ids, Stripes(33, 40, 2).ids);
}

// A JPEG whose EXIF says how to hold it.
void PutTurned(const std::string& path, const Image& image, char orientation) {
  const char app1[] =
      "\xff\xe1\x00\x22"
      "Exif\0\0"
      "MM\0\x2a\0\0\0\x08"
      "\0\x01\x01\x12\0\x03\0\0\0\x01\0X\0\0\0\0\0";  // one entry, and the literal's own end
  std::string exif(app1, sizeof(app1));
  exif.at(exif.find('X')) = orientation;
  std::string jpeg = EncodeJpeg(image);
  jpeg.insert(2, exif);
  WriteFileAtomically(path, jpeg);
}

TEST(OwnFiles, PicturesThatExifTurnsAreTold) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"train/x", "train/y", "train/z"});
  fs::remove(folder / "f/images/train/x.png");
  fs::remove(folder / "f/images/train/y.png");
  PutTurned(folder / "f/images/train/x.jpg", Picture(33, 40, 1), 3);
  PutTurned(folder / "f/images/train/y.jpg", Picture(33, 40, 2), 6);
  const CheckReport report = CheckData({.spec = spec});
  EXPECT_EQ(report.errors(), 1);
  const std::string wanted =
      "labels are 33x40, the image " + folder /
                                           "f/images/train/y.jpg is 40x33 when "
                                           "turned as its EXIF orientation 6 says: turn the labels likewise";
  ASSERT_EQ(Said(report, "size mismatch").size(), 1u);
  EXPECT_NE(Said(report, "size mismatch")[0].find(wanted), std::string::npos)
      << Said(report, "size mismatch")[0];
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "train"})->Get(1), ErrorCode::kCorruptFile, wanted);
  EXPECT_EQ(Said(report, "EXIF orientation"),
            std::vector<std::string>{
                "folder train, 3 images: 2 pictures turned by EXIF orientation (" +
                folder / "f/images/train/x.jpg: 3); the masks must be of the turned pictures"});
}

TEST(OwnFiles, MasksOf0And255AreTold) {
  const TempFolder folder;
  const std::string spec = Pairs(folder / "f", {"train/x"});
  LabelImage labels = Stripes(33, 40, 1);
  for (int y = 0; y < 10; ++y)
    for (int x = 0; x < 40; ++x) labels.at(y, x) = 255;
  PutLabels(folder / "f/masks/train/x.png", labels);
  const auto said = Said(CheckData({.spec = spec}), "absent class");
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find(
                "'b' has no pixel; where masks hold 255 for it, write \"label_ids\": [0, 255], \"void\": []"),
            std::string::npos)
      << said[0];
  PutText(folder / "f/classes.json", R"({"names": ["a", "b"], "label_ids": [0, 255]})");
  EXPECT_FRF_ERROR(CheckData({.spec = spec}), ErrorCode::kCorruptFile,
                   "void id 255 is also a class; where no pixel of the masks is void, write \"void\": []");
  PutText(folder / "f/classes.json", R"({"names": ["a", "b"], "label_ids": [0, 255], "void": []})");
  EXPECT_EQ(CheckData({.spec = spec}).issues.size(), 0u);
}

TEST(OwnFiles, SeveralIdsAndColoursOfAClass) {
  const TempFolder folder;
  const std::string classes = folder / "classes.json";
  PutText(classes, R"({"names": ["a", "b"], "label_ids": [[0, 1], 2],
                       "palette": [[[10, 20, 30], [0, 0, 9]], [200, 0, 0]], "void_color": []})");
  PutLabels(folder / "ids.png", {.height = 1, .width = 4, .ids = {1, 0, 2, 255}});
  const auto convert = [&](const std::string& in, const std::string& from, const std::string& to) {
    const ConvertResult result = ConvertLabelFiles(folder / in, folder / "out.png", {from, to, classes});
    EXPECT_TRUE(result.failures.empty()) << result.failures.front();
  };
  convert("ids.png", "ids", "ids");
  EXPECT_EQ(ReadLabels(folder / "out.png").ids, (std::vector<std::uint8_t>{0, 0, 2, 255}));
  WritePng(folder / "colors.png",
           {.height = 1, .width = 3, .channels = 3, .pixels = {0, 0, 9, 10, 20, 30, 200, 0, 0}});
  convert("colors.png", "colors", "ids");
  EXPECT_EQ(ReadLabels(folder / "out.png").ids, (std::vector<std::uint8_t>{0, 0, 2}));
  convert("colors.png", "colors", "colors");
  EXPECT_EQ(ReadImage(folder / "out.png").pixels,
            (std::vector<std::uint8_t>{10, 20, 30, 10, 20, 30, 200, 0, 0}));
  for (const auto& [text, part] :
       {std::pair{R"({"names": ["a", "b"], "label_ids": [[0, 1], 1]})", "label_ids holds 1 twice"},
        {R"({"names": ["a", "b"], "label_ids": [[], 1]})", "label_ids holds []"},
        {R"({"names": ["a"], "palette": [[]]})", "palette holds []"},
        {R"({"names": ["a"], "palette": [[[1, 2, 3], [1, 2, 3]]]})", "palette holds (1, 2, 3) twice"}}) {
    PutText(classes, text);
    EXPECT_FRF_ERROR(ReadFolderClasses(classes), ErrorCode::kCorruptFile, part);
  }
}

}  // namespace
}  // namespace frf::test
