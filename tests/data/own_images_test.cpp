// SPDX-License-Identifier: Apache-2.0
// Folders as people keep them: lists from `find` and from Windows, endings in capitals, splits that turn out
// to be empty, masks in the wrong kind of PNG.
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

std::string Flat(const std::string& root, const std::string& classes = R"({"names": ["a", "b"]})") {
  PutText(root + "/classes.json", classes);
  for (const char* name : {"x.png", "y.png", "sub/z.png"}) {
    PutImage(root + "/images/" + name, Picture(33, 40, name[0]));
    PutLabels(root + "/masks/" + name, Stripes(33, 40, 2));
  }
  return "folder:" + root;
}

// images/ and masks/ of train and val; then without val's images.
std::string WithoutValImages(const std::string& root, bool val_masks) {
  PutText(root + "/classes.json", R"({"names": ["a", "b"]})");
  for (const char* name : {"train/x.png", "val/y.png"}) {
    PutImage(root + "/images/" + name, Picture(33, 40));
    PutLabels(root + "/masks/" + name, Stripes(33, 40, 2));
  }
  fs::remove(root + "/images/val/y.png");
  if (!val_masks) fs::remove(root + "/masks/val/y.png");
  return "folder:" + root;
}

TEST(OwnImages, AListMayComeFromFindOrFromWindows) {
  const TempFolder folder;
  const std::string spec = Flat(folder / "f");
  fs::rename(folder / "f/images/y.png", folder / "f/images/y.JPG");  // judged by content, found by name
  fs::rename(folder / "f/masks/y.png", folder / "f/masks/y.PNG");
  for (const char* text : {"./images/x.png\n./images/y.JPG\n./images/sub/z.png\n",
                           "\xef\xbb\xbfx\r\ny\r\nsub/z\r\n", "images/x\nimages/y\nimages//sub/z\n"}) {
    PutText(folder / "l.txt", text);
    const auto data = OpenDataset({.spec = spec, .list = folder / "l.txt"});
    ASSERT_EQ(data->size(), 3) << text;
    EXPECT_EQ(data->name(1), "images/y.JPG");
    EXPECT_EQ(data->Get(1).labels.ids, Stripes(33, 40, 2).ids);
    EXPECT_EQ(data->name(2), "images/sub/z.png");
  }
  PutText(folder / "l.txt", "images/x\nw\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "l.txt"}), ErrorCode::kNotFound,
                   "f/w: no such image");
}

TEST(OwnImages, NestedJsonIsRefusedBeforeItsDepthCanHarm) {
  const TempFolder folder;
  const std::string deep = std::string(200000, '[') + std::string(200000, ']');
  PutText(folder / "classes.json", R"({"names": ["a"], "void": )" + deep + "}");
  EXPECT_FRF_ERROR(ReadFolderClasses(folder / "classes.json"), ErrorCode::kCorruptFile,
                   "classes.json: JSON nested deeper than 64 levels");
}

// A link to itself is no image, and no reason to stop.
TEST(OwnImages, LinksInACircleAreProblemsOfTheirPair) {
  const TempFolder folder;
  PutText(folder / "classes.json", R"({"names": ["a", "b"]})");
  for (const char* name : {"x", "y"}) {
    PutImage(folder / fmt::format("images/val/{}.png", name), Picture(2, 2));
    PutLabels(folder / fmt::format("masks/val/{}.png", name), Stripes(2, 2, 2));
  }
  std::filesystem::remove(folder / "images/val/x.png");
  std::filesystem::create_symlink("x.png", folder / "images/val/x.png");
  const CheckReport report = CheckData({.spec = "folder:" + folder.path().string()}, {});
  ASSERT_EQ(report.errors(), 1);
  EXPECT_NE(report.issues[0].message.find("images/val/x.png"), std::string::npos) << report.issues[0].message;
  EXPECT_NE(report.issues[0].message.find("symbolic links"), std::string::npos) << report.issues[0].message;
}

TEST(OwnImages, ASplitWithLabelsAloneIsAnError) {
  const TempFolder folder;
  const std::string spec = WithoutValImages(folder / "f", true);
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "val"}), ErrorCode::kNotFound,
                   "no images for split 'val'");
  EXPECT_FRF_ERROR(PackData({.spec = spec}, folder / "p.pack", {}), ErrorCode::kNotFound,
                   "no images for split 'val'");
  const CheckReport report = CheckData({.spec = spec});
  ASSERT_EQ(report.errors(), 1);
  const auto error = std::find_if(report.issues.begin(), report.issues.end(),
                                  [](const CheckIssue& issue) { return issue.error; });
  EXPECT_EQ(error->kind, "no image");
  EXPECT_EQ(error->split, "val");
}

