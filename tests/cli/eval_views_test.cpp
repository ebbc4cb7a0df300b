// SPDX-License-Identifier: Apache-2.0
// `frf eval --flip --scales`: the mean of several views' probabilities.
#include "cli/eval_views.h"

#include <gtest/gtest.h>

#include "data/synth.h"
#include "support/cli.h"
#include "support/support.h"

namespace frf::cli {
namespace {

const char* const kModel = FRF_SOURCE_DIR "/weights/frfnet-slim-synth.onnx";

Image Mirrored(const Image& image) {
  Image mirrored = image;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      std::copy(image.at(y, x), image.at(y, x) + 3, mirrored.at(y, image.width - 1 - x));
  return mirrored;
}

LabelImage Mirrored(const LabelImage& labels) {
  LabelImage mirrored = labels;
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) mirrored.at(y, labels.width - 1 - x) = labels.at(y, x);
  return mirrored;
}

double Changed(const LabelImage& a, const LabelImage& b) {
  std::size_t changed = 0;
  for (std::size_t i = 0; i < a.ids.size(); ++i) changed += a.ids[i] != b.ids[i];
  return static_cast<double>(changed) / static_cast<double>(a.ids.size());
}

TEST(EvalViews, TheSameViewTwiceIsTheSegmenter) {
  const Image street = DrawScene(kSynthTestSeed, {.height = 97, .width = 131}).image;
  const SegmenterOptions options{.threads = 1, .height = 64, .width = 96};
  const LabelImage one = Predictor(ReadOnnx(kModel), options).Run(street.view());
  const LabelImage twice = Predictor(ReadOnnx(kModel), options, {.scales = {1, 1}}).Run(street.view());
  EXPECT_LT(Changed(one, twice), 1e-3) << "but for rounding";
}

TEST(EvalViews, AMirroredPictureGetsTheMirroredLabels) {
  const Image street = DrawScene(kSynthTestSeed + 1, {.height = 97, .width = 131}).image;
  const SegmenterOptions options{.threads = 1, .height = 64, .width = 96};
  const auto labels = [&](const Image& image, bool flip) {
    return Predictor(ReadOnnx(kModel), options, {.scales = {0.75, 1}, .flip = flip}).Run(image.view());
  };
  EXPECT_GT(Changed(Mirrored(labels(Mirrored(street), false)), labels(street, false)), 0.001);
  EXPECT_LT(Changed(Mirrored(labels(Mirrored(street), true)), labels(street, true)), 1e-4);
}

// Sizes that nobody named are rounded up to what the file wants.
TEST(EvalViews, KeepToTheFilesMultiple) {
  Model model = ReadOnnx(kModel);
  model.info.input.multiple = 16;
  const Image street = DrawScene(kSynthTestSeed, {.height = 90, .width = 120}).image;
  for (const double scale : {1.0, 0.7}) {
    Predictor views(model, {.threads = 1}, {.scales = {scale}, .flip = true});
    EXPECT_EQ(views.Run(street.view()).width, 120) << scale;
  }
}

TEST(EvalViews, WhatCannotBeAveragedIsSaid) {
  Model labels = ReadOnnx(kModel), native = ReadOnnx(kModel);
  labels.info.output = "labels";
  EXPECT_FRF_ERROR(Predictor(std::move(labels), {}, {.flip = true}), ErrorCode::kInvalidArgument,
                   "which want scores");
  native.info.input.fit = Fit::kNative;
  EXPECT_FRF_ERROR(Predictor(std::move(native), {}, {.scales = {0.5, 1}}), ErrorCode::kInvalidArgument,
                   "name one with --size");
}

TEST(EvalViews, AreSaidAndKeptOutOfTheRecord) {
  const std::vector<std::string> call{"eval",    kModel, "--data", "synth:1",
                                      "--split", "test", "--size", "64x96"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = call;
    words.insert(words.end(), more.begin(), more.end());
    return test::RunFrf(words);
  };
  const Json one = test::ParsedOutput(with({"--json"}));
  EXPECT_EQ(one["scales"], (std::vector<double>{1}));
  EXPECT_EQ(one["flip"], false);
  const Json views = test::ParsedOutput(with({"--json", "--flip", "--scales", "0.75,1"}));
  EXPECT_EQ(views["scales"], (std::vector<double>{0.75, 1}));
  EXPECT_EQ(views["flip"], true);
  EXPECT_NE(views["confusion"], one["confusion"]);
  EXPECT_NE(with({"--flip"}).out.find(", mean of 2 views: scale 1, each also mirrored\n"), std::string::npos);
  for (const auto& [more, named] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--flip", "--stamp"}, "leave out --flip"},
           {{"--scales", "0.5", "--stamp"}, "leave out --scales"},
           {{"--scales", "1"}, "--scales 1 is what is done without it"},
           {{"--scales", "0"}, "--scales"},
           {{"--flip", "--backend", "plain"}, "--backend plain does not go with --flip"},
           {{"--flip", "--backend", "torch"}, "--flip does not go with --backend torch"},
           {{"--flip", "--against", kModel}, "--against does not go with --flip"},
           {{"--flip", "--modules"}, "--flip does not go with --modules"}}) {
    std::vector<std::string> words = call;
    words.insert(words.end(), more.begin(), more.end());
    test::Refused(words, named);
  }
}

}  // namespace
}  // namespace frf::cli
