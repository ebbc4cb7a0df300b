// SPDX-License-Identifier: Apache-2.0
// Data sets in each layout, drawn small: what is listed, what ids come out, and what every error says.
#include "data/dataset.h"

#include <algorithm>
#include <map>

#include "data/internal.h"
#include "data/trees.h"
#include "support/support.h"

namespace frf::test {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> Names(const Dataset& data) {
  std::vector<std::string> names;
  for (int i = 0; i < data.size(); ++i) names.push_back(data.name(i));
  return names;
}

void PutValue(const std::string& path, int height, int width, std::uint8_t value) {
  LabelImage labels{.height = height, .width = width};
  labels.ids.assign(static_cast<std::size_t>(height) * width, value);
  PutLabels(path, labels);
}

// An RGB mask of vertical bands, two columns a colour.
void PutColors(const std::string& path, const std::vector<Color>& colors) {
  Image image{.height = 4, .width = static_cast<int>(2 * colors.size()), .channels = 3};
  image.pixels.resize(image.bytes());
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < image.width; ++x) std::copy_n(colors[x / 2].begin(), 3, image.at(y, x));
  }
  PutImage(path, image);
}

TEST(Spec, Malformed) {
  for (const char* spec : {"", "camvid", "camvid:", "kitti:x", ":x"}) {
    EXPECT_FRF_ERROR(OpenDataset({.spec = spec}), ErrorCode::kUsage, "wanted camvid:DIR");
  }
  for (const char* spec : {"synth:", "synth:0", "synth:-3", "synth:many", "synth:3x"}) {
    EXPECT_FRF_ERROR(OpenDataset({.spec = spec}), ErrorCode::kUsage, "wanted");
  }
  const TempFolder folder;
  EXPECT_FRF_ERROR(OpenDataset({.spec = "camvid:" + folder / "none"}), ErrorCode::kNotFound,
                   "none: no such folder");
  MakeCamVid(folder / "c");
  EXPECT_FRF_ERROR(OpenDataset({.spec = "camvid:" + folder / "c", .split = "dev"}), ErrorCode::kUsage,
                   "split 'dev'");
}

TEST(CamVid, SegNetLayout) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  const std::string spec = "camvid:" + folder / "c";
  const auto train = OpenDataset({.spec = spec, .split = "train"});
  EXPECT_EQ(train->description(), "camvid train, 3 images");
  EXPECT_EQ(Names(*train),
            (std::vector<std::string>{"train/d0_100.png", "train/d1_101.png", "train/d0_102.png"}));
  EXPECT_EQ(train->classes(), CamVidClasses());
  const Sample sample = train->Get(1);
  EXPECT_EQ(sample.name, "train/d1_101.png");
  EXPECT_EQ(sample.image.pixels, Picture(12, 16, 1).pixels);
  EXPECT_EQ(sample.labels.ids, Stripes(12, 16, 11, kVoidLabel).ids);  // 11 became void
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "trainval"})->size(), 5);
  EXPECT_EQ(OpenDataset({.spec = spec})->description(), "camvid val, 2 images");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "test"}), ErrorCode::kNotFound,
                   "neither test.txt nor");
}

TEST(CamVid, WithoutListFilesTheFolderIsTheSplit) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  fs::remove(folder / "c/train.txt");
  const auto train = OpenDataset({.spec = "camvid:" + folder / "c", .split = "train"});
  EXPECT_EQ(Names(*train),
            (std::vector<std::string>{"train/d0_100.png", "train/d0_102.png", "train/d1_101.png"}));
}

