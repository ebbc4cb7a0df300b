// SPDX-License-Identifier: Apache-2.0
// The C API: lifecycles, every error with its message, options that may grow, scores, labels, threads,
// pictures.
#include <gtest/gtest.h>

#include <climits>
#include <cstring>
#include <thread>

#include "base/files.h"
#include "base/version.h"
#include "engine/c_api_status.h"
#include "engine/small_model.h"
#include "frf/frf.h"
#include "frf/session.h"
#include "image/image_io.h"
#include "image/transform.h"
#include "support/support.h"

namespace frf::test {
namespace {

// C callers may put any number into an enum.
frf_image OfOrder(frf_image image, int order) {
  std::memcpy(&image.order, &order, sizeof(order));
  return image;
}

// A model of a free size, loaded once for all tests, and what goes with it.
class CApi : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    bytes_ = new std::string(MakeModelBytes("frfnet-slim", {.fit = Fit::kNative}));
    ASSERT_EQ(frf_model_load_memory(bytes_->data(), bytes_->size(), &model_), FRF_OK) << frf_last_error();
  }
  static void TearDownTestSuite() {
    frf_model_free(model_);
    delete bytes_;
  }
  void SetUp() override {
    frf_session_options options = FRF_SESSION_OPTIONS_INIT;
    options.threads = 2;
    ASSERT_EQ(frf_session_create(model_, &options, &session_), FRF_OK) << frf_last_error();
  }
  void TearDown() override { frf_session_free(session_); }

  static frf_image ViewOf(const Image& image) {
    return {image.pixels.data(), image.height, image.width, std::ptrdiff_t{3} * image.width, FRF_RGB};
  }
  static frf_labels ViewOf(LabelImage& labels) {
    return {labels.ids.data(), labels.height, labels.width, labels.width};
  }
  static LabelImage Room(int height, int width) {
    return {height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(height) * width, 99)};
  }
  static LabelImage Wanted(const Image& image) {
    return Session(LoadedModel::LoadBytes(bytes_->data(), bytes_->size()), {.threads = 2}).Run(image.view());
  }

  static std::string* bytes_;
  static frf_model* model_;
  frf_session* session_ = nullptr;
};
std::string* CApi::bytes_ = nullptr;
frf_model* CApi::model_ = nullptr;

TEST_F(CApi, VersionsAgree) {
  EXPECT_STREQ(frf_version(), Version());
  EXPECT_EQ(fmt::format("{}.{}.{}", FRF_VERSION_MAJOR, FRF_VERSION_MINOR, FRF_VERSION_PATCH), frf_version());
}

TEST_F(CApi, EveryStatusHasAName) {
  for (int status = FRF_OK; status <= FRF_INTERNAL; ++status) {
    EXPECT_STRNE(frf_status_name(static_cast<frf_status>(status)), "unknown status") << status;
  }
  EXPECT_STREQ(frf_status_name(static_cast<frf_status>(FRF_INTERNAL + 1)), "unknown status");
}

TEST_F(CApi, ClassesAndColours) {
  ASSERT_EQ(frf_model_class_count(model_), 4);
  EXPECT_STREQ(frf_model_class_name(model_, 3), "d");
  EXPECT_EQ(frf_model_class_name(model_, 4), nullptr);
  EXPECT_EQ(frf_model_class_name(model_, -1), nullptr);
  std::uint8_t rgb[3] = {};
  ASSERT_EQ(frf_model_class_color(model_, 1, rgb), FRF_OK);
  EXPECT_EQ(rgb[0], 4);
  EXPECT_EQ(rgb[2], 6);
  EXPECT_STATUS(frf_model_class_color(model_, 4, rgb), FRF_INVALID_ARGUMENT, "0 to 3");
}