TEST(OwnImages, AnEmptySplitIsLeftOutAloud) {
  const TempFolder folder;
  const std::string spec = WithoutValImages(folder / "f", false);
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(FindSplits({.spec = spec}), std::vector<std::string>{"train"});
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("images/val: holds no image, so split 'val' is left out"), std::string::npos) << said;
  EXPECT_EQ(said.find("'test'"), std::string::npos) << said;  // no such folder: nobody expects that split
}

TEST(OwnImages, WhereMasksAreMissingNoSplitIsCalledEmpty) {
  const TempFolder folder;
  const std::string spec = Flat(folder / "f");
  PutImage(folder / "f/images/train/x.png", Picture(33, 40));
  fs::rename(folder / "f/masks", folder / "f/labels");
  ::testing::internal::CaptureStderr();
  EXPECT_FRF_ERROR(CheckData({.spec = spec}), ErrorCode::kNotFound, "no folder masks/");
  fs::rename(folder / "f/labels", folder / "f/masks");
  fs::remove(folder / "f/classes.json");
  EXPECT_FRF_ERROR(CheckData({.spec = spec}), ErrorCode::kNotFound, "classes.json: not there");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(OwnImages, ColorMasksWantAPalette) {
  const TempFolder folder;
  const std::string spec = Flat(folder / "f");
  PutImage(folder / "f/masks/x.png", Picture(33, 40));
  const std::string wanted = "masks/x.png: labels must be class ids, and this PNG stores colours: (";
  PutText(folder / "l.txt", "x\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "l.txt"})->Get(0), ErrorCode::kUnsupported,
                   wanted);
  const CheckReport report = CheckData({.spec = spec, .list = folder / "l.txt"});
  ASSERT_FALSE(report.issues.empty());
  EXPECT_EQ(report.issues[0].kind, "unreadable label");
  EXPECT_NE(report.issues[0].message.find(wanted), std::string::npos) << report.issues[0].message;
}

TEST(OwnImages, ADataSetIsNotConvertedOntoItself) {
  const TempFolder folder;
  const std::string spec = Flat(folder / "f", R"({"names": ["a", "b"], "palette": [[9, 9, 9], [7, 7, 7]]})");
  EXPECT_FRF_ERROR(ConvertToFolder({.spec = spec}, folder / "./f"), ErrorCode::kUsage,
                   "input and output are the same");
  EXPECT_FALSE(fs::exists(folder / "f/images/train"));
  PutImage(folder / "g/images/train/x.png", Picture(33, 40));
  PutImage(folder / "g/masks/train/x.png", Picture(33, 40));
  const std::string before = ReadFile(folder / "g/masks/train/x.png");
  EXPECT_FRF_ERROR(AddToFolder(folder / "g/images/train", folder / "g/masks/train", folder / "g", "train",
                               {.from = "colors", .classes = folder / "f/classes.json"}),
                   ErrorCode::kUsage, "the originals would be lost");
  EXPECT_EQ(ReadFile(folder / "g/masks/train/x.png"), before);
}

TEST(OwnImages, ListsFromFindFitEveryLayout) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  PutText(folder / "l.txt", "./val/d1_101.png\n./train/d0_100.png\n");
  const DatasetSpec spec{.spec = "camvid:" + folder / "c", .list = folder / "l.txt"};
  EXPECT_EQ(OpenDataset(spec)->name(0), "val/d1_101.png");
  EXPECT_EQ(ConvertToFolder(spec, folder / "out").files, 2);
  EXPECT_EQ(OpenDataset({.spec = "folder:" + folder / "out", .split = "train"})->size(), 2);
  PutImage(folder / "s/leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", Picture(9, 12));
  PutLabels(folder / "s/gtFine/val/ulm/ulm_1_gtFine_labelIds.png", Stripes(9, 12, 2));
  PutText(folder / "l.txt", "./leftImg8bit/val/ulm/ulm_1_leftImg8bit.png\n");
  EXPECT_EQ(OpenDataset({.spec = "cityscapes:" + folder / "s", .list = folder / "l.txt"})->name(0),
            "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png");
}

TEST(OwnImages, HiddenFoldersAreNotLookedInto) {
  const TempFolder folder;
  const std::string spec = Flat(folder / "f");
  PutImage(folder / "f/images/.ipynb_checkpoints/x-checkpoint.png", Picture(33, 40));
  PutLabels(folder / "f/masks/.ipynb_checkpoints/x-checkpoint.png", Stripes(33, 40, 2));
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "train"})->size(), 3);
  EXPECT_EQ(CheckData({.spec = spec}).errors(), 0);
}

