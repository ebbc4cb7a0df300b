// SPDX-License-Identifier: Apache-2.0
// Label formats convert there and back, and data sets into folder layout open with the same labels.
#include "data/convert.h"

#include <algorithm>
#include <set>

#include "base/files.h"
#include "data/check.h"
#include "data/internal.h"
#include "data/trees.h"
#include "support/support.h"

namespace frf::test {
namespace {

namespace fs = std::filesystem;

// All ids of `classes` and void.
LabelImage AllIds(int classes) { return Stripes(3, classes + 1, classes); }

TEST(Convert, ThereAndBack) {
  const TempFolder folder;
  PutText(
      folder / "classes.json",
      R"({"names": ["a", "b", "c"], "palette": [[1, 2, 3], [0, 0, 9], [9, 9, 9]], "label_ids": [4, 0, 200],
                                      "void": 17, "void_color": [255, 0, 255]})");
  const auto round = [&](const std::string& a, const std::string& b, const std::string& classes,
                         const LabelImage& first) {
    PutLabels(folder / "first.png", first);
    EXPECT_EQ(ConvertLabelFiles(folder / "first.png", folder / "second.png", {a, b, classes}).files, 1);
    const ConvertResult back =
        ConvertLabelFiles(folder / "second.png", folder / "third.png", {b, a, classes});
    EXPECT_TRUE(back.failures.empty()) << back.failures.front();
    EXPECT_EQ(ReadLabels(folder / "third.png").ids, first.ids) << a << " " << b;
  };
  round("ids", "colors", "camvid", AllIds(11));
  round("ids", "camvid-ids", "camvid", AllIds(11));
  round("ids", "camvid-colors", "camvid", AllIds(11));
  round("camvid-ids", "camvid-colors", "", Stripes(3, 12, 11, 11));
  round("ids", "colors", "cityscapes", AllIds(19));
  round("trainIds", "labelIds", "", AllIds(19));
  LabelImage own = AllIds(3);
  for (auto& id : own.ids) id = id == 0 ? 4 : id == 1 ? 0 : id == 2 ? 200 : 17;
  round("ids", "colors", folder / "classes.json", own);
}

// A class that is black leaves void no colour, unless one is declared.
TEST(Convert, VoidBecomesNoClass) {
  const TempFolder folder;
  const std::string classes = folder / "classes.json", in = folder / "a.png", out = folder / "b.png";
  PutText(classes, R"({"names": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]]})");
  PutLabels(in, {.height = 1, .width = 3, .ids = {0, 1, 255}});
  const ConvertResult refused = ConvertLabelFiles(in, out, {"ids", "colors", classes});
  ASSERT_EQ(refused.failures.size(), 1U);
  EXPECT_NE(refused.failures[0].find("a.png: holds void pixels"), std::string::npos) << refused.failures[0];
  EXPECT_FALSE(fs::exists(out));
  PutLabels(in, {.height = 1, .width = 2, .ids = {0, 1}});
  EXPECT_EQ(ConvertLabelFiles(in, out, {"ids", "colors", classes}).files, 1);
}

// Masks of 0 and 255 that declare no void: they hold none, so none has to be written.
TEST(Convert, ClassesWithoutVoid) {
  const TempFolder folder;
  const std::string classes = folder / "classes.json", in = folder / "a.png", out = folder / "b.png";
  PutText(classes,
          R"({"names": ["a", "b"], "palette": [[9, 0, 0], [0, 9, 0]], "label_ids": [0, 255], "void": []})");
  PutLabels(in, {.height = 1, .width = 2, .ids = {0, 255}});
  EXPECT_EQ(ConvertLabelFiles(in, out, {"ids", "ids", classes}).files, 1);
  EXPECT_EQ(ReadLabels(out).ids, (std::vector<std::uint8_t>{0, 255}));
  WritePng(in, Image{.height = 1, .width = 2, .pixels = {9, 0, 0, 0, 0, 0}});  // black is void in colours
  const ConvertResult refused = ConvertLabelFiles(in, folder / "c.png", {"colors", "ids", classes});
  ASSERT_EQ(refused.failures.size(), 1U);
  EXPECT_NE(refused.failures[0].find("holds void pixels"), std::string::npos) << refused.failures[0];
  EXPECT_NE(refused.failures[0].find("give it a void"), std::string::npos) << refused.failures[0];
}

// What cityscapesScripts calls dynamic and ground is none of the 19 classes.
TEST(Convert, ColoursOfCityscapesVoidLabelsAreVoid) {
  const TempFolder folder;
  Image image{.height = 1, .width = 4, .pixels = {128, 64, 128, 111, 74, 0, 81, 0, 81, 0, 0, 0}};
  WritePng(folder / "a.png", image);
  const ConvertResult result =
      ConvertLabelFiles(folder / "a.png", folder / "b.png", {"colors", "trainIds", "cityscapes"});
  EXPECT_TRUE(result.failures.empty()) << result.failures.front();
  EXPECT_EQ(ReadLabels(folder / "b.png").ids, (std::vector<std::uint8_t>{0, 255, 255, 255}));
}

// Nothing is made where a later split, or the folder's classes, are refused.
TEST(Convert, WhatIsRefusedLeavesNothing) {
  const TempFolder folder;
  const std::string data = folder / "data", out = folder / "out";
  PutText(folder / "data/classes.json", R"({"names": ["a", "b"]})");
  for (const char* split : {"train", "val"}) {
    PutImage(folder / fmt::format("data/images/{}/x.png", split), Picture(1, 2));
    PutLabels(folder / fmt::format("data/masks/{}/x.png", split), {.height = 1, .width = 2, .ids = {0, 1}});
  }
  fs::remove(folder / "data/masks/val/x.png");
  EXPECT_FRF_ERROR(ConvertToFolder({.spec = "folder:" + data}, out), ErrorCode::kNotFound, "masks/val/x.png");
  EXPECT_FALSE(fs::exists(out));
  PutText(folder / "other/classes.json", R"({"names": ["c"]})");
  EXPECT_FRF_ERROR(AddToFolder(folder / "data/images/train", folder / "data/masks/train", folder / "other",
                               "train", {.from = "ids", .classes = folder / "data/classes.json"}),
                   ErrorCode::kUsage, "for other classes");
  EXPECT_FALSE(fs::exists(folder / "other/images"));
}

TEST(Convert, ByHand) {
  const TempFolder folder;
  PutLabels(folder / "a.png", {.height = 1, .width = 4, .ids = {0, 13, 18, 255}});
  ConvertLabelFiles(folder / "a.png", folder / "b.png", {.from = "trainIds", .to = "labelIds"});
  EXPECT_EQ(ReadLabels(folder / "b.png").ids, (std::vector<std::uint8_t>{7, 26, 33, 0}));
  ConvertLabelFiles(folder / "a.png", folder / "c.png",
                    {.from = "trainIds", .to = "colors", .classes = "cityscapes"});
  EXPECT_EQ(ReadImage(folder / "c.png").pixels,
            (std::vector<std::uint8_t>{128, 64, 128, 0, 0, 142, 119, 11, 32, 0, 0, 0}));
}

TEST(Convert, OfACityscapesFolderOnlyTheFilesOfTheFormat) {
  const TempFolder folder;
  PutLabels(folder / "gt/ulm/a_gtFine_labelIds.png", {.height = 1, .width = 3, .ids = {7, 26, 0}});
  PutLabels(folder / "gt/ulm/a_gtFine_labelTrainIds.png", {.height = 1, .width = 3, .ids = {0, 13, 255}});
  PutImage(folder / "gt/ulm/a_gtFine_color.png", Picture(1, 3));
  PutLabels(folder / "gt/ulm/a_gtFine_instanceIds.png", {.height = 1, .width = 3, .ids = {7, 99, 0}});
  const ConvertResult result =
      ConvertLabelFiles(folder / "gt", folder / "out", {.from = "labelIds", .to = "trainIds"});
  EXPECT_TRUE(result.failures.empty()) << result.failures.front();
  EXPECT_EQ(result.files, 1);
  EXPECT_EQ(ReadLabels(folder / "out/ulm/a_gtFine_labelIds.png").ids,
            (std::vector<std::uint8_t>{0, 13, 255}));
  EXPECT_EQ(ConvertLabelFiles(folder / "out", folder / "again", {.from = "trainIds", .to = "labelIds"}).files,
            1)
      << "names of another kind alone";
}

TEST(Convert, AFolderGoesOnAfterABadFile) {
  const TempFolder folder;
  PutLabels(folder / "in/x/a.png", AllIds(11));
  PutLabels(folder / "in/b.png", AllIds(12));
  PutText(folder / "in/c.png", "junk");
  const ConvertResult result =
      ConvertLabelFiles(folder / "in", folder / "out", {"ids", "camvid-ids", "camvid"});
  EXPECT_EQ(result.files, 1);
  ASSERT_EQ(result.failures.size(), 2u);
  EXPECT_NE(result.failures[0].find("in/b.png: label value 11"), std::string::npos);
  EXPECT_NE(result.failures[1].find("in/c.png"), std::string::npos);
  EXPECT_EQ(ReadLabels(folder / "out/x/a.png").at(0, 11), 11);
  EXPECT_FALSE(fs::exists(folder / "out/b.png"));
  EXPECT_EQ(ToJson(result)["failures"].size(), 2u);
}

TEST(Convert, Refusals) {
  const TempFolder folder;
  PutLabels(folder / "a.png", AllIds(3));
  const auto convert = [&](const ConvertOptions& options) {
    ConvertLabelFiles(folder / "a.png", folder / "b.png", options);
  };
  EXPECT_FRF_ERROR(convert({"ids", "colours", "camvid"}), ErrorCode::kUsage,
                   "label format 'colours': wanted one of ids, colors");
  EXPECT_FRF_ERROR(convert({"ids", "colors"}), ErrorCode::kUsage, "needs its classes");
  EXPECT_FRF_ERROR(convert({"camvid-ids", "trainIds"}), ErrorCode::kUsage,
                   "camvid-ids has 11 classes, trainIds has 19");
  PutText(folder / "classes.json", R"({"names": ["a"]})");
  EXPECT_FRF_ERROR(convert({"ids", "colors", folder / "classes.json"}), ErrorCode::kUsage, "has no palette");
  EXPECT_FRF_ERROR(ConvertLabelFiles(folder / "a.png", folder / "a.png", {"trainIds", "labelIds"}),
                   ErrorCode::kUsage, "are the same");
  fs::create_directories(folder / "empty");
  EXPECT_FRF_ERROR(ConvertLabelFiles(folder / "empty", folder / "o", {"trainIds", "labelIds"}),
                   ErrorCode::kNotFound, "holds no PNG");
}

TEST(Convert, DataSetToFolder) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  const ConvertResult result = ConvertToFolder({.spec = "camvid:" + folder / "c"}, folder / "f");
  EXPECT_EQ(result.files, 5);
  EXPECT_TRUE(result.failures.empty());
  for (const char* split : {"train", "val"}) {
    const auto before = OpenDataset({.spec = "camvid:" + folder / "c", .split = split});
    const auto after = OpenDataset({.spec = "folder:" + folder / "f", .split = split});
    ASSERT_EQ(before->size(), after->size());
    EXPECT_EQ(before->classes(), after->classes());
    for (int i = 0; i < before->size(); ++i) {
      const Sample a = before->Get(i);
      int j = 0;  // the folder is sorted by name, the list was not
      while (!after->name(j).ends_with(fs::path(a.name).filename().string())) ASSERT_LT(++j, after->size());
      EXPECT_EQ(after->Get(j).labels.ids, a.labels.ids);
      EXPECT_EQ(after->Get(j).image.pixels, a.image.pixels);
    }
  }
}