TEST_F(CApi, LabelsAreTheCppSessions) {
  for (const auto& [height, width] : {std::pair{48, 64}, {33, 71}}) {
    const Image image = Photo(height, width);
    LabelImage labels = Room(height, width);
    const frf_image in = ViewOf(image);
    const frf_labels out = ViewOf(labels);
    ASSERT_EQ(frf_session_run(session_, &in, &out), FRF_OK) << frf_last_error();
    EXPECT_EQ(labels.ids, Wanted(image).ids);
  }
}

TEST_F(CApi, StridesAndBgr) {
  const Image image = Photo(40, 56);
  constexpr std::ptrdiff_t kIn = 56 * 3 + 11, kOut = 70;
  std::vector<std::uint8_t> bgr(40 * kIn, 7), labels(40 * kOut, 250);
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < 56; ++x) {
      for (int c = 0; c < 3; ++c) bgr[y * kIn + x * 3 + c] = image.at(y, x)[2 - c];
    }
  }
  const frf_image in{bgr.data(), 40, 56, kIn, FRF_BGR};
  const frf_labels out{labels.data(), 40, 56, kOut};
  ASSERT_EQ(frf_session_run(session_, &in, &out), FRF_OK) << frf_last_error();
  const LabelImage wanted = Wanted(image);
  for (int y = 0; y < 40; ++y) {
    for (int x = 0; x < kOut; ++x) ASSERT_EQ(labels[y * kOut + x], x < 56 ? wanted.at(y, x) : 250);
  }
}

TEST_F(CApi, ScoresAndPlanes) {
  const Image image = Photo(40, 56);
  const frf_image in = ViewOf(image);
  int height = 0, width = 0, shape[3] = {};
  ASSERT_EQ(frf_session_input_size(session_, 40, 56, &height, &width), FRF_OK);
  EXPECT_EQ(std::pair(height, width), std::pair(40, 56));
  ASSERT_EQ(frf_session_scores_shape(session_, height, width, shape), FRF_OK) << frf_last_error();
  EXPECT_EQ(std::vector<int>(shape, shape + 3), (std::vector<int>{4, 40, 56}));

  constexpr std::size_t kCount = 4 * 40 * 56;
  std::vector<float> scores(kCount + 1, -77.0f), again(kCount), planes(3 * 40 * 56);
  ASSERT_EQ(frf_session_run_scores(session_, &in, scores.data(), kCount), FRF_OK) << frf_last_error();
  EXPECT_EQ(scores.back(), -77.0f) << "written behind the end";
  scores.pop_back();
  EXPECT_EQ(
      scores,
      Session(LoadedModel::LoadBytes(bytes_->data(), bytes_->size()), {.threads = 2}).Scores(image.view()));

  Preprocess(image.view(), InputSpec{}, {40, 56, 40, 56}, planes.data());
  LabelImage labels = Room(40, 56);
  const frf_labels out = ViewOf(labels);
  ASSERT_EQ(frf_session_run_planes(session_, planes.data(), 40, 56, again.data(), kCount, &out), FRF_OK)
      << frf_last_error();
  for (std::size_t i = 0; i < kCount; ++i) ASSERT_NEAR(scores[i], again[i], 1e-4);
  std::size_t best = 0;
  for (std::size_t i = 0; i < labels.ids.size(); ++i) {
    int top = 0;
    for (int c = 1; c < 4; ++c) top = again[c * 40 * 56 + i] > again[top * 40 * 56 + i] ? c : top;
    best += top == labels.ids[i];
  }
  EXPECT_GE(best, labels.ids.size() - 2) << "but where two classes tie within rounding";

  ASSERT_EQ(frf_session_run_planes(session_, planes.data(), 40, 56, nullptr, 0, &out), FRF_OK);
  EXPECT_STATUS(frf_session_run_scores(session_, &in, scores.data(), kCount - 1), FRF_INVALID_ARGUMENT,
                "4x40x56");
  EXPECT_STATUS(frf_session_run_planes(session_, planes.data(), 40, 56, again.data(), 12, nullptr),
                FRF_INVALID_ARGUMENT, "room for 12");
  EXPECT_STATUS(frf_session_run_planes(session_, planes.data(), 40, 56, nullptr, 0, nullptr),
                FRF_INVALID_ARGUMENT, "neither");
  EXPECT_STATUS(frf_session_run_planes(session_, planes.data(), 0, 56, nullptr, 0, &out),
                FRF_INVALID_ARGUMENT, "0x56");
}

