// SPDX-License-Identifier: Apache-2.0
// What `frf bench` calls its models: a peer's and a thread count's times are held against the row of the same
// name, so two models must never share one.
#include <gtest/gtest.h>

#include <filesystem>

#include "cli/bench.h"
#include "support/cli.h"

namespace frf {
namespace {

using Names = std::vector<std::string>;

TEST(BenchNames, AreShortWhereThatIsClear) {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "run.1");
  std::filesystem::create_directories(folder / "run.2");
  EXPECT_EQ(cli::CaseNames({"frfnet", "street.onnx", "nets/lane.onnx", folder / "run.1", folder / "run.2/"}),
            (Names{"frfnet", "street", "lane", "run.1", "run.2"}));
}

TEST(BenchNames, ArePathsWhereTwoWouldBeTheSame) {
  EXPECT_EQ(cli::CaseNames({"old/net.onnx", "street.onnx", "new/net.onnx"}),
            (Names{"old/net.onnx", "street", "new/net.onnx"}));
  EXPECT_EQ(cli::CaseNames({"frfnet", "mine/frfnet.onnx"}), (Names{"frfnet", "mine/frfnet.onnx"}));
}

TEST(BenchNames, EachModelIsComparedWithItself) {
  const test::TempFolder folder;
  Names words{"bench"};
  for (const auto& [place, net] : {std::pair("old", "frfnet-slim"), {"new", "frfnet"}}) {
    std::filesystem::create_directories(folder / place);
    words.push_back(folder / (std::string(place) + "/net.onnx"));
    ASSERT_EQ(test::RunFrf({"export", net, "-o", words.back()}).code, 0);
  }
  words.insert(words.end(), {"--size", "64x96", "--runs", "2", "--threads", "1", "--json"});
  const Json rows = test::ParsedOutput(test::RunFrf(words));
  ASSERT_EQ(rows.size(), 2U);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(rows[i]["name"], words[i + 1]);
    EXPECT_EQ(rows[i]["times_frf"], 1.0) << rows[i];
  }
}

}  // namespace
}  // namespace frf