TEST(Convert, FilesThatWouldTakeOneAnothersPlace) {
  const TempFolder folder;
  for (const char* name : {"a/b", "c/b", "b_a"}) {
    PutImage(folder / ("pictures/" + std::string(name) + ".png"), Picture(3, 12));
    PutLabels(folder / ("labels/" + std::string(name) + ".png"), AllIds(11));
  }
  EXPECT_FRF_ERROR(
      AddToFolder(folder / "pictures", folder / "labels", folder / "f", "train", {.from = "camvid-ids"}),
      ErrorCode::kInvalidArgument, "would both be called b_a.png");
  EXPECT_FALSE(fs::exists(folder / "f"));
}

// Recordings are known by what the names begin with, so folders in front would make one of all.
TEST(Convert, NamesStayWhatTheyAre) {
  const TempFolder folder;
  const auto stems = [](const std::string& below) {
    std::set<std::string> names;
    for (const std::string& file : ImageFilesBelow(below)) names.insert(fs::path(file).stem().string());
    return names;
  };
  MakeCamVid(folder / "c", 3, 2);
  ConvertToFolder({.spec = "camvid:" + folder / "c"}, folder / "f");
  EXPECT_EQ(stems(folder / "f/images/train"), (std::set<std::string>{"d0_100", "d1_101", "d0_102"}));
  ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "g");
  EXPECT_EQ(stems(folder / "g/masks/val"), (std::set<std::string>{"d0_100", "d1_101"}));
  for (const char* name : {"a/d0_1", "b/c/d0_1", "b/d1_1"}) {
    PutImage(folder / fmt::format("f/images/test/{}.png", name), Picture(3, 12));
    PutLabels(folder / fmt::format("f/masks/test/{}.png", name), AllIds(11));
  }
  ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "h");
  EXPECT_EQ(stems(folder / "h/images/test"), (std::set<std::string>{"d0_1_a", "d0_1_b_c", "d1_1"}));
  PutText(folder / "l.txt", "train/d0_100.png\nval/d0_100.png\ntrain/d1_101.png\n");
  ConvertToFolder({.spec = "camvid:" + folder / "c", .list = folder / "l.txt"}, folder / "i");
  EXPECT_EQ(stems(folder / "i/images/train"),
            (std::set<std::string>{"d0_100_train", "d0_100_val", "d1_101"}));
}