TEST_F(CApi, AModelThatGivesLabelsHasNoScores) {
  const std::string bytes = MakeModelBytes("frfnet-slim", {}, {.size = std::pair{48, 64}, .argmax = true});
  frf_model* model = nullptr;
  frf_session* session = nullptr;
  ASSERT_EQ(frf_model_load_memory(bytes.data(), bytes.size(), &model), FRF_OK) << frf_last_error();
  ASSERT_EQ(frf_session_create(model, nullptr, &session), FRF_OK) << frf_last_error();
  const Image image = Photo(48, 64);
  const frf_image in = ViewOf(image);
  std::vector<float> scores(4 * 48 * 64), planes(3 * 32 * 32);
  int shape[3];
  EXPECT_STATUS(frf_session_run_scores(session, &in, scores.data(), scores.size()), FRF_UNSUPPORTED,
                "labels");
  EXPECT_STATUS(frf_session_scores_shape(session, 48, 64, shape), FRF_UNSUPPORTED, "labels");
  EXPECT_STATUS(frf_session_run_planes(session, planes.data(), 32, 32, nullptr, 0, nullptr),
                FRF_INVALID_ARGUMENT, "neither");
  LabelImage labels = Room(48, 64);
  const frf_labels out = ViewOf(labels);
  EXPECT_STATUS(frf_session_run_planes(session, planes.data(), 32, 32, nullptr, 0, &out),
                FRF_INVALID_ARGUMENT, "fixed at 48x64");
  EXPECT_EQ(frf_session_run(session, &in, &out), FRF_OK) << frf_last_error();
  frf_session_free(session);
  frf_model_free(model);
}

TEST_F(CApi, ModelsThatCannotBeLoaded) {
  const TempFolder folder;
  frf_model* model = model_;  // is set to NULL by every failure
  EXPECT_STATUS(frf_model_load("no-such-weights", &model), FRF_NOT_FOUND, "no-such-weights");
  EXPECT_EQ(model, nullptr);
  WriteFileAtomically(folder / "short.onnx", bytes_->substr(0, bytes_->size() / 2));
  EXPECT_STATUS(frf_model_load((folder / "short.onnx").c_str(), &model), FRF_CORRUPT_FILE, "short.onnx");
  EXPECT_STATUS(frf_model_load_memory(bytes_->data(), 1000, &model), FRF_CORRUPT_FILE, "model in memory");
  EXPECT_STATUS(frf_model_load_memory(nullptr, 1000, &model), FRF_INVALID_ARGUMENT, "no bytes");
  EXPECT_STATUS(frf_model_load_memory("", 0, &model), FRF_CORRUPT_FILE, "model in memory");
  EXPECT_STATUS(frf_model_load(nullptr, &model), FRF_INVALID_ARGUMENT, "name_or_path is NULL");
  EXPECT_STATUS(frf_model_load("x", nullptr), FRF_INVALID_ARGUMENT, "model is NULL");
  EXPECT_EQ(model, nullptr);
}

TEST_F(CApi, LongMessagesAreCutBetweenCharacters) {
  frf_model* model = nullptr;
  std::string path = "/";
  while (path.size() < 3000) path += "\u00e4/";
  EXPECT_STATUS(frf_model_load(path.c_str(), &model), FRF_NOT_FOUND, "/");
  frf_image image = {};
  for (const std::string start : {"", "x"}) {
    EXPECT_STATUS(frf_image_read((start + path).c_str(), &image), FRF_NOT_FOUND, "/");
    const std::string message = frf_last_error();
    EXPECT_LT(message.size(), 1024u);
    EXPECT_NE(static_cast<unsigned char>(message.back()), 0xc3) << "half a character at the end";
  }
}

