// SPDX-License-Identifier: Apache-2.0
// Outside text made fit for an error message, and for comparing.
#include "base/text.h"

#include "support/support.h"

namespace frf {
namespace {

TEST(Text, PrintableKeepsALineWholeAndShort) {
  EXPECT_EQ(Printable("conv1\n\xc3\xa4"), "conv1???");
  EXPECT_EQ(Printable("0123456789", 4), "0123...");
  EXPECT_EQ(Printable("0123", 4), "0123");
}

TEST(Text, LowerChangesAsciiLettersAlone) {
  EXPECT_EQ(Lower("Sky.PNG@[`{"), "sky.png@[`{");
  EXPECT_EQ(Lower("\xc3\x84Z"), "\xc3\x84z");  // UTF-8: its bytes are no letters of ASCII
  EXPECT_EQ(Lower(""), "");
}

}  // namespace
}  // namespace frf
