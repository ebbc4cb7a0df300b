// SPDX-License-Identifier: Apache-2.0
// The C API on what a model says of itself, and on pictures of every pixel order, from memory too.
#include <gtest/gtest.h>

#include <cstring>

#include "base/files.h"
#include "engine/c_api_status.h"
#include "engine/small_model.h"
#include "frf/frf.h"
#include "image/image_io.h"
#include "image/transform.h"
#include "support/support.h"

namespace frf::test {
namespace {

struct Loaded {
  explicit Loaded(const std::string& bytes) {
    EXPECT_EQ(frf_model_load_memory(bytes.data(), bytes.size(), &model), FRF_OK) << frf_last_error();
    frf_session_options options = FRF_SESSION_OPTIONS_INIT;
    options.threads = 2;
    EXPECT_EQ(frf_session_create(model, &options, &session), FRF_OK) << frf_last_error();
  }
  ~Loaded() {
    frf_session_free(session);
    frf_model_free(model);
  }
  frf_model* model = nullptr;
  frf_session* session = nullptr;
};

TEST(CApiModel, TellsWhatItsPlanesAre) {
  const Loaded loaded(MakeModelBytes(
      "frfnet-slim", {.mean = {10, 20, 30}, .std = {40, 50, 60}, .height = 72, .width = 96, .multiple = 8}));
  float mean[3] = {}, deviation[3] = {};
  ASSERT_EQ(frf_model_normalization(loaded.model, mean, deviation), FRF_OK) << frf_last_error();
  int height = 0, width = 0;
  ASSERT_EQ(frf_model_trained_size(loaded.model, &height, &width), FRF_OK) << frf_last_error();
  EXPECT_EQ(std::pair(height, width), std::pair(72, 96));
  EXPECT_EQ(frf_model_size_multiple(loaded.model), 8);
  EXPECT_EQ(frf_model_gives_labels(loaded.model), 0);

  // With nothing but these, planes give a picture's scores.
  const Image image = Photo(72, 96);
  std::vector<float> planes(3 * 72 * 96), wanted(4 * 72 * 96), seen(wanted.size());
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 72 * 96; ++i)
      planes[c * 72 * 96 + i] = (static_cast<float>(image.pixels[3 * i + c]) - mean[c]) / deviation[c];
  }
  const frf_image in{image.pixels.data(), 72, 96, std::ptrdiff_t{3} * 96, FRF_RGB};
  ASSERT_EQ(frf_session_run_scores(loaded.session, &in, wanted.data(), wanted.size()), FRF_OK)
      << frf_last_error();
  ASSERT_EQ(frf_session_run_planes(loaded.session, planes.data(), 72, 96, seen.data(), seen.size(), nullptr),
            FRF_OK)
      << frf_last_error();
  for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_NEAR(seen[i], wanted[i], 1e-3);
  EXPECT_STATUS(
      frf_session_run_planes(loaded.session, planes.data(), 36, 48, seen.data(), seen.size(), nullptr),
      FRF_INVALID_ARGUMENT, "36x48 was asked for, multiples of 8 are wanted");
}

TEST(CApiModel, TellsItsMetadata) {
  Model model = ParseOnnx(MakeModelBytes(), "test.onnx");
  model.info.classes.label_ids = {7, 8, 11, 12};
  model.info.license = "research use";
  model.info.train = {{"epochs", 3}};
  const Loaded loaded(SerializeOnnx(model, {.size = std::pair(48, 64), .argmax = true}));
  EXPECT_EQ(frf_model_label_id(loaded.model, 2), 11);
  EXPECT_EQ(frf_model_label_id(loaded.model, 4), -1);
  EXPECT_EQ(frf_model_label_id(loaded.model, -1), -1);
  EXPECT_EQ(frf_model_gives_labels(loaded.model), 1);
  EXPECT_STREQ(frf_model_metadata(loaded.model, "frf.license"), "research use");
  EXPECT_STREQ(frf_model_metadata(loaded.model, "frf.train"), R"({"epochs":3})");
  EXPECT_STREQ(frf_model_metadata(loaded.model, "frf.classes"), R"(["a","b","c","d"])");
  EXPECT_EQ(frf_model_metadata(loaded.model, "frf.source"), nullptr);
  int height = 1, width = 1;
  ASSERT_EQ(frf_model_trained_size(loaded.model, &height, &width), FRF_OK);
  EXPECT_EQ(std::pair(height, width), std::pair(0, 0)) << "not recorded";
  const Loaded plain(MakeModelBytes());
  EXPECT_EQ(frf_model_label_id(plain.model, 2), 2);
}

TEST(CApiModel, NullsAreArgumentsLikeAnyOther) {
  const Loaded loaded(MakeModelBytes());
  float values[3] = {};
  int size = 0;
  EXPECT_STATUS(frf_model_normalization(nullptr, values, values), FRF_INVALID_ARGUMENT, "model is NULL");
  EXPECT_STATUS(frf_model_normalization(loaded.model, nullptr, values), FRF_INVALID_ARGUMENT, "mean is NULL");
  EXPECT_STATUS(frf_model_trained_size(loaded.model, &size, nullptr), FRF_INVALID_ARGUMENT, "width is NULL");
  EXPECT_EQ(frf_model_label_id(nullptr, 0), -1);
  EXPECT_EQ(frf_model_size_multiple(nullptr), 0);
  EXPECT_EQ(frf_model_gives_labels(nullptr), 0);
  EXPECT_EQ(frf_model_metadata(nullptr, "frf.license"), nullptr);
  EXPECT_EQ(frf_model_metadata(loaded.model, nullptr), nullptr);
  frf_image image = {};
  EXPECT_STATUS(frf_image_decode(nullptr, 9, &image), FRF_INVALID_ARGUMENT, "no bytes");
  EXPECT_STATUS(frf_image_decode("x", 1, nullptr), FRF_INVALID_ARGUMENT, "image is NULL");
}

