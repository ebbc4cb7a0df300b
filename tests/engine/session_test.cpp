// SPDX-License-Identifier: Apache-2.0
// Sessions: labels at every size by the contract's rule, views with strides, BGR, shared weights, several
// threads, refusals.
#include "engine/session.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/files.h"
#include "engine/segmenter.h"
#include "engine/small_model.h"
#include "frf/error.h"

namespace frf::test {
namespace {

double Agreement(const LabelImage& a, const LabelImage& b) {
  EXPECT_EQ(a.ids.size(), b.ids.size());
  std::size_t same = 0;
  for (std::size_t i = 0; i < a.ids.size(); ++i) same += a.ids[i] == b.ids[i];
  return static_cast<double>(same) / static_cast<double>(a.ids.size());
}

TEST(Session, LabelsEqualThePlainExecutorsAtEverySize) {
  struct Case {
    InputSpec input;
    WriteOptions write;
    const char* what;
  };
  const InputSpec resize{.height = 72, .width = 96}, native{.fit = Fit::kNative},
      multiple{.fit = Fit::kNative, .multiple = 32};
  const Case cases[] = {
      {native, {}, "native"},
      {resize, {}, "resize to 72x96"},
      {multiple, {}, "padded to multiples of 32"},
      {resize, {.size = std::pair{72, 96}}, "fixed"},
      {resize, {.size = std::pair{72, 96}, .argmax = true, .uint8_input = true}, "fixed, bytes to labels"},
      {native, {.half = true, .uint8_input = true}, "half precision, bytes"}};
  for (const Case& c : cases) {
    const Model model = MakeModel("frfnet-slim", c.input, c.write);
    Segmenter plain(model, {.threads = 2, .plain = true}), engine(model, {.threads = 2});
    for (const auto& [height, width] : {std::pair{72, 96}, {101, 67}, {64, 160}, {40, 40}, {300, 200}}) {
      SCOPED_TRACE(testing::Message() << c.what << ", picture of " << height << "x" << width);
      const Image image = Photo(height, width);
      EXPECT_GT(Agreement(engine.Run(image.view()), plain.Run(image.view())), 0.99);
    }
  }
}

TEST(Session, StridesAndColourOrder) {
  Session session(std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative})),
                  {.threads = 1});
  const Image image = Photo(48, 64);
  const LabelImage wanted = session.Run(image.view());
  constexpr std::ptrdiff_t kStride = 64 * 3 + 17;
  std::vector<std::uint8_t> bgr(48 * kStride, 99), labels(48 * 80, 250);
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 64; ++x) {
      for (int c = 0; c < 3; ++c) bgr[y * kStride + x * 3 + c] = image.at(y, x)[2 - c];
    }
  }
  session.Run({bgr.data(), 48, 64, kStride, PixelOrder::kBgr}, {labels.data(), 48, 64, 80});
  for (int y = 0; y < 48; ++y) {
    for (int x = 0; x < 64; ++x) ASSERT_EQ(labels[y * 80 + x], wanted.at(y, x));
    for (int x = 64; x < 80; ++x) ASSERT_EQ(labels[y * 80 + x], 250) << "outside the labels' width";
  }
}

TEST(Session, SizesMayAlternateAndComeBackTheSame) {
  Session session(std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative})),
                  {.threads = 2});
  std::map<int, LabelImage> first;
  for (int round = 0; round < 3; ++round) {
    for (const int side : {33, 48, 64, 80, 96, 112}) {  // more sizes than plans are kept
      const LabelImage labels = session.Run(Photo(side, side + 5).view());
      const auto [entry, fresh] = first.emplace(side, labels);
      if (!fresh) {
        EXPECT_EQ(entry->second.ids, labels.ids) << side;
      }
    }
  }
}