TEST(CamVid, ListsNarrow) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  const std::string spec = "camvid:" + folder / "c";
  PutText(folder / "one.txt",
          "# chosen by hand\n\n  val/d1_101.png\r\ntrain/d0_100.png trainannot/d0_100.png\n");
  const auto listed = OpenDataset({.spec = spec, .split = "train", .list = folder / "one.txt"});
  EXPECT_EQ(listed->description(), "camvid one.txt, 2 images");
  EXPECT_EQ(Names(*listed), (std::vector<std::string>{"val/d1_101.png", "train/d0_100.png"}));
  EXPECT_EQ(listed->Get(0).labels.at(0, 3), 3);
  EXPECT_EQ(OpenDataset({.spec = spec, .list = "val.txt"})->size(), 2);  // found inside the data set's folder
  PutText(folder / "segnet.txt", "/SegNet/CamVid/val/d0_100.png /SegNet/CamVid/valannot/d0_100.png\n");
  EXPECT_EQ(Names(*OpenDataset({.spec = spec, .list = folder / "segnet.txt"})),
            (std::vector<std::string>{"val/d0_100.png"}));
  PutText(folder / "empty.txt", "\n# nothing\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "empty.txt"}), ErrorCode::kCorruptFile,
                   "names no image");
  PutText(folder / "three.txt", "a b c\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "three.txt"}), ErrorCode::kCorruptFile,
                   "line 1, 'a b c', is no image's name and has more than two words");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "no.txt"}), ErrorCode::kNotFound,
                   "no such list file");
  PutText(folder / "missing.txt", "train/d0_100.png\ntrain/gone.png\ntrain/gone2.png\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "missing.txt"}), ErrorCode::kNotFound,
                   "train/gone.png: no such image");
}

TEST(CamVid, BadLabelsAreNamedWithValueAndPlace) {
  const TempFolder folder;
  MakeCamVid(folder / "c");
  const auto val = OpenDataset({.spec = "camvid:" + folder / "c"});
  LabelImage labels = Stripes(12, 16, 11, 11);
  labels.at(7, 5) = 12;
  labels.at(9, 1) = 200;
  PutLabels(folder / "c/valannot/d0_100.png", labels);
  EXPECT_FRF_ERROR(val->Get(0), ErrorCode::kCorruptFile,
                   "valannot/d0_100.png: label value 12 at row 7, column 5; wanted 0..10, or 11");
  PutLabels(folder / "c/valannot/d0_100.png", Stripes(12, 15, 11, 11));
  EXPECT_FRF_ERROR(val->Get(0), ErrorCode::kCorruptFile, "labels are 12x15");
  PutText(folder / "c/val/d0_100.png", "not a picture");
  EXPECT_FRF_ERROR(val->Get(0), ErrorCode::kUnsupported, "val/d0_100.png");
  EXPECT_EQ(val->Get(1).labels.at(0, 15), kVoidLabel);
}