// VOC's background is black, its void is not.
TEST(Convert, VoidKeepsItsColour) {
  const TempFolder folder;
  const std::string classes = folder / "classes.json";
  const auto made = [&](const std::string& void_color) {
    PutText(classes, R"({"names": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]])" + void_color + "}");
    PutImage(folder / "i/x.png", Picture(40, 40));
    PutLabels(folder / "m/x.png", Stripes(40, 40, 2));
    EXPECT_EQ(AddToFolder(folder / "i", folder / "m", folder / "f", "train", {"ids", "ids", classes}).files,
              1);
    const CheckReport report = CheckData({.spec = "folder:" + folder / "f"});
    EXPECT_TRUE(report.issues.empty()) << FormatCheck(report);
    ConvertToFolder({.spec = "folder:" + folder / "f"}, folder / "g");
    const Image shown = ReadImage(folder / "g/masks/train/x.png");
    const auto voids = ReadFolderClasses(folder / "g/classes.json").void_colors;
    fs::remove_all(folder / "f");
    fs::remove_all(folder / "g");
    return std::pair{Color{shown.at(0, 39)[0], shown.at(0, 39)[1], shown.at(0, 39)[2]}, voids};
  };
  EXPECT_EQ(made(R"(, "void_color": [224, 224, 192])"),
            std::pair(Color{224, 224, 192}, std::vector<Color>{{224, 224, 192}}));
  EXPECT_EQ(made(""), std::pair(Color{255, 255, 255}, std::vector<Color>{})) << "a colour that no class has";
}