TEST(Session, SessionsShareWeightsAndRunAtTheSameTime) {
  const auto model = std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative}));
  Session one(model, {.threads = 1});
  const LabelImage wanted = one.Run(Photo(64, 96).view());
  const std::size_t packed = model->impl().weights.bytes();
  EXPECT_GT(packed, 0u);
  std::vector<std::thread> threads;
  std::vector<double> agreements(3, 0.0);
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      Session session(model, {.threads = 1 + t % 2});
      for (int i = 0; i < 5; ++i) agreements[t] += Agreement(session.Run(Photo(64, 96).view()), wanted) / 5;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const double agreement : agreements) EXPECT_DOUBLE_EQ(agreement, 1.0);
  EXPECT_EQ(model->impl().weights.bytes(), packed) << "packed once, for all";
}

// Where more threads than cores are asked for (a container's quota, a second program), steps must not wait
// for threads that have no core: a frame then took thirty times as long.
TEST(Session, MoreThreadsThanCoresDoNotWaitForEachOther) {
  const auto model = std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative}));
  const auto cores = static_cast<int>(std::thread::hardware_concurrency());
  const auto best = [&](int threads) {
    Session session(model, {.threads = threads});
    const Image image = Photo(128, 256);
    session.Run(image.view());
    double seconds = 1e9;
    for (int i = 0; i < 20; ++i) {
      const auto start = std::chrono::steady_clock::now();
      session.Run(image.view());
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      seconds = std::min(seconds, took.count());
    }
    return seconds;
  };
  EXPECT_LT(best(4 * cores), 8 * best(cores));
}

TEST(Session, ScoresAndPlanes) {
  const Model model = MakeModel("frfnet-slim", {.fit = Fit::kNative});
  Session session(std::make_shared<LoadedModel>(model), {.threads = 2});
  const Image image = Photo(40, 56);
  const std::vector<float> scores = session.Scores(image.view());
  ASSERT_EQ(scores.size(), 4u * 40 * 56);
  std::vector<float> planes(3 * 40 * 56), again(scores.size());
  Preprocess(image.view(), model.info.input, ChooseNetworkSize(model.info.input, 40, 56), planes.data());
  LabelImage labels{40, 56, std::vector<std::uint8_t>(40 * 56)};
  const LabelView view = labels.view();
  session.RunPlanes(planes.data(), 40, 56, &view, again.data());
  for (std::size_t i = 0; i < scores.size(); ++i) ASSERT_NEAR(scores[i], again[i], 1e-4);
  EXPECT_GT(Agreement(labels, session.Run(image.view())), 0.999);
}

TEST(Session, RefusesWhatCannotBe) {
  EXPECT_THROW(Session("no-such-model"), Error);
  const auto model = std::make_shared<LoadedModel>(MakeModel());
  EXPECT_THROW(Session(model, {.height = 64}), Error);
  EXPECT_THROW(Session(model, {.threads = -1}), Error);
  EXPECT_FRF_ERROR(Session(std::shared_ptr<LoadedModel>()), ErrorCode::kInvalidArgument, "without a model");
  EXPECT_FRF_ERROR(Session(model, {.height = 65536, .width = 64}), ErrorCode::kInvalidArgument,
                   "a side is at most 65535");
  EXPECT_FRF_ERROR(Session(model, {.precision = static_cast<Precision>(9)}), ErrorCode::kInvalidArgument,
                   "precision 9 is none of");
  EXPECT_EQ(Session(model, {.threads = 100000}).Run(Photo(64, 64).view()).ids,
            Session(model, {.threads = 2}).Run(Photo(64, 64).view()).ids);
  Session session(model, {.threads = 1, .max_memory = 1 << 20});
  const Image image = Photo(64, 64);
  EXPECT_THROW(session.Run(ImageView{}), Error);
  EXPECT_THROW(session.Run({image.pixels.data(), 64, 64, 10}), Error);
  EXPECT_FRF_ERROR(session.Run({image.pixels.data(), 8, 8, 64, static_cast<PixelOrder>(7)}),
                   ErrorCode::kInvalidArgument, "pixel order 7 is none of");
  EXPECT_THROW(session.Run(image.view(), {nullptr, 64, 64, 64}), Error);
  EXPECT_THROW(model->class_name(4), Error);
  EXPECT_THROW(model->class_color(-1), Error);
  try {
    session.Run(Photo(512, 512).view());
    FAIL() << "512x512 fits in 1 MiB?";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory) << error.what();
    EXPECT_EQ(std::string(error.what()).find("--"), std::string::npos)
        << "of a command line: " << error.what();
  }
  EXPECT_THROW(
      Session(std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {}, {.size = std::pair{64, 64}})),
              {.height = 32, .width = 32}),
      Error);
}