TEST(OwnImages, IdsMayBeStoredAsRgb) {
  const TempFolder folder;
  const std::string spec = Flat(folder / "f");
  const LabelImage labels = Stripes(33, 40, 2);
  Image rgb{.height = 33, .width = 40, .channels = 3};
  for (const std::uint8_t id : labels.ids) rgb.pixels.insert(rgb.pixels.end(), 3, id);
  for (const char* name : {"x", "y", "sub/z"}) WritePng(folder / fmt::format("f/masks/{}.png", name), rgb);
  EXPECT_EQ(CheckData({.spec = spec}).errors(), 0);
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "train"})->Get(0).labels.ids, labels.ids);
  EXPECT_EQ(
      ConvertLabelFiles(folder / "f/masks", folder / "out", {"ids", "ids", folder / "f/classes.json"}).files,
      3);
  EXPECT_EQ(ReadLabels(folder / "out/x.png").ids, labels.ids);
  // With a palette RGB is colours.
  PutText(folder / "f/classes.json", R"({"names": ["a", "b"], "palette": [[10, 20, 30], [200, 0, 0]]})");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "train"})->Get(0), ErrorCode::kCorruptFile,
                   "if it is a class id stored as RGB, `frf data convert --from ids`");
}

// A palette in another order than classes.json's shows other classes than the indices say.
TEST(OwnImages, PalettesOfAnotherOrderAreSaid) {
  const TempFolder folder;
  const std::string spec =
      Flat(folder / "f", R"({"names": ["a", "b"], "palette": [[10, 20, 30], [200, 0, 0]]})");
  const auto palettes = [&](const std::vector<Color>& palette) {
    std::vector<Color> colors(256, Color{0, 0, 0});
    std::copy(palette.begin(), palette.end(), colors.begin());
    WriteLabels(folder / "f/masks/x.png", Stripes(33, 40, 2), &colors);
    const CheckReport report = CheckData({.spec = spec});
    EXPECT_EQ(report.errors(), 0);
    return std::count_if(report.issues.begin(), report.issues.end(), [](const CheckIssue& issue) {
      return issue.kind == "palette" && issue.message.find("index 0 in the colour of b") != std::string::npos;
    });
  };
  EXPECT_EQ(palettes({{200, 0, 0}, {10, 20, 30}}), 1);
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 2; ++i) (void)OpenDataset({.spec = spec, .split = "train"});
  const std::string said = ::testing::internal::GetCapturedStderr();
  const std::size_t at = said.find("x.png: its palette shows index 0 in the colour of b");
  EXPECT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find("its palette shows", at + 20), std::string::npos) << "told twice: " << said;
  EXPECT_EQ(palettes({{10, 20, 30}, {200, 0, 0}}), 0);
  EXPECT_EQ(palettes({{1, 1, 1}, {2, 2, 2}}), 0) << "colours that mean nothing here";
  EXPECT_EQ(palettes({{0, 0, 0}, {200, 0, 0}}), 0) << "black is void's colour and what a palette has at 0";
  std::vector<Color> void_as_a(256, Color{200, 0, 0});
  void_as_a[0] = {10, 20, 30};
  EXPECT_EQ(palettes(void_as_a), 0) << "void may look like anything";
  // A palette that begins with void: its indices are the classes' and one more, the last of them unknown.
  LabelImage from_one = Stripes(33, 40, 2, 0);
  for (std::uint8_t& id : from_one.ids) ++id;
  from_one.at(0, 0) = 0;
  std::vector<Color> behind_void(256, Color{0, 0, 0});
  behind_void[1] = {10, 20, 30}, behind_void[2] = {200, 0, 0};
  WriteLabels(folder / "f/masks/x.png", from_one, &behind_void);
  const CheckReport report = CheckData({.spec = spec});
  EXPECT_EQ(report.errors(), 1) << "value 2";
  const auto palette = std::find_if(report.issues.begin(), report.issues.end(),
                                    [](const CheckIssue& issue) { return issue.kind == "palette"; });
  ASSERT_NE(palette, report.issues.end()) << FormatCheck(report);
  EXPECT_NE(palette->message.find("index 1 in the colour of a, index 2 in the colour of b"),
            std::string::npos)
      << palette->message;
  EXPECT_NE(palette->message.find("--from colors --classes classes.json"), std::string::npos);
  EXPECT_TRUE(ConvertLabelFiles(folder / "f/masks/x.png", folder / "new.png",
                                {"colors", "ids", folder / "f/classes.json"})
                  .failures.empty());
  EXPECT_EQ(ReadLabels(folder / "new.png").at(0, 1), 1);
  WriteLabels(folder / "f/masks/x.png", Stripes(33, 40, 2));
  // Masks of colours have no palette.
  Image colors{.height = 33, .width = 40, .channels = 3};
  for (int i = 0; i < 33 * 40; ++i) colors.pixels.insert(colors.pixels.end(), {200, 0, 0});
  WritePng(folder / "f/masks/y.png", colors);
  EXPECT_EQ(CheckData({.spec = spec}).errors(), 0) << FormatCheck(CheckData({.spec = spec}));
}

}  // namespace
}  // namespace frf::test