TEST(CamVid, OriginalColorsAreGrouped) {
  const TempFolder folder;
  const std::string raw = folder / "o/701_StillsRaw_full/", labels = folder / "o/LabeledApproved_full/";
  const std::vector<Color> colors{{128, 128, 128}, {0, 0, 64},     {128, 0, 192}, {64, 192, 128},
                                  {128, 128, 64},  {192, 64, 128}, {64, 128, 64}, {192, 0, 192},
                                  {0, 0, 0},       {64, 192, 0}};
  // Sky, TrafficCone, LaneMkgsDriv, ParkingBlock, Misc_Text, Train, Animal, MotorcycleScooter, Void, Wall
  const std::vector<std::uint8_t> ids{0, 2, 3, 4, 6, 8, 9, 10, 255, 1};
  for (const char* stem : {"0001TP_008520", "0001TP_008550", "0006R0_f00930", "0016E5_07959", "0016E5_07960",
                           "0016E5_08159", "0016E5_08161", "Seq05VD_f00000"}) {
    PutImage(raw + stem + ".png", Picture(4, 20));
    PutColors(labels + stem + "_L.png", colors);
  }
  const std::string spec = "camvid:" + folder / "o";
  const auto train = OpenDataset({.spec = spec, .split = "train"});
  EXPECT_EQ(Names(*train),
            (std::vector<std::string>{
                "701_StillsRaw_full/0001TP_008520.png", "701_StillsRaw_full/0006R0_f00930.png",
                "701_StillsRaw_full/0016E5_07960.png", "701_StillsRaw_full/0016E5_08161.png"}));
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "val"})->size(), 2);
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "test"})->size(), 2);
  const Sample sample = train->Get(0);
  for (int x = 0; x < 20; ++x) EXPECT_EQ(sample.labels.at(3, x), ids[x / 2]) << x;
  std::vector<Color> stray = colors;
  stray[4] = {1, 2, 3};
  PutColors(labels + "0001TP_008520_L.png", stray);
  EXPECT_FRF_ERROR(train->Get(0), ErrorCode::kCorruptFile,
                   "0001TP_008520_L.png: colour (1, 2, 3) at row 0, column 8");
  // label_colors.txt decides which colour is which name.
  PutText(folder / "o/label_colors.txt", "1 2 3\tBicyclist\n\n 9 9 9 Sky\r\n");
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "train"})->Get(0).labels.at(0, 8), 10);
  PutText(folder / "o/label_colors.txt", "1 2 3 Unicorn\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec}), ErrorCode::kCorruptFile, "line 1 names class 'Unicorn'");
  PutText(folder / "o/label_colors.txt", "1 2 3 Sky\n1 2 Sky\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec}), ErrorCode::kCorruptFile, "line 2 is '1 2 Sky'");
}

TEST(CamVid, SplitFoldersWithColors) {
  const TempFolder folder;
  PutImage(folder / "k/train/a.png", Picture(4, 4));
  PutColors(folder / "k/train_labels/a_L.png", {{128, 128, 0}, {0, 128, 192}});
  const auto train = OpenDataset({.spec = "camvid:" + folder / "k", .split = "train"});
  EXPECT_EQ(train->Get(0).labels.at(0, 0), 5);
  EXPECT_EQ(train->Get(0).labels.at(0, 3), 10);
}

TEST(CamVid, RealCountsAndShares) {
  FRF_SKIP_WITHOUT_CAMVID();
  const std::string spec = "camvid:" + CamVidFolder();
  const auto count = [&](const DatasetSpec& each) { return OpenDataset(each)->size(); };
  EXPECT_EQ(count({.spec = spec, .split = "train"}), 367);
  EXPECT_EQ(count({.spec = spec, .split = "val"}), 101);
  EXPECT_EQ(count({.spec = spec, .split = "trainval"}), 468);
  EXPECT_EQ(count({.spec = spec, .list = "dev-train.txt"}), 246);
  EXPECT_EQ(count({.spec = spec, .list = "dev-test.txt"}), 126);
  const Sample sample = OpenDataset({.spec = spec, .split = "val"})->Get(100);
  EXPECT_EQ(sample.image.height, 360);
  EXPECT_EQ(sample.image.width, 480);
  EXPECT_TRUE(std::all_of(sample.labels.ids.begin(), sample.labels.ids.end(),
                          [](int id) { return id < 11 || id == 255; }));
}

TEST(CamVid, PublishedSplitFollowsFromTheNames) {
  FRF_SKIP_WITHOUT_CAMVID();
  const TempFolder folder;
  // The real names in the original layout (links will do: nothing is read) come out in the real splits.
  std::map<std::string, std::vector<std::string>> wanted;
  fs::create_directories(folder / "o/701_StillsRaw_full");
  fs::create_directories(folder / "o/LabeledApproved_full");
  for (const char* split : {"train", "val"}) {
    const auto real = OpenDataset({.spec = "camvid:" + CamVidFolder(), .split = split});
    for (int i = 0; i < real->size(); ++i) {
      const std::string stem = fs::path(real->name(i)).stem().string();
      fs::create_symlink(fs::absolute(real->image_path(i)),
                         folder / ("o/701_StillsRaw_full/" + stem + ".png"));
      fs::create_symlink(fs::absolute(real->label_path(i)),
                         folder / ("o/LabeledApproved_full/" + stem + "_L.png"));
      wanted[split].push_back("701_StillsRaw_full/" + stem + ".png");
    }
    std::sort(wanted[split].begin(), wanted[split].end());
  }
  for (const char* split : {"train", "val"}) {
    EXPECT_EQ(Names(*OpenDataset({.spec = "camvid:" + folder / "o", .split = split})), wanted[split]);
  }
}

void MakeCityscapes(const std::string& root) {
  for (const auto& [split, city] : {std::pair{"train", "aachen"}, {"val", "ulm"}}) {
    const std::string below = std::string(split) + "/" + city + "/" + city + "_000000_000019";
    PutImage(root + "/leftImg8bit/" + below + "_leftImg8bit.png", Picture(8, 35));
    LabelImage ids{.height = 8, .width = 35}, train{.height = 8, .width = 35};
    const std::map<int, int> of_id{{7, 0},   {8, 1},   {11, 2},  {12, 3},  {13, 4},  {17, 5},  {19, 6},
                                   {20, 7},  {21, 8},  {22, 9},  {23, 10}, {24, 11}, {25, 12}, {26, 13},
                                   {27, 14}, {28, 15}, {31, 16}, {32, 17}, {33, 18}};
    for (int i = 0; i < 8 * 35; ++i) {
      const int id = i % 35;  // all of 0..33, and 255
      ids.ids.push_back(static_cast<std::uint8_t>(id == 34 ? 255 : id));
      train.ids.push_back(static_cast<std::uint8_t>(of_id.contains(id) ? of_id.at(id) : 255));
    }
    PutLabels(root + "/gtFine/" + below + "_gtFine_labelIds.png", ids);
    PutLabels(root + "/gtFine/" + below + "_gtFine_labelTrainIds.png", train);
  }
}

TEST(Cityscapes, LabelIdsAndTrainIdsAgree) {
  const TempFolder folder;
  MakeCityscapes(folder / "cs");
  const std::string spec = "cityscapes:" + folder / "cs";
  const auto ids = OpenDataset({.spec = spec, .split = "train"});
  EXPECT_EQ(ids->description(), "cityscapes train, 1 image");
  EXPECT_EQ(ids->name(0), "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png");
  EXPECT_EQ(ids->classes().count(), 19);
  const auto train_ids = OpenDataset({.spec = spec, .split = "train", .variant = "trainIds"});
  EXPECT_EQ(ids->Get(0).labels.ids, train_ids->Get(0).labels.ids);
  const LabelImage labels = ids->Get(0).labels;
  EXPECT_EQ(labels.at(0, 7), 0);
  EXPECT_EQ(labels.at(0, 33), 18);
  EXPECT_EQ(labels.at(0, 14), kVoidLabel);  // guard rail
  for (int id = 0; id < 19; ++id) {         // and back
    EXPECT_EQ(labels.at(0, CityscapesClasses().label_ids[id]), id);
  }
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "trainval"})->size(), 2);
  PutText(folder / "l.txt", "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png\n");
  EXPECT_EQ(OpenDataset({.spec = spec, .list = folder / "l.txt"})->Get(0).labels.at(1, 26), 13);
}