// A network that halves its map n times wants multiples of 2^n; it would fail within, at some node.
TEST(Session, SizesThatAreNoMultipleAreRefused) {
  const auto model =
      std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative, .multiple = 4}));
  const char* const wanted = "test.onnx: an input of 50x72 was asked for, multiples of 4 are wanted";
  EXPECT_FRF_ERROR(Session(model, {.height = 50, .width = 72}), ErrorCode::kInvalidArgument, wanted);
  EXPECT_FRF_ERROR(
      Segmenter(MakeModel("frfnet-slim", {.multiple = 4}), {.height = 50, .width = 72, .plain = true}),
      ErrorCode::kInvalidArgument, wanted);
  Session session(model, {.threads = 1});
  const std::vector<float> planes(3 * 50 * 72);
  std::vector<float> scores(4 * 50 * 72);
  EXPECT_FRF_ERROR(session.RunPlanes(planes.data(), 50, 72, nullptr, scores.data()),
                   ErrorCode::kInvalidArgument, wanted);
  EXPECT_FRF_ERROR(session.ScoresShape(50, 72), ErrorCode::kInvalidArgument, wanted);
  EXPECT_EQ(session.InputSize(50, 70).height, 52);
  EXPECT_EQ(session.ScoresShape(52, 72).width, 72);
  EXPECT_NO_THROW(Session(model, {.height = 48, .width = 72}));
  // A fixed size is the file's business.
  EXPECT_NO_THROW(Session(
      std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.multiple = 4}, {.size = std::pair{50, 72}})),
      {.height = 50, .width = 72}));
}

TEST(Session, ModelsTellWhatTheirPlanesAre) {
  const LoadedModel model(
      MakeModel("frfnet-slim", {.mean = {1, 2, 3}, .height = 72, .width = 96, .multiple = 8}));
  const InputFormat input = model.input();
  EXPECT_EQ(input.mean, (std::array<float, 3>{1, 2, 3}));
  EXPECT_EQ(input.deviation, InputSpec{}.std);
  EXPECT_EQ(std::pair(input.height, input.width), std::pair(72, 96));
  EXPECT_EQ(input.multiple, 8);
  EXPECT_FALSE(model.gives_labels());
  EXPECT_TRUE(LoadedModel(MakeModel("frfnet-slim", {}, {.argmax = true})).gives_labels());
  EXPECT_EQ(model.label_id(3), 3);
  EXPECT_THROW(model.label_id(4), Error);
  ASSERT_NE(model.metadata("frf.net"), nullptr);
  EXPECT_EQ(*model.metadata("frf.net"), "frfnet-slim");
  EXPECT_EQ(model.metadata("frf.license"), nullptr);
}

TEST(Session, AnImageIsSeenInTheOrderOfItsChannels) {
  Session session(std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative})),
                  {.threads = 1});
  const Image rgb = Photo(40, 56);
  Image rgba{.height = 40, .width = 56, .channels = 4};
  for (std::size_t i = 0; i < rgb.pixels.size(); i += 3)
    rgba.pixels.insert(rgba.pixels.end(), {rgb.pixels[i], rgb.pixels[i + 1], rgb.pixels[i + 2], 9});
  EXPECT_EQ(session.Run(rgba.view()).ids, session.Run(rgb.view()).ids);
  const Image two{.height = 1, .width = 1, .channels = 2, .pixels = {1, 2}};
  EXPECT_FRF_ERROR(two.view(), ErrorCode::kInvalidArgument, "an image of 2 channels has no view");
  Segmenter plain(MakeModel("frfnet-slim", {.fit = Fit::kNative}), {.threads = 1, .plain = true});
  EXPECT_EQ(plain.Run(rgba.view()).ids, plain.Run(rgb.view()).ids);
}

