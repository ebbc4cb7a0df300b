// SPDX-License-Identifier: Apache-2.0
// Files by name: what is read, written, measured from the header, refused; and that a failed write changes
// nothing.
#include "image/image_io.h"

#include <fstream>

#include "base/files.h"
#include "support/make_image.h"
#include "support/support.h"

namespace frf {
namespace {

int Ramp(int y, int x, int c) { return (y * 5 + x * 3 + c * 60) & 255; }

Image Picture(int height, int width) {
  Image image{.height = height, .width = width, .channels = 3};
  for (int i = 0; i < height * width * 3; ++i) image.pixels.push_back(static_cast<std::uint8_t>(i * 37));
  return image;
}

TEST(ImageIo, KindIsJudgedByContentNotByName) {
  const test::TempFolder folder;
  WriteFileAtomically(folder / "really-png.jpg", test::MakePng({.height = 4, .width = 6}, Ramp));
  EXPECT_EQ(ReadImage(folder / "really-png.jpg").at(1, 2)[1], Ramp(1, 2, 1));
  EXPECT_EQ(ReadImageSize(folder / "really-png.jpg"), (std::pair{4, 6}));
}

TEST(ImageIo, SizeComesFromTheHeaderAlone) {
  const test::TempFolder folder;
  const std::string png = test::MakePng({.height = 40, .width = 60}, Ramp);
  WriteFileAtomically(folder / "cut.png", std::string_view(png).substr(0, 40));
  EXPECT_EQ(ReadImageSize(folder / "cut.png"), (std::pair{40, 60}));
  // A JPEG turned by EXIF, whose own header stands behind 1 MB of profiles.
  std::string jpeg = test::MakeJpeg({.height = 16, .width = 24, .app1 = test::ExifBody(8)}, Ramp);
  const std::string segment = "\xff\xe2" + std::string("\xff\xff", 2) + std::string(65533, 'p');
  std::string profiles;
  for (int i = 0; i < 16; ++i) profiles += segment;
  jpeg.insert(test::FindMarker(jpeg, 0xc0), profiles);
  WriteFileAtomically(folder / "profiles.jpg", jpeg);
  EXPECT_EQ(ReadImageSize(folder / "profiles.jpg"), (std::pair{24, 16}));
  EXPECT_EQ(ReadImage(folder / "profiles.jpg").height, 24);
  EXPECT_FRF_ERROR(ReadImageSize(folder / "none.png"), ErrorCode::kNotFound, "none.png: no such file");
}

TEST(ImageIo, WritesByEndingAndRefusesOthers) {
  const test::TempFolder folder;
  const Image image = Picture(5, 7);
  for (const char* name : {"a.png", "a.PNG", "a.jpg", "a.JPEG"}) {
    WriteImage(folder / name, image);
    EXPECT_EQ(ReadImage(folder / name).width, 7) << name;
    EXPECT_TRUE(LooksLikeImageFile(folder / name));
  }
  EXPECT_EQ(ReadImage(folder / "a.png").pixels, image.pixels);
  EXPECT_FRF_ERROR(WriteImage(folder / "a.webp", image), ErrorCode::kInvalidArgument,
                   "a.webp: pictures are written as");
  EXPECT_FALSE(LooksLikeImageFile("a.webp"));
  EXPECT_FALSE(LooksLikeImageFile("png"));
  EXPECT_TRUE(LooksLikeOtherPicture("a.WebP"));
  EXPECT_FALSE(LooksLikeOtherPicture("a.png"));
  EXPECT_FALSE(LooksLikeOtherPicture("a.txt"));
  EXPECT_EQ(OtherFormatsLeftOut({"b/a.webp", "c.BMP", "d.bmp"}),
            "3 files of other formats left out (bmp, webp): frf reads PNG and JPEG");
  EXPECT_EQ(OtherFormatsLeftOut({}), "");
  LabelImage labels{.height = 1, .width = 2, .ids = {3, 255}};
  WriteLabels(folder / "l.png", labels);
  EXPECT_EQ(ReadLabels(folder / "l.png").ids, labels.ids);
}

// One class everywhere packs as densely as deflate can, over 800 pixels a byte, up to the largest picture
// that is read: still no bomb.
TEST(ImageIo, AMaskOfOneClassIsReadAtEverySizeThatIsWritten) {
  const test::TempFolder folder;
  const std::vector<Color> palette{{1, 2, 3}, {4, 5, 6}};
  for (const int side : {6000, 10000}) {
    for (const std::vector<Color>* colors : {static_cast<const std::vector<Color>*>(nullptr), &palette}) {
      LabelImage labels{.height = side, .width = side};
      labels.ids.assign(static_cast<std::size_t>(side) * side, 7);
      WriteLabels(folder / "mask.png", labels, colors);
      EXPECT_LT(std::filesystem::file_size(folder / "mask.png"), labels.ids.size() / 700);
      EXPECT_EQ(ReadImageSize(folder / "mask.png"), (std::pair{side, side}));
      EXPECT_EQ(ReadLabels(folder / "mask.png").ids, labels.ids) << side;
    }
  }
}

TEST(ImageIo, AMaskThatWouldNotBeReadIsNotWritten) {
  const test::TempFolder folder;
  LabelImage labels{.height = 1, .width = 65501};
  labels.ids.assign(65501, 0);
  EXPECT_FRF_ERROR(WriteLabels(folder / "mask.png", labels), ErrorCode::kInvalidArgument,
                   "labels of 1x65501: masks of at most 65500 a side");
  labels = {.height = 10000, .width = 10001};
  labels.ids.assign(std::size_t{10000} * 10001, 0);
  EXPECT_FRF_ERROR(WriteLabels(folder / "mask.png", labels), ErrorCode::kInvalidArgument, "100 million");
  EXPECT_FALSE(std::filesystem::exists(folder / "mask.png"));
}

TEST(ImageIo, AFailedWriteLeavesTheOldFile) {
  const test::TempFolder folder;
  WritePng(folder / "a.png", Picture(5, 7));
  const std::string before = ReadFile(folder / "a.png");
  Image broken = Picture(5, 7);
  broken.pixels.pop_back();
  EXPECT_FRF_ERROR(WritePng(folder / "a.png", broken), ErrorCode::kInvalidArgument, "PNG wants");
  EXPECT_EQ(ReadFile(folder / "a.png"), before);
  EXPECT_FRF_ERROR(WritePng(folder / "missing/a.png", Picture(5, 7)), ErrorCode::kNotFound,
                   "missing/a.png: cannot create");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(ImageIo, CamVidIsReadAsItIs) {
  FRF_SKIP_WITHOUT_CAMVID();
  const std::string folder = test::CamVidFolder();
  const Image image = ReadImage(folder + "/train/0001TP_006690.png");
  const LabelImage labels = ReadLabels(folder + "/trainannot/0001TP_006690.png");
  EXPECT_EQ(image.height, 360);
  EXPECT_EQ(image.width, 480);
  EXPECT_EQ(labels.height, 360);
  EXPECT_LE(*std::max_element(labels.ids.begin(), labels.ids.end()), 11);
}

}  // namespace
}  // namespace frf
