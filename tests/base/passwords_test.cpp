// SPDX-License-Identifier: Apache-2.0
#include "base/passwords.h"

#include <gtest/gtest.h>

namespace frf {
namespace {

TEST(Passwords, AreLeftOutOfAddresses) {
  EXPECT_EQ(WithoutPasswords("rtsp://admin:s3cret@10.0.0.2:554/x"), "rtsp://***@10.0.0.2:554/x");
  EXPECT_EQ(WithoutPasswords("rtsp://admin:s3@cret@host"), "rtsp://***@host");
  EXPECT_EQ(AddressWithoutPassword("rtsp://admin:se\"c r'et@h:1/x"), "rtsp://***@h:1/x");
  EXPECT_EQ(AddressWithoutPassword("http://h/a@b"), "http://h/a@b");
  EXPECT_EQ(WithoutPasswords("cannot open http://a:b@h/x, tried \"rtsp://c:d@h\""),
            "cannot open http://***@h/x, tried \"rtsp://***@h\"");
  for (const char* text : {"", "0", "/dev/video0", "http://host/a@b", "rtsp://host?x@y", "mail@host", "x://"})
    EXPECT_EQ(WithoutPasswords(text), text);
}

}  // namespace
}  // namespace frf