TEST_F(CApi, NullsAreArgumentsLikeAnyOther) {
  const Image image = Photo(16, 16);
  LabelImage labels = Room(16, 16);
  const frf_image in = ViewOf(image);
  const frf_labels out = ViewOf(labels);
  float value = 0;
  int size = 0;
  frf_session* session = nullptr;
  EXPECT_STATUS(frf_session_create(nullptr, nullptr, &session), FRF_INVALID_ARGUMENT, "model is NULL");
  EXPECT_STATUS(frf_session_create(model_, nullptr, nullptr), FRF_INVALID_ARGUMENT, "session is NULL");
  EXPECT_STATUS(frf_session_run(nullptr, &in, &out), FRF_INVALID_ARGUMENT, "session is NULL");
  EXPECT_STATUS(frf_session_run(session_, nullptr, &out), FRF_INVALID_ARGUMENT, "image is NULL");
  EXPECT_STATUS(frf_session_run(session_, &in, nullptr), FRF_INVALID_ARGUMENT, "labels is NULL");
  EXPECT_STATUS(frf_session_run_scores(session_, &in, nullptr, 9), FRF_INVALID_ARGUMENT, "scores is NULL");
  EXPECT_STATUS(frf_session_run_planes(session_, nullptr, 16, 16, nullptr, 0, &out), FRF_INVALID_ARGUMENT,
                "planes is NULL");
  EXPECT_STATUS(frf_session_run_planes(session_, nullptr, 16, 16, &value, 1, nullptr), FRF_INVALID_ARGUMENT,
                "planes is NULL");
  EXPECT_STATUS(frf_session_run_planes(nullptr, &value, 16, 16, nullptr, 0, &out), FRF_INVALID_ARGUMENT,
                "session is NULL");
  EXPECT_STATUS(frf_session_input_size(session_, 16, 16, nullptr, &size), FRF_INVALID_ARGUMENT,
                "height is NULL");
  EXPECT_STATUS(frf_session_input_size(nullptr, 16, 16, &size, &size), FRF_INVALID_ARGUMENT,
                "session is NULL");
  EXPECT_STATUS(frf_session_scores_shape(session_, 16, 16, nullptr), FRF_INVALID_ARGUMENT, "shape is NULL");
  EXPECT_STATUS(frf_model_class_color(model_, 0, nullptr), FRF_INVALID_ARGUMENT, "rgb is NULL");
  EXPECT_STATUS(frf_image_read("x.png", nullptr), FRF_INVALID_ARGUMENT, "image is NULL");
  EXPECT_STATUS(frf_labels_write_png(nullptr, &out, nullptr), FRF_INVALID_ARGUMENT, "path is NULL");
  EXPECT_EQ(frf_model_class_count(nullptr), 0);
  EXPECT_EQ(frf_model_class_name(nullptr, 0), nullptr);
  frf_model_free(nullptr);
  frf_session_free(nullptr);
  frf_image_free(nullptr);
}