TEST(Session, InputsThatAreNoImageAreRefusedByFileAndForm) {
  struct Case {
    DType type;
    Shape shape;
    const char* seen;
  };
  const Case cases[] = {
      {DType::kFloat32, {1, -1, -1, 3}, "test.onnx: input 'image' is float32 1x?x?x3; one"},
      {DType::kFloat64, {-1, 3, -1, -1}, "test.onnx: input 'image' is float64 ?x3x?x?; one"},
      {DType::kFloat16, {1, 3, 64, 64}, "float16"},
      {DType::kFloat32, {2, 3, 64, 64}, "test.onnx: input 'image' is float32 2x3x64x64; one"},
      {DType::kFloat32, {3, -1, -1}, "float32 3x?x?"}};
  const Model model = MakeModel();
  for (const Case& c : cases) {
    Model other = model;
    other.graph.inputs[0].dtype = c.type;
    other.graph.inputs[0].shape = c.shape;
    EXPECT_FRF_ERROR(LoadedModel{other}, ErrorCode::kUnsupported, c.seen);
    EXPECT_FRF_ERROR(Segmenter(other, {.plain = true}), ErrorCode::kUnsupported, c.seen);
  }
  Model two = model;
  two.graph.inputs.push_back({.name = "other", .shape = {1, 3, -1, -1}});
  EXPECT_FRF_ERROR(LoadedModel{two}, ErrorCode::kUnsupported, "test.onnx: has 2 inputs; one image, float32");
}

TEST(Session, ScoresThatDoNotFitTheClassesAreTheFilesFault) {
  Model model = MakeModel();
  model.info.classes.names.push_back("e");
  model.info.classes.palette.push_back({0, 0, 0});
  const Image photo = Photo(32, 32);
  Session session(std::make_shared<LoadedModel>(model), {.threads = 1});
  EXPECT_FRF_ERROR(session.Run(photo.view()), ErrorCode::kCorruptFile,
                   "test.onnx: the network gives 4 scores");
  EXPECT_FRF_ERROR(session.InputSize(0, 5), ErrorCode::kInvalidArgument, "an image of 0x5 has no pixels");
}

TEST(Session, AFixedFileIsFoundFromAnotherFolderToo) {
  const TempFolder folder;
  const std::filesystem::path here = std::filesystem::current_path();
  WriteFileAtomically(folder / "fixed.onnx", MakeModelBytes("frfnet-slim", {}, {.size = std::pair(32, 32)}));
  std::filesystem::current_path(folder.path());
  const auto model = LoadedModel::Load("fixed.onnx");
  std::filesystem::current_path(here);
  const Image photo = Photo(32, 32);
  const LabelImage labels = Session(model, {.threads = 1}).Run(photo.view());
  EXPECT_EQ(Session(model, {.threads = 1}).Run(photo.view()).ids, labels.ids);  // reads the file again
}

// A file of one fixed size gives its graph back once it is planned; another session reads it again.
TEST(Session, FixedFilesAreReadAgainForAnotherSession) {
  const TempFolder folder;
  const std::string file = folder / "fixed.onnx";
  WriteFileAtomically(file, MakeModelBytes("frfnet-slim", {}, {.size = std::pair(64, 96)}));
  const auto model = LoadedModel::Load(file);
  const Image photo = Photo(64, 96);
  Session first(model, {.threads = 1}), second(model, {.threads = 2});
  const LabelImage labels = first.Run(photo.view());
  EXPECT_EQ(model->impl().graph, nullptr);
  EXPECT_EQ(second.Run(photo.view()).ids, labels.ids);
  EXPECT_EQ(first.Run(photo.view()).ids, labels.ids);
  WriteFileAtomically(file, MakeModelBytes("frfnet", {}, {.size = std::pair(64, 96)}));
  Session third(model, {.threads = 1});
  EXPECT_THROW(third.Run(photo.view()), Error) << "weights of the one with the graph of the other";
  EXPECT_EQ(first.Run(photo.view()).ids, labels.ids);
}

}  // namespace
}  // namespace frf::test
