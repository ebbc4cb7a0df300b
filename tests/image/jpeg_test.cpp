// SPDX-License-Identifier: Apache-2.0
// JPEG: colour spaces with Photoshop's inverted inks, progressive, EXIF orientation by the standard's table,
// and writing.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "image/codec.h"
#include "image/image_io.h"
#include "support/make_image.h"
#include "support/support.h"

namespace frf {
namespace {

using test::JpegSpace;
using test::MakeJpeg;

// Slow ramps survive JPEG within a few levels.
int Ramp(int y, int x, int c) { return c == 0 ? 20 + y * 6 : c == 1 ? 30 + x * 4 : 200 - y * 3 - x; }

void ExpectNear(const Image& image, int y, int x, const std::array<int, 3>& wanted, int tolerance) {
  for (int c = 0; c < 3; ++c) {
    EXPECT_LE(std::abs(image.at(y, x)[c] - wanted[static_cast<std::size_t>(c)]), tolerance)
        << "row " << y << ", column " << x << ", channel " << c << ": " << int{image.at(y, x)[c]};
  }
}

TEST(Jpeg, GreyYccAndRgbBaselineAndProgressive) {
  for (const bool progressive : {false, true}) {
    for (const JpegSpace space : {JpegSpace::kGrey, JpegSpace::kYcc, JpegSpace::kRgb}) {
      const Image image = DecodeImage(
          MakeJpeg({.height = 19, .width = 27, .space = space, .progressive = progressive, .quality = 100},
                   Ramp),
          "ramp.jpg");
      ASSERT_EQ(image.height, 19);
      ASSERT_EQ(image.width, 27);
      for (int y = 0; y < 19; ++y) {
        for (int x = 0; x < 27; ++x) {
          const bool grey = space == JpegSpace::kGrey;
          ExpectNear(image, y, x, {Ramp(y, x, 0), Ramp(y, x, grey ? 0 : 1), Ramp(y, x, grey ? 0 : 2)}, 4);
        }
      }
    }
  }
}

TEST(Jpeg, InksOfPhotoshopAreInverted) {
  const int inks[4] = {200, 100, 50, 128};  // as stored: 255 = no ink
  for (const JpegSpace space : {JpegSpace::kCmyk, JpegSpace::kYcck}) {
    const std::string jpeg = MakeJpeg({.height = 16, .width = 16, .space = space, .quality = 100},
                                      [&](int, int, int c) { return inks[c]; });
    const Image image = DecodeImage(jpeg, "inks.jpg");
    ExpectNear(image, 7, 7, {200 * 128 / 255, 100 * 128 / 255, 50 * 128 / 255}, 3);
  }
}

TEST(Jpeg, InksWithoutAdobeMarkerAreNotInverted) {
  const int inks[4] = {200, 100, 50, 28};  // 0 = no ink
  std::string jpeg = MakeJpeg({.height = 16, .width = 16, .space = JpegSpace::kCmyk, .quality = 100},
                              [&](int, int, int c) { return inks[c]; });
  const std::size_t adobe = test::FindMarker(jpeg, 0xee);
  ASSERT_NE(adobe, std::string::npos);
  jpeg.erase(adobe, 16);  // marker, length 14
  const Image image = DecodeImage(jpeg, "plain-inks.jpg");
  ExpectNear(image, 3, 3, {55 * 227 / 255, 155 * 227 / 255, 205 * 227 / 255}, 3);
}

// The standard's table: which side of the picture the stored row 0 and column 0 are.
struct Sides {
  char row0, column0;
};
constexpr Sides kSides[9] = {{},         {'t', 'l'}, {'t', 'r'}, {'b', 'r'}, {'b', 'l'},
                             {'l', 't'}, {'r', 't'}, {'r', 'b'}, {'l', 'b'}};

TEST(Jpeg, ExifOrientationFollowsTheStandardsTable) {
  constexpr int kH = 16, kW = 24;
  for (const bool big_endian : {false, true}) {
    for (int orientation = 1; orientation <= 8; ++orientation) {
      SCOPED_TRACE(orientation);
      const std::string jpeg = MakeJpeg(
          {.height = kH, .width = kW, .quality = 100, .app1 = test::ExifBody(orientation, big_endian)}, Ramp);
      const Image image = DecodeImage(jpeg, "turned.jpg");
      const Sides sides = kSides[orientation];
      const bool upright = sides.row0 == 't' || sides.row0 == 'b';
      ASSERT_EQ(image.height, upright ? kH : kW);
      ASSERT_EQ(image.width, upright ? kW : kH);
      for (int row = 0; row < kH; ++row) {
        for (int column = 0; column < kW; ++column) {
          int y = 0, x = 0;
          (upright ? y : x) = sides.row0 == 't' || sides.row0 == 'l' ? row : kH - 1 - row;
          (upright ? x : y) = sides.column0 == 'l' || sides.column0 == 't' ? column : kW - 1 - column;
          ExpectNear(image, y, x, {Ramp(row, column, 0), Ramp(row, column, 1), Ramp(row, column, 2)}, 5);
        }
      }
    }
  }
}

TEST(Jpeg, MalformedExifMeansUpright) {
  std::string body = test::ExifBody(6);
  EXPECT_EQ(ExifOrientation(body), 6);
  EXPECT_EQ(ExifOrientation(test::ExifBody(0)), 1);
  EXPECT_EQ(ExifOrientation(test::ExifBody(9)), 1);
  for (std::size_t bytes = 0; bytes < 40; ++bytes)
    EXPECT_EQ(ExifOrientation(body.substr(0, bytes)), 1) << bytes;
  EXPECT_EQ(ExifOrientation("Photo of a dog"), 1);
  std::string wrong_type = body;
  wrong_type[6 + 8 + 2 + 12 + 3] = 4;  // LONG instead of SHORT
  EXPECT_EQ(ExifOrientation(wrong_type), 1);
}

TEST(Jpeg, EveryCutIsAnErrorThatNamesTheFile) {
  for (const bool progressive : {false, true}) {
    const std::string jpeg =
        MakeJpeg({.height = 17, .width = 9, .progressive = progressive, .quality = 60}, Ramp);
    for (std::size_t bytes = 0; bytes < jpeg.size(); ++bytes) {
      EXPECT_FRF_ERROR(DecodeImage(jpeg.substr(0, bytes), "cut.jpg"), ErrorCode::kCorruptFile, "cut.jpg: ");
    }
  }
}

TEST(Jpeg, LimitsAreHeldBeforeDecoding) {
  const std::string jpeg = MakeJpeg({.height = 300, .width = 400, .progressive = true},
                                    [](int y, int x, int c) { return (y + x + c) & 255; });
  EXPECT_FRF_ERROR(DecodeImage(jpeg, "a.jpg", {.max_pixels = 119999}), ErrorCode::kOutOfMemory,
                   "a.jpg: JPEG of 300x400");
  EXPECT_FRF_ERROR(DecodeImage(jpeg, "a.jpg", {.max_side = 399}), ErrorCode::kOutOfMemory,
                   "at most 399 a side");
  // A progressive picture holds its coefficients, two bytes each, beside the pixels.
  EXPECT_FRF_ERROR(DecodeImage(jpeg, "a.jpg", {.max_decode_bytes = 400 * 300 * 9}), ErrorCode::kOutOfMemory,
                   "to decode");
  EXPECT_EQ(DecodeImage(jpeg, "a.jpg", {.max_decode_bytes = 400 * 320 * 9 + (1 << 17)}).width, 400);
}

TEST(Jpeg, WhatIsWrittenReadsBackNearly) {
  for (const int channels : {1, 3}) {
    for (const int quality : {80, 92}) {
      Image image{.height = 33, .width = 47, .channels = channels};
      for (int y = 0; y < 33; ++y) {
        for (int x = 0; x < 47; ++x) {
          for (int c = 0; c < channels; ++c)
            image.pixels.push_back(static_cast<std::uint8_t>(60 + y * 2 + x + c * 20));
        }
      }
      const Image back = DecodeImage(EncodeJpeg(image, quality), "back.jpg");
      ASSERT_EQ(back.height, 33);
      ASSERT_EQ(back.width, 47);
      for (int i = 0; i < 33 * 47; ++i) {
        const int wanted = image.pixels[static_cast<std::size_t>(i * channels)];
        ASSERT_NEAR(back.pixels[static_cast<std::size_t>(i * 3)], wanted, 9) << i;
      }
    }
  }
  Image rgba{.height = 1, .width = 1, .channels = 4, .pixels = {1, 2, 3, 4}};
  EXPECT_FRF_ERROR(EncodeJpeg(rgba), ErrorCode::kInvalidArgument, "1 or 3 channels");
  Image fine{.height = 1, .width = 1, .channels = 1, .pixels = {1}};
  EXPECT_FRF_ERROR(EncodeJpeg(fine, 0), ErrorCode::kInvalidArgument, "1..100");
  Image long_row{.height = 1, .width = 65536, .channels = 1, .pixels = std::vector<std::uint8_t>(65536)};
  EXPECT_FRF_ERROR(EncodeJpeg(long_row), ErrorCode::kInvalidArgument, "65500");
}

Image Noise(int height, int width) {
  Image image{.height = height, .width = width, .channels = 3};
  image.pixels.resize(image.bytes());
  unsigned state = 1;
  for (std::uint8_t& pixel : image.pixels)
    pixel = static_cast<std::uint8_t>((state = state * 69069 + 1) >> 24);
  return image;
}

TEST(Jpeg, LargeOnesAreWrittenWhole) {
  const Image image = Noise(300, 500);
  const std::string jpeg = EncodeJpeg(image, 100);
  EXPECT_GT(jpeg.size(), 200'000u);
  const Image back = DecodeImage(jpeg, "noise.jpg");
  for (std::size_t i = 0; i < image.pixels.size(); ++i) ASSERT_NEAR(back.pixels[i], image.pixels[i], 6) << i;
}

// In a process of its own, whose address space ends a few MiB above what it has: a JPEG of 30 MB does not
// fit.
TEST(Jpeg, WritingEndsInAnErrorWhereMemoryEnds) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers reserve address space of their own";
#endif
  const Image image = Noise(3000, 4000);
  const pid_t child = ::fork();
  if (child == 0) {
    long pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t most =
        static_cast<rlim_t>(pages) * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (12 << 20);
    const rlimit limit{most, most};
    int seen = pages > 0 && ::setrlimit(RLIMIT_AS, &limit) == 0 ? 1 : 2;
    try {
      (void)EncodeJpeg(image, 100);
    } catch (const Error& error) {
      if (seen == 1 && error.code() == ErrorCode::kOutOfMemory) seen = 0;
    }
    ::_exit(seen);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(Jpeg, TooLargeASideNamesTheFileAndTheWayOut) {
  const test::TempFolder folder;
  Image tall{.height = 65501, .width = 1, .channels = 3};
  tall.pixels.resize(tall.bytes());
  EXPECT_FRF_ERROR(WriteJpeg(folder / "t.jpg", tall, 90), ErrorCode::kInvalidArgument,
                   "t.jpg: cannot encode");
  EXPECT_FRF_ERROR(WriteJpeg(folder / "t.jpg", tall, 90), ErrorCode::kInvalidArgument,
                   ".png holds larger ones");
}

}  // namespace
}  // namespace frf