TEST_F(CApi, PicturesAndLabelsThatCannotBe) {
  const Image image = Photo(16, 16);
  LabelImage labels = Room(16, 16);
  const frf_image in = ViewOf(image);
  const frf_labels out = ViewOf(labels);
  const frf_image bad_images[] = {{nullptr, 16, 16, 48, FRF_RGB},
                                  {in.data, 0, 16, 48, FRF_RGB},
                                  {in.data, 16, -1, 48, FRF_RGB},
                                  {in.data, 16, 16, 47, FRF_RGB},
                                  {in.data, 1000000000, 1000000000, std::ptrdiff_t{3} << 30, FRF_RGB},
                                  OfOrder(in, 5)};
  for (const frf_image& bad : bad_images)
    EXPECT_STATUS(frf_session_run(session_, &bad, &out), FRF_INVALID_ARGUMENT, "");
  const frf_labels bad_labels[] = {{nullptr, 16, 16, 16},
                                   {out.data, 0, 16, 16},
                                   {out.data, 16, 16, 15},
                                   {out.data, 1 << 30, 1 << 30, 1 << 30}};
  for (const frf_labels& bad : bad_labels)
    EXPECT_STATUS(frf_session_run(session_, &in, &bad), FRF_INVALID_ARGUMENT, "");
  int size = 0;
  EXPECT_STATUS(frf_session_input_size(session_, 0, 16, &size, &size), FRF_INVALID_ARGUMENT, "0x16");
  EXPECT_STATUS(frf_session_input_size(session_, INT_MAX, INT_MAX, &size, &size), FRF_INVALID_ARGUMENT,
                "a side is at most 65535");
  EXPECT_EQ(std::count(labels.ids.begin(), labels.ids.end(), 99), 256) << "an error wrote labels";
}

TEST_F(CApi, OptionsMayGrow) {
  struct Newer {
    frf_session_options known;
    std::uint64_t unheard_of;
  };
  frf_session* session = nullptr;
  const auto create = [&](const frf_session_options& options) {
    frf_session_free(session);
    return frf_session_create(model_, &options, &session);
  };
  Newer newer{FRF_SESSION_OPTIONS_INIT, 0};
  newer.known.size = sizeof(Newer);
  newer.known.height = 32, newer.known.width = 48;
  EXPECT_EQ(create(newer.known), FRF_OK) << frf_last_error();
  int height = 0, width = 0;
  EXPECT_EQ(frf_session_input_size(session, 100, 100, &height, &width), FRF_OK);
  EXPECT_EQ(std::pair(height, width), std::pair(32, 48)) << "what is known counts";
  newer.unheard_of = 1;
  EXPECT_STATUS(create(newer.known), FRF_INVALID_ARGUMENT, "does not know");
  EXPECT_EQ(session, nullptr);
  frf_session_options options = FRF_SESSION_OPTIONS_INIT;
  options.size = 0;
  EXPECT_STATUS(create(options), FRF_INVALID_ARGUMENT, "FRF_SESSION_OPTIONS_INIT");
  options.size = offsetof(frf_session_options, precision) - 1;  // less than the first version's
  EXPECT_STATUS(create(options), FRF_INVALID_ARGUMENT, "FRF_SESSION_OPTIONS_INIT");
  options.size = offsetof(frf_session_options, precision) + 2;
  EXPECT_STATUS(create(options), FRF_INVALID_ARGUMENT, "which no version had");
  options.size = 1u << 30;
  EXPECT_STATUS(create(options), FRF_INVALID_ARGUMENT, "FRF_SESSION_OPTIONS_INIT");
  options = FRF_SESSION_OPTIONS_INIT;
  options.height = 64;
  EXPECT_STATUS(create(options), FRF_INVALID_ARGUMENT, "height 64");
  options = FRF_SESSION_OPTIONS_INIT;
  options.threads = -1;
  EXPECT_STATUS(create(options), FRF_INVALID_ARGUMENT, "threads -1");
  options = FRF_SESSION_OPTIONS_INIT;
  options.precision = 3;
  EXPECT_STATUS(create(options), FRF_INVALID_ARGUMENT, "precision is 3");
  options.precision = FRF_BFLOAT16;
  options.size = offsetof(frf_session_options, precision);  // a caller of the first version, who knows none
  EXPECT_EQ(create(options), FRF_OK) << frf_last_error();
  frf_session_free(session);
}

TEST_F(CApi, MemoryIsRefusedBeforeItIsTaken) {
  frf_session_options options = FRF_SESSION_OPTIONS_INIT;
  options.max_memory = 1 << 20;
  frf_session* session = nullptr;
  ASSERT_EQ(frf_session_create(model_, &options, &session), FRF_OK);
  const Image image = Photo(512, 512);
  LabelImage labels = Room(512, 512);
  const frf_image in = ViewOf(image);
  const frf_labels out = ViewOf(labels);
  EXPECT_STATUS(frf_session_run(session, &in, &out), FRF_OUT_OF_MEMORY, "");
  frf_session_free(session);
}