TEST(Cityscapes, Errors) {
  const TempFolder folder;
  MakeCityscapes(folder / "cs");
  const std::string spec = "cityscapes:" + folder / "cs";
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .variant = "coarse"}), ErrorCode::kUsage,
                   "'coarse': wanted labelIds or trainIds");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "test"}), ErrorCode::kNotFound,
                   "leftImg8bit/test: no such folder");
  PutText(folder / "l.txt", "leftImg8bit/val/ulm/ulm.png\n");
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .list = folder / "l.txt"}), ErrorCode::kNotFound,
                   "ulm.png: not a Cityscapes image name");
  const std::string label = folder / "cs/gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png";
  PutValue(label, 8, 35, 34);
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec})->Get(0), ErrorCode::kCorruptFile,
                   "label value 34 at row 0, column 0; wanted label ids 0..33");
  fs::remove(label);
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec}), ErrorCode::kNotFound,
                   "ulm_000000_000019_gtFine_labelIds.png: no such label file, wanted for");
}

void MakeFolderData(const std::string& root, const std::string& classes) {
  PutText(root + "/classes.json", classes);
  for (const char* split : {"train", "val"}) {
    PutImage(root + "/images/" + split + "/a.jpg", Picture(4, 8));
    PutImage(root + "/images/" + split + "/sub/b.png", Picture(4, 8, 9));
    PutLabels(root + "/masks/" + split + "/a.png", Stripes(4, 8, 3));
    PutLabels(root + "/masks/" + split + "/sub/b.png", Stripes(4, 8, 2));
  }
}

TEST(Folder, SplitsIdsAndStems) {
  const TempFolder folder;
  MakeFolderData(folder / "f", R"({"names": ["sky", "ground", "robot"]})");
  const std::string spec = "folder:" + folder / "f";
  const auto train = OpenDataset({.spec = spec, .split = "train"});
  EXPECT_EQ(Names(*train), (std::vector<std::string>{"images/train/a.jpg", "images/train/sub/b.png"}));
  EXPECT_EQ(train->Get(0).labels.ids, Stripes(4, 8, 3).ids);
  EXPECT_EQ(train->classes().names[2], "robot");
  EXPECT_EQ(train->classes().palette.size(), 3u);  // made up, for pictures
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "trainval"})->size(), 4);
  EXPECT_FRF_ERROR(OpenDataset({.spec = spec, .split = "test"}), ErrorCode::kNotFound, "has no split 'test'");
  PutText(folder / "l.txt", "images/val/sub/b.png\ntrain/a\n");
  EXPECT_EQ(Names(*OpenDataset({.spec = spec, .list = folder / "l.txt"})),
            (std::vector<std::string>{"images/val/sub/b.png", "images/train/a.jpg"}));
}

