// SPDX-License-Identifier: Apache-2.0
// Calls of the C API that are to fail: with a code and one line that says a certain thing.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "frf/frf.h"

#define EXPECT_STATUS(call, wanted, part)                                              \
  do {                                                                                 \
    EXPECT_EQ(call, wanted) << frf_last_error();                                       \
    const std::string message = frf_last_error();                                      \
    EXPECT_NE(message.find(part), std::string::npos) << #call << " says: " << message; \
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;                       \
  } while (false)
