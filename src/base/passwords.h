// SPDX-License-Identifier: Apache-2.0
// Addresses as they may be shown: "rtsp://***@host/x" of "rtsp://admin:secret@host/x".
#pragma once

#include <string>

namespace frf {

// Of an address, or of a text that holds some.
std::string WithoutPasswords(std::string text);

}  // namespace frf