TEST(Folder, UndividedAndSplitFiles) {
  const TempFolder folder;
  PutText(folder / "f/classes.json", R"({"names": ["a", "b"]})");
  for (const char* stem : {"x", "y", "z"}) {
    PutImage(folder / ("f/images/" + std::string(stem) + ".png"), Picture(4, 8));
    PutLabels(folder / ("f/masks/" + std::string(stem) + ".png"), Stripes(4, 8, 2));
  }
  const std::string spec = "folder:" + folder / "f";
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "trainval"})->size(), 3);  // not six
  EXPECT_EQ(FindSplits({.spec = spec}), (std::vector<std::string>{"all"}));
  PutText(folder / "f/train.txt", "x\nz.png\n");
  PutText(folder / "f/val.txt", "images/y.png masks/y.png\n");
  EXPECT_EQ(Names(*OpenDataset({.spec = spec, .split = "train"})),
            (std::vector<std::string>{"images/x.png", "images/z.png"}));
  EXPECT_EQ(OpenDataset({.spec = spec, .split = "trainval"})->size(), 3);
  EXPECT_EQ(FindSplits({.spec = spec}), (std::vector<std::string>{"train", "val"}));
}

TEST(Folder, LabelIdsVoidAndColors) {
  const TempFolder folder;
  MakeFolderData(folder / "f",
                 R"({"names": ["a", "b"], "palette": [[10, 20, 30], [200, 0, 0]], "label_ids": [7, 21],
                                  "void": [0, 99], "void_color": [[255, 255, 255], [0, 0, 0]]})");
  const auto val = OpenDataset({.spec = "folder:" + folder / "f"});
  EXPECT_EQ(val->classes().label_ids, (std::vector<int>{7, 21}));
  PutLabels(folder / "f/masks/val/a.png",
            {.height = 4, .width = 8, .ids = std::vector<std::uint8_t>(32, 21)});
  EXPECT_EQ(val->Get(0).labels.ids, std::vector<std::uint8_t>(32, 1));
  PutValue(folder / "f/masks/val/a.png", 4, 8, 99);
  EXPECT_EQ(val->Get(0).labels.ids, std::vector<std::uint8_t>(32, kVoidLabel));
  PutValue(folder / "f/masks/val/a.png", 4, 8, 255);
  EXPECT_FRF_ERROR(val->Get(0), ErrorCode::kCorruptFile,
                   "label value 255 at row 0, column 0; wanted 7, 21, or void 0 99");
  PutColors(folder / "f/masks/val/a.png", {{200, 0, 0}, {10, 20, 30}, {255, 255, 255}, {0, 0, 0}});
  EXPECT_EQ(val->Get(0).labels.at(2, 0), 1);
  EXPECT_EQ(val->Get(0).labels.at(2, 2), 0);
  EXPECT_EQ(val->Get(0).labels.at(2, 5), kVoidLabel);
  EXPECT_EQ(val->Get(0).labels.at(2, 7), kVoidLabel);
  PutColors(folder / "f/masks/val/a.png", {{200, 0, 0}, {10, 20, 31}, {255, 255, 255}, {0, 0, 0}});
  EXPECT_FRF_ERROR(val->Get(0), ErrorCode::kCorruptFile,
                   "colour (10, 20, 31) at row 0, column 2 is none of the 4 known");
}