TEST(Convert, PicturesWithoutAMaskAreTold) {
  const TempFolder folder;
  PutText(folder / "classes.json", R"({"names": ["a", "b"]})");
  for (const char* name : {"a", "b", "c", "d", "e"})
    PutImage(folder / fmt::format("i/{}.png", name), Picture(9, 12));
  PutLabels(folder / "m/a.png", Stripes(9, 12, 2));
  PutText(folder / "i/f.webp", "RIFF");
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(
      AddToFolder(folder / "i", folder / "m", folder / "f", "train", {"ids", "ids", folder / "classes.json"})
          .files,
      1);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("i: 4 pictures without a mask left out (b.png, c.png, d.png ...)"), std::string::npos)
      << said;
  EXPECT_NE(said.find("i: 1 file of other formats left out (webp)"), std::string::npos) << said;
}

TEST(Convert, MasksAndImagesToFolder) {
  const TempFolder folder;
  PutImage(folder / "pictures/a.jpg", Picture(3, 20));
  PutLabels(folder / "labels/a.png", AllIds(19));
  PutLabels(folder / "labels/lost.png", AllIds(19));
  const ConvertResult result =
      AddToFolder(folder / "pictures", folder / "labels", folder / "f", "train", {.from = "trainIds"});
  EXPECT_EQ(result.files, 1);
  ASSERT_EQ(result.failures.size(), 1u);
  EXPECT_NE(result.failures[0].find("lost.png: no image of this stem"), std::string::npos);
  const auto data = OpenDataset({.spec = "folder:" + folder / "f", .split = "train"});
  EXPECT_EQ(data->Get(0).labels.ids, AllIds(19).ids);
  EXPECT_EQ(ReadFile(data->image_path(0)), ReadFile(folder / "pictures/a.jpg"));  // copied, not encoded again
  // Other classes do not mix into one folder.
  EXPECT_FRF_ERROR(
      AddToFolder(folder / "pictures", folder / "labels", folder / "f", "val", {.from = "camvid-ids"}),
      ErrorCode::kUsage, "is there already, for other classes");
}

