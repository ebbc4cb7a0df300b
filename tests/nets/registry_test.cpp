// SPDX-License-Identifier: Apache-2.0
// Names and options of networks: completion, text form, refusals.
#include "nets/nets.h"
#include "support/support.h"

namespace frf {
namespace {

TEST(Registry, ListsTheFamily) {
  std::vector<std::string> names;
  for (const NetEntry& entry : ListNets()) {
    names.push_back(entry.name);
    ASSERT_FALSE(entry.options.empty());
    EXPECT_EQ(entry.options[0].name, "classes");
    EXPECT_FALSE(entry.summary.empty());
    for (const NetOption& option : entry.options) EXPECT_FALSE(option.help.empty()) << option.name;
  }
  for (const char* name : {"frfnet", "frfnet-slim", "frfnet-danet", "frfnet-danet-slim"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
  }
}

TEST(Registry, CompletedOptionsAreAFixedPoint) {
  for (const NetEntry& entry : ListNets()) {
    for (const Json& options : {Json::object(), Json{{"classes", 11}}, Json{{"ablation", "baseline"}}}) {
      const Json once = CompleteOptions(entry.name, options);
      EXPECT_EQ(once.size(), entry.options.size());
      EXPECT_EQ(CompleteOptions(entry.name, once).dump(), once.dump());
    }
  }
}

TEST(Registry, AblationSetsWhatItMeans) {
  const Json baseline = CompleteOptions("frfnet", {{"ablation", "baseline"}});
  EXPECT_EQ(baseline["msc"], false);
  EXPECT_EQ(baseline["ffm"], "sum");
  EXPECT_EQ(baseline["sfm"], "sum");
  const Json ffm = CompleteOptions("frfnet", {{"ablation", "ffm"}});
  EXPECT_EQ(ffm["msc"], true);
  EXPECT_EQ(ffm["ffm"], "full");
  EXPECT_EQ(ffm["sfm"], "sum");
  EXPECT_FRF_ERROR(CompleteOptions("frfnet", {{"ablation", "msc"}, {"ffm", "full"}}), ErrorCode::kUsage,
                   "ablation=msc");
}

TEST(Registry, WhatWouldHaveNoEffectIsRefused) {
  const auto refused = [](const std::string& net, const Json& options, const std::string& message) {
    EXPECT_FRF_ERROR(CompleteOptions(net, options), ErrorCode::kUsage, message);
  };
  refused("frfnet-slim", {{"backbone", "resnet18"}}, "option backbone wants one of frf, got");
  refused("frfnet", {{"backbone", "resnet18"}, {"dam", "osa"}}, "dam=osa is of frfnet's own stages");
  refused("frfnet", {{"ablation", "baseline"}, {"ffm.threshold", 0.2}}, "ffm=sum goes without");
  refused("frfnet", {{"ffm", "masks-off"}, {"ffm.threshold", "none"}}, "ffm=masks-off goes without");
  EXPECT_EQ(CompleteOptions("frfnet", {{"backbone", "resnet18"}})["backbone"], "resnet18");
}

TEST(Registry, ParsesText) {
  const Json options = ParseNetOptions(
      "frfnet", "classes=11,msc=off,ffm.threshold=none,dropout=0.1,sfm=o+sigmoid(l1),aux=true");
  const Json wanted{{"classes", 11},  {"msc", false},           {"ffm.threshold", "none"},
                    {"dropout", 0.1}, {"sfm", "o+sigmoid(l1)"}, {"aux", true}};
  EXPECT_EQ(options, wanted);
  EXPECT_TRUE(options["classes"].is_number_integer());
  EXPECT_EQ(ParseNetOptions("frfnet", ""), Json::object());
  EXPECT_EQ(ParseNetOptions("frfnet", "ffm.threshold=0.30")["ffm.threshold"], 0.3);
}

TEST(Registry, RefusesWhatItDoesNotKnow) {
  EXPECT_FRF_ERROR(BuildNet("frfnet-slin", {}), ErrorCode::kNotFound, "the nearest are frfnet-slim");
  EXPECT_FRF_ERROR(BuildNet("", {}), ErrorCode::kNotFound, "network ''");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"gate", "relu"}}), ErrorCode::kUsage,
                   "no option 'gate'; the nearest are gates");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"gates", "soft"}}), ErrorCode::kUsage, "one of linear, relu");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"ffm.threshold", 0.25}}), ErrorCode::kUsage,
                   "0.2, 0.3, 0.4, 0.5, none");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"classes", 0}}), ErrorCode::kUsage, "1 to 255");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"classes", 256}}), ErrorCode::kUsage, "got 256");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"classes", 2.5}}), ErrorCode::kUsage, "an integer");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"classes", "eleven"}}), ErrorCode::kUsage, "an integer");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"aux", 1}}), ErrorCode::kUsage, "true or false");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"dropout", 1.0}}), ErrorCode::kUsage, "[0, 1)");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"width", 0.2}}), ErrorCode::kUsage, "0.25 to 4, got 0.2");
  EXPECT_FRF_ERROR(BuildNet("frfnet", {{"width", 5}}), ErrorCode::kUsage, "0.25 to 4, got 5");
  EXPECT_FRF_ERROR(BuildNet("frfnet", Json::array({1})), ErrorCode::kUsage, "JSON object");
  EXPECT_FRF_ERROR(ParseNetOptions("frfnet", "classes"), ErrorCode::kUsage, "name=value");
  EXPECT_FRF_ERROR(ParseNetOptions("frfnet", "=3"), ErrorCode::kUsage, "name=value");
  EXPECT_FRF_ERROR(ParseNetOptions("frfnet", "classes=3,classes=4"), ErrorCode::kUsage, "given twice");
  EXPECT_FRF_ERROR(ParseNetOptions("frfnet", "classes=many"), ErrorCode::kUsage, "an integer");
  EXPECT_FRF_ERROR(ParseNetOptions("frfnet", "aux=maybe"), ErrorCode::kUsage, "true or false");
}

}  // namespace
}  // namespace frf
