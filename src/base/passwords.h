// SPDX-License-Identifier: Apache-2.0
// Addresses as they may be shown: "rtsp://***@host/x" of "rtsp://admin:secret@host/x".
#pragma once

#include <string>

namespace frf {

// Of a text that holds addresses: each ends at a space or quote.
std::string WithoutPasswords(std::string text);
// Of one address, whose password may hold spaces and quotes too.
std::string AddressWithoutPassword(std::string address);

}  // namespace frf