TEST(Folder, MalformedClasses) {
  const TempFolder folder;
  const auto refused = [&](const std::string& text, const char* part) {
    PutText(folder / "classes.json", text);
    EXPECT_FRF_ERROR(ReadFolderClasses(folder / "classes.json"), ErrorCode::kCorruptFile, part);
  };
  refused("{", "not JSON");
  refused("[]", "at least one name");
  refused(R"({"names": []})", "at least one name");
  refused(R"({"names": ["a", 3]})", "names holds 3");
  refused(R"({"names": ["a", "a"]})", "class 'a' is named twice");
  refused(R"({"names": ["a"], "pallete": []})", "unknown key 'pallete'");
  refused(R"({"names": ["a"], "palette": []})", "palette must be a list of 1 entries");
  refused(R"({"names": ["a"], "palette": [[1, 2]]})", "palette holds [1,2]");
  refused(R"({"names": ["a"], "palette": [[1, 2, 256]]})", "palette holds 256");
  refused(R"({"names": ["a", "b"], "palette": [[1, 2, 3], [1, 2, 3]]})", "palette holds (1, 2, 3) twice");
  refused(R"({"names": ["a", "b"], "label_ids": [4, 4]})", "label_ids holds 4 twice");
  refused(R"({"names": ["a", "b"], "void": 1})", "void id 1 is also a class; where no pixel");
  refused(
      R"({"names": ["a", "b"], "void": 0})",
      "void id 0 is also a class; where the masks count from 1, write \"label_ids\": [1, 2]; where no pixel");
  refused(R"({"names": ["a"], "void": "x"})", "void holds \"x\"");
  refused(R"({"names": ["a"], "palette": [[1, 2, 3]], "void_color": [1, 2, 3]})",
          "void_color (1, 2, 3) is also");
  std::string many = R"({"names": ["c0")";
  for (int i = 1; i < 256; ++i) many += ", \"c" + std::to_string(i) + "\"";
  refused(many + "]}", "256 classes; at most 255");
}

TEST(Folder, MissingPartsAreNamed) {
  const TempFolder folder;
  fs::create_directories(folder / "f/images");
  EXPECT_FRF_ERROR(OpenDataset({.spec = "folder:" + folder / "f"}), ErrorCode::kNotFound, "no folder masks/");
  fs::create_directories(folder / "f/masks");
  EXPECT_FRF_ERROR(OpenDataset({.spec = "folder:" + folder / "f"}), ErrorCode::kNotFound,
                   "classes.json: not there");
  MakeFolderData(folder / "f", R"({"names": ["a", "b", "c"]})");
  PutImage(folder / "f/images/val/a.png", Picture(4, 8));
  EXPECT_FRF_ERROR(OpenDataset({.spec = "folder:" + folder / "f"}), ErrorCode::kNotFound,
                   "images also holds a.jpg");
  fs::remove(folder / "f/images/val/a.png");
  fs::remove(folder / "f/masks/val/a.png");
  fs::remove(folder / "f/masks/val/sub/b.png");
  EXPECT_FRF_ERROR(OpenDataset({.spec = "folder:" + folder / "f"}), ErrorCode::kNotFound,
                   "masks/val/a.png: no such label file");
  EXPECT_FRF_ERROR(OpenDataset({.spec = "folder:" + folder / "f"}), ErrorCode::kNotFound, "(and 1 more;");
}

TEST(ParallelFor, TheLowestErrorIsThrown) {
  std::vector<int> done(100);
  ParallelFor(100, 4, [&](int i) { done[i] = 1; });
  EXPECT_EQ(std::count(done.begin(), done.end(), 1), 100);
  for (const int threads : {1, 4}) {
    EXPECT_FRF_ERROR(ParallelFor(100, threads,
                                 [](int i) {
                                   if (i % 10 == 7)
                                     throw Error(ErrorCode::kIo, "at " + std::to_string(i) + ".");
                                 }),
                     ErrorCode::kIo, "at 7.");
  }
  ParallelFor(0, 4, [](int) { FAIL(); });
}

TEST(Folder, JpegMasksAreRefusedByName) {
  const TempFolder folder;
  PutText(folder / "classes.json", R"({"names": ["a", "b"]})");
  PutImage(folder / "images/train/a.png", Picture(8, 8));
  PutImage(folder / "masks/train/a.jpg", Picture(8, 8));
  const auto data = OpenDataset({.spec = "folder:" + folder.path().string(), .split = "train"});
  EXPECT_FRF_ERROR(data->Get(0), ErrorCode::kUnsupported, "masks/train/a.jpg: is a JPEG");
}

}  // namespace
}  // namespace frf::test
