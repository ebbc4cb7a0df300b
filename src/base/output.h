// SPDX-License-Identifier: Apache-2.0
// Standard output at a program's end: a result that nobody received (`frf info frfnet > /dev/full`) must not
// look delivered.
#pragma once

#include <string>

namespace frf {

// Flushes standard output. Empty when all that was printed was taken, else a line that says it was not, and
// why.
std::string FlushOutput();

}  // namespace frf
