// SPDX-License-Identifier: Apache-2.0
// Reports as a browser gets them: ticks where people expect them, names and numbers escaped and whole, masks
// stored without loss.
#include "metrics/report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/support.h"

namespace frf {
namespace {

Classes TwoClasses() {
  return {.names = {"road & kerb", "bicyclist"}, .palette = {{100, 0, 0}, {0, 0, 200}}};
}

ConfusionMatrix SomeMatrix() {
  ConfusionMatrix matrix(2);
  LabelImage truth{.height = 1200, .width = 1000}, guess = truth;
  truth.ids.assign(1'200'000, 0);
  guess.ids = truth.ids;
  truth.ids[5] = 1;
  matrix.Add(truth, guess);
  return matrix;
}

void ExpectTicks(const ChartAxis& axis, const std::vector<double>& wanted) {
  ASSERT_EQ(axis.ticks.size(), wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) EXPECT_NEAR(axis.ticks[i], wanted[i], 1e-9);
}

TEST(ChartAxis, LinearStartsAtZeroWhereItIsNear) {
  const ChartAxis shares = LinearAxis(0.32, 0.91, 5, true);
  ExpectTicks(shares, {0, 0.2, 0.4, 0.6, 0.8, 1});
  EXPECT_EQ(shares.low, 0);
  EXPECT_NEAR(shares.high, 1, 1e-9);
  const ChartAxis rates = LinearAxis(8e-9, 0.002, 5, true);  // a learning rate that ends at almost nothing
  ExpectTicks(rates, {0, 0.0005, 0.001, 0.0015, 0.002});
  const ChartAxis epochs = LinearAxis(1, 60, 7, false);  // the axis ends where the values do
  ExpectTicks(epochs, {0, 10, 20, 30, 40, 50, 60});
  EXPECT_EQ(epochs.high, 60);
  const ChartAxis high = LinearAxis(90, 100, 5, true);
  EXPECT_EQ(high.low, 90);
  const ChartAxis below = LinearAxis(-3, 7, 5, true);
  ExpectTicks(below, {-4, -2, 0, 2, 4, 6, 8});
  for (const double value : {0.0, 3.0, -3.0}) {  // one value only
    const ChartAxis one = LinearAxis(value, value, 5, true);
    EXPECT_LT(one.low, one.high);
    EXPECT_GE(one.ticks.size(), 2u);
  }
  const ChartAxis share = LinearAxis(0.3, 0.3, 5, true);  // a first validation
  EXPECT_EQ(share.low, 0) << "no IoU below 0 %";
  EXPECT_LE(share.high, 0.4);
}

TEST(ChartAxis, LogarithmicTicksAreRoundNumbers) {
  ExpectTicks(LogAxis(0.36, 2.2), {0.5, 1, 2});
  ExpectTicks(LogAxis(1e-4, 10), {1e-4, 1e-3, 1e-2, 1e-1, 1, 10});
  for (const auto& [low, high] : {std::pair{0.31, 0.36}, {1.0, 1.0}, {0.8, 1.3}, {1e-9, 1e9}}) {
    const ChartAxis axis = LogAxis(low, high);
    EXPECT_LE(axis.low, low);
    EXPECT_GE(axis.high, high);
    EXPECT_GE(axis.ticks.size(), 2u) << low << " .. " << high;
  }
}

TEST(HtmlReport, ChartsNameLinesAndTheirLastValues) {
  HtmlReport report("a <b>");
  report.Chart("Validation", "epoch",
               {{"mean IoU", {{5, 0.31}, {10, 0.5914}}}, {"accuracy", {{5, NAN}, {10, 0.9}}}}, true);
  report.Chart("Training loss", "epoch", {{"training loss", {{1, 2.0}, {2, 0.0}, {3, 0.5}}}}, false, true);
  report.Chart("Nothing", "epoch", {{"none", {}}});
  const std::string html = report.Html();
  EXPECT_NE(html.find("<h1>a &lt;b&gt;</h1>"), std::string::npos);
  EXPECT_NE(html.find("</span>mean IoU <span class=dim>59.1 %</span>"), std::string::npos);
  EXPECT_NE(html.find(">epoch</text>"), std::string::npos);
  EXPECT_NE(html.find("<b>Training loss</b> (log scale)"), std::string::npos);
  EXPECT_EQ(html.find("training loss"), std::string::npos);  // a line alone is named by the title
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_EQ(html.find("inf"), std::string::npos);
}

TEST(HtmlReport, EpochsAreWhole) {
  HtmlReport epochs("a"), others("a");
  epochs.Chart("Validation", "epoch", {{"mean IoU", {{5, 0.31}, {6, 0.59}}}}, true);
  others.Chart("Validation", "x", {{"mean IoU", {{5, 0.31}, {5.5, 0.4}, {6, 0.59}}}}, true);
  EXPECT_EQ(epochs.Html().find(">5.2</text>"), std::string::npos);
  EXPECT_NE(epochs.Html().find(">6</text>"), std::string::npos);
  EXPECT_NE(others.Html().find(">5.2</text>"), std::string::npos);
}

TEST(HtmlReport, TablesHoldWholeNamesAndGroupedNumbers) {
  HtmlReport report("r");
  report.ScoreTable(SomeMatrix(), TwoClasses());
  report.ConfusionTable(SomeMatrix(), TwoClasses());
  const std::string html = report.Html();
  EXPECT_NE(html.find("1\u202f199\u202f999"), std::string::npos);
  EXPECT_NE(html.find("<th class=v>bicyclist</th>"), std::string::npos);
  EXPECT_NE(html.find("road &amp; kerb"), std::string::npos);
}

TEST(HtmlReport, MasksAreStoredWithoutLossAndPhotosAsJpeg) {
  Image photo{.height = 60, .width = 80, .channels = 3};
  for (std::size_t i = 0; i < photo.bytes(); ++i)
    photo.pixels.push_back(static_cast<std::uint8_t>((i * 2654435761u) >> 20));
  LabelImage truth{.height = 60, .width = 80};
  for (int i = 0; i < 4800; ++i) truth.ids.push_back(i % 80 < 40 ? 0 : i < 800 ? kVoidLabel : 1);
  HtmlReport report("r");
  const HtmlReport::Row row =
      PredictionRow("a.png", photo, truth,
                    {.height = 60, .width = 80, .ids = std::vector<std::uint8_t>(4800, 0)}, TwoClasses());
  report.Pictures({row});
  const std::string html = report.Html();
  EXPECT_NE(html.find("alt=\"image\" src=\"data:image/jpeg;"), std::string::npos);
  EXPECT_NE(html.find("alt=\"truth\" src=\"data:image/png;"), std::string::npos);
  EXPECT_NE(html.find("alt=\"prediction\" src=\"data:image/png;"), std::string::npos);
  const Image& errors = row.pictures[3].second;
  EXPECT_EQ(errors.at(59, 60)[0], 255);                   // wrong: red
  EXPECT_GE(errors.at(0, 60)[2], 150);                    // void: blue, however dark the picture
  EXPECT_EQ(errors.at(59, 20)[0], errors.at(59, 20)[2]);  // right: grey
}

}  // namespace
}  // namespace frf