// The bytes of `image` in another order, 9 bytes of padding behind each row; alpha and padding are noise.
std::vector<std::uint8_t> InOrder(const Image& image, const std::vector<int>& channels) {
  std::vector<std::uint8_t> bytes;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (const int c : channels)
        bytes.push_back(c == 3 ? static_cast<std::uint8_t>(37 * x + y) : image.at(y, x)[c]);
    }
    bytes.insert(bytes.end(), 9, 201);
  }
  return bytes;
}

TEST(CApiModel, PicturesOfEveryPixelOrder) {
  const Loaded loaded(MakeModelBytes("frfnet-slim", {.height = 48, .width = 64}));
  Image colors = Photo(48, 64), grey = colors;
  for (std::size_t i = 0; i < grey.pixels.size(); i += 3)
    grey.pixels[i + 1] = grey.pixels[i + 2] = grey.pixels[i];
  const Image large = ResizeBilinear(colors.view(), 61, 77), large_grey = ResizeBilinear(grey.view(), 61, 77);
  const TempFolder folder;
  const struct {
    frf_pixel_order order;
    std::vector<int> channels;
    const Image* image;
  } cases[] = {
      {FRF_RGB, {0, 1, 2}, &colors},     {FRF_BGR, {2, 1, 0}, &colors}, {FRF_RGBA, {0, 1, 2, 3}, &colors},
      {FRF_BGRA, {2, 1, 0, 3}, &colors}, {FRF_GRAY, {0}, &grey},        {FRF_BGRA, {2, 1, 0, 3}, &large},
      {FRF_GRAY, {0}, &large_grey}};
  for (const auto& c : cases) {
    SCOPED_TRACE(testing::Message() << "order " << c.order << ", " << c.image->height << " rows");
    const int height = c.image->height, width = c.image->width;
    const auto stride = static_cast<std::ptrdiff_t>(c.channels.size()) * width + 9;
    const std::vector<std::uint8_t> bytes = InOrder(*c.image, c.channels);
    std::vector<std::uint8_t> wanted(static_cast<std::size_t>(height) * width), seen(wanted);
    const frf_image rgb{c.image->pixels.data(), height, width, std::ptrdiff_t{3} * width, FRF_RGB},
        in{bytes.data(), height, width, stride, c.order};
    const frf_labels to_wanted{wanted.data(), height, width, width},
        to_seen{seen.data(), height, width, width};
    ASSERT_EQ(frf_session_run(loaded.session, &rgb, &to_wanted), FRF_OK) << frf_last_error();
    ASSERT_EQ(frf_session_run(loaded.session, &in, &to_seen), FRF_OK) << frf_last_error();
    EXPECT_EQ(seen, wanted);
    frf_image narrow = in;
    narrow.row_stride = stride - 10;
    EXPECT_STATUS(frf_session_run(loaded.session, &narrow, &to_seen), FRF_INVALID_ARGUMENT, "a pixel");

    // Written, each reads as the same colours.
    ASSERT_EQ(frf_image_write_png((folder / "p.png").c_str(), &in), FRF_OK) << frf_last_error();
    EXPECT_EQ(ReadImage(folder / "p.png").pixels, c.image->pixels);
  }
}

TEST(CApiModel, PicturesInMemory) {
  const Image photo = Photo(20, 31);
  const std::string png = EncodePng(photo), jpeg = EncodeJpeg(photo);
  frf_image image = {};
  ASSERT_EQ(frf_image_decode(png.data(), png.size(), &image), FRF_OK) << frf_last_error();
  ASSERT_EQ(std::pair(image.height, image.width), std::pair(20, 31));
  EXPECT_EQ(image.order, FRF_RGB);
  EXPECT_EQ(image.row_stride, 3 * 31);
  EXPECT_EQ(std::vector<std::uint8_t>(image.data, image.data + photo.bytes()), photo.pixels);
  frf_image_free(&image);
  ASSERT_EQ(frf_image_decode(jpeg.data(), jpeg.size(), &image), FRF_OK) << frf_last_error();
  EXPECT_EQ(std::pair(image.height, image.width), std::pair(20, 31));
  frf_image_free(&image);
  EXPECT_STATUS(frf_image_decode(png.data(), 60, &image), FRF_CORRUPT_FILE, "image in memory");
  EXPECT_STATUS(frf_image_decode("no picture", 10, &image), FRF_UNSUPPORTED, "image in memory");
  EXPECT_STATUS(frf_image_decode("", 0, &image), FRF_CORRUPT_FILE, "image in memory");
  EXPECT_EQ(image.data, nullptr);
}

}  // namespace
}  // namespace frf::test
