// SPDX-License-Identifier: Apache-2.0
// `frf eval --modules`, with the shipped weights on drawn scenes.
#include <gtest/gtest.h>

#include "support/cli.h"

namespace frf {
namespace {

using test::Finished;
using test::RunFrf;

Json Eval(const std::string& model, const std::vector<std::string>& more) {
  std::vector<std::string> words{"eval", model,    "--data",   "synth:3", "--split",
                                 "test", "--seed", "20000700", "--json"};
  words.insert(words.end(), more.begin(), more.end());
  return test::ParsedOutput(RunFrf(words));
}

TEST(EvalModules, GatesAndMasksOfTheShippedNetwork) {
  const Json whole = Eval("frfnet-slim-synth", {}), modules = Eval("frfnet-slim-synth", {"--modules"});
  EXPECT_NEAR(modules["miou"].get<double>(), whole["miou"].get<double>(), 1e-9);
  std::map<std::string, Json> by_name;
  for (const Json& module : modules["modules"]) by_name[module["module"]] = module;
  ASSERT_TRUE(by_name.contains("decoder.ffm") && by_name.contains("decoder.sfm") &&
              by_name.contains("decoder.msc4"));
  const Json& ffm = by_name["decoder.ffm"];
  ASSERT_EQ(ffm["gates"].size(), 2U);  // t1 and t2
  for (const Json& mask : ffm["gates"]) {
    EXPECT_EQ(mask["kind"], "mask");
    const double fires = mask["mean"], pixels = mask["between_pixels"];
    EXPECT_GT(fires, 0.0);
    EXPECT_LT(fires, 0.5);   // both cannot fire at once
    EXPECT_LE(pixels, 0.5);  // the largest deviation of zeros and ones
    EXPECT_GT(pixels, 0.0);
    EXPECT_EQ(mask["saturated"], 1.0);  // zeros and ones
  }
  EXPECT_TRUE(ffm.contains("off"));
  EXPECT_EQ(by_name["decoder.msc4"]["gates"][0]["between_pixels"], 0.0);  // one value a channel
  const double saturated = by_name["decoder.sfm"]["gates"][0]["saturated"];
  EXPECT_GT(saturated, 0.0);
  EXPECT_LT(saturated, 0.5);  // pixel by pixel, from normalised maps: most are in between
  for (const auto& [name, module] : by_name) {
    const Json& frozen = module["frozen"];
    EXPECT_LE(frozen["low"].get<double>(), frozen["high"].get<double>()) << name;
    EXPECT_LT(frozen["low"].get<double>(), frozen["points"].get<double>() + 1e-9) << name;
    EXPECT_GT(frozen["high"].get<double>(), frozen["points"].get<double>() - 1e-9) << name;
  }
  // Without its gate SFM's sum has another mean by pixel: these weights were trained with it.
  EXPECT_LT(by_name["decoder.sfm"]["frozen"]["points"].get<double>(), 0.5);
}

TEST(EvalModules, RefusesANetworkWithoutGates) {
  const test::TempFolder folder;
  ASSERT_EQ(
      RunFrf({"export", "frfnet-slim", "--net-options", "ablation=baseline", "-o", folder / "x.onnx"}).code,
      0);
  const Finished finished = RunFrf({"eval", folder / "x.onnx", "--data", "synth:1", "--modules"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_NE(finished.err.find("--modules"), std::string::npos) << finished.err;
}

}  // namespace
}  // namespace frf
