// SPDX-License-Identifier: Apache-2.0
// What a mistyped name may have meant, and counts in sentences.
#include "base/nearest.h"

#include "base/plural.h"
#include "support/support.h"

namespace frf {
namespace {

const std::vector<std::string> kNames{"street-slim", "street", "road", "street-camvid", "roof"};

TEST(Nearest, NamesComeByDistanceAndThenAsGiven) {
  EXPECT_EQ(NearestNames("rood", kNames),
            (std::vector<std::string>{"road", "roof", "street", "street-slim"}));
  EXPECT_EQ(NearestNames("x", {}), std::vector<std::string>{});
}

TEST(Nearest, OnlyAFewLettersMakeAGuess) {
  EXPECT_EQ(DidYouMean("street-camvd", kNames), "did you mean street-camvid? ");
  EXPECT_EQ(DidYouMean("rood", kNames), "did you mean road or roof? ");
  EXPECT_EQ(DidYouMean("model", kNames), "");
  EXPECT_EQ(DidYouMean("", kNames), "");
  EXPECT_EQ(DidYouMean(std::string(100000, 'x'), kNames), "");
}

TEST(Plural, OneHasNoS) {
  EXPECT_EQ(Counted(1, "image"), "1 image");
  EXPECT_EQ(Counted(0, "image"), "0 images");
  EXPECT_EQ(Counted(std::size_t{2}, "image"), "2 images");
}

}  // namespace
}  // namespace frf
