// SPDX-License-Identifier: Apache-2.0
// The check names everything that was broken on purpose, and nothing in a sound set.
#include "data/check.h"

#include <algorithm>
#include <set>

#include "data/trees.h"
#include "support/support.h"

namespace frf::test {
namespace {

namespace fs = std::filesystem;

// kind -> files without folder
std::set<std::pair<std::string, std::string>> Found(const CheckReport& report) {
  std::set<std::pair<std::string, std::string>> found;
  for (const CheckIssue& issue : report.issues) {
    EXPECT_EQ(issue.message.find('\n'), std::string::npos);
    found.insert({issue.kind, fs::path(issue.file).filename().string()});
  }
  return found;
}

const CheckIssue& Issue(const CheckReport& report, const std::string& kind) {
  return *std::find_if(report.issues.begin(), report.issues.end(),
                       [&](const CheckIssue& i) { return i.kind == kind; });
}

void PutPair(const std::string& root, const std::string& stem, int height, int width, int salt) {
  PutImage(root + "/train/" + stem + ".png", Picture(height, width, salt));
  PutLabels(root + "/trainannot/" + stem + ".png", Stripes(height, width, 11, 11));
}

TEST(Check, ASoundSetIsSound) {
  const TempFolder folder;
  for (int i = 0; i < 4; ++i) PutPair(folder / "c", std::to_string(i), 40, 45, i);
  const CheckReport report = CheckData({.spec = "camvid:" + folder / "c"});
  EXPECT_EQ(report.issues.size(), 0u) << FormatCheck(report);
  ASSERT_EQ(report.splits.size(), 1u);
  EXPECT_EQ(report.splits[0].images, 4);
  // 45 columns: 0..43 are four of each class, the last is void.
  const Json json = ToJson(report);
  EXPECT_EQ(json["ok"], true);
  EXPECT_DOUBLE_EQ(json["splits"][0]["shares"]["sky"].get<double>(), 1.0 / 11);
  EXPECT_DOUBLE_EQ(json["splits"][0]["void_share"].get<double>(), 1.0 / 45);
  EXPECT_EQ(json["splits"][0]["sizes"]["40x45"], 4);
  EXPECT_EQ(json["splits"][0]["class_images"]["sky"], 4);
  EXPECT_EQ(json["splits"][0]["class_pixels"]["sky"], 4 * 40 * 4);
  EXPECT_EQ(json["splits"][0]["void_pixels"], 4 * 40);
}

TEST(Check, EveryFaultIsNamedAndNoneStopsIt) {
  const TempFolder folder;
  const std::string root = folder / "c";
  for (int i = 0; i < 5; ++i) PutPair(root, std::to_string(i), 40, 45, i);
  PutPair(root, "twin", 40, 45, 3);
  PutPair(root, "odd", 41, 45, 10);
  PutPair(root, "tiny", 8, 9, 11);
  PutPair(root, "cut", 40, 45, 12);
  fs::resize_file(root + "/train/cut.png", fs::file_size(root + "/train/cut.png") / 2);
  PutPair(root, "badmask", 40, 45, 13);
  PutText(root + "/trainannot/badmask.png", "GIF89a");
  PutPair(root, "values", 40, 45, 14);
  LabelImage labels = Stripes(40, 45, 11, 11);
  labels.at(2, 3) = 77, labels.at(2, 4) = 77, labels.at(1, 1) = 12;
  PutLabels(root + "/trainannot/values.png", labels);
  PutPair(root, "mismatch", 40, 45, 15);
  PutLabels(root + "/trainannot/mismatch.png", Stripes(45, 40, 11, 11));
  PutPair(root, "void", 40, 45, 16);
  PutLabels(root + "/trainannot/void.png",
            {.height = 40, .width = 45, .ids = std::vector<std::uint8_t>(40 * 45, 11)});
  PutPair(root, "nomask", 40, 45, 17);
  fs::remove(root + "/trainannot/nomask.png");
  PutLabels(root + "/trainannot/noimage.png", Stripes(40, 45, 11, 11));
  PutImage(root + "/val/leak.png", Picture(40, 45, 2));
  PutLabels(root + "/valannot/leak.png", Stripes(40, 45, 5, 11));
  const CheckReport report = CheckData({.spec = "camvid:" + root});
  const std::set<std::pair<std::string, std::string>> wanted{{"duplicate", "twin.png"},
                                                             {"odd size", "odd.png"},
                                                             {"odd size", "tiny.png"},
                                                             {"unreadable image", "cut.png"},
                                                             {"unreadable label", "badmask.png"},
                                                             {"bad value", "values.png"},
                                                             {"size mismatch", "mismatch.png"},
                                                             {"empty mask", "void.png"},
                                                             {"missing label", "nomask.png"},
                                                             {"label without image", "noimage.png"},
                                                             {"duplicate between splits", "leak.png"},
                                                             {"absent class", ""}};
  EXPECT_EQ(Found(report), wanted) << FormatCheck(report);
  EXPECT_EQ(report.errors(), 5);
  EXPECT_NE(
      Issue(report, "bad value")
          .message.find(
              "value 12 (1 pixels, first at row 1, column 1), value 77 (2 pixels, first at row 2, column 3)"),
      std::string::npos)
      << Issue(report, "bad value").message;
  EXPECT_NE(Issue(report, "duplicate between splits").message.find("/2.png of split train"),
            std::string::npos);
  const std::string text = FormatCheck(report);
  for (const auto& [kind, file] : wanted) EXPECT_NE(text.find(kind), std::string::npos) << kind;
  EXPECT_NE(text.find("5 errors, "), std::string::npos);
  EXPECT_NE(FormatCheck(report, 1).find("... and 1 more"), std::string::npos);
  EXPECT_EQ(ToJson(report)["issues"].size(), report.issues.size());
}

TEST(Check, MostIsMoreThanHalf) {
  const TempFolder folder;
  const auto told = [&](const std::string& root) {
    return Issue(CheckData({.spec = "camvid:" + folder / root}), "odd size").message;
  };
  for (int i = 0; i < 3; ++i) PutPair(folder / "two", std::to_string(i), i == 0 ? 41 : 40, 45, i);
  EXPECT_NE(told("two").find("0.png: 41x45, most of the split (2 of 3) is 40x45"), std::string::npos)
      << told("two");
  for (int i = 0; i < 4; ++i) PutPair(folder / "each", std::to_string(i), 40 + i, 45, i);
  EXPECT_NE(told("each").find("1.png: 41x45, the split has 4 sizes, the commonest (1 of 4) is 40x45"),
            std::string::npos)
      << told("each");
}

TEST(Check, ListedFilesThatAreMissing) {
  const TempFolder folder;
  MakeCamVid(folder / "c", 2, 2);
  fs::remove(folder / "c/train/d0_100.png");
  const auto report = CheckData({.spec = "camvid:" + folder / "c"}, {"train"});
  EXPECT_TRUE(Found(report).contains({"missing image", "d0_100.png"}));
  EXPECT_FALSE(Found(report).contains({"label without image", "d0_100.png"}));  // said once
  EXPECT_EQ(report.errors(), 1);
  PutText(folder / "l.txt", "val/d0_100.png\n");
  EXPECT_EQ(CheckData({.spec = "camvid:" + folder / "c", .list = folder / "l.txt"}).errors(), 0);
  EXPECT_FRF_ERROR(CheckData({.spec = "camvid:" + folder / "none"}), ErrorCode::kNotFound, "no such folder");
  EXPECT_FRF_ERROR(CheckData({.spec = "camvid:" + folder / "c"}, {"dev"}), ErrorCode::kUsage, "split 'dev'");
}

TEST(Check, AnOddCityscapesNameStopsNothing) {
  const TempFolder folder;
  const std::string root = folder / "cs";
  PutImage(root + "/leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", Picture(33, 33));
  LabelImage bad = Stripes(33, 33, 2);
  bad.at(0, 0) = 40;
  PutLabels(root + "/gtFine/val/ulm/ulm_1_gtFine_labelIds.png", bad);
  PutImage(root + "/leftImg8bit/val/ulm/notes.png", Picture(33, 33));
  const CheckReport report = CheckData({.spec = "cityscapes:" + root});
  EXPECT_TRUE(Found(report).contains({"odd name", "notes.png"})) << FormatCheck(report);
  EXPECT_TRUE(Found(report).contains({"bad value", "ulm_1_gtFine_labelIds.png"})) << FormatCheck(report);
  EXPECT_EQ(report.errors(), 2);
}

TEST(Check, ColorMasksOfAFolder) {
  const TempFolder folder;
  PutText(folder / "f/classes.json", R"({"names": ["a", "b"], "palette": [[10, 20, 30], [200, 0, 0]]})");
  PutImage(folder / "f/images/train/x.png", Picture(33, 33));
  PutImage(folder / "f/masks/train/x.png", Picture(33, 33));  // a photograph in the mask's place
  PutLabels(folder / "f/masks/train/lost.png", Stripes(33, 33, 2));
  const auto report = CheckData({.spec = "folder:" + folder / "f"});
  EXPECT_TRUE(Found(report).contains({"bad value", "x.png"}));
  EXPECT_TRUE(Found(report).contains({"label without image", "lost.png"}));
  EXPECT_NE(Issue(report, "bad value").message.find("wanted the 3 known label colours"), std::string::npos);
}

// Every class would be called absent, which says nothing more.
TEST(Check, WithoutAReadableMaskNoClassIsCalledAbsent) {
  const TempFolder folder;
  PutPair(folder / "c", "a", 40, 45, 1);
  PutPair(folder / "c", "b", 40, 45, 2);
  PutText(folder / "c/trainannot/a.png", "junk");
  fs::remove(folder / "c/trainannot/b.png");
  const CheckReport report = CheckData({.spec = "camvid:" + folder / "c"});
  EXPECT_EQ(Found(report), (std::set<std::pair<std::string, std::string>>{{"unreadable label", "a.png"},
                                                                          {"missing label", "b.png"}}))
      << FormatCheck(report);
}

// `frf train` refuses it. Labels of val and test may be held back.
TEST(Check, ASplitOfVoidAloneIsAnError) {
  const TempFolder folder;
  const LabelImage nothing{.height = 40, .width = 45, .ids = std::vector<std::uint8_t>(40 * 45, 11)};
  for (const char* split : {"train", "val"}) {
    PutImage(folder / fmt::format("c/{}/a.png", split), Picture(40, 45, split[0]));
    PutLabels(folder / fmt::format("c/{}annot/a.png", split), nothing);
  }
  const CheckReport report = CheckData({.spec = "camvid:" + folder / "c"});
  ASSERT_EQ(Found(report),
            (std::set<std::pair<std::string, std::string>>{{"empty mask", "a.png"}, {"no label", ""}}))
      << FormatCheck(report);
  EXPECT_EQ(report.errors(), 1);
  EXPECT_TRUE(Issue(report, "no label").error);
  EXPECT_EQ(Issue(report, "no label").split, "train");
  EXPECT_EQ(Issue(report, "no label").message.find("camvid train, 1 image: no labelled pixel in it"), 0u);
}

TEST(Check, RealCamVidHasNoErrors) {
  FRF_SKIP_WITHOUT_CAMVID();
  const auto report = CheckData({.spec = "camvid:" + CamVidFolder()}, {"val"});
  EXPECT_EQ(report.errors(), 0) << FormatCheck(report);
  EXPECT_EQ(report.splits[0].images, 101);
}

}  // namespace
}  // namespace frf::test
