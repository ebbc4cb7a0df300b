// SPDX-License-Identifier: Apache-2.0
// ModelInfo as metadata and as JSON: every key comes back, in the table's order; what is missing, wrong or
// newer is refused by name.
#include "base/model_info.h"

#include <clocale>

#include "support/support.h"

namespace frf {
namespace {

ModelInfo Full() {
  ModelInfo info;
  info.net = "frfnet";
  info.net_options = {{"classes", 2}, {"gates", "linear"}};
  info.classes.names = {"road", "sky"};
  info.classes.palette = {{128, 64, 128}, {70, 130, 180}};
  info.classes.label_ids = {7, 23};
  info.input.height = 360;
  info.input.width = 480;
  info.input.fit = Fit::kNative;
  info.input.multiple = 32;
  info.output = "labels";
  info.weights = "f16";
  info.weights_from = "ema";
  info.quant = {{"method", "entropy"}};
  info.train = {{"epochs", 100}, {"hours", 1.5}};
  info.eval = Json::array({{{"data", "camvid"}, {"miou", 0.6821}}});
  info.license = "research use";
  info.source = "https://example.org/paper";
  info.unknown = {{"frf.future", "{ \"kept\" : 1 }"}, {"author", "someone"}};
  return info;
}

std::string At(const Metadata& metadata, const std::string& key) {
  for (const auto& [name, value] : metadata) {
    if (name == key) return value;
  }
  return "(absent)";
}

Metadata With(Metadata metadata, const std::string& key, const std::string& value) {
  for (auto& entry : metadata) {
    if (entry.first == key) {
      entry.second = value;
      return metadata;
    }
  }
  metadata.emplace_back(key, value);
  return metadata;
}

Metadata Without(Metadata metadata, const std::string& key) {
  std::erase_if(metadata, [&](const auto& entry) { return entry.first == key; });
  return metadata;
}

TEST(ModelInfo, MetadataHoldsEveryKeyInTheOrderOfTheTable) {
  const Metadata metadata = ToMetadata(Full());
  const std::vector<std::string> order = {"frf.format",       "frf.net",
                                          "frf.net.options",  "frf.classes",
                                          "frf.palette",      "frf.void",
                                          "frf.label_ids",    "frf.input.color",
                                          "frf.input.layout", "frf.input.mean",
                                          "frf.input.std",    "frf.input.size",
                                          "frf.input.fit",    "frf.input.multiple",
                                          "frf.output",       "frf.weights",
                                          "frf.weights.from", "frf.quant",
                                          "frf.train",        "frf.eval",
                                          "frf.license",      "frf.source",
                                          "frf.future",       "author"};
  ASSERT_EQ(metadata.size(), order.size());
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(metadata[i].first, order[i]);
  EXPECT_EQ(At(metadata, "frf.format"), "1");
  EXPECT_EQ(At(metadata, "frf.net"), "frfnet");
  EXPECT_EQ(At(metadata, "frf.classes"), R"(["road","sky"])");
  EXPECT_EQ(At(metadata, "frf.palette"), "[[128,64,128],[70,130,180]]");
  EXPECT_EQ(At(metadata, "frf.label_ids"), R"({"0":7,"1":23})");
  EXPECT_EQ(At(metadata, "frf.input.mean"), "[123.675,116.28,103.53]");  // shortest form of the floats
  EXPECT_EQ(At(metadata, "frf.input.size"), "360x480");
  EXPECT_EQ(At(metadata, "frf.void"), "255");
}

// A host's locale may have a decimal comma.
TEST(ModelInfo, NumbersAreTheSameInEveryLocale) {
  const std::string before = std::setlocale(LC_NUMERIC, nullptr);
  bool comma = false;
  for (const char* name : {"de_DE.utf8", "fr_FR.utf8", "de_DE", "C.utf8"}) {
    if (std::setlocale(LC_NUMERIC, name) == nullptr) continue;
    comma |= std::string(std::localeconv()->decimal_point) == ",";
    ModelInfo info = Full();
    info.input.mean = {0.485f, 116.28f, 103.53f};
    const Json json = ToJson(info);
    EXPECT_EQ(json["input.mean"], Json({0.485, 116.28, 103.53})) << name;
    for (const auto& [key, value] : ToMetadata(info)) {
      if (key == "frf.input.mean") {
        EXPECT_EQ(value, "[0.485,116.28,103.53]") << name;
      }
    }
  }
  std::setlocale(LC_NUMERIC, before.c_str());
  if (!comma) GTEST_SKIP() << "no locale with a decimal comma is installed here";
}

TEST(ModelInfo, MetadataRoundTripKeepsEveryString) {
  const Metadata metadata = ToMetadata(Full());
  const ModelInfo back = ModelInfoFromMetadata(metadata, "x.onnx");
  EXPECT_EQ(ToMetadata(back), metadata);
  EXPECT_EQ(back.classes, Full().classes);
  EXPECT_EQ(back.input.mean, Full().input.mean);
  EXPECT_EQ(back.input.std, Full().input.std);
  EXPECT_EQ(back.input.height, 360);
  EXPECT_EQ(back.input.multiple, 32);
  EXPECT_EQ(back.input.fit, Fit::kNative);
  EXPECT_EQ(back.train["hours"], 1.5);
  EXPECT_EQ(back.unknown, Full().unknown);
}

TEST(ModelInfo, JsonRoundTrip) {
  const Json json = ToJson(Full());
  EXPECT_EQ(json["input.std"], Json::parse("[58.395,57.12,57.375]"));
  EXPECT_EQ(json["future"], "{ \"kept\" : 1 }");
  EXPECT_EQ(json["metadata"]["author"], "someone");
  EXPECT_EQ(ToMetadata(ModelInfoFromJson(Json::parse(json.dump()), "config.json")), ToMetadata(Full()));
}

TEST(ModelInfo, SmallestStampGetsDefaults) {
  const ModelInfo info = ModelInfoFromJson(
      Json::parse(R"({"classes":["a","b","c"],"input.mean":[0,0,0],"input.std":[255,255,255]})"),
      "meta.json");
  EXPECT_EQ(info.classes.count(), 3);
  EXPECT_EQ(info.classes.palette.size(), 3u);  // VOC's colours from the second on: none is black
  EXPECT_EQ(info.classes.palette[0], (Color{128, 0, 0}));
  EXPECT_EQ(info.classes.palette[2], (Color{128, 128, 0}));
  EXPECT_TRUE(info.classes.label_ids.empty());
  EXPECT_EQ(info.input.height, 0);
  EXPECT_EQ(info.output, "scores");
  EXPECT_TRUE(info.train.is_null());
}

TEST(ModelInfo, LabelIdsMayBeAListAndMayNameSomeClassesOnly) {
  const Metadata metadata = ToMetadata(Full());
  EXPECT_EQ(ModelInfoFromMetadata(With(metadata, "frf.label_ids", "[3,4]"), "x").classes.label_ids,
            (std::vector<int>{3, 4}));
  EXPECT_EQ(ModelInfoFromMetadata(With(metadata, "frf.label_ids", R"({"1":9})"), "x").classes.label_ids,
            (std::vector<int>{0, 9}));
}

TEST(ModelInfo, NullIsMissing) {
  const Metadata metadata = ToMetadata(Full());
  for (const char* key : {"frf.classes", "frf.input.mean", "frf.input.std"})
    EXPECT_FRF_ERROR(ModelInfoFromMetadata(With(metadata, key, "null"), "x.onnx"), ErrorCode::kUnsupported,
                     key);
  EXPECT_FRF_ERROR(
      ModelInfoFromJson(Json::parse(R"({"classes":null,"input.mean":[0,0,0],"input.std":[1,1,1]})"),
                        "meta.json"),
      ErrorCode::kUnsupported, "meta.json: has no 'classes'");
}

TEST(ModelInfo, AKeyWithoutItsFrontIsToldItsName) {
  const auto said = [](const char* text) {
    try {
      ModelInfoFromJson(Json::parse(text), "meta.json");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(said(R"({"classes":["a"],"mean":[0,0,0],"std":[1,1,1]})"),
            "meta.json: has no 'input.mean'; it has 'mean', which wants that name");
  EXPECT_EQ(said(R"({"classes":null,"input.mean":[0,0,0],"input.std":[1,1,1]})"),
            "meta.json: has no 'classes'");
}

TEST(ModelInfo, MissingFactsAreRefusedWithTheHint) {
  const Metadata metadata = ToMetadata(Full());
  for (const char* key : {"frf.format", "frf.classes", "frf.input.mean", "frf.input.std"}) {
    EXPECT_FRF_ERROR(ModelInfoFromMetadata(Without(metadata, key), "foreign.onnx"), ErrorCode::kUnsupported,
                     "--meta");
    EXPECT_FRF_ERROR(ModelInfoFromMetadata(Without(metadata, key), "foreign.onnx"), ErrorCode::kUnsupported,
                     key);
  }
  EXPECT_FRF_ERROR(ModelInfoFromMetadata({}, "foreign.onnx"), ErrorCode::kUnsupported, "foreign.onnx: ");
  EXPECT_FRF_ERROR(ModelInfoFromJson(Json::parse("[]"), "meta.json"), ErrorCode::kCorruptFile, "meta.json");
  EXPECT_FRF_ERROR(ModelInfoFromJson(Json::object(), "meta.json"), ErrorCode::kUnsupported, "classes");
}

TEST(ModelInfo, ANewerFormatIsRefusedBeforeAnythingElseIsRead) {
  Metadata metadata = With(ToMetadata(Full()), "frf.format", "2");
  metadata = With(metadata, "frf.classes", "not JSON at all");
  EXPECT_FRF_ERROR(ModelInfoFromMetadata(metadata, "x.onnx"), ErrorCode::kUnsupported, "update");
}

TEST(ModelInfo, WrongValuesNameFileAndKey) {
  const std::vector<std::pair<std::string, std::string>> wrong = {{"frf.format", "0"},
                                                                  {"frf.format", "\"1\""},
                                                                  {"frf.format", "99999999999999999999"},
                                                                  {"frf.net.options", "[]"},
                                                                  {"frf.classes", "[]"},
                                                                  {"frf.classes", "[1,2]"},
                                                                  {"frf.classes", "{}"},
                                                                  {"frf.classes", R"(["sky","sky"])"},
                                                                  {"frf.palette", "[[1,2,3]]"},
                                                                  {"frf.palette", "[[1,2,256],[0,0,0]]"},
                                                                  {"frf.palette", "[[1,2],[0,0,0]]"},
                                                                  {"frf.void", "254"},
                                                                  {"frf.label_ids", R"({"2":1})"},
                                                                  {"frf.label_ids", "[1]"},
                                                                  {"frf.label_ids", R"({"0":-1})"},
                                                                  {"frf.label_ids", R"({"0":256})"},
                                                                  {"frf.label_ids", "[3,65535]"},
                                                                  {"frf.input.mean", "[1,2]"},
                                                                  {"frf.input.mean", "[1,2,1e99]"},
                                                                  {"frf.input.mean", "\xff"},
                                                                  {"frf.input.std", "[1,1,0]"},
                                                                  {"frf.input.std", "[1,1,-1]"},
                                                                  {"frf.input.fit", "stretch"},
                                                                  {"frf.input.multiple", "0"},
                                                                  {"frf.input.multiple", "1.5"},
                                                                  {"frf.output", "masks"},
                                                                  {"frf.weights", "f64"},
                                                                  {"frf.weights.from", "best"},
                                                                  {"frf.eval", "{}"},
                                                                  {"frf.eval", "[1]"},
                                                                  {"frf.train", "[]"},
                                                                  {"frf.quant", std::string(5000, '[')}};
  for (const auto& [key, value] : wrong) {
    EXPECT_FRF_ERROR(ModelInfoFromMetadata(With(ToMetadata(Full()), key, value), "x.onnx"),
                     ErrorCode::kCorruptFile, "x.onnx: ");
  }
  EXPECT_FRF_ERROR(ModelInfoFromMetadata(With(ToMetadata(Full()), "frf.input.color", "BGR"), "x.onnx"),
                   ErrorCode::kUnsupported, "frf.input.color");
  EXPECT_FRF_ERROR(ModelInfoFromMetadata(With(ToMetadata(Full()), "frf.input.size", "360"), "x.onnx"),
                   ErrorCode::kCorruptFile, "x.onnx");
  Metadata twice = ToMetadata(Full());
  twice.emplace_back("frf.net", "other");
  EXPECT_FRF_ERROR(ModelInfoFromMetadata(twice, "x.onnx"), ErrorCode::kCorruptFile, "twice");
}

TEST(ModelInfo, WhatCannotBeReadAgainIsNotWritten) {
  ModelInfo info = Full();
  info.classes.names.clear();
  EXPECT_FRF_ERROR(ToMetadata(info), ErrorCode::kInvalidArgument, "class names");
  info = Full();
  info.classes.palette.pop_back();
  EXPECT_FRF_ERROR(ToMetadata(info), ErrorCode::kInvalidArgument, "1 palette colours for 2 classes");
  info = Full();
  info.classes.names[0] = "sky";
  EXPECT_FRF_ERROR(ToMetadata(info), ErrorCode::kInvalidArgument, "two classes are called 'sky'");
  info = Full();
  info.classes.names[0] = "ro\xff";
  EXPECT_FRF_ERROR(ToMetadata(info), ErrorCode::kInvalidArgument, "UTF-8");
}

TEST(ParseSize, TakesHeightByWidthAndNothingElse) {
  EXPECT_EQ(ParseSize("360x480", "--size"), (std::pair<int, int>{360, 480}));
  EXPECT_EQ(ParseSize("1x65535", "--size"), (std::pair<int, int>{1, 65535}));
  for (const char* wrong : {"", "360", "x", "360x", "x480", "0x1", "1x65536", "-1x5", "3 x4", "360x480x3",
                            "360X480", "99999999999x1", "3x4\n"}) {
    EXPECT_FRF_ERROR(ParseSize(wrong, "--size"), ErrorCode::kUsage, "--size wants HEIGHTxWIDTH");
  }
}

}  // namespace
}  // namespace frf