// A second import must not take the first one's place.
TEST(Convert, AnotherPictureOfTheSameNameStays) {
  const TempFolder folder;
  PutText(folder / "classes.json", R"({"names": ["a", "b"]})");
  for (const char* import : {"1", "2"}) {
    PutImage(folder / (std::string(import) + "/i/x.png"), Picture(9, 12, import[0]));
    PutLabels(folder / (std::string(import) + "/m/x.png"), Stripes(9, 12, 2));
  }
  const auto add = [&](const std::string& import) {
    return AddToFolder(folder / (import + "/i"), folder / (import + "/m"), folder / "out", "train",
                       {"ids", "ids", folder / "classes.json"});
  };
  EXPECT_EQ(add("1").files, 1);
  const std::string first = ReadFile(folder / "out/images/train/x.png");
  EXPECT_TRUE(add("1").failures.empty()) << "the same picture again";
  const ConvertResult second = add("2");
  EXPECT_EQ(second.files, 0);
  ASSERT_EQ(second.failures.size(), 1u);
  EXPECT_NE(second.failures[0].find("is another picture"), std::string::npos) << second.failures[0];
  EXPECT_EQ(ReadFile(folder / "out/images/train/x.png"), first);
  // Two data sets in one folder likewise.
  for (const char* set : {"c", "d"}) {
    PutImage(folder / (std::string(set) + "/train/a.png"), Picture(9, 12, set[0]));
    PutLabels(folder / (std::string(set) + "/trainannot/a.png"), Stripes(9, 12, 11, 11));
  }
  const auto convert = [&](const char* set) {
    return ConvertToFolder({.spec = std::string("camvid:") + (folder / set), .split = "train"},
                           folder / "o2");
  };
  EXPECT_TRUE(convert("c").failures.empty());
  EXPECT_EQ(convert("d").failures.size(), 1u);
}

TEST(Convert, TwoFilesThatWouldBeOneAreRefused) {
  const TempFolder folder;
  PutLabels(folder / "in/a.png", Stripes(3, 4, 2));
  PutLabels(folder / "in/b.png", Stripes(3, 4, 2));
  fs::rename(folder / "in/b.png", folder / "in/a.PNG");
  EXPECT_FRF_ERROR(ConvertLabelFiles(folder / "in", folder / "out", {"ids", "colors", "camvid"}),
                   ErrorCode::kInvalidArgument, "would both be a.png");
  EXPECT_FALSE(fs::exists(folder / "out"));
  fs::remove(folder / "in/a.PNG");
  PutImage(folder / "in/a.jpg", Picture(3, 4));  // holds no labels, and does not stop the others
  const ConvertResult mixed = ConvertLabelFiles(folder / "in", folder / "out", {"ids", "colors", "camvid"});
  EXPECT_EQ(mixed.files, 1);
  EXPECT_EQ(mixed.failures.size(), 1u);
}

}  // namespace
}  // namespace frf::test