TEST_F(CApi, TwoThreadsWithASessionEachAndErrorsOfTheirOwn) {
  frf_model* model = nullptr;
  ASSERT_EQ(frf_model_load_memory(bytes_->data(), bytes_->size(), &model), FRF_OK);
  frf_session* sessions[2] = {};
  for (auto& session : sessions) ASSERT_EQ(frf_session_create(model, nullptr, &session), FRF_OK);
  frf_model_free(model);  // the sessions live on
  const Image image = Photo(48, 80);
  const LabelImage wanted = Wanted(image);
  int failures[2] = {}, wrong[2] = {};
  std::string errors[2];
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      const frf_image in = ViewOf(image);
      for (int i = 0; i < 4; ++i) {
        LabelImage labels = Room(48, 80);
        const frf_labels out = ViewOf(labels);
        failures[t] += frf_session_run(sessions[t], &in, &out) != FRF_OK;
        wrong[t] += labels.ids != wanted.ids;
      }
      frf_model* none = nullptr;
      if (t == 1) frf_model_load("of-thread-one", &none);
      errors[t] = frf_last_error();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 2; ++t) {
    EXPECT_EQ(failures[t], 0);
    EXPECT_EQ(wrong[t], 0);
    frf_session_free(sessions[t]);
  }
  EXPECT_EQ(errors[0], "");
  EXPECT_NE(errors[1].find("of-thread-one"), std::string::npos);
}

TEST_F(CApi, PicturesInAndOut) {
  const TempFolder folder;
  const Image image = Photo(20, 31);
  std::vector<std::uint8_t> bgr(image.pixels);
  for (std::size_t i = 0; i < bgr.size(); i += 3) std::swap(bgr[i], bgr[i + 2]);
  const frf_image in{bgr.data(), 20, 31, 93, FRF_BGR};
  ASSERT_EQ(frf_image_write_png((folder / "a.png").c_str(), &in), FRF_OK) << frf_last_error();
  frf_image read = {};
  ASSERT_EQ(frf_image_read((folder / "a.png").c_str(), &read), FRF_OK) << frf_last_error();
  ASSERT_EQ(std::pair(read.height, read.width), std::pair(20, 31));
  EXPECT_EQ(std::vector<std::uint8_t>(read.data, read.data + image.bytes()), image.pixels);
  frf_image_free(&read);
  EXPECT_EQ(read.data, nullptr);

  LabelImage labels = Room(20, 31);
  labels.at(3, 4) = 2;
  const frf_labels out = ViewOf(labels);
  for (const frf_model* model :
       {static_cast<const frf_model*>(nullptr), static_cast<const frf_model*>(model_)}) {
    ASSERT_EQ(frf_labels_write_png((folder / "l.png").c_str(), &out, model), FRF_OK) << frf_last_error();
    EXPECT_EQ(ReadLabels(folder / "l.png").ids, labels.ids);
  }
  EXPECT_STATUS(frf_labels_write_png((folder / "no/such/l.png").c_str(), &out, nullptr), FRF_NOT_FOUND,
                "l.png");
  EXPECT_STATUS(frf_image_read((folder / "none.png").c_str(), &read), FRF_NOT_FOUND, "none.png");
  WriteFileAtomically(folder / "cut.png", ReadFile(folder / "a.png").substr(0, 60));
  EXPECT_STATUS(frf_image_read((folder / "cut.png").c_str(), &read), FRF_CORRUPT_FILE, "cut.png");
  EXPECT_STATUS(frf_image_write_png((folder / "no/such/folder.png").c_str(), &in), FRF_NOT_FOUND,
                "folder.png");
}

}  // namespace
}  // namespace frf::test
